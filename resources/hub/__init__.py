"""Upload a folder to the Hugging Face Hub, or to whatever speaks its language at HF_ENDPOINT."""

"""Zero-shot tasks: the folders that hold them, and the models to score on them."""

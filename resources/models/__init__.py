"""Train a model in processes of its own, and name the language of a text."""

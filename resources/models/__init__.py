"""Train models, load models, name the language of a text."""

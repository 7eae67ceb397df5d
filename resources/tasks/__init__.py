"""Find zero-shot tasks by their folders, and the models to score on them."""

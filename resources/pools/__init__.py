"""Read sets of image-text pairs that others made."""

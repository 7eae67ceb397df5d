"""Read sets of pairs that others made."""

"""Pages about the list of entries: what became of its sources, and what a pool holds of it."""

"""Make data/sample, the tracked sample, from pinned packages: the same bytes every time."""

"""HTML and JSON for people."""

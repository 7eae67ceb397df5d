"""The list of what is taken down, and tables without it."""

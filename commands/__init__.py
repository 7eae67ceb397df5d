"""The command `metaclip`: one module for each of its verbs, and what they share."""

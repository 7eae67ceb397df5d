"""What a person types: the one command `metaclip`, a module a verb."""

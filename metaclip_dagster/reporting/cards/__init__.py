"""The data card of one t: its numbers, its plots, its page."""

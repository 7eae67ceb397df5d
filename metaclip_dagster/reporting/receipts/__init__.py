"""Receipts of takedowns: a page for whoever asked that something be taken out."""

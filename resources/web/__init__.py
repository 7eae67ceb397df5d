"""Bytes from the web and from archives."""

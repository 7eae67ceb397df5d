"""Snapshots of Common Crawl: which there are, and their files."""

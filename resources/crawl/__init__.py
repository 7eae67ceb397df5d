"""Snapshots of Common Crawl, and their files."""

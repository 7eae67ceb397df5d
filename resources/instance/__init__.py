"""Dagster itself: its processes, runs, history and web server."""

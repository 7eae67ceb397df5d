"""The Dagster graph: one short function a table."""

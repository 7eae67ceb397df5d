"""The Dagster graph: one short function for each table."""

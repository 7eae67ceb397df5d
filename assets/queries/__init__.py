"""What people and reports ask of the lake, answered without Dagster."""

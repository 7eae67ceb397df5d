"""Run stages over shards, here or on a cluster."""

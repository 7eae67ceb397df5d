"""Run stages over shards, on this machine or on a cluster."""

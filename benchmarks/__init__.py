"""What the claims of speed rest on: one file a claim, run as `python -m benchmarks.bench_X`."""

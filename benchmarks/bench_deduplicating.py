"""Exchange more and more pairs in buckets, and show that the memory of a worker stays that of one bucket.

python -m benchmarks.bench_deduplicating [--pairs N] [--pairs-a-shard N] [--group-size N] [--pairs-a-bucket N]
                                         [--workers N] [--json]

The pairs are made up, so that what is found is known: nine in ten of a shard are new, one in ten stands in a shard
before it. They go through `scatter_pairs`, `find_duplicates` and `gather_exclusions` on worker processes, as the asset
`exclusions` sends them there, committed to a lake on disk; a sixteenth of the pairs, a quarter, then all, with as many
buckets as keep a bucket the same size. The baseline of time and memory is one process that holds all pair_ids at once
and sorts them in numpy. CPU time is that of workers from reading to commit, without their start.
"""

import sys
import time
from collections.abc import Sequence
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.bench_graph import SNAPSHOT, Cost, Run
from benchmarks.inputs import repeating_pairs
from benchmarks.measure import Row, flat, in_fresh_process, options, peak_mb, print_rows, row
from metaclip_dagster.deduplicating import find_duplicates, gather_exclusions, scatter_pairs
from resources.deferred import defer
from resources.lake.shard_files import read_batches, read_where

PORTIONS = (16, 4, 1)


def main() -> None:
    """Print what was measured."""
    parser = options(__doc__)
    parser.add_argument("--pairs", type=int, default=4_000_000)
    parser.add_argument("--pairs-a-shard", type=int, default=33_000, help="a WAT has so many")
    parser.add_argument("--group-size", type=int, default=64)
    parser.add_argument("--pairs-a-bucket", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    exchanged = {}
    for portion in PORTIONS:
        num_shards = max(1, args.pairs // portion // args.pairs_a_shard)
        num_buckets = max(1, num_shards * args.pairs_a_shard // args.pairs_a_bucket)
        with TemporaryDirectory() as folder:
            exchanged[portion] = in_fresh_process(
                exchange, folder, num_shards, args.pairs_a_shard, args.group_size, num_buckets, args.workers
            )
        print(f"{num_shards * args.pairs_a_shard:,} pairs done", file=sys.stderr, flush=True)
    print_rows(
        [line for portion in PORTIONS for line in rows_of(exchanged[portion], exchanged[PORTIONS[0]])], args.json
    )


Exchanged = tuple[int, int, dict[str, Cost], float, float]
"""Pairs, buckets, what each stage took, and the CPU seconds and megabytes of the one process."""


def exchange(  # noqa: PLR0917  # sent to a process by position
    folder: str, num_shards: int, pairs_a_shard: int, group_size: int, num_buckets: int, workers: int
) -> Exchanged:
    """Make the shards and deduplicate them both ways, each in processes of its own."""
    run = Run(folder, workers)
    shards = run.map(
        repeating_pairs, "matches", {f"{i:05d}": {"index": i, "num": pairs_a_shard} for i in range(num_shards)}
    )
    seconds, peak, num_repeated = in_fresh_process(_sort_all, [*shards.values()])
    keys = [list(shards)[i : i + group_size] for i in range(0, num_shards, group_size)]
    groups = {f"{i:05d}": {key: defer(read_batches, shards[key], {}) for key in group} for i, group in enumerate(keys)}
    scattered = {key: {"matches": group, "snapshot": SNAPSHOT} for key, group in groups.items()}
    places = [*run.map(scatter_pairs, "places", scattered, num_buckets=num_buckets).values()]
    buckets = {f"{b:05d}": {"places": defer(read_where, places, {}, "bucket", b)} for b in range(num_buckets)}
    duplicates = [*run.map(find_duplicates, "duplicates", buckets).values()]
    gathered = {SNAPSHOT: {"exclusions": defer(read_where, duplicates, {}, "snapshot", SNAPSHOT), "snapshot": SNAPSHOT}}
    run.map(gather_exclusions, "exclusions", gathered)
    num_pairs = run.costs.pop(repeating_pairs.__name__).rows
    for stage in ("find_duplicates", "gather_exclusions"):
        assert run.costs[stage].rows == num_repeated == num_pairs - num_shards * (pairs_a_shard - pairs_a_shard // 10)
    return num_pairs, num_buckets, run.costs, seconds, peak


def rows_of(exchanged: Exchanged, smallest: Exchanged) -> list[Row]:
    """Give the rows of one size."""
    num_pairs, num_buckets, costs, seconds, peak = exchanged
    described = f"{num_pairs:,} pairs, {num_buckets} buckets"
    cpu_seconds = sum(cost.cpu_seconds for cost in costs.values())
    most, once = (max(cost.peak_mb for cost in one[2].values()) for one in (exchanged, smallest))
    micro = 1e6 / num_pairs
    return [
        row(
            "deduplicating, CPU time",
            cpu_seconds * micro,
            "us/pair",
            seconds * micro,
            seconds / cpu_seconds,
            input=described,
        ),
        *(
            row(f"{stage}, CPU time", cost.cpu_seconds * micro, "us/pair", input=described)
            for stage, cost in costs.items()
        ),
        row("deduplicating, time", sum(cost.wall_seconds for cost in costs.values()), "s", input=described),
        row("peak memory of a worker, against one process", most, "MB", peak, peak / most, input=described),
        flat("peak memory of a worker, against the fewest pairs", once, most, input=described),
        row("places, stored", costs["scatter_pairs"].bytes / num_pairs, "bytes/pair", input=described),
    ]


def _sort_all(paths: Sequence[str]) -> tuple[float, float, int]:
    """CPU seconds, peak memory, and how many pairs one process finds to stand at a higher place."""
    start = time.process_time()
    ids = np.concatenate([batch["pair_id"].to_numpy() for path in paths for batch in read_batches(path, {})])
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    repeated = np.sort(order[1:][ids[1:] == ids[:-1]])
    return time.process_time() - start, peak_mb(), len(repeated)


if __name__ == "__main__":
    main()

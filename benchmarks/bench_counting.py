"""Time the counting of matches against a loop and against the least that can be done, and show that its memory is flat.

python -m benchmarks.bench_counting [--pairs N] [--num-entries N] [--entries F --texts F | --wat F] [--json]

Input is a made-up pool of Zipf's law, the same each time, or what texts of yours give. The loop is collections.Counter
over Python lists, on a slice of the pairs and scaled; the least is one bincount in numpy over all matches at once,
which must know how many entries there are. Times are CPU time of one process over batches in memory, by turns; equal
counts are asserted in every round. Peak memory is that of a fresh process which reads the pool, or one of ten times
the pairs, from Parquet; some of it is a number for each entry, and the input tells how many were seen.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.inputs import pool_options, write_pools
from benchmarks.measure import Row, flat, in_fresh_process, peak_mb, print_rows, row, spread, take_turns
from metaclip_dagster.counting import count_entries
from resources.lake.shard_files import read_batches

NUM_ROUNDS, SLICES = 7, 16
Counts = npt.NDArray[np.int64]


def main() -> None:
    """Print what was measured."""
    args = pool_options(__doc__).parse_args()
    with TemporaryDirectory() as folder:
        print_rows(measure(*write_pools(Path(folder), args)), args.json)


def measure(paths: Sequence[str], num_entries: int, source: str) -> list[Row]:
    """Give the rows; what is said of memory comes from fresh processes."""
    (once, few), (ten_times, many) = (in_fresh_process(_peak, path) for path in paths)
    num_pairs = sum(batch.num_rows for batch in read_batches(paths[0], {}, ["pair_id"]))
    # Cut as the lake gives them, so that the slice is whole batches.
    batches = list(read_batches(paths[0], {}, batch_rows=min(8192, -(-num_pairs // SLICES))))
    part = list(islice(batches, -(-len(batches) // SLICES)))
    num_matches, num_in_part = (sum(len(b["entry_ids"].flatten()) for b in portion) for portion in (batches, part))
    seconds = []
    for turn in range(NUM_ROUNDS):
        spent, (counted, least, looped) = take_turns(
            turn, lambda: _count(batches), lambda: _bincount(batches, num_entries), lambda: _loop(part)
        )
        assert np.array_equal(_dense(counted, num_entries), least)
        assert dict(_pairs_of(_count(part))) == looped
        seconds.append(spent / [num_matches, num_matches, num_in_part])
    counted, least, looped = np.transpose(seconds)
    speed = 1e-6 / np.median(counted)
    described = f"{source}: {num_pairs:,} pairs, {num_matches:,} matches, {num_entries:,} entries"
    sliced = f"{described}; the baseline on {sum(b.num_rows for b in part):,} of the pairs, scaled"
    return [
        row("counting, against a Counter in Python", speed, "M matches/s", 1e-6 / np.median(looped),
            np.median(looped / counted), input=sliced),
        *spread("counting, against a Counter in Python", looped / counted, input=sliced),
        row("counting, against bincount in numpy", speed, "M matches/s", 1e-6 / np.median(least),
            np.median(least / counted), input=described),
        *spread("counting, against bincount in numpy", least / counted, input=described),
        flat("peak memory of counting ten times the pairs", once, ten_times,
             input=f"{described}; {few:,} distinct entries in it, {many:,} in ten times the pairs"),
    ]  # fmt: skip


def _count(batches: Sequence[pa.RecordBatch]) -> pa.Table:
    return count_entries(batches, snapshot="made up", seen=Counter())


def _bincount(batches: Sequence[pa.RecordBatch], num_entries: int) -> Counts:
    entry_ids = np.concatenate([batch["entry_ids"].flatten().to_numpy() for batch in batches])
    return np.bincount(entry_ids, minlength=num_entries)


def _loop(batches: Sequence[pa.RecordBatch]) -> Counter[int]:
    counts: Counter[int] = Counter()
    for batch in batches:
        for entry_ids in batch["entry_ids"].to_pylist():
            counts.update(entry_ids)
    return counts


def _dense(counted: pa.Table, num_entries: int) -> Counts:
    counts = np.zeros(num_entries, np.int64)
    counts[counted["entry_id"].to_numpy()] = counted["entry_count"].to_numpy()
    return counts


def _pairs_of(counted: pa.Table) -> list[tuple[int, int]]:
    return list(zip(counted["entry_id"].to_pylist(), counted["entry_count"].to_pylist(), strict=True))


def _peak(path: str) -> tuple[float, int]:
    num_distinct = count_entries(read_batches(path, {}), snapshot="made up", seen=Counter()).num_rows
    return peak_mb(), num_distinct


if __name__ == "__main__":
    main()

"""Time the one pass that serves every t against coins flipped anew for each t, and show that its memory is flat.

python -m benchmarks.bench_balancing [--pairs N] [--num-entries N] [--entries F --texts F | --wat F] [--json]

Input is a made-up pool of Zipf's law, the same each time, or what texts of yours give, balanced at three t. One
baseline flips the coins of Algorithm 1 (Xu et al. 2023) for each t with numpy, every entry's probability at hand; the
other is the same algorithm as a loop in Python, on a slice of the pairs and scaled. Coins give another subset each time
they are flipped; the one pass gives the same, and smaller subsets lie in larger ones, which is asserted, and that the
sizes of both agree within four standard deviations. Times are CPU time of one process over batches in memory, by turns.
Peak memory is that of a fresh process which reads the pool, or one of ten times the pairs, from Parquet.
"""

import random
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.inputs import counts_of, pool_options, write_pools
from benchmarks.measure import Floats, Row, flat, in_fresh_process, peak_mb, print_rows, row, spread, take_turns
from metaclip_dagster.balancing import Draw, admit, build_draw
from resources.lake.shard_files import read_batches

NUM_ROUNDS, SLICES, THRESHOLDS = 7, 32, (20.0, 200.0, 2000.0)
Kept = list[npt.NDArray[np.bool_]]  # for each t, one a pair


def main() -> None:
    """Print what was measured."""
    args = pool_options(__doc__).parse_args()
    with TemporaryDirectory() as folder:
        print_rows(measure(*write_pools(Path(folder), args)), args.json)


def measure(paths: Sequence[str], num_entries: int, source: str) -> list[Row]:
    """Give the rows; what is said of memory comes from fresh processes."""
    once, ten_times = (in_fresh_process(_peak, path, num_entries) for path in paths)
    num_pairs = sum(batch.num_rows for batch in read_batches(paths[0], {}, ["pair_id"]))
    batches = list(read_batches(paths[0], {}, batch_rows=min(8192, -(-num_pairs // SLICES))))
    part = batches[: -(-len(batches) // SLICES)]
    flattened = [np.concatenate([b["entry_ids"].flatten().to_numpy() for b in portion]) for portion in (batches, part)]
    num_matches, num_in_part = map(len, flattened)
    draw = build_draw(counts_of(np.bincount(flattened[0], minlength=num_entries)))
    chance, chance_in_part = _chances(batches, draw), _chances(part, draw)
    seconds = []
    for turn in range(NUM_ROUNDS):
        runs = partial(_admit, batches, draw), partial(_flip, batches, draw, turn), partial(_loop, part, draw, turn)
        spent, (admitted, flipped, looped) = take_turns(turn, *runs)
        assert all(np.all(larger[smaller]) for smaller, larger in pairwise(admitted)), "not nested"
        _assert_alike(admitted, flipped, chance)
        _assert_alike([pairs_in[: len(looped[0])] for pairs_in in admitted], looped, chance_in_part)
        seconds.append(spent / [num_matches, num_matches, num_in_part])
    one_pass, flipped, looped = np.transpose(seconds)
    speed = 1e-6 / np.median(one_pass)
    described = f"{source}: {num_pairs:,} pairs, {num_matches:,} matches, {num_entries:,} entries, three t"
    sliced = f"{described}; the baseline on {sum(b.num_rows for b in part):,} of the pairs, scaled"
    return [
        row("balancing at three t, against coins in numpy", speed, "M matches/s", 1e-6 / np.median(flipped),
            np.median(flipped / one_pass), input=described),
        *spread("balancing at three t, against coins in numpy", flipped / one_pass, input=described),
        row("balancing at three t, against a loop in Python", speed, "M matches/s", 1e-6 / np.median(looped),
            np.median(looped / one_pass), input=sliced),
        *spread("balancing at three t, against a loop in Python", looped / one_pass, input=sliced),
        flat("peak memory of balancing ten times the pairs", once, ten_times, input=described),
    ]  # fmt: skip


def _admit(batches: Sequence[pa.RecordBatch], draw: Draw) -> Kept:
    drawn = np.concatenate([batch["admitted_at"].to_numpy() for batch in admit(batches, draw=draw, seed=0)])
    return [drawn < t for t in THRESHOLDS]


def _flip(batches: Sequence[pa.RecordBatch], draw: Draw, seed: int) -> Kept:
    flip, subsets = np.random.default_rng(seed), []
    for t in THRESHOLDS:
        probability = _probability(draw, t)
        of_batches = []
        for batch in batches:
            entries, starts = _entries(batch)
            heads = flip.random(len(entries)) < probability[entries]
            of_batches.append(np.logical_or.reduceat(heads, starts))
        subsets.append(np.concatenate(of_batches))
    return subsets


def _loop(batches: Sequence[pa.RecordBatch], draw: Draw, seed: int) -> Kept:
    toss, subsets = random.Random(seed), []
    for t in THRESHOLDS:
        probability = _probability(draw, t).tolist()
        of_pairs = []
        for batch in batches:
            for entry_ids in batch["entry_ids"].to_pylist():
                for entry_id in entry_ids:
                    if toss.random() < probability[entry_id]:
                        of_pairs.append(True)
                        break
                else:
                    of_pairs.append(False)
        subsets.append(np.array(of_pairs))
    return subsets


def _probability(draw: Draw, t: float) -> Floats:
    return np.minimum(1.0, t / np.maximum(draw.entry_count, 1.0))


def _entries(batch: pa.RecordBatch) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    lengths = pc.list_value_length(batch["entry_ids"]).to_numpy()
    return batch["entry_ids"].flatten().to_numpy(), np.concatenate([[0], np.cumsum(lengths)[:-1]])


def _chances(batches: Sequence[pa.RecordBatch], draw: Draw) -> list[Floats]:
    """For each t, the probability that a pair is kept, one a pair."""
    lists = [_entries(batch) for batch in batches]
    return [
        1.0 - np.concatenate([np.multiply.reduceat(1.0 - probability[entries], starts) for entries, starts in lists])
        for probability in (_probability(draw, t) for t in THRESHOLDS)
    ]


def _assert_alike(admitted: Kept, flipped: Kept, chances: list[Floats]) -> None:
    for subset, other, chance in zip(admitted, flipped, chances, strict=True):
        deviation = np.sqrt(2 * np.sum(chance * (1 - chance)))  # of the difference of two independent sizes
        assert abs(int(subset.sum()) - int(other.sum())) <= 4 * deviation, (subset.sum(), other.sum(), deviation)


def _peak(path: str, num_entries: int) -> float:
    draw = build_draw(counts_of(np.full(num_entries, 100)))
    for batch in admit(read_batches(path, {}), draw=draw, seed=0):
        assert batch.num_rows
    return peak_mb()


if __name__ == "__main__":
    main()

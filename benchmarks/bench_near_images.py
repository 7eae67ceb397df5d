"""Find near images among more and more hashes, and show how time and the memory of a worker grow.

python -m benchmarks.bench_near_images [--images N ...] [--distance N] [--images-a-part N] [--workers N] [--json]

The hashes are made up: six in ten are random, two in ten near copies of a hundredth of them, one in ten the very same
look, one in ten the same hash in the colours of blank pages. They go through `scatter_looks`, `find_near_images` and
`judge_images` on worker processes, as the asset `training_sets` sends them there, committed to a lake on disk. Before
that it is asserted that a set of 20,000 gives what comparing each with each gives. CPU time is that of workers from
reading to commit, without their start; baselines are those of the fewest images.
"""

import sys
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.bench_graph import Cost, Run
from benchmarks.inputs import make_looks, make_scores
from benchmarks.measure import Row, in_fresh_process, options, print_rows, row
from metaclip_dagster.filtering import find_near_images, judge_images, scatter_looks
from metaclip_dagster.filtering.bands import choose_num_bands, find_nearest_earlier
from resources.deferred import defer
from resources.lake.shard_files import chain_batches, read_batches, read_where

SAMPLED = 20_000


def main() -> None:
    """Print what was measured."""
    parser = options(__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[1_000_000, 4_000_000])
    parser.add_argument("--distance", type=int, default=3)
    parser.add_argument("--images-a-part", type=int, default=1 << 20)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    _assert_equal(args.distance)
    rows: list[Row] = []
    first: dict[str, Cost] = {}
    for num_images in args.images:
        with TemporaryDirectory() as folder:
            costs = in_fresh_process(find, folder, num_images, args.images_a_part, args.distance, args.workers)
        first = first or costs
        described = f"{num_images:,} images, a distance of {args.distance}"
        rows += _describe(costs, first, num_images, args.images[0], described)
        print(f"{num_images:,} images done", file=sys.stderr, flush=True)
    print_rows(rows, args.json)


def find(folder: str, num_images: int, images_a_part: int, distance: int, workers: int) -> dict[str, Cost]:
    """Make the looks, and find those that are near; gives what each stage took."""
    run, num_parts = Run(folder, workers), max(1, -(-num_images // images_a_part))
    num_buckets = 4 * num_parts
    of_all = {"num_buckets": num_buckets, "num": num_images // num_buckets, "pool": num_images}
    scores = run.map(make_scores, "image_scores", {f"{b:05d}": {"bucket": b, **of_all} for b in range(num_buckets)})
    rings = {key: {"inf": defer(read_batches, path, {})} for key, path in scores.items()}
    rules: dict[str, Any] = {
        "filters": {},
        "leakage_distance": None,
        "remove_leakage": False,
        "near_duplicate_distance": distance,
    }
    cut: dict[str, Any] = {"near_duplicate_distance": distance, "num_bands": choose_num_bands(num_images, distance)}
    none = defer(chain_batches)
    keys = [list(rings)[start : start + 4] for start in range(0, num_buckets, 4)]
    groups = {of[0]: {"scores": {key: rings[key] for key in of}, "samples": none} for of in keys}
    looks = [
        *run.map(
            scatter_looks, "image_looks", groups, num_parts=num_parts, num_bands=cut["num_bands"], **rules
        ).values()
    ]
    parts = {
        f"{b:05d}": {"looks": defer(read_where, looks, {}, "bucket", b), "band": b // num_parts}
        for b in range((distance + 1) * num_parts)
    }
    near = [*run.map(find_near_images, "near_images", parts, num_buckets=num_buckets, **cut).values()]
    judged = {
        key: {"rings": rings[key], "samples": none, "near": defer(read_where, near, {}, "bucket", int(key))}
        for key in rings
    }
    run.map(judge_images, "image_verdicts", judged, num_buckets=num_buckets, **rules)
    del run.costs[make_scores.__name__]
    return run.costs


def _assert_equal(distance: int) -> None:
    """Compare each with each, a row at a time."""
    looks = make_looks(np.random.default_rng(0), SAMPLED, SAMPLED)
    colours = ((looks[:, 1:] >> np.arange(0, 60, 5, dtype=np.uint64)) & np.uint64(31)).astype(np.int8)
    nearest = find_nearest_earlier(looks, distance)
    for at in range(0, SAMPLED, 7):
        near = np.bitwise_count(looks[:at, 0] ^ looks[at, 0]) <= distance
        near &= (np.abs(colours[:at] - colours[at]) <= 2).all(axis=1)  # steps of a colour
        assert nearest[at] == (near.argmax() if near.any() else -1)


def _describe(costs: dict[str, Cost], first: dict[str, Cost], num: int, num_first: int, described: str) -> list[Row]:
    cpu, cpu_first = (sum(cost.cpu_seconds for cost in of.values()) for of in (costs, first))
    peak, peak_first = (max(cost.peak_mb for cost in of.values()) for of in (costs, first))
    micro, micro_first = 1e6 / num, 1e6 / num_first
    wall = sum(cost.wall_seconds for cost in costs.values())
    return [
        row(
            "near images, CPU time",
            cpu * micro,
            "us/image",
            cpu_first * micro_first,
            cpu_first * micro_first / (cpu * micro),
            input=described,
        ),
        *(
            row(f"{stage}, CPU time", cost.cpu_seconds * micro, "us/image", input=described)
            for stage, cost in costs.items()
        ),
        row("near images, time", wall, "s", input=described),
        row("near images, peak memory of a worker", peak, "MB", peak_first, peak_first / peak, input=described),
        row("looks in buckets, stored", costs["scatter_looks"].bytes / num, "bytes/image", input=described),
        row("near images, found", 100 * costs["judge_images"].rows / num, "%", input=described),
    ]


if __name__ == "__main__":
    main()

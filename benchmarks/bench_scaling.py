"""Curate more and more with one worker and with two: time, memory and bytes against the size of the input.

python -m benchmarks.bench_scaling [--sizes N ...] [--workers N ...] [--num-entries N] [--entries F] [--wat F ...]
                                   [--plot F] [--json]

--sizes  how many times over the archives are read, every copy with hosts of its own; --workers  processes
--plot  where the plot goes (.png), by default nowhere

Each run is the whole curation of `bench_graph`, from archives to a subset on a lake on disk, in a fresh process. The
baseline of CPU time is the smallest input's, scaled: 1 is linear. The baseline of more workers is the time of one at
the same size: 2 is all that two can give. That of memory is the smallest input's: 1 is flat. CPU time is that of
workers from reading to commit, without their start; a stage's is for each pair that was parsed, or that a subset keeps.
"""

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bench_graph import Crawl, Curated, compile_stages, crawl_of, crawl_options, curate
from benchmarks.measure import Row, flat, in_fresh_process, print_rows, row

TABLES = {
    "parse_wat": "pairs",
    "match_entries": "matches",
    "scatter_pairs": "places",
    "admit": "admissions",
    "select_pairs": "subsets",
}
Runs = dict[tuple[int, int], Curated]  # by workers and size


def main() -> None:
    """Print what was measured, and draw it."""
    parser = crawl_options(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    crawl = crawl_of(args)
    runs = measure(crawl, sorted(args.sizes), sorted(args.workers))
    if args.plot:
        draw(runs, args.plot)
    print_rows(rows_of(crawl, runs), args.json)


def measure(crawl: Crawl, sizes: Sequence[int], workers: Sequence[int]) -> Runs:
    """Every size with every number of workers, by turns."""
    runs: Runs = {}
    compile_stages(crawl)
    for size in sizes:
        for num in workers:
            runs[num, size] = in_fresh_process(curate, crawl, size, 1, num)
            print(f"{size} times, workers {num}: {wall(runs[num, size]):.0f} s", file=sys.stderr, flush=True)
    return runs


def rows_of(crawl: Crawl, runs: Runs) -> list[Row]:
    """Give the rows."""
    (fewest, smallest), (_, largest) = min(runs), max(runs)
    described = f"{crawl.name}, {runs[min(runs)].num_entries:,} entries, {runs[min(runs)].num_pairs:,} pairs at 1 time"
    rows = []
    for (num, size), curated in sorted(runs.items()):
        once, alone = cpu(runs[num, smallest]) * size / smallest, wall(runs[fewest, size])
        name = f"{size} times the input, workers {num}"
        if size > smallest:
            rows.append(row(f"CPU time, {name}", cpu(curated), "s", once, once / cpu(curated), input=described))
            rows.append(
                flat(f"peak memory of a worker, {name}", peak(runs[num, smallest]), peak(curated), input=described)
            )
        if num > fewest:
            rows.append(row(f"time, {name}", wall(curated), "s", alone, alone / wall(curated), input=described))
    curated = runs[fewest, largest]
    for stage, cost in curated.stages.items():
        pairs = cost.rows if TABLES.get(stage) == "subsets" else curated.num_pairs
        rows.append(row(f"{stage}, CPU time", cost.cpu_seconds / max(1, pairs) * 1e6, "us/pair", input=described))
    for stage, table in TABLES.items():
        cost = curated.stages[stage]
        rows.append(row(f"{table}, stored", cost.bytes / max(1, cost.rows), "bytes/row", input=described))
    return rows


def cpu(curated: Curated) -> float:
    """Seconds of all workers."""
    return sum(cost.cpu_seconds for cost in curated.stages.values())


def wall(curated: Curated) -> float:
    """Seconds of all stages, the start of their workers included."""
    return sum(cost.wall_seconds for cost in curated.stages.values())


def peak(curated: Curated) -> float:
    """Megabytes of the largest worker of any stage."""
    return max(cost.peak_mb for cost in curated.stages.values())


def draw(runs: Runs, path: Path) -> None:
    """CPU seconds, seconds and megabytes against the size of the input, a line for each number of workers."""
    import matplotlib as mpl  # noqa: PLC0415  # 1 s that only a plot needs

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, panels = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
    measures = {"CPU time of all workers, s": cpu, "time, start of workers included, s": wall,
                "peak memory of the largest worker, MB": peak}  # fmt: skip
    for axes, (title, of) in zip(panels, measures.items(), strict=True):
        for num, style in zip(sorted({num for num, _ in runs}), itertools.cycle(["o-", "s--", "^:"]), strict=False):
            curated = [runs[num, size] for size in sorted(size for workers, size in runs if workers == num)]
            named = f"{num} worker{'s' if num > 1 else ''}"
            axes.plot([one.num_pairs / 1e3 for one in curated], [*map(of, curated)], style, label=named)
        most = max(map(of, runs.values()))
        axes.set(title=title, xlabel="thousand pairs", xlim=(0, None), ylim=(0, 1.15 * most))
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()

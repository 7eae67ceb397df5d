"""Compare a Ray cluster of two nodes with worker processes of one machine: CPU beside the shards' own, and memory.

python -m benchmarks.bench_engines [--shards N] [--copies N] [--rounds N] [--sizes N ...] [--json]

--shards  shards to parse; --copies  how many times over a sample archive makes one: 10 seconds of CPU or more
--rounds  how often each engine does it; --sizes  how many small shards memory is measured at
Both engines parse the same archives on two workers, by turns; values are medians, over all shards of all rounds, or
over rounds. What is beside the shards is the CPU of driver and workers, less that inside shards; two small shards tell
how much of it is the start. The nodes' own processes, which run with or without shards, have a row of their own.
Baselines are the local engine's. Then Ray makes small shards; baselines of memory are those of the fewest. The nodes
are on loopback addresses in a network namespace of their own, which takes root.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil

from benchmarks.inputs import replicate, sample_archives
from benchmarks.measure import Row, options, peak_mb, print_rows, row
from metaclip_dagster.parsing import parse_wat
from metaclip_dagster.schemas import PAIRS
from resources.deferred import defer
from resources.engines.shards import Shard, StageCall
from resources.lake.tables import TableStore
from resources.web.archives import open_archive
from tests.ray_cluster import ADDRESS, Cluster, Drive, cluster_of_two
from tests.resources.stages import NUMBERS, count_up

SNAPSHOT, WORKERS = "SAMPLE-2026-01", 2


def main() -> None:
    """Print what was measured."""
    parser = options(__doc__)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--copies", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10_000])
    args = parser.parse_args()
    with TemporaryDirectory() as folder, cluster_of_two() as cluster:
        rows = compare(cluster, Path(folder), args.shards, args.copies, args.rounds)
        print_rows(rows + grow(cluster, Path(folder), args.sizes), args.json)


def compare(cluster: Cluster, folder: Path, num_shards: int, copies: int, num_rounds: int) -> list[Row]:
    """The cost of either engine on long shards."""
    sets = {"few": _archives(folder / "few", WORKERS, 1), "many": _archives(folder / "many", num_shards, copies)}
    inside: dict[str, list[float]] = {"local": [], "Ray": []}
    beside: dict[tuple[str, str], list[float]] = defaultdict(list)
    of_nodes: list[float] = []
    for turn in range(num_rounds):
        digests: dict[tuple[str, str], list[str]] = {}
        engines = [("local", ""), ("Ray", ADDRESS)]
        for engine, address in engines if turn % 2 == 0 else reversed(engines):
            for size, shards in sets.items():
                call = StageCall(parse_wat, PAIRS, TableStore(str(folder / f"{engine} {turn}"), "pairs", size))
                with _driven(cluster, call, shards, address) as run:
                    manifests = [report.manifest for report in run.reports if report.manifest]
                    working = [shard.cpu_seconds for shard in manifests]
                    beside[engine, size].append(run.cpu_seconds - sum(working))
                    digests[engine, size] = sorted(shard.digest for shard in manifests)
            inside[engine] += working
            of_nodes.append(60 * run.nodes_cpu_seconds / run.wall_seconds / 2)
        assert all(digests["local", size] == digests["Ray", size] for size in sets)
    source = f"{num_shards} shards, each {copies} times a WAT of {SNAPSHOT}, on {WORKERS} workers, {num_rounds} rounds"
    local, ray = np.median(inside["local"]), np.median(inside["Ray"])
    start, start_of_ray = np.median(beside["local", "few"]), np.median(beside["Ray", "few"])
    rest, rest_of_ray = (
        np.median(np.subtract(beside[engine, "many"], beside[engine, "few"])) for engine in ("local", "Ray")
    )
    more = 100 * (rest_of_ray - rest) / num_shards / ray
    return [
        row("inside a shard", ray, "CPU s", local, local / ray, input=source),
        row(
            "beside the shards, start of driver and workers",
            start_of_ray,
            "CPU s",
            start,
            start / start_of_ray,
            input=source,
        ),
        row("beside the shards, rest, on Ray", rest_of_ray, "CPU s", input=source),
        row("beside the shards, rest, local", rest, "CPU s", input=source),
        row("rest of Ray less that of the local engine", more, "% of shards", input=source),
        row("a node's own processes", np.median(of_nodes), "CPU s/minute", input=source),
    ]


def grow(cluster: Cluster, folder: Path, sizes: Sequence[int]) -> list[Row]:
    """Peaks of driver and workers as shards become more."""
    rows: list[Row] = []
    first: dict[str, float] = {}
    for size in sizes:
        call = StageCall(count_up, NUMBERS, TableStore(str(folder / "small"), "numbers", str(size)))
        shards = [Shard(f"{k:05d}", {"start": 100 * k}) for k in range(size)]
        with _driven(cluster, call, shards, ADDRESS) as run:
            peaks = {"driver": peak_mb(str(run.driver.pid)), "largest worker": run.peak_of_workers()}
            driving = sum(run.driver.cpu_times()[:2])
        first = first or peaks
        described = f"{size:,} shards of 100 rows"
        rows += [
            row(name, peak, "MB", first[name], first[name] / peak, input=described) for name, peak in peaks.items()
        ]
        rows.append(row("driver, start included", 1000 * driving / size, "CPU ms/shard", input=described))
    return rows


class _Run:
    """All of a driver's shards are made; it and its workers are still there."""

    def __init__(self, cluster: Cluster, call: StageCall, shards: Sequence[Shard], address: str) -> None:
        self._cluster, start = cluster, time.monotonic()
        before = _cpu(cluster.family())
        self._process, self._rest = cluster.drive(Drive(call, shards, hold=2.0), address)
        self.driver = psutil.Process(self._process.pid)
        self.reports = [next(self._rest) for _ in shards]
        cpu_before = _cpu([self.driver, *self.driver.children(recursive=True), *cluster.workers()])
        self.cpu_seconds = sum(cpu_before.values())
        nodes = {pid: seconds for pid, seconds in _cpu(cluster.family()).items() if pid not in cpu_before}
        self.nodes_cpu_seconds = sum(seconds - before.get(pid, 0.0) for pid, seconds in nodes.items())
        self.wall_seconds = time.monotonic() - start

    def peak_of_workers(self) -> float:
        """In MB."""
        return max(peak_mb(str(worker.pid)) for worker in self._cluster.workers())

    def end(self) -> None:
        """Let the driver go."""
        assert not list(self._rest)
        assert self._process.wait() == 0


@contextmanager
def _driven(cluster: Cluster, call: StageCall, shards: Sequence[Shard], address: str) -> Iterator[_Run]:
    run = _Run(cluster, call, shards, address)
    yield run
    run.end()


def _cpu(processes: Sequence[psutil.Process]) -> dict[int, float]:
    seconds = {}
    for process in processes:
        try:
            seconds[process.pid] = sum(process.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return seconds


def _archives(folder: Path, num_shards: int, copies: int) -> list[Shard]:
    folder.mkdir()
    sources, shards = sample_archives(snapshot=SNAPSHOT), []
    for number in range(num_shards):
        path = folder / f"{number:05d}.warc.wat.gz"
        replicate(sources[number % len(sources)], range(number * copies, (number + 1) * copies), path)
        shards.append(Shard(f"{number:05d}", {"archive": defer(open_archive, str(path)), "name": path.name}))
    return shards


if __name__ == "__main__":
    main()

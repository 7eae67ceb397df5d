"""Show that a worker needs no more memory when a snapshot is ten times as large.

python -m benchmarks.bench_graph [--times N] [--copies N] [--workers N] [--num-entries N] [--entries F] [--wat F ...]
                                 [--json]

--times  how much larger the larger snapshots are; --copies  how many times over an archive makes one shard
--entries  one entry a line, in place of the names of WordNet; --wat  archives in place of the sample's
A snapshot of the sample goes through every stage of the curation, from archives to a subset, on worker processes as the
graph's assets send it there (`resources.engines.driver`), committed to a lake on disk. Then again with more shards,
and with larger ones: each copy of an archive has hosts of its own, so that all pairs are distinct. A row
is the peak of the largest worker of a stage, as the kernel counts it; its baseline is the same at one times the size.

What may grow: with one shard, the pair_ids of `parse_wat`, the ids and numbers of `select_pairs` and, up to a bound,
the row groups of tables that are read and written; with the shards of a group, the places of `scatter_pairs`; with the
pool, the bucket of `find_duplicates`, unless there are more buckets.
"""

import argparse
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from benchmarks.inputs import listed_entries, replicate, sample_archives
from benchmarks.measure import Row, flat, in_fresh_process, options, peak_mb, print_rows
from metaclip_dagster.balancing import admit, build_draw, select_pairs
from metaclip_dagster.counting import count_entries, merge_counts
from metaclip_dagster.deduplicating import exclude, find_duplicates, gather_exclusions, pair_ids, scatter_pairs
from metaclip_dagster.matching import build_matcher, match_entries
from metaclip_dagster.parsing import parse_wat
from resources.deferred import Deferred, defer
from resources.engines.driver import drive
from resources.engines.local_engine import LocalEngine
from resources.engines.shards import Shard, StageCall
from resources.files.digests import combine
from resources.lake.shard_files import chain_batches, read_batches, read_table, read_where, stream_files
from resources.lake.tables import PartitionManifest, TableStore
from resources.models.language_id import load_identifier
from resources.web.archives import open_archive

SNAPSHOT, GROUP_SIZE, NUM_BUCKETS = "SAMPLE-2026-01", 4, 4
T = math.inf  # the subset that costs most: the whole pool
Shards = Mapping[str, Mapping[str, Any]]


def main() -> None:
    """Print what was measured."""
    parser = crawl_options(__doc__)
    parser.add_argument("--times", type=int, default=16)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    print_rows(measure(crawl_of(args), args.times, args.copies, args.workers), args.json)


def crawl_options(doc: str | None) -> argparse.ArgumentParser:
    """The options of a benchmark that curates archives."""
    parser = options(doc)
    parser.add_argument("--num-entries", type=int, default=150_000)
    parser.add_argument("--entries", default="", help="one a line (.txt or .txt.gz)")
    parser.add_argument("--wat", type=Path, nargs="+", default=sample_archives(snapshot=SNAPSHOT))
    return parser


def crawl_of(args: argparse.Namespace) -> "Crawl":
    """What the options name."""
    return Crawl(tuple(args.wat), args.entries, args.num_entries)


def measure(crawl: "Crawl", times: int, copies: int, workers: int) -> list[Row]:
    """Give the rows: for each way to grow the largest of all stages, then every stage."""
    sizes = {"as it is": (1, copies), "more shards": (times, copies), "larger shards": (1, times * copies)}
    peaks, pairs = {}, {}
    compile_stages(crawl)
    for name, (replicas, copies_a_shard) in sizes.items():
        curated = in_fresh_process(curate, crawl, replicas, copies_a_shard, workers)
        peaks[name] = {stage: cost.peak_mb for stage, cost in curated.stages.items()} | {"driver": curated.driver_mb}
        pairs[name], num_names = curated.num_pairs, curated.num_entries
    once = peaks.pop("as it is")
    rows = []
    for way, description in [
        ("more shards", f"{times} times the shards"),
        ("larger shards", f"shards {times} times as large"),
    ]:
        many = peaks[way]
        source = f"{crawl.name}, {pairs['as it is']:,} pairs, {num_names:,} entries; {pairs[way]:,} with {description}"
        stages = [stage for stage in once if stage != "driver"]
        most, before = max(many[stage] for stage in stages), max(once[stage] for stage in stages)
        rows.append(flat(f"peak memory of a worker, {description}", before, most, input=source))
        rows += [flat(f"{stage}, {description}", once[stage], many[stage], input=source) for stage in once]
    return rows


@dataclass(frozen=True)
class Crawl:
    """Archives, and a file of entries or how many names of WordNet."""

    archives: tuple[Path, ...]
    entries: str
    num_entries: int

    @property
    def name(self) -> str:
        """What rows say of it."""
        archive_name = self.archives[0].name if len(self.archives) == 1 else f"{len(self.archives)} archives"
        return SNAPSHOT if self.archives == tuple(sample_archives(snapshot=SNAPSHOT)) else archive_name


@dataclass(frozen=True)
class Cost:
    """What a stage took: the largest worker, all workers together, start to finish; and what it gave."""

    peak_mb: float
    cpu_seconds: float
    wall_seconds: float
    rows: int
    bytes: int


@dataclass(frozen=True)
class Curated:
    """A whole curation, by stage."""

    stages: dict[str, Cost]
    driver_mb: float
    num_pairs: int
    num_entries: int


class Run:
    """A lake on disk, and what each stage took that has run."""

    def __init__(self, root: str, workers: int) -> None:
        self.root, self.workers = root, workers
        self.costs: dict[str, Cost] = {}

    def map(
        self,
        stage: Callable[..., Any],
        table: str,
        shards: Shards,
        setup: Mapping[str, Deferred] | None = None,
        **plain: Any,
    ) -> dict[str, str]:
        """Make a partition as `Compute.map_shards` does; gives the paths of its shards in order."""
        store = TableStore(self.root, table, SNAPSHOT)
        call = StageCall(stage, stage.writes, store, setup or {}, plain)  # type: ignore[attr-defined]  # set by @writes
        peaks: dict[int, float] = {}
        started = time.perf_counter()
        with watched(peaks):
            engine = LocalEngine(min(self.workers, len(shards)))
            reports = {r.key: r for r in drive(engine, call, [Shard(key, shards[key]) for key in shards])}
        failed = [report.error for report in reports.values() if report.manifest is None]
        assert not failed, failed[0]
        manifests = tuple(m for key in shards if (m := reports[key].manifest) is not None)
        version = combine(shard.digest for shard in manifests)
        store.finish(PartitionManifest(table, SNAPSHOT, version, 0, manifests))
        self.costs[stage.__name__] = Cost(
            peak_mb=max(peaks.values()),
            cpu_seconds=sum(shard.cpu_seconds for shard in manifests),
            wall_seconds=time.perf_counter() - started,
            rows=sum(shard.rows for shard in manifests),
            bytes=sum(shard.bytes for shard in manifests),
        )
        return {shard.key: store.path(shard) for shard in manifests}


def compile_stages(crawl: Crawl) -> None:
    """Fill numba's cache, so that no stage that is measured compiles, which takes memory and time once a machine."""
    in_fresh_process(curate, crawl, 1, 1, 1)


def curate(crawl: Crawl, replicas: int, copies: int, workers: int) -> Curated:
    """Every stage over the archives so many times, each shard made of so many copies of one, in a lake of its own."""
    with TemporaryDirectory() as folder:
        run = Run(folder, workers)
        archives = _archives(crawl.archives, Path(folder), replicas, copies)
        shards: Shards = {k: {"archive": defer(open_archive, path), "name": path} for k, path in archives.items()}
        pairs = run.map(parse_wat, "pairs", shards)
        named = run.map(listed_entries, "entries", {"00000": {"path": crawl.entries, "num_entries": crawl.num_entries}})
        entries = defer(read_table, [*named.values()], {})
        setup = {"matcher": defer(build_matcher, entries), "identify": defer(load_identifier)}
        matches = run.map(match_entries, "matches", {k: {"pairs": _read(path)} for k, path in pairs.items()}, setup)
        grouped = [list(matches)[i : i + GROUP_SIZE] for i in range(0, len(matches), GROUP_SIZE)]
        groups = {f"{i:05d}": {key: _read(matches[key]) for key in keys} for i, keys in enumerate(grouped)}
        scattered = {k: {"matches": group, "snapshot": SNAPSHOT} for k, group in groups.items()}
        places = run.map(scatter_pairs, "places", scattered, num_buckets=NUM_BUCKETS)
        buckets = {
            f"{b:05d}": {"places": defer(read_where, [*places.values()], {}, "bucket", b)} for b in range(NUM_BUCKETS)
        }
        duplicates = run.map(find_duplicates, "duplicates", buckets)
        gathered = {SNAPSHOT: {"exclusions": _where(duplicates, "snapshot", SNAPSHOT), "snapshot": SNAPSHOT}}
        exclusions = run.map(gather_exclusions, "exclusions", gathered)
        pool = {
            key: defer(exclude, _read(path), defer(pair_ids, _where(exclusions, "shard", key)))
            for key, path in matches.items()
        }
        counted = {
            f"{i:05d}": {"pool": defer(chain_batches, *(pool[key] for key in keys)), "snapshot": SNAPSHOT}
            for i, keys in enumerate(grouped)
        }
        snapshot_counts = run.map(count_entries, "snapshot_counts", counted)
        to_merge = {"counts": defer(stream_files, [*snapshot_counts.values()], {}), "entries": entries}
        entry_counts = run.map(merge_counts, "entry_counts", {"00000": to_merge})
        draw = {"draw": defer(build_draw, defer(read_table, [*entry_counts.values()], {}))}
        admissions = run.map(
            admit, "admissions", {key: {"pool": batches} for key, batches in pool.items()}, draw, seed=0
        )
        aligned = {
            key: {"pairs": _read(pairs[key]), "matches": _read(matches[key]), "admissions": _read(admissions[key]),
                  "snapshot": SNAPSHOT}
            for key in admissions
        }  # fmt: skip
        run.map(select_pairs, "subsets", aligned, thresholds={"en": T})
        num_entries = run.costs.pop(listed_entries.__name__).rows  # it makes the input
        return Curated(run.costs, peak_mb(), run.costs[parse_wat.__name__].rows, num_entries)


def _archives(archives: Sequence[Path], folder: Path, replicas: int, copies: int) -> dict[str, str]:
    """Shards by key: every archive so many times, each made of so many copies."""
    by_name = {}
    for number, archive in enumerate([*archives] * replicas):
        path = folder / f"{number:05d}.warc.wat.gz"
        replicate(archive, range(number * copies, (number + 1) * copies), path)
        by_name[f"{number:05d}"] = str(path)
    return by_name


def _read(path: str) -> Deferred:
    return defer(read_batches, path, {})


def _where(paths: Mapping[str, str], column: str, value: str) -> Deferred:
    return defer(read_where, [*paths.values()], {}, column, value)


@contextmanager
def watched(peaks: dict[int, float], seconds: float = 0.02) -> Iterator[None]:
    """Fill in the peak of every process below this one, by its number, looking so often while the block runs."""
    done = threading.Event()

    def look() -> None:
        while not done.wait(seconds):
            for process in psutil.Process().children(recursive=True):
                try:
                    peak = peak_mb(str(process.pid))
                except (FileNotFoundError, ProcessLookupError):
                    continue  # ended meanwhile
                peaks[process.pid] = max(peak, peaks.get(process.pid, 0.0))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


if __name__ == "__main__":
    main()

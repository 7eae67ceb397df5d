"""Show that a worker needs no more memory when a snapshot is ten times as large.

python -m benchmarks.bench_graph [--times N] [--copies N] [--entries N] [--workers N] [--json]

--times  how much larger the larger snapshots are; --copies  how many times over a sample archive makes one shard
A snapshot of the sample goes through every stage of the curation, from archives to a subset, on worker processes as the
graph's assets send it there (`resources.engines`), committed to a lake on disk. Then again with ten times the shards,
and with shards ten times as large: each copy of an archive has hosts of its own, so that all pairs are distinct. A row
is the peak of the largest worker of a stage, as the kernel counts it; its baseline is the same at one times the size.

What may grow: with one shard, the pair_ids of `parse_wat`, the ids and numbers of `select_pairs` and, up to a bound,
the row groups of tables that are read and written; with the shards of a group, the places of `scatter_pairs`; with the
pool, the bucket of `find_duplicates`, unless there are more buckets.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from benchmarks.inputs import replicate, sample_archives, sample_entries
from benchmarks.measure import Row, flat, in_fresh_process, options, peak_mb, print_rows
from metaclip_dagster.balancing import admit, build_draw, select_pairs
from metaclip_dagster.counting import count_entries, merge_counts
from metaclip_dagster.deduplicating import exclude, find_duplicates, gather_exclusions, pair_ids, scatter_pairs
from metaclip_dagster.matching import build_matcher, match_entries
from metaclip_dagster.parsing import parse_wat
from resources.archives import open_archive
from resources.digests import combine
from resources.engines import Deferred, Job, LocalEngine, Shard, defer, drive
from resources.language_id import load_identifier
from resources.tables import (
    PartitionManifest,
    TableStore,
    chain_batches,
    read_batches,
    read_table,
    read_where,
    stream_files,
)

SNAPSHOT, GROUP_SIZE, NUM_BUCKETS, T = "SAMPLE-2026-01", 4, 4, 20.0
Shards = Mapping[str, Mapping[str, Any]]


def main() -> None:
    """Print what was measured."""
    parser = options(__doc__)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--entries", type=int, default=150_000)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    print_rows(measure(args.times, args.copies, args.entries, args.workers), args.json)


def measure(times: int, copies: int, num_entries: int, workers: int) -> list[Row]:
    """Give the rows: for each way to grow the largest of all stages, then every stage."""
    sizes = {"as it is": (1, copies), "more shards": (times, copies), "larger shards": (1, times * copies)}
    peaks, pairs = {}, {}
    for name, (replicas, copies_a_shard) in sizes.items():
        peaks[name], pairs[name], num_names = in_fresh_process(_curate, replicas, copies_a_shard, num_entries, workers)
    once = peaks.pop("as it is")
    rows = []
    for way, told in [
        ("more shards", f"{times} times the shards"),
        ("larger shards", f"shards {times} times as large"),
    ]:
        many = peaks[way]
        source = f"{SNAPSHOT}, {pairs['as it is']:,} pairs, {num_names:,} names of WordNet; {pairs[way]:,} with {told}"
        stages = [stage for stage in once if stage != "driver"]
        most, before = max(many[stage] for stage in stages), max(once[stage] for stage in stages)
        rows.append(flat(f"peak memory of a worker, {told}", before, most, input=source))
        rows += [flat(f"{stage}, {told}", once[stage], many[stage], input=source) for stage in once]
    return rows


class _Run:
    """A lake on disk, and the peak of the largest worker of each stage that has run."""

    def __init__(self, root: str, workers: int) -> None:
        self.root, self.workers = root, workers
        self.peaks: dict[str, float] = {}

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
        job = Job(stage, stage.writes, store, setup or {}, plain)  # type: ignore[attr-defined]  # set by @writes
        peaks: dict[int, float] = {}
        with _watched(peaks):
            engine = LocalEngine(min(self.workers, len(shards)))
            reports = {r.key: r for r in drive(engine, job, [Shard(key, shards[key]) for key in shards])}
        failed = [report.error for report in reports.values() if report.manifest is None]
        assert not failed, failed[0]
        made = tuple(m for key in shards if (m := reports[key].manifest) is not None)
        version = combine(shard.digest for shard in made)
        store.finish(PartitionManifest(table, SNAPSHOT, version, 0, made))
        self.peaks[stage.__name__] = max(peaks.values())
        return {shard.key: store.path(shard) for shard in made}


def _curate(replicas: int, copies: int, num_entries: int, workers: int) -> tuple[dict[str, float], int, int]:
    """Peaks in MB by stage, and how many pairs and entries there were."""
    with TemporaryDirectory() as folder:
        run = _Run(folder, workers)
        archives = _archives(Path(folder), replicas, copies)
        shards: Shards = {k: {"archive": defer(open_archive, path), "name": path} for k, path in archives.items()}
        pairs = run.map(parse_wat, "pairs", shards)
        named = run.map(sample_entries, "entries", {"00000": {"num_entries": num_entries}})
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
        manifests = [TableStore(folder, table, SNAPSHOT).manifest() for table in ("pairs", "entries")]
        num_pairs, num_names = (manifest.rows for manifest in manifests if manifest)
        del run.peaks[sample_entries.__name__]  # it makes the input
        return run.peaks | {"driver": peak_mb()}, num_pairs, num_names


def _archives(folder: Path, replicas: int, copies: int) -> dict[str, str]:
    """Shards by key: every archive of the snapshot so many times, each made of so many copies."""
    made = {}
    for number, archive in enumerate(sample_archives(snapshot=SNAPSHOT) * replicas):
        path = folder / f"{number:05d}.warc.wat.gz"
        replicate(archive, range(number * copies, (number + 1) * copies), path)
        made[f"{number:05d}"] = str(path)
    return made


def _read(path: str) -> Deferred:
    return defer(read_batches, path, {})


def _where(paths: Mapping[str, str], column: str, value: str) -> Deferred:
    return defer(read_where, [*paths.values()], {}, column, value)


@contextmanager
def _watched(peaks: dict[int, float]) -> Iterator[None]:
    """Fill in the peak of every process below this one, by its number, while the block runs."""
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.02):
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

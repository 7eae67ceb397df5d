"""Take more and more images through the graph, from a subset to training sets, and show what grows.

python -m benchmarks.bench_images_at_size [--images N ...] [--buckets N] [--workers N] [--json]

The pool is made up: one pair an image, each image a JPEG of 96 px with bytes of its own, which a host on the loopback
makes. The assets `image_texts`, `images` (then again, with nothing to fetch) and `training_sets` (with near duplicates
off, then at a distance of 3) run as Dagster runs them, on worker processes, over a lake and an image store on disk. It
is asserted that the host is asked for each image once, and that the set has them all. CPU time of a stage is that of
its shards, without the start of workers; that of the driver is its process's, Dagster and all, while the run lasts.
Baselines are those of the fewest images.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import pyarrow as pa

from benchmarks.bench_graph import watched
from benchmarks.image_host import COPIES, count_asked, image_host
from benchmarks.measure import Row, in_fresh_process, options, peak_mb, print_rows, row
from commands.demo import materialize
from definitions import bind
from metaclip_dagster.parsing import parse_wat
from metaclip_dagster.schemas import SUBSETS
from metaclip_dagster.urls import image_id_of, pair_id_of
from resources.deferred import stage_version
from resources.deployments import deployment
from resources.lake.resource import Lake
from resources.lake.tables import PartitionManifest, ShardManifest

T = "20"  # the lowest rung of the sample's deployment, whose ring is the whole of its subset
PAIRS_A_SHARD = 10_000
DISTANCE = 3
SECONDS_BETWEEN_LOOKS = 0.2


@dataclass(frozen=True)
class Spent:
    """What a run of an asset took, its worker processes and its driver."""

    wall_seconds: float
    stage_seconds: dict[str, float]
    """By table, of those that it made."""
    driver_seconds: float
    worker_mb: float
    driver_mb: float


@dataclass(frozen=True)
class Gathered:
    """What came of it: runs by name, and the files of the store and of the lake."""

    runs: dict[str, Spent]
    store_bytes: int
    store_files: int
    lake_bytes: int
    lake_files: int


def main() -> None:
    """Print what was measured."""
    parser = options(__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--buckets", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    print_rows([one for rows in measure(args.images, args.buckets, args.workers) for one in rows], args.json)


def measure(sizes: Sequence[int], num_buckets: int, workers: int) -> Iterator[list[Row]]:
    """The rows of one size after the other, each in a fresh process and a home of its own."""
    first: tuple[int, Gathered] | None = None
    for num_images in sizes:
        with TemporaryDirectory() as home, image_host() as root:
            gathered = in_fresh_process(gather, home, root, num_images, num_buckets, workers)
            assert count_asked(root) == num_images
        first = first or (num_images, gathered)
        rows = list(_describe(num_images, gathered, *first, f"{num_images:,} images in {num_buckets:,} buckets"))
        print_rows(rows, as_json=False, file=sys.stderr)  # of the larger sizes one may not see the end
        yield rows


def gather(home: str, root: str, num_images: int, num_buckets: int, workers: int) -> Gathered:
    """Make the subset of these images, then everything that is made of it."""
    where = replace(deployment(), home=Path(home), image_buckets=num_buckets, workers=workers, contact="a@b.example")
    lake, definitions = Lake(root=where.lake), bind(where)
    _write_subset(lake, root, num_images)
    port = root.rpartition(":")[2]
    web = {"from_web": True, "allowed": [f"127.0.0.1:{port}"], "connections_per_host": 64}
    fetched = {"resources": {"image_store": {"config": web}}}
    runs: dict[str, Spent] = {}
    with dg.DagsterInstance.ephemeral() as instance:

        def make(name: str, asset: str, *tables: str, **config: Any) -> PartitionManifest:
            """Run the asset, and note what it took; `tables` are those that it makes on the way."""
            Path("/proc/self/clear_refs").write_text("5", "ascii")  # the peak of memory begins anew
            peaks: dict[int, float] = {}
            started, cpu_started = time.perf_counter(), time.process_time()
            with watched(peaks, SECONDS_BETWEEN_LOOKS):
                materialize(definitions, instance, [asset], T, config)
            manifests = {table: lake.manifest(table, T) for table in (*tables, asset)}
            runs[name] = Spent(
                wall_seconds=time.perf_counter() - started,
                stage_seconds={
                    table: sum(shard.cpu_seconds for shard in manifest.shards) for table, manifest in manifests.items()
                },
                driver_seconds=time.process_time() - cpu_started,
                worker_mb=max(peaks.values(), default=0.0),
                driver_mb=peak_mb(),
            )
            print(f"{num_images:,}: {name}: {runs[name]}", file=sys.stderr, flush=True)
            return manifests[asset]

        make("image_texts", "image_texts")
        assert make("images", "images", **fetched).total("seen")["fetched"] == num_images
        again = {"resources": {**fetched["resources"], "compute": {"config": {"force": True}}}}
        assert make("images, nothing to fetch", "images", **again).total("seen")["held"] == num_images
        assert make("training_sets", "training_sets").total("seen")["images"] == num_images
        near = {"ops": {"training_sets": {"config": {"near_duplicate_distance": DISTANCE}}}}
        tables = ("image_scores", "image_looks", "near_images", "image_verdicts")
        tallies = make("training_sets, near duplicates looked for", "training_sets", *tables, **near).total("seen")
        assert tallies["images"] + tallies["filtered_images"] == num_images
        assert tallies["filtered_images"] >= num_images // COPIES
    return Gathered(runs, *_measure_files(Path(where.images)), *_measure_files(Path(where.lake)))


def _write_subset(lake: Lake, root: str, num_images: int) -> None:
    """SUBSETS as balancing leaves them: an image has one text, drawn from a thousand."""
    store, shards = lake.store("subsets", T), []
    for start in range(0, num_images, PAIRS_A_SHARD):
        rows = []
        for number in range(start, min(start + PAIRS_A_SHARD, num_images)):
            url, text = f"{root}/{number}.jpg", f"a photo of a thing like {number % 1000} others"
            rows.append(
                {
                    "snapshot": "SAMPLE-2026-01",
                    "pair_id": pair_id_of(url, text),
                    "image_id": image_id_of(url).hex(),
                    "language": "en",
                    "url": url,
                    "text": text,
                    "page_url": f"http://h{number % 997}.example/{number}.html",
                    "entry_ids": [number % 1000, 1000 + number % 7],
                    "admitted_at": float(number % 20),
                    "t": float(T),
                }
            )
        key = f"SAMPLE-2026-01/{start // PAIRS_A_SHARD:05d}"
        written = store.commit(key, "f" * 32, SUBSETS, [pa.RecordBatch.from_pylist(rows, SUBSETS)])
        shards.append(ShardManifest(key, "f" * 32, *written))
    parsed_by = {"parsed by": stage_version(parse_wat)}
    store.finish(PartitionManifest("subsets", T, "0" * 32, 0, tuple(shards), inputs=parsed_by))


def _measure_files(folder: Path) -> tuple[int, int]:
    """Bytes and number of the files below a folder."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return sum(sizes), len(sizes)


def _describe(num: int, gathered: Gathered, num_first: int, first: Gathered, described: str) -> Iterator[Row]:
    for name, spent in gathered.runs.items():
        before = first.runs[name]
        costs = [
            (f"{name}: {table}, CPU time", seconds, before.stage_seconds[table])
            for table, seconds in spent.stage_seconds.items()
        ]
        for what, value, baseline in (
            *costs,
            (f"{name}: driver, CPU time", spent.driver_seconds, before.driver_seconds),
        ):
            micro, micro_first = 1e6 * value / num, 1e6 * baseline / num_first
            yield row(what, micro, "us/image", micro_first, micro_first / micro, input=described)
        yield row(f"{name}: time", spent.wall_seconds, "s", input=described)
        for who, mb, mb_first in (
            ("a worker", spent.worker_mb, before.worker_mb),
            ("the driver", spent.driver_mb, before.driver_mb),
        ):
            if mb and mb_first:  # a single shard is made in the driver
                yield row(f"{name}: peak memory of {who}", mb, "MB", mb_first, mb_first / mb, input=described)
    for where, value, baseline in (
        ("the store", gathered.store_bytes, first.store_bytes),
        ("the lake", gathered.lake_bytes, first.lake_bytes),
    ):
        each, each_first = value / num, baseline / num_first
        yield row(f"stored in {where}", each, "bytes/image", each_first, each_first / each, input=described)
    yield row("files of the store", gathered.store_files, "files", input=described)
    yield row("files of the lake", gathered.lake_files, "files", input=described)


if __name__ == "__main__":
    main()

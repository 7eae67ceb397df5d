"""Delete from the disk what is taken down (rows, images, files of older runs), and report what went."""

import math
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from assets.queries.copies import drop_published
from assets.queries.gone import Gone
from metaclip_dagster.deduplicating.takedowns import TAKEN_DOWN
from resources.images.store import ImageStore
from resources.lake.resource import Lake
from resources.models.training_folders import JOB
from resources.takedowns.journal import Journal
from resources.takedowns.taking_down import flag_training, leave_out


def purge(
    lake: Lake,
    images: str,
    checkpoints: Path,
    published: Path,
    gone: Gone,
    journal: Journal | None = None,
    *,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Delete all that is gone, and give what went where; let no run be in progress. A purge that was killed is rerun.

    PAIRS say what goes, so theirs go last: until then the next purge finds the same. Trainings are looked at first,
    for the files of their sets may be superseded. What each request loses goes into the journal before it is deleted.
    """
    journal = journal or Journal()
    for snapshot, requests in gone.matched.items():
        journal.note("matched", snapshot, lake.manifest("pairs", snapshot).version, requests=requests)
    report: dict[str, Any] = {
        "pairs": sum(map(len, gone.places.values())),
        "trainings": _flag_trainings(lake, checkpoints, gone, journal, dry_run=dry_run),
        "images": dict(ImageStore(images).forget(partial(_judge_images, gone, journal), TAKEN_DOWN, dry_run=dry_run)),
        "published": drop_published(published, gone, journal, dry_run=dry_run),
    }
    partitions = sorted(lake.partitions(), key=lambda name: name[0] == "pairs")
    tables = {}
    for table, partition in tqdm(partitions, unit="partition", disable=None, leave=False):
        went = _purge_partition(lake, table, partition, gone, journal, dry_run=dry_run)
        if went["shards"]:
            tables[f"{table} {partition}"] = dict(went)
        if not dry_run:
            _withdraw(lake, table, partition, journal)
    return {**report, "tables": tables, "superseded": {} if dry_run else _tidy(lake)}


def _purge_partition(
    lake: Lake, table: str, partition: str, gone: Gone, journal: Journal, *, dry_run: bool
) -> Counter[str]:
    requests = Counter[str]()

    def count(shard: str, rows: pa.RecordBatch) -> None:
        requests.update(gone.count(gone.drop(table, partition, shard, rows)))

    def announce(before: str, after: str | None) -> None:
        journal.note("table", table, partition, before, after=after, requests=requests)

    return leave_out(
        lake.store(table, partition),
        partial(gone.keep, table, partition),
        among={shard for snapshot, shard in gone.places if snapshot == partition} if table == "pairs" else None,
        count=count,
        announce=announce,
        dry_run=dry_run,
    )


def _withdraw(lake: Lake, table: str, partition: str, journal: Journal) -> None:
    """Forget what a killed purge said it would take from the partition as it still is: the list has changed since."""
    manifest = lake.store(table, partition).manifest()
    if manifest:
        journal.notes.pop(("table", table, partition, manifest.version), None)


def _judge_images(gone: Gone, journal: Journal, rows: pa.RecordBatch) -> pa.Array:
    """Which rows of an index are of images that go; notes those of them that the index's tar still holds."""
    are_gone, in_tar = gone.are_images(rows), pc.is_valid(rows["tar"])
    blanked = rows.filter(pc.and_(are_gone, in_tar))
    if blanked.num_rows:
        left = str(pc.sum(in_tar).as_py())
        journal.note("tar", blanked["tar"][0].as_py(), left, requests=gone.count(blanked))
    return are_gone


def _flag_trainings(lake: Lake, root: Path, gone: Gone, journal: Journal, *, dry_run: bool) -> dict[str, int | None]:
    """How many pairs of each training's set are taken down, where any are, or where nobody knows."""
    if not gone.places:
        return {}
    counts = {}
    for folder in sorted(job.parent for job in root.glob(f"*/*/*/{JOB}")):
        requests = Counter[str]()

        def count(rows: pa.RecordBatch, requests: Counter[str] = requests) -> int:
            dropped = gone.drop("training_sets", "", "", rows)
            requests.update(gone.count(dropped))
            return int(dropped.num_rows)

        pairs = flag_training(folder, count, lake.storage_options, dry_run=dry_run)
        name = str(folder.relative_to(root))
        if requests or pairs is None:
            journal.note("training", name, "unknown" if pairs is None else "counted", requests=requests)
        counts[name] = pairs
    return {name: pairs for name, pairs in counts.items() if pairs != 0}


def _tidy(lake: Lake) -> dict[str, int]:
    """Delete whatever no manifest names, however new, by whichever clock."""
    before = lake.num_bytes()
    return {"files": len(lake.tidy(older_than_hours=-math.inf)), "bytes": before - lake.num_bytes()}

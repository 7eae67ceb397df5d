"""Delete from the disk what is taken down (rows, images, files of older runs), and report what went."""

import bisect
import itertools
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from assets.queries.lookups import ShardKey
from metaclip_dagster.deduplicating.takedowns import TAKEN_DOWN, ImageSet, TakedownIndex, flag_images, flag_taken_down
from resources.images.store import open_image_store
from resources.instance.history import SHOWN
from resources.lake.resource import Lake
from resources.models.training_folders import JOB
from resources.takedowns.taking_down import flag_training, leave_out


@dataclass(frozen=True)
class Gone:
    """What of PAIRS is taken down: the pairs of each shard, and the pairs and images that no other shard holds."""

    takedowns: TakedownIndex
    places: Mapping[ShardKey, pa.Array]
    pairs: pa.Array
    images: ImageSet
    shown: frozenset[str]
    """Of the texts that were asked about, those that begin with a URL of what goes."""

    def keep(self, table: str, partition: str, shard: str, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows that stay of any table, judged by its columns, and the texts that stay of TRAINING_SETS.

        What loses nothing is handed back itself.
        """
        names = set(rows.schema.names)
        gone = _are_listed(rows, self.takedowns)
        if {"snapshot", "shard", "pair_id"} <= names:
            gone = pc.or_(gone, self._are_placed(rows))
        elif table in ("matches", "admissions"):
            gone = pc.or_(gone, pc.is_in(rows["pair_id"], self.places.get((partition, shard), self.pairs[:0])))
        elif "pair_id" in names:
            gone = pc.or_(gone, pc.is_in(rows["pair_id"], self.pairs))
        elif "image_id" in names:
            gone = pc.or_(gone, flag_images(rows, self.images))
        left = rows.filter(pc.invert(gone)) if pc.any(gone).as_py() else rows
        return self._keep_texts(left) if "texts" in names else left

    def are_images(self, rows: pa.RecordBatch) -> pa.Array:
        """Which rows of an index of the image store are of images that go."""
        return pc.or_(_are_listed(rows, self.takedowns), flag_images(rows, self.images))

    def count_texts(self, rows: pa.RecordBatch) -> int:
        """How many pairs of some rows of TRAINING_SETS go."""
        left = self.keep("training_sets", "", "", rows)
        return len(rows["texts"].flatten()) - len(left["texts"].flatten())

    def _are_placed(self, rows: pa.RecordBatch) -> pa.Array:
        """Which rows name a pair with a place where it is taken down."""
        placed = pa.repeat(pa.scalar(False), rows.num_rows)
        named = (
            pa.Table.from_batches([rows]).select(["snapshot", "shard"]).group_by(["snapshot", "shard"]).aggregate([])
        )
        for snapshot, shard in zip(*(named[name].to_pylist() for name in ("snapshot", "shard")), strict=True):
            if (snapshot, shard) in self.places:
                here = pc.and_(pc.equal(rows["snapshot"], snapshot), pc.equal(rows["shard"], shard))
                placed = pc.or_(placed, pc.and_(here, pc.is_in(rows["pair_id"], self.places[snapshot, shard])))
        return placed

    def _keep_texts(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        texts = rows["texts"].flatten()
        ids = pc.struct_field(texts, "pair_id")
        is_gone = pc.or_(pc.is_in(ids, self.pairs), pc.is_in(ids, self.takedowns.pair_ids))
        gone = set(ids.filter(is_gone).to_pylist())
        if not gone:
            return rows
        left = [{**row, "texts": [t for t in row["texts"] if t["pair_id"] not in gone]} for row in rows.to_pylist()]
        return pa.RecordBatch.from_pylist([row for row in left if row["texts"]], rows.schema)


def find_gone(lake: Lake, takedowns: TakedownIndex, shown: Collection[str] = ()) -> Gone:
    """Read PAIRS of all snapshots, registered or not; twice, where one place of a pair may go and another stay.

    `shown` is text that begins with a URL, SHOWN characters of it or more; what begins with one that goes is given.
    """
    places: dict[ShardKey, pa.Array] = {}
    starts = sorted(shown)
    urls = pa.array([re.split(r"[\s,;'\"<>()]", start, maxsplit=1)[0] for start in starts], pa.string())
    listed_urls = flag_taken_down(pa.RecordBatch.from_arrays([urls, urls], names=["url", "page_url"]), takedowns)
    shown_gone = set(itertools.compress(starts, listed_urls.to_pylist()))
    pairs, images = [pa.array([], pa.uint64())], [pa.array([], pa.binary(12))]
    for place, rows in _scan(lake):
        listed = rows.filter(_are_listed(rows, takedowns))
        if listed.num_rows:
            pairs.append(listed["pair_id"])
            images.append(listed["image_id"])
            places[place] = pa.concat_arrays([*([places[place]] if place in places else []), listed["pair_id"]])
            if starts:
                pages = listed.filter(flag_taken_down(listed.select(["page_url"]), takedowns))
                for url in {*listed["url"].to_pylist(), *pages["page_url"].to_pylist()}:
                    shown_gone.update(_begin_with(url, starts))
    gone_pairs, gone_images = pc.unique(pa.concat_arrays(pairs)), pc.unique(pa.concat_arrays(images))
    if len(gone_pairs) and not takedowns.of_whole_images:
        for _, rows in _scan(lake):
            others = rows.filter(pc.invert(_are_listed(rows, takedowns)))
            gone_pairs = gone_pairs.filter(pc.invert(pc.is_in(gone_pairs, others["pair_id"])))
            gone_images = gone_images.filter(pc.invert(pc.is_in(gone_images, others["image_id"])))
    images_gone = ImageSet.of(image.hex() for image in gone_images.to_pylist())
    return Gone(takedowns, places, gone_pairs, images_gone, frozenset(shown_gone))


def purge(lake: Lake, images: Path, checkpoints: Path, gone: Gone, *, dry_run: bool = False) -> dict[str, Any]:
    """Delete all that is gone, and give what went where; let no run be in progress. A purge that was killed is rerun.

    PAIRS say what goes, so theirs go last: until then the next purge finds the same. Trainings are looked at first,
    for the files of their sets may be superseded.
    """
    report: dict[str, Any] = {
        "pairs": sum(map(len, gone.places.values())),
        "trainings": _flag_trainings(lake, checkpoints, gone, dry_run=dry_run),
        "images": dict(open_image_store(str(images)).forget(gone.are_images, TAKEN_DOWN, dry_run=dry_run)),
    }
    partitions = sorted(lake.partitions(), key=lambda name: name[0] == "pairs")
    tables = {}
    for table, partition in tqdm(partitions, unit="partition", disable=None, leave=False):
        among = {shard for snapshot, shard in gone.places if snapshot == partition} if table == "pairs" else None
        keep = partial(gone.keep, table, partition)
        went = leave_out(lake.store(table, partition), keep, among=among, dry_run=dry_run)
        if went["shards"]:
            tables[f"{table} {partition}"] = dict(went)
    return {**report, "tables": tables, "superseded": {} if dry_run else _tidy(lake)}


def _are_listed(rows: pa.RecordBatch, takedowns: TakedownIndex) -> pa.Array:
    """Which of the rows are taken down, also where an older version spelled their URLs and made their ids."""
    listed = flag_taken_down(rows, takedowns)
    return pc.or_(listed, flag_images(rows, takedowns.images)) if "image_id" in rows.schema.names else listed


def _begin_with(url: str, starts: Sequence[str]) -> Iterator[str]:
    """Of some sorted texts those that begin with the URL, as far as they go, and not with a longer one."""
    for at in range(bisect.bisect_left(starts, url[:SHOWN]), len(starts)):
        start = starts[at]
        if not start.startswith(url[:SHOWN]):
            return
        if len(url) >= SHOWN or not _GOES_ON.match(start, len(url)):
            yield start


_GOES_ON = re.compile(r"[\w/%]|[-.?&=+~#:]\w")
_JUDGED = ["pair_id", "image_id", "url", "page_url"]


def _scan(lake: Lake) -> Iterator[tuple[ShardKey, pa.RecordBatch]]:
    """What of PAIRS a takedown is judged by, place by place."""
    snapshots = lake.finished("pairs", (partition for table, partition in lake.partitions() if table == "pairs"))
    for snapshot in tqdm(snapshots, unit="snapshot", disable=None, leave=False):
        for key, batches in lake.shards("pairs", snapshot, _JUDGED).items():
            yield from (((snapshot, key), rows) for rows in batches())


def _flag_trainings(lake: Lake, root: Path, gone: Gone, *, dry_run: bool) -> dict[str, int | None]:
    """How many pairs of each training's set are taken down, where any are, or where nobody knows."""
    if not gone.places:
        return {}
    folders = sorted(job.parent for job in root.glob(f"*/*/*/{JOB}"))
    counts = {
        str(folder.relative_to(root)): flag_training(folder, gone.count_texts, lake.storage_options, dry_run=dry_run)
        for folder in folders
    }
    return {name: pairs for name, pairs in counts.items() if pairs != 0}


def _tidy(lake: Lake) -> dict[str, int]:
    """Delete whatever no manifest names, however new, by whichever clock."""
    before = lake.num_bytes()
    return {"files": len(lake.tidy(older_than_hours=-math.inf)), "bytes": before - lake.num_bytes()}

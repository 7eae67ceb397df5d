"""Find a pair or an entry in the lake: scan only the ids, then read the shards that hold it."""

import heapq
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.explaining import pairs_with
from resources.lake.resource import Lake
from resources.lake.tables import PartitionManifest

ShardKey = tuple[str, str]
"""A snapshot and the key of a shard in it; their order is that of places."""
SCANNED_ROWS = 65_536


def find_pairs(lake: Lake, snapshots: Sequence[str], column: str, value: int | bytes) -> dict[int, list[ShardKey]]:
    """The shards of PAIRS that hold each pair whose `column` is `value`, in the order of places; reads ids alone."""
    shards: dict[int, list[ShardKey]] = {}
    for snapshot in snapshots:
        keys = {shard.file.rsplit("/", 1)[-1]: shard.key for shard in lake.manifest("pairs", snapshot).shards}
        pairs = lake.dataset("pairs", [snapshot])
        is_it = pc.field(column) == pa.scalar(value, pairs.schema.field(column).type)
        for part in pairs.scanner(columns=["pair_id"], filter=is_it, batch_size=SCANNED_ROWS).scan_batches():
            for pair_id in part.record_batch["pair_id"].to_pylist():
                shards.setdefault(pair_id, []).append((snapshot, keys[part.fragment.path.rsplit("/", 1)[-1]]))
    return {pair_id: sorted(of_pair) for pair_id, of_pair in shards.items()}


def count_pairs_with(lake: Lake, t: str, entry_id: int, limit: int) -> tuple[int, list[dict[str, Any]]]:
    """How many pairs of D(t) match the entry, and the rows of the `limit` of least pair_id: it is a hash, so any."""
    subset, count = lake.dataset("subsets", [t]), 0
    least: list[tuple[int, str]] = []
    files = {}
    for part in subset.scanner(columns=["pair_id", "entry_ids"], batch_size=SCANNED_ROWS).scan_batches():
        pair_ids = pairs_with(part.record_batch, entry_id)
        count += len(pair_ids)
        files[part.fragment.path] = part.fragment
        first = ((pair_id, part.fragment.path) for pair_id in pair_ids.sort()[:limit].to_pylist())
        least = heapq.nsmallest(limit, [*least, *first])
    is_one = pc.field("pair_id").isin(pa.array([pair_id for pair_id, _ in least], pa.uint64()))
    rows = [row for path in {path for _, path in least} for row in files[path].to_table(filter=is_one).to_pylist()]
    return count, sorted(rows, key=lambda row: int(row["pair_id"]))


class Reader:
    """Rows of single shards of one lake; each manifest is read once."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._shards = cache(lake.shards)
        self._manifest = cache(lambda table, partition: lake.store(table, partition).manifest())

    def manifest(self, table: str, partition: str) -> PartitionManifest | None:
        """The finished partition, or None."""
        return self._manifest(table, partition)

    def finished(self, table: str, *partitions: str) -> list[str]:
        """Those of the partitions that are finished."""
        return [partition for partition in partitions if self.manifest(table, partition)]

    def row(self, table: str, partition: str, shard: str, pair_id: int) -> dict[str, Any]:
        """The pair's row in that shard of a finished partition, which has one at most; {} where there is none."""
        return next(iter(self.rows(table, partition, shard, "pair_id", pair_id)), {})

    def rows(self, table: str, partition: str, shard: str, column: str, value: int | str) -> list[dict[str, Any]]:
        """All rows of that shard whose `column` is `value`; none where the shard failed."""
        batches = self._shards(table, partition).get(shard)
        return select_rows(batches(), column, value) if batches else []

    def rows_of_image(self, table: str, partition: str, image_id: str) -> list[dict[str, Any]]:
        """The image's rows in a finished partition of a table whose shards are the image store's buckets."""
        manifest = self.manifest(table, partition)
        keys = [*(shard.key for shard in manifest.shards), *manifest.failed] if manifest else []
        prefixes = dict.fromkeys(key.rpartition("/")[0] for key in keys)  # a mixture's sources
        bucket = f"{int(image_id[:8], 16) % max(1, len(keys) // max(1, len(prefixes))):05d}"
        of_image = [f"{prefix}/{bucket}".lstrip("/") for prefix in prefixes]
        return [row for key in of_image for row in self.rows(table, partition, key, "image_id", image_id)]


def select_rows(batches: Iterable[pa.RecordBatch], column: str, value: int | str) -> list[dict[str, Any]]:
    """The rows whose `column` is `value`."""
    rows = []
    for batch in batches:
        is_it = pc.equal(batch[column], pa.scalar(value, batch.schema.field(column).type))
        rows += batch.filter(is_it).to_pylist()
    return rows

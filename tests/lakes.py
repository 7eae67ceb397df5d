"""What a lake holds, as digests that do not know of shards, order, times and paths; and rows that a test puts there."""

from collections.abc import Sequence

import pyarrow as pa

from assets.keys import THRESHOLDS
from resources.files.digests import RowDigest
from resources.lake.resource import WHOLE, Lake
from resources.lake.tables import PartitionManifest, ShardManifest

KEYS = {
    "entries": ["entry_id"],
    "pairs": ["pair_id", "warc", "offset"],
    "matches": ["pair_id", "language_score"],
    "entry_counts": ["entry_id"],
    "admissions": ["pair_id"],
    "subsets": ["pair_id"],
}


def digests(lake: Lake, snapshots: Sequence[str], *tables: str) -> dict[str, str]:
    """A digest of each table over all its partitions, rows sorted by a key."""
    partitions = {"entries": [WHOLE], "entry_counts": [WHOLE], "subsets": THRESHOLDS}
    by_partition = {}
    for name in tables or KEYS:
        for partition in partitions.get(name, ["all snapshots"]):
            of = [partition] if name in partitions else list(snapshots)
            read = [lake.read(name, [key]) for key in of]
            by_partition[f"{name} {partition}"] = _digest(pa.concat_tables(read), *KEYS[name])
    return by_partition


def _digest(table: pa.Table, *keys: str) -> str:
    """Digest of all rows sorted by a unique key: equal however the rows were cut into shards and ordered."""
    digest = RowDigest(table.schema)
    digest.update(table.sort_by([(key, "ascending") for key in keys]))
    return digest.hexdigest()


def commit(lake: Lake, table: str, partition: str, rows: pa.RecordBatch, key: str = "0", **inputs: str) -> None:
    """Finish a partition that is one shard of these rows, as if a stage had made it of these inputs."""
    store = lake.store(table, partition)
    written = store.commit(key, "f" * 32, rows.schema, [rows])
    shard = ShardManifest(key, "f" * 32, *written)
    store.finish(PartitionManifest(table, partition, shard.digest, 0, (shard,), inputs=inputs))

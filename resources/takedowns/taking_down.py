"""Take rows out of finished tables, and note beside each training how many of its pairs are taken down."""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from resources.files.digests import combine
from resources.files.local import write_text
from resources.lake.shard_files import open_parquet, read_batches
from resources.lake.tables import ShardManifest, TableStore
from resources.models.training_folders import JOB

FLAG = "takedowns.json"

Keep = Callable[[str, pa.RecordBatch], pa.RecordBatch]
"""Of a batch of the shard of this key, what stays: the batch itself where that is all."""


def leave_out(
    store: TableStore,
    keep: Keep,
    *,
    among: Collection[str] | None = None,
    count: Callable[[str, pa.RecordBatch], None] | None = None,
    announce: Callable[[str, str | None], None] | None = None,
    dry_run: bool = False,
) -> Counter[str]:
    """Rewrite those shards of a finished partition that `keep` takes from; counts `shards`, `rows` and `bytes` less.

    Where it is known `among` which they are, no other is read. `count` is given each batch that loses something, with
    its shard's key, and `announce` the partition's version before and after, the latter None in a dry run, when all is
    counted and readers still see it as it was.

    A new file takes a shard's place under the fingerprint that it had, so that runs reuse it and bring nothing back.
    The partition's manifest comes last: readers see all of the shards as they were, or all without the rows.
    """
    manifest = store.manifest()
    went = Counter(shards=0, rows=0, bytes=0)
    written: dict[str, ShardManifest] = {}
    for shard in manifest.shards if manifest else ():
        if among is not None and shard.key not in among:
            continue
        less = []
        for rows in _read(store, shard):
            if (left := keep(shard.key, rows)) is not rows:
                less.append(rows.num_rows - left.num_rows)
                if count:
                    count(shard.key, rows)
        went.update(shards=bool(less), rows=sum(less))
        if less and not dry_run:
            written[shard.key] = _rewrite(store, shard, keep)
            went.update(bytes=shard.bytes - written[shard.key].bytes)
    if not manifest or not went["shards"]:
        return went
    shards = tuple(written.get(shard.key, shard) for shard in manifest.shards)
    version = combine(f"{shard.key} {shard.digest}" for shard in shards)
    if announce:
        announce(manifest.version, None if dry_run else version)
    if written:
        for shard in manifest.shards:
            if shard.key in written:
                store.forget(shard.key, shard.fingerprint)  # none may name a file that is to go
        store.finish(replace(manifest, shards=shards, version=version))
    return went


def flag_training(
    folder: Path, count: Callable[[pa.RecordBatch], int], storage_options: Mapping[str, Any], *, dry_run: bool = False
) -> int | None:
    """Say beside a training how many pairs of its set are taken down, and give it; None: the set is gone.

    The set is read from the files that the training read, which are there until superseded files are deleted. What
    stands there already is not taken back.
    """
    shards = json.loads((folder / JOB).read_text("utf-8"))["shards"]
    before = (read_flag(folder) or {}).get("pairs") or 0
    counted: int | None
    try:
        counted = sum(count(batch) for shard in shards for batch in read_batches(shard["path"], storage_options))
    except FileNotFoundError:
        counted = None
    pairs = max(before, counted or 0) or counted
    if not dry_run and pairs != 0:
        write_text(folder / FLAG, json.dumps({"pairs": pairs}))
    return pairs


def read_flag(folder: Path) -> dict[str, Any] | None:
    """What stands beside a training: `pairs` of its set that were taken down since, null where nobody knows."""
    try:
        return dict(json.loads((folder / FLAG).read_text("utf-8")))
    except FileNotFoundError:
        return None


def _read(store: TableStore, shard: ShardManifest) -> Iterator[pa.RecordBatch]:
    return read_batches(store.path(shard), store.storage_options)


def _rewrite(store: TableStore, shard: ShardManifest, keep: Keep) -> ShardManifest:
    """The shard with a file of what stays; no manifest names it yet."""
    with open_parquet(store.path(shard), store.storage_options) as parquet:
        layout = parquet.metadata
    schema = layout.schema.to_arrow_schema()
    longest = max((layout.row_group(number).num_rows for number in range(layout.num_row_groups)), default=1)
    left = (keep(shard.key, batch) for batch in _read(store, shard))
    name, rows, size, digest = store.commit(shard.key, shard.fingerprint, schema, left, row_group=longest)
    return replace(shard, file=name, rows=rows, bytes=size, digest=digest)

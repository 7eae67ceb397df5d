"""Store tables as committed shards: data first, the shard's manifest next, the partition's manifest last."""

import contextlib
import json
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, TypedDict
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from resources.files.digests import RowDigest
from resources.files.local import create
from resources.files.object_store import connect, create_object, create_object_once, is_local, read_object

ROW_GROUP = 65_536


class Earlier(TypedDict):
    """What an earlier build of a partition took, for so many shards and so much input."""

    shards: float
    size: float
    cost: Sequence[float]
    """As resources.lake.costs.Cost has it."""


@dataclass(frozen=True)
class ShardManifest:
    """What one committed shard holds and what it cost, beside what a process sets up once for all its shards.

    `digest` is of the rows, not of the file's bytes.
    """

    key: str
    fingerprint: str
    file: str
    rows: int
    bytes: int
    digest: str
    dropped: Mapping[str, int] = field(default_factory=dict)
    seen: Mapping[str, int] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0


@dataclass(frozen=True)
class PartitionManifest:
    """One finished partition of a table: its shards in order. Readers follow nothing else."""

    table: str
    partition: str
    version: str
    generation: int
    shards: tuple[ShardManifest, ...]
    failed: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    size: float = field(default=0, compare=False)
    """How much it was made of, in rows of what it reads, where that is known; costs are predicted by it."""
    earlier: Sequence[Earlier] = field(default=(), compare=False)
    """What earlier builds took, of other sizes."""
    reused: int = field(default=0, compare=False)
    """Shards that this run did not have to make; shown to people, never stored."""

    @property
    def rows(self) -> int:
        """Rows of all shards."""
        return sum(shard.rows for shard in self.shards)

    def total(self, what: str) -> Counter[str]:
        """`dropped` or `seen`, added up over the shards."""
        total: Counter[str] = Counter()
        for shard in self.shards:
            total.update(getattr(shard, what))
        return total


@dataclass(frozen=True)
class TableStore:
    """One partition of one table on a filesystem or object store; of <root>/<table>/<partition>/ it keeps these files.

    data/<shard>.<attempt>.parquet        rows, named by no manifest until the attempt has ended well
    shards/<shard>.<fingerprint>.json     a shard's manifest, written once: the first attempt wins
    manifest.json                         the partition's manifest, replaced whole: all that readers follow
    """

    root: str
    table: str
    partition: str
    storage_options: Mapping[str, Any] = field(default_factory=dict)

    def commit(
        self,
        key: str,
        fingerprint: str,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        *,
        row_group: int = ROW_GROUP,
    ) -> tuple[str, int, int, str]:
        """Stream the rows into a data file of this attempt; it is named by no manifest yet.

        Returns its name, rows, bytes and digest. A failed attempt leaves nothing behind.
        """
        name = f"data/{quote(key, safe='')}.{fingerprint[:8]}-{uuid.uuid4().hex[:8]}.parquet"
        digest, rows = RowDigest(schema), 0
        with self._create(name) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for batch in _row_groups(batches, schema, row_group):
                digest.update(batch)
                rows += batch.num_rows
                writer.write_table(batch, row_group_size=row_group)
            writer.close()
            size = file.tell()
        return name, rows, size, digest.hexdigest()

    def publish(self, shard: ShardManifest) -> ShardManifest:
        """Write the shard's manifest unless another attempt has; the loser's data is removed. Returns the winner's."""
        if self._create_once(self._name_manifest(shard.key, shard.fingerprint), asdict(shard)):
            return shard
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._path(shard.file))
        winner = self.committed(shard.key, shard.fingerprint)
        if winner is None:
            raise OSError(f"{self.table}/{self.partition}: the manifest of shard {shard.key} appeared and vanished")
        return winner

    def committed(self, key: str, fingerprint: str) -> ShardManifest | None:
        """The shard's manifest, if an attempt with this fingerprint finished."""
        fields = self._read_json(self._name_manifest(key, fingerprint))
        return None if fields is None else ShardManifest(**fields)

    def forget(self, key: str, fingerprint: str) -> None:
        """Delete a shard's manifest, so that it is made again; readers follow the partition's manifest as before."""
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._path(self._name_manifest(key, fingerprint)))

    def finish(self, manifest: PartitionManifest) -> None:
        """Make a finished partition the one that readers see, whole or not at all."""
        with self._create("manifest.json") as file:
            file.write(json.dumps(asdict(replace(manifest, reused=0)), indent=1).encode())

    def manifest(self) -> PartitionManifest | None:
        """The finished partition, or None where there is none."""
        fields = self._read_json("manifest.json")
        if fields is None:
            return None
        with self._read_fields("manifest.json"):
            shards = tuple(ShardManifest(**shard) for shard in fields.pop("shards"))
            return PartitionManifest(shards=shards, **fields)

    def changed_at(self, name: str = "manifest.json") -> datetime:
        """When a file was written: by default the manifest that readers see; raises FileNotFoundError without it."""
        modified: datetime = self._fs.modified(self._path(name))
        return modified

    def superseded(self) -> list[ShardManifest]:
        """Shards that are not of the finished partition and whose rows still lie here, the last made first."""
        manifest = self.manifest()
        fingerprints = {shard.fingerprint for shard in manifest.shards} if manifest else set()
        shards = []
        for name in sorted(f"shards/{path.rsplit('/', 1)[1]}" for path in self._fs.find(self._path("shards"))):
            with self._read_fields(name):
                shards += [ShardManifest(**fields)] if (fields := self._read_json(name)) else []
        old = [it for it in shards if it.fingerprint not in fingerprints and self._fs.exists(self._path(it.file))]
        return sorted(old, key=lambda shard: self.changed_at(shard.file), reverse=True)

    def path(self, shard: ShardManifest) -> str:
        """Where the shard's rows lie, for fsspec."""
        path = self._path(shard.file)
        return path if is_local(self._fs) else str(self._fs.unstrip_protocol(path))

    def tidy(self, *, older_than_seconds: float, now: float) -> list[str]:
        """Delete data and shard manifests that the partition's manifest does not name; returns their names."""
        manifest = self.manifest()
        shards = manifest.shards if manifest else ()
        in_use = {shard.file for shard in shards} | {
            self._name_manifest(shard.key, shard.fingerprint) for shard in shards
        }
        deleted = []
        for folder in ("shards", "data"):  # manifests first: none may ever name a file that is gone
            for path in self._fs.find(self._path(folder)):
                name = f"{folder}/{path.rsplit('/', 1)[1]}"
                if name in in_use:
                    continue
                with contextlib.suppress(FileNotFoundError):  # somebody else was faster
                    if now - self._fs.modified(path).timestamp() >= older_than_seconds:
                        self._fs.rm_file(path)
                        deleted.append(name)
        return deleted

    @contextlib.contextmanager
    def _read_fields(self, name: str) -> Iterator[None]:
        """Say which manifest it is whose fields are others than this version's."""
        try:
            yield
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{self._path(name)}: the manifest is of another version of this program ({error}); read it with that "
                "version, or run the partition again with this one"
            ) from None

    @property
    def _fs(self) -> Any:  # fsspec ships no types
        return connect(self.root, self.storage_options)[0]

    def _path(self, name: str) -> str:
        root = connect(self.root, self.storage_options)[1]
        return f"{root}/{self.table}/{quote(self.partition, safe='')}/{name}"

    def _name_manifest(self, key: str, fingerprint: str) -> str:
        return f"shards/{quote(key, safe='')}.{fingerprint}.json"

    def _create(self, name: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """Open a file that appears under its name only when all of it is there."""
        path = self._path(name)
        return create(Path(path)) if is_local(self._fs) else create_object(self._fs, path)

    def _create_once(self, name: str, content: Mapping[str, Any]) -> bool:
        """Write the document if no one has; False where someone was first."""
        path, document = self._path(name), json.dumps(content).encode()
        if not is_local(self._fs):
            return create_object_once(self._fs, path, document)
        try:
            with create(Path(path), once=True) as file:
                file.write(document)
        except FileExistsError:
            return False
        return True

    def _read_json(self, name: str) -> dict[str, Any] | None:
        content = read_object(self._fs, self._path(name))
        try:
            return None if content is None else dict(json.loads(content))
        except json.JSONDecodeError as error:
            raise ValueError(f"{self._path(name)}: not JSON ({error}); delete it and run the partition again") from None


def _row_groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema, row_group: int) -> Iterator[pa.Table]:
    """Gather small batches, so that a file is not a thousand row groups; memory stays bounded by one group."""
    group: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        if not batch.schema.equals(schema):
            raise TypeError(f"a stage gave columns {batch.schema.names}, but declares {schema}")
        group.append(batch)
        rows += batch.num_rows
        if rows >= row_group:
            yield pa.Table.from_batches(group, schema)
            group, rows = [], 0
    if group:
        yield pa.Table.from_batches(group, schema)

"""The lake resource: finished partitions by table name, read by workers later or by the driver at once."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, unquote

import dagster as dg
import pyarrow as pa
import pyarrow.dataset as ds
from tqdm import tqdm

from resources.deferred import Deferred
from resources.deployments import Deployment
from resources.files.digests import combine
from resources.files.object_store import abort_uploads, connect, settings
from resources.lake.shard_files import (
    digest_by_value,
    list_distinct,
    read_batches,
    read_table,
    read_where,
    stream_files,
)
from resources.lake.tables import PartitionManifest, TableStore

WHOLE = "all"

Value = TypeVar("Value", int, str)


class MissingPartitionError(dg.Failure, FileNotFoundError):
    """What is to be read was never made; the message, with which a failed run begins, says what to materialize.

    No retry of the step makes it, so none is tried.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, allow_retries=False)


class Lake(dg.ConfigurableResource, use_attribute_docstrings=True):
    """Tables under one folder or object store prefix; the only code, with its stores, that knows where they lie."""

    root: str
    """A folder or an fsspec URL."""
    storage_options: dict[str, Any] = {}
    """fsspec's, for an object store; credentials come from the environment."""
    scratch: str = ""
    """A folder of this machine for what workers share, where the lake itself is an object store."""

    def store(self, table: str, partition: str = WHOLE) -> TableStore:
        """The place of one partition, whether made or not."""
        return TableStore(self.root, table, partition, self.storage_options)

    def manifest(self, table: str, partition: str = WHOLE) -> PartitionManifest:
        """What a finished partition holds; raises MissingPartitionError where it was never finished."""
        manifest = self.store(table, partition).manifest()
        if manifest is None:
            name = table if partition == WHOLE else f"{table} of {partition}"
            raise MissingPartitionError(f"{name} is not made yet; materialize it first (the lake is {self.root})")
        return manifest

    def finished(self, table: str, partitions: Iterable[str]) -> list[str]:
        """Those of the partitions that were finished, in their order."""
        return [partition for partition in partitions if self.store(table, partition).manifest()]

    def partitions(self) -> list[tuple[str, str]]:
        """Every table with each of its partitions, finished or not."""
        filesystem, root = connect(self.root, self.storage_options)
        folders = sorted(path.rstrip("/").rsplit("/", 2)[-2:] for path in filesystem.glob(f"{root}/*/*"))
        return [(table, unquote(partition)) for table, partition in folders]

    def shards(self, table: str, partition: str = WHOLE, columns: list[str] | None = None) -> dict[str, Deferred]:
        """A deferred stream of record batches for every shard, in shard order."""
        store = self.store(table, partition)
        return {
            shard.key: Deferred(read_batches, (store.path(shard), self.storage_options, columns), declared=shard.digest)
            for shard in self.manifest(table, partition).shards
        }

    def stream(self, table: str, partitions: Iterable[str] = (WHOLE,)) -> Deferred:
        """A deferred stream of all record batches of the partitions, in order."""
        paths, version = self._paths(table, partitions)
        return Deferred(stream_files, (paths, self.storage_options), declared=version)

    def table(self, table: str, partitions: Iterable[str] = (WHOLE,)) -> Deferred:
        """A deferred read of the partitions as one table."""
        paths, version = self._paths(table, partitions)
        return Deferred(read_table, (paths, self.storage_options), declared=version)

    def where(
        self,
        table: str,
        column: str,
        value: str | int,
        *,
        partitions: Iterable[str] = (WHOLE,),
        shard: str | None = None,
        version: str | None = None,
    ) -> Deferred:
        """A deferred stream of the rows whose `column` is `value`, of one shard of each partition or of all.

        Its version is that of all the partitions, unless the caller knows the rows' own (`versions`).
        """
        paths, whole = self._paths(table, partitions, shard)
        return self._where(paths, column, value, version if version is not None else f"{whole} {column}={value}")

    def where_each(
        self,
        table: str,
        column: str,
        values: Iterable[Value],
        *,
        partitions: Iterable[str] = (WHOLE,),
        prefix: str = "",
    ) -> dict[Value, Deferred]:
        """`where` for each of many values, at the cost of one: manifests are read once.

        Only shards whose keys begin with `prefix` are read.
        """
        paths, whole = self._paths(table, partitions, prefix=prefix)
        return {value: self._where(paths, column, value, f"{whole} {column}={value}") for value in values}

    def versions(self, table: str, column: str, *, shard: str) -> dict[str, str]:
        """The version of the rows of each value of a column by which that shard of an unpartitioned table is sorted."""
        paths, _ = self._paths(table, [WHOLE], shard)
        return digest_by_value(stream_files(paths, self.storage_options), column)

    def read(self, table: str, partitions: Iterable[str] = (WHOLE,)) -> pa.Table:
        """The partitions as one table, now."""
        return pa.table(self.table(table, partitions)())

    def dataset(self, table: str, partitions: Iterable[str] = (WHOLE,)) -> ds.Dataset:
        """The partitions as one lazy Arrow dataset."""
        paths, _ = self._paths(table, partitions)
        filesystem, _ = connect(self.root, self.storage_options)
        return ds.dataset(paths, filesystem=filesystem, format="parquet")

    def files(self, table: str, partition: str, column: str) -> dict[str, list[Any]]:
        """The path of every shard, for processes that know no lake, with the values of a column in order, each once."""
        store = self.store(table, partition)
        paths = [store.path(shard) for shard in self.manifest(table, partition).shards]
        return {path: list_distinct(path, self.storage_options, column) for path in paths}

    def copy_files(self, table: str, partition: str, folder: Path) -> list[Path]:
        """Copy the partition's Parquet files, and no superseded ones, to a folder of this machine, in shard order."""
        filesystem, _ = connect(self.root, self.storage_options)
        paths, _ = self._paths(table, [partition])
        copies = [folder / f"{number:05d}.parquet" for number in range(len(paths))]
        for path, copy in zip(tqdm(paths, unit="file", disable=None), copies, strict=True):
            filesystem.get_file(path, str(copy))
        return copies

    @property
    def connection(self) -> dict[str, Any]:
        """What fsspec opens the files of `files` with."""
        return settings(self.root, self.storage_options)

    def num_bytes(self) -> int:
        """Of all files, whether a manifest names them or not."""
        filesystem, root = connect(self.root, self.storage_options)
        return sum(file["size"] for file in filesystem.find(root, detail=True).values())

    def tidy(self, *, older_than_hours: float = 24.0) -> list[str]:
        """Delete what no manifest names: orphans of killed writers, data of superseded runs. Returns what went.

        Uploads that were never completed go too. Let no run be older than `older_than_hours` while this runs: its
        shards are named by no partition yet.
        """
        gone, now = [], time.time()
        for table, partition in self.partitions():
            names = self.store(table, partition).tidy(older_than_seconds=older_than_hours * 3600, now=now)
            gone += [f"{table}/{quote(partition, safe='')}/{name}" for name in names]
        filesystem, root = connect(self.root, self.storage_options)
        return gone + abort_uploads(filesystem, root, older_than_seconds=older_than_hours * 3600, now=now)

    def _where(self, paths: list[str], column: str, value: str | int, version: str) -> Deferred:
        return Deferred(read_where, (paths, self.storage_options, column, value), declared=version)

    def _paths(
        self, table: str, partitions: Iterable[str], shard: str | None = None, *, prefix: str = ""
    ) -> tuple[list[str], str]:
        """Where the shards of the partitions lie, and one version of all the partitions."""
        manifests = [self.manifest(table, partition) for partition in partitions]
        shards = [(self.store(table, m.partition), s) for m in manifests for s in m.shards if shard in (None, s.key)]
        paths = [store.path(s) for store, s in shards if s.key.startswith(prefix)]
        return paths, combine(f"{m.partition} {m.version}" for m in manifests)


class LakeReader(dg.IOManager):
    """Gives what an asset made as an Arrow dataset, to `Definitions.load_asset_value` and to assets that ask for it.

    No asset writes through it: tables are committed shard by shard.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def load_input(self, context: dg.InputContext) -> ds.Dataset:
        """The lazy dataset of the asset's partitions; raises MissingPartitionError where one has no table."""
        name = context.asset_key.to_python_identifier()
        try:
            return self._lake.dataset(name, context.asset_partition_keys if context.has_asset_partitions else [WHOLE])
        except MissingPartitionError as error:
            raise MissingPartitionError(
                f"{error} (data cards and the sweep are no tables but pages of reports/)"
            ) from None

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Refuse what an asset returned: it would be in no manifest."""
        raise TypeError(f"{context.get_identifier()}: write tables with compute.map_shards, and return compute.result")


def open_lake(where: Deployment) -> Lake:
    """The lake that a deployment names."""
    return Lake(root=where.lake, storage_options=dict(where.lake_options), scratch=str(where.home))

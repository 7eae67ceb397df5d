"""Read the files of a table's shards: streamed, whole, or only the rows with one value."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from resources.deferred import named
from resources.files.digests import RowDigest
from resources.files.object_store import connect, is_local


@contextlib.contextmanager
def open_parquet(path: str, storage_options: Mapping[str, Any]) -> Iterator[pq.ParquetFile]:
    """Open a shard's file. From an object store, what is asked of a row group at once is fetched in few requests."""
    filesystem, place = connect(path, storage_options)
    with filesystem.open(place, "rb") as file, pq.ParquetFile(file, pre_buffer=not is_local(filesystem)) as parquet:
        yield parquet


@named("resources.tables:read_batches")
def read_batches(
    path: str, storage_options: Mapping[str, Any], columns: list[str] | None = None, batch_rows: int = 8192
) -> Iterator[pa.RecordBatch]:
    """Stream one shard's rows in their order."""
    with open_parquet(path, storage_options) as parquet:
        for group in range(parquet.num_row_groups):  # one by one: what is fetched is held until its reader is through
            yield from parquet.iter_batches(batch_rows, [group], columns, use_threads=False)


@named("resources.tables:stream_files")
def stream_files(paths: list[str], storage_options: Mapping[str, Any]) -> Iterator[pa.RecordBatch]:
    """Stream the rows of several shards, one after the other."""
    for path in paths:
        yield from read_batches(path, storage_options)


@named("resources.tables:chain_batches")
def chain_batches(*streams: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """One stream after the other."""
    return itertools.chain.from_iterable(streams)


@named("resources.tables:read_table")
def read_table(paths: list[str], storage_options: Mapping[str, Any]) -> pa.Table:
    """Read shards whole, one after the other."""
    return pa.concat_tables(_read_file(path, storage_options) for path in paths)


@named("resources.tables:read_where")
def read_where(
    paths: list[str], storage_options: Mapping[str, Any], column: str, value: str | int
) -> Iterator[pa.RecordBatch]:
    """Stream the rows whose `column` is `value`; row groups that cannot hold it are not read."""
    for path in paths:
        with open_parquet(path, storage_options) as parquet:
            index = parquet.schema_arrow.get_field_index(column)
            for group in range(parquet.num_row_groups):
                bounds = parquet.metadata.row_group(group).column(index).statistics
                if bounds is None or not bounds.has_min_max or bounds.min <= value <= bounds.max:
                    for batch in parquet.iter_batches(row_groups=[group], use_threads=False):
                        yield batch.filter(pc.equal(batch[column], value))


def list_distinct(path: str, storage_options: Mapping[str, Any], column: str) -> list[Any]:
    """The values of a column of one shard, each once, in the order in which they come first."""
    values: dict[Any, None] = {}
    for batch in read_batches(path, storage_options, [column], 65_536):
        values.update(dict.fromkeys(pc.unique(batch[column]).to_pylist()))
    return list(values)


def digest_by_value(batches: Iterable[pa.RecordBatch], column: str) -> dict[str, str]:
    """A digest of the rows of each value of a column by which the rows are sorted."""
    digests: dict[str, RowDigest] = {}
    for batch in batches:
        for value in pc.unique(batch[column]).to_pylist():
            rows = batch.filter(pc.equal(batch[column], value))
            digests.setdefault(value, RowDigest(batch.schema)).update(rows)
    return {value: digest.hexdigest() for value, digest in digests.items()}


def _read_file(path: str, storage_options: Mapping[str, Any]) -> pa.Table:
    with open_parquet(path, storage_options) as parquet:
        return parquet.read(use_threads=False)

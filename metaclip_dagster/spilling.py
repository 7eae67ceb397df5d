"""A database for what may outgrow memory, and how batches get into it."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

ROWS = 65_536
"""Rows that leave it at a time."""


@contextmanager
def spilling(memory_limit: str = "1GB") -> Iterator[duckdb.DuckDBPyConnection]:
    """A database on disk, gone afterwards: one thread, bounded memory."""
    with tempfile.TemporaryDirectory(prefix="metaclip_dagster_") as folder:
        config: dict[str, str | bool | int | float | list[str]] = {
            "threads": 1,
            "memory_limit": memory_limit,
            "temp_directory": folder,
        }
        with duckdb.connect(f"{folder}/spilled.duckdb", config=config) as query:
            query.execute("set enable_progress_bar = false")  # it would draw on a worker's terminal
            yield query


def insert(
    query: duckdb.DuckDBPyConnection, table: str, batches: Iterable[pa.RecordBatch], columns: str, where: str = "true"
) -> None:
    """Append the columns of the rows that hold `where`."""
    # Not a reader that DuckDB pulls from: it would hide which error a broken source raised.
    for batch in batches:
        query.from_arrow(pa.Table.from_batches([batch])).filter(where).project(columns).insert_into(table)

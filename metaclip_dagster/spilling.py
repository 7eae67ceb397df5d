"""Open a DuckDB database with bounded memory, for what may outgrow it, and write batches into it."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
import pyarrow as pa

_PREFIX = "metaclip_dagster_spilled_"
ROWS = 65_536
"""Rows that leave it at a time, and small batches that enter it together have so many."""


@contextmanager
def spilling(memory_limit: str = "1GB") -> Iterator[duckdb.DuckDBPyConnection]:
    """A database on disk, in TMPDIR, gone afterwards: one thread, bounded memory.

    What a killed process left there goes when the next one comes.
    """
    with _own_folder() as folder:
        config: dict[str, str | bool | int | float | list[str]] = {
            "threads": 1,
            "memory_limit": memory_limit,
            "temp_directory": str(folder),
        }
        with duckdb.connect(f"{folder}/spilled.duckdb", config=config) as query:
            query.execute("set enable_progress_bar = false")  # it would draw on a worker's terminal
            yield query


@contextmanager
def _own_folder() -> Iterator[Path]:
    """A folder that its process holds locked: one that nobody holds was left by a process that is dead."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError), _opened(left) as lock:  # another user's, or gone by now
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left)
    folder, lock = _make_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        os.close(lock)


def _make_folder() -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        with suppress(FileNotFoundError):  # another took it for left before it was locked
            lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    opened = os.open(folder, os.O_RDONLY)
    try:
        yield opened
    finally:
        os.close(opened)


def insert(
    query: duckdb.DuckDBPyConnection, table: str, batches: Iterable[pa.RecordBatch], columns: str, where: str = "true"
) -> None:
    """Append the columns of the rows that hold `where`; small batches together, for each call is a transaction."""
    # Not a reader that DuckDB pulls from: it would hide which error a broken source raised.
    for rows in _gather(batches):
        query.from_arrow(rows).filter(where).project(columns).insert_into(table)


def _gather(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    gathered, num_rows = list[pa.RecordBatch](), 0
    for batch in batches:
        gathered.append(batch)
        num_rows += len(batch)
        if num_rows >= ROWS:
            yield pa.Table.from_batches(gathered)
            gathered, num_rows = [], 0
    if num_rows:
        yield pa.Table.from_batches(gathered)

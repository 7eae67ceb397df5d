"""Build a table once, in a file that every process of a machine reads in place."""

import fcntl
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from resources.files.local import create


def map_table(path: Path, build: Callable[[], pa.Table]) -> pa.Table:
    """The table in this file, mapped into memory, so that processes share its pages; built first where it is not there.

    One process builds it and the others wait. The name must say what is in it: a file that is there is not made anew.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with (path.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                table = build()
                with create(path) as file, pa.ipc.new_file(file, table.schema) as writer:
                    writer.write_table(table)
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()

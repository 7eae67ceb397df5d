"""A mapped table is built once on a machine, whoever asks first, and read without a copy."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pytest

from resources.files.mapped import map_table


def build(log: Path, size: int) -> pa.Table:
    """A table; says in the log that it was built."""
    with log.open("a", encoding="utf-8") as file:
        file.write("built\n")
    return pa.table({"number": pa.array(range(size))})


def total(path: Path, make: Callable[[], pa.Table]) -> int:
    """The sum of a mapped table."""
    return sum(map_table(path, make)["number"].to_pylist())


def test_of_many_processes_one_builds(tmp_path: Path) -> None:
    path, log = tmp_path / "new" / "table.arrow", tmp_path / "log"
    with ProcessPoolExecutor(4, mp_context=get_context("forkserver")) as pool:
        totals = pool.map(total, [path] * 8, [partial(build, log, 1000)] * 8)
        assert [*totals] == [sum(range(1000))] * 8
    assert log.read_text("utf-8") == "built\n"


def test_a_table_is_mapped_not_copied(tmp_path: Path) -> None:
    make = partial(build, tmp_path / "log", 1_000_000)
    map_table(tmp_path / "table.arrow", make)
    before = pa.total_allocated_bytes()
    table = map_table(tmp_path / "table.arrow", make)
    assert pa.total_allocated_bytes() - before < 100_000
    assert table.equals(make())


def test_a_build_that_fails_leaves_no_table(tmp_path: Path) -> None:
    def fail() -> pa.Table:
        raise ValueError("no entries")

    with pytest.raises(ValueError, match="no entries"):
        map_table(tmp_path / "table.arrow", fail)
    assert map_table(tmp_path / "table.arrow", partial(build, tmp_path / "log", 3)).num_rows == 3

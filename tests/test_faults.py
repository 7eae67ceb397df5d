"""Whatever fails while the graph runs, its tables end as an undisturbed run's: a round of every kind of fault."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.__main__ import play
from tests.faults.kinds import KINDS, World

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path_factory.mktemp("world"), stack)


@pytest.mark.parametrize("kind", KINDS)
def test_the_tables_are_equal_after(kind: str, world: World, tmp_path: Path) -> None:
    result, _ = play(world, kind, "2026", tmp_path)
    if "no network namespace" in result.difference:
        pytest.skip(result.difference)
    assert not result.difference
    assert result.hits

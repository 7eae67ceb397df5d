"""Whatever dies while the graph runs, its tables end as an undisturbed run's; `make faults` has other faults too."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.__main__ import play
from tests.faults.kinds import World

pytestmark = pytest.mark.night


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path_factory.mktemp("world"), stack)


@pytest.mark.parametrize(
    "kind", ["worker killed", "driver killed", "driver and workers killed", "same partitions twice at once"]
)
def test_the_tables_are_equal_after(kind: str, world: World, tmp_path: Path) -> None:
    result, _ = play(world, kind, "2026", tmp_path)
    assert not result.difference
    assert result.hits

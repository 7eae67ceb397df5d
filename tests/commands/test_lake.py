"""What `metaclip lake` says of a store, and what it leaves there."""

import os
from pathlib import Path

import pytest

from commands.__main__ import main
from resources.files.object_store import connect


def test_a_store_that_keeps_the_first_object_passes_and_nothing_is_left(
    nothing_made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lake", "probe"]) == 0
    assert "refuses a second object of the same name" in capsys.readouterr().out
    assert list((nothing_made / "lake").iterdir()) == []


def test_a_store_that_takes_a_second_object_is_no_place_for_a_lake(
    nothing_made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    filesystem, _ = connect(str(nothing_made), {})

    def overwrite(path: str, content: bytes, mode: str) -> None:
        Path(path).write_bytes(content)

    monkeypatch.setattr(filesystem, "pipe_file", overwrite)
    assert main(["lake", "probe"]) == 1
    assert "takes a second object of the same name: no lake can be there" in capsys.readouterr().err
    assert list((nothing_made / "lake").iterdir()) == []


def test_tidying_names_what_went_and_leaves_what_is_younger(
    nothing_made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = nothing_made / "lake" / "pairs" / "SAMPLE-2026-01" / "data"
    folder.mkdir(parents=True)
    for name in ("old", "young"):
        (folder / name).write_bytes(b"orphan")
    os.utime(folder / "old", (0, 0))
    assert main(["lake", "tidy"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "pairs/SAMPLE-2026-01/data/old",
        f"1 files deleted, 6 bytes: {nothing_made / 'lake'}",
    ]
    assert [path.name for path in folder.iterdir()] == ["young"]


def test_dagsters_home_is_made_where_it_is_missing(nothing_made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lake", "home"]) == 0
    assert capsys.readouterr().out == f"{nothing_made / 'dagster_home'}\n"
    assert (nothing_made / "dagster_home" / "dagster.yaml").exists()

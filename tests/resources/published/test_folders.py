"""Laws of a published folder: it changes as a whole, whoever is killed, and its checksums say when it was touched."""

from pathlib import Path

import pytest

from resources.files.local import write_text
from resources.published.folders import CHECKSUMS, change_folder, check_folder


def publish(folder: Path, **texts: str) -> None:
    with change_folder(folder) as partial:
        for name, text in texts.items():
            write_text(partial / name, text)


def test_what_was_there_stays_beside_what_is_new(tmp_path: Path) -> None:
    publish(tmp_path / "a", one="1", two="2")
    publish(tmp_path / "a", two="3")
    assert {path.name: path.read_text() for path in (tmp_path / "a").iterdir() if path.name != CHECKSUMS} == {
        "one": "1",
        "two": "3",
    }
    check_folder(tmp_path / "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a.lock"]


def test_a_folder_to_which_nothing_has_changed_is_not_written_again(tmp_path: Path) -> None:
    publish(tmp_path / "a", one="1", two="2")
    before = [(path.name, path.stat().st_ino) for path in sorted((tmp_path / "a").iterdir())]
    publish(tmp_path / "a", one="1")
    assert [(path.name, path.stat().st_ino) for path in sorted((tmp_path / "a").iterdir())] == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a.lock"]


def test_who_fails_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    publish(tmp_path / "a", one="1")
    with pytest.raises(RuntimeError), change_folder(tmp_path / "a") as partial:  # noqa: PT012
        write_text(partial / "one", "2")
        raise RuntimeError
    assert (tmp_path / "a" / "one").read_text() == "1"
    check_folder(tmp_path / "a")


def test_who_was_killed_between_the_renames_is_made_good(tmp_path: Path) -> None:
    publish(tmp_path / "a", one="1")
    (tmp_path / "a").rename(tmp_path / "a.previous")
    publish(tmp_path / "a", two="2")
    assert (tmp_path / "a" / "one").read_text() == "1"
    check_folder(tmp_path / "a")


def test_a_file_that_was_changed_by_hand_is_not_vouched_for_unless_it_is_replaced(tmp_path: Path) -> None:
    publish(tmp_path / "a", one="1", two="2")
    (tmp_path / "a" / "one").write_text("mine")
    with pytest.raises(ValueError, match="one is not as SHA256SUMS has it"):
        publish(tmp_path / "a", two="3")
    assert (tmp_path / "a" / "two").read_text() == "2"
    publish(tmp_path / "a", one="1")
    check_folder(tmp_path / "a")


@pytest.mark.parametrize("change", ["write", "delete", "add", "none"])
def test_a_touched_folder_is_not_as_its_sums_have_it(tmp_path: Path, change: str) -> None:
    publish(tmp_path / "a", one="1")
    if change == "none":
        (tmp_path / "a" / CHECKSUMS).unlink()
    elif change == "delete":
        (tmp_path / "a" / "one").unlink()
    else:
        (tmp_path / "a" / ("one" if change == "write" else "new")).write_text("2")
    with pytest.raises((ValueError, FileNotFoundError), match=CHECKSUMS):
        check_folder(tmp_path / "a")

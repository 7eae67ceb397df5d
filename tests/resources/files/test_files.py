"""Files are there whole or not at all, and what a killed writer leaves spoils nothing."""

from pathlib import Path

import pytest

from resources.files.local import append_line, create, read_lines, write_text


def test_a_file_is_not_there_until_it_is_whole_and_a_failed_one_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with create(path) as file:
        file.write(b"one")
        assert not path.exists()
    assert path.read_bytes() == b"one"
    with pytest.raises(TypeError), create(path) as file:
        file.writelines([b"half of t", "he rest"])  # type: ignore[list-item]  # on purpose
    write_text(tmp_path / "text", "ä")
    assert (tmp_path / "text").read_bytes() == "ä".encode()
    assert sorted(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()) == [b"one", "ä".encode()]


def test_of_two_that_create_a_file_once_the_first_wins(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(FileExistsError), create(path, once=True) as late, create(path, once=True) as first:
        late.write(b"late") and first.write(b"first")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"first")]


@pytest.mark.parametrize("torn", ["", '{"n": 1', '{"n": "\u00e4', "\0\0\0", '{"n": 9}'])
def test_a_line_that_was_cut_short_spoils_no_other(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "lines"
    assert read_lines(path) == []
    append_line(path, {"n": 0})
    with path.open("ab") as file:
        file.write(f"\n{torn}".encode()[: -1 if "\u00e4" in torn else None])
    whole = [{"n": 0}] + [{"n": 9}] * (torn == '{"n": 9}')
    assert read_lines(path) == whole
    append_line(path, {"n": 1})
    assert read_lines(path) == [*whole, {"n": 1}]

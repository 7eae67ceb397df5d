"""What fingerprints say of sources: a lake is reused as long as these words stay."""

from pathlib import Path

import pytest

from resources.sources.resource import Sources

READ = ("open_pages", "open_titles")


def declare(folder: Path, piece_bytes: int) -> list[str]:
    dumps = Sources(nltk_data="", wikipedia=str(folder), piece_bytes=piece_bytes).dumps()
    declared = [piece.version for read in (dumps.pages, dumps.titles) for piece in read("en").values()]
    [file] = folder.iterdir()
    version = f"{file.name} {file.stat().st_size} {file.stat().st_mtime}"
    return [words.replace(version, "VERSION") for words in declared]


@pytest.mark.parametrize(("suffix", "of"), [("", ""), (".bz2", "streams ")])
def test_a_piece_is_declared_by_what_is_read_of_which_file_from_where_to_where(
    suffix: str, of: str, tmp_path: Path
) -> None:
    (tmp_path / f"enwiki-1-pages-articles.xml{suffix}").write_bytes(bytes(400))
    assert declare(tmp_path, 500) == [f"{what} VERSION 0 500" for what in READ]
    borders = (f"{of}0 200", f"{of}200 400")
    assert declare(tmp_path, 200) == [f"{what} VERSION {border}" for what in READ for border in borders]

"""Files of published counts are found by path or folder, and known by their bytes."""

from pathlib import Path

import pytest

from resources.sources.published_counts import find_counts


def test_a_folder_gives_its_files_of_that_name_and_bytes_are_the_version(tmp_path: Path) -> None:
    for name, content in (("entry_counts.en.json", "{}"), ("entry_counts.de.json.gz", "x"), ("datacard.json", "{}")):
        (tmp_path / name).write_text(content, encoding="utf-8")
    files = find_counts(str(tmp_path))
    assert [*files] == ["entry_counts.de.json.gz", "entry_counts.en.json"]
    with files["entry_counts.en.json"]() as file:
        assert file.read() == b"{}"
    [[name, card]] = find_counts(str(tmp_path), "datacard*.json*").items()
    assert name == "datacard.json"
    assert card.version == files["entry_counts.en.json"].version != files["entry_counts.de.json.gz"].version


def test_what_is_not_there_or_on_the_web_is_named_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"the folder has no entry_counts\*\.json\*; name a JSON or Parquet"):
        find_counts(str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"counts\.json: there is no such file of counts; name"):
        find_counts(str(tmp_path / "counts.json"))
    with pytest.raises(ValueError, match=r"h\.example/counts\.json: counts are not read from the web; download"):
        find_counts("https://h.example/counts.json")

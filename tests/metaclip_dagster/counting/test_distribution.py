"""A distribution is written as what others read."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from metaclip_dagster.counting import DISTRIBUTION, build_distribution, write_distribution
from tests.metaclip_dagster.tables import counts_of, entries_of

WORDS = ["e0", "e1", "e2"]


def test_metaclips_json_maps_each_entry_to_its_pairs_and_parquet_has_both(tmp_path: Path) -> None:
    table = build_distribution(entries_of(WORDS), counts_of([5, 0, 2**40]), np.array([3, 0, 20], np.uint64))
    assert [path.name for path in write_distribution(table, tmp_path)] == [
        "distribution.parquet",
        "entry_counts.json",
        "datacard.json",
    ]
    before, after = (json.loads((tmp_path / f"{name}.json").read_bytes()) for name in ("entry_counts", "datacard"))
    assert [*before.items()] == [("e0", 5), ("e1", 0), ("e2", 2**40)]
    assert after == {"e0": 3, "e1": 0, "e2": 20}
    read = pq.read_table(tmp_path / "distribution.parquet")
    assert read.schema.equals(DISTRIBUTION, check_metadata=True)
    assert read == table


def test_each_of_several_languages_has_files_of_its_own_and_bytes_are_the_same_again(tmp_path: Path) -> None:
    languages = ["en", "de", "de"]
    entries, counts = entries_of(["Gift", "Gift", "Wörter"], languages), counts_of([1, 2, 3], languages)
    counts = counts.set_column(1, "entry", entries["entry"])
    table = build_distribution(entries, counts, np.array([1, 1, 1], np.uint64))
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        write_distribution(table, folder)
    contents = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders]
    assert contents[0] == contents[1]
    assert json.loads(contents[0]["entry_counts.de.json"]) == {"Gift": 2, "Wörter": 3}
    assert json.loads(contents[0]["entry_counts.en.json"]) == {"Gift": 1}


def test_counts_of_other_entries_are_refused() -> None:
    with pytest.raises(ValueError, match="3 entries, 2 entry counts and 3 counts of a subset are not of the same"):
        build_distribution(entries_of(WORDS), counts_of([1, 2]), np.zeros(3, np.uint64))
    with pytest.raises(ValueError, match="are not of the same"):
        build_distribution(entries_of(["e0", "e2", "e1"]), counts_of([1, 2, 3]), np.zeros(3, np.uint64))

"""What the lake says of a distribution."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from commands.compare import write_comparison
from commands.export import export_counts
from resources.deployments import Deployment
from resources.lake.resource import open_lake


def test_metaclips_files_hold_what_entry_counts_and_the_subsets_say(curated: Deployment, tmp_path: Path) -> None:
    says = export_counts(curated, "20", tmp_path / "20")
    assert says.endswith(f"{tmp_path / '20'}")
    export_counts(curated, "inf", tmp_path / "inf")
    counts = open_lake(curated).read("entry_counts")
    before, after, of_pool = (
        json.loads((tmp_path / file).read_bytes())
        for file in ("20/entry_counts.json", "20/datacard.json", "inf/datacard.json")
    )
    assert before == dict(zip(counts["entry"].to_pylist(), counts["entry_count"].to_pylist(), strict=True))
    assert of_pool == before, "nothing is thinned at inf"
    assert all(after[entry] == num_pairs for entry, num_pairs in before.items() if num_pairs <= 20), "the tail is whole"
    assert sum(after.values()) < sum(before.values())


def test_a_pool_beside_its_own_counts_and_a_subset_beside_its_own_card_are_alike(
    curated: Deployment, tmp_path: Path
) -> None:
    where = replace(curated, home=tmp_path / "home")
    (where.home).mkdir()
    (where.home / "lake").symlink_to(curated.home / "lake")
    export_counts(where, "20", tmp_path / "own counts")
    for file, t, name in (
        ("distribution.parquet", None, "comparison_distribution"),
        ("distribution.parquet", "20", "comparison_distribution_t_20"),
        ("", "20", "comparison_own_counts_t_20"),
    ):
        says = write_comparison(where, str(tmp_path / "own counts" / file), t)
        assert "100.0 % of the matches lie alike" in says
        assert says.endswith(str(where.reports / f"{name}.html"))
        report = json.loads((where.reports / f"{name}.json").read_bytes())
        assert report["compared"] == ("D(20)" if t else "the pool")
        table = pq.read_table(where.reports / report["table"])
        assert table.num_rows == report["entries"] == open_lake(where).manifest("entries").rows
    other = write_comparison(where, str(tmp_path / "own counts" / "entry_counts.json"), "20")
    assert "100.0 %" not in other
    with pytest.raises(FileNotFoundError, match=r"no\.json: there is no such file of counts"):
        write_comparison(where, str(tmp_path / "no.json"))

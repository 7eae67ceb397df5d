"""A subset leaves the lake with the licences that its pages name, and can be cut to some of them."""

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from commands.export import export_subset
from resources.deployments import Deployment
from resources.lake.resource import Lake


def licenses_of(folder: Path) -> list[str | None]:
    return [name for file in sorted(folder.glob("*.parquet")) for name in pq.read_table(file)["license"].to_pylist()]


def test_a_subset_is_cut_to_the_licences_asked_for(curated: Deployment, lake: Lake, tmp_path: Path) -> None:
    export_subset(curated, "inf", tmp_path / "all")
    export_subset(curated, "inf", tmp_path / "open", licenses=["cc-by*", "MIT"])
    names = [name for name in licenses_of(tmp_path / "all") if name]
    assert len(licenses_of(tmp_path / "all")) == lake.manifest("subsets", "inf").rows > len(names)
    assert licenses_of(tmp_path / "open") == names == ["CC-BY-SA-4.0"] * len(names) != []
    with (tmp_path / "open" / "ATTRIBUTION.csv").open(encoding="utf-8", newline="") as file:
        assert {row["license"] for row in csv.DictReader(file)} == set(names)


def test_a_licence_that_no_pair_has_makes_no_folder(curated: Deployment, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no pair of D\(inf\) has a licence like GPL\*"):
        export_subset(curated, "inf", tmp_path / "none", licenses=["GPL*"])
    assert not (tmp_path / "none").exists()

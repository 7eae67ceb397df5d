"""Tidying takes what no manifest names, and nothing that a reader may follow."""

import shutil
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from definitions import bind
from resources.deployments import Deployment
from resources.lake.resource import Lake
from resources.lake.tables import PartitionManifest, TableStore
from tests.lakes import digests

SNAPSHOTS = ["SAMPLE-2026-01", "SAMPLE-2026-02"]


def test_tidying_deletes_orphans_of_any_age_asked_for_and_no_row_that_readers_see(
    curated: Deployment, tmp_path: Path
) -> None:
    shutil.copytree(curated.lake, tmp_path / "lake")
    lake = Lake(root=str(tmp_path / "lake"))
    before = digests(lake, SNAPSHOTS)
    orphan = tmp_path / "lake" / "pairs" / SNAPSHOTS[0] / "data" / "00000.killed.parquet"
    orphan.write_bytes(b"half a file")
    assert lake.tidy(older_than_hours=1.0) == []
    assert lake.tidy(older_than_hours=0.0) == [f"pairs/{SNAPSHOTS[0]}/data/{orphan.name}"]
    assert digests(lake, SNAPSHOTS) == before


def test_rows_by_many_values_cost_the_manifests_of_one(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    values = [0, 7, 10**6]
    one_by_one = [lake.where("entry_counts", "entry_id", value) for value in values]
    read, asked = TableStore.manifest, list[TableStore]()

    def count(store: TableStore) -> PartitionManifest | None:
        asked.append(store)
        return read(store)

    monkeypatch.setattr(TableStore, "manifest", count)
    at_once = lake.where_each("entry_counts", "entry_id", values)
    assert len(asked) == 1
    assert [rows.version for rows in at_once.values()] == [rows.version for rows in one_by_one]
    counts = pa.table(lake.read("entry_counts"))
    for value, rows in at_once.items():
        assert [row for batch in rows() for row in batch.to_pylist()] == counts.slice(value, 1).to_pylist()


def test_an_assets_value_is_the_dataset_of_its_table_and_of_one_without_a_table_it_is_said_where_it_is(
    curated: Deployment, lake: Lake
) -> None:
    definitions = bind(curated)
    subset = definitions.load_asset_value("subsets", partition_key="20")
    assert isinstance(subset, ds.Dataset)
    assert subset.to_table().equals(lake.dataset("subsets", ["20"]).to_table())
    entries = definitions.load_asset_value("entries")
    assert isinstance(entries, ds.Dataset)
    assert entries.count_rows() == lake.manifest("entries").rows
    with pytest.raises(FileNotFoundError, match=r"data_cards of 20 is not made yet.* are no tables but pages"):
        definitions.load_asset_value("data_cards", partition_key="20")


def test_what_an_asset_returns_is_refused_for_no_manifest_would_name_it(curated: Deployment) -> None:
    @dg.asset
    def numbers() -> list[int]:
        return [1]

    resources = bind(curated).resources
    assert resources is not None
    reader = resources["io_manager"]
    with pytest.raises(TypeError, match=r"numbers.*: write tables with compute.map_shards"):
        dg.materialize([numbers], resources={"io_manager": reader})

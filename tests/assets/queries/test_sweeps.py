"""What the sweep is told of pools: only what was recorded."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from assets.keys import Cell
from assets.partitions import cells
from assets.queries.provenance import record_pool
from assets.queries.sweeps import make_sweep
from metaclip_dagster.reporting.sweeps.pools import PoolVersion
from metaclip_dagster.schemas import CHECKPOINTS
from resources.lake.resource import Lake
from resources.lake.tables import PartitionManifest, ShardManifest
from resources.models.resource import Trainer
from tests.lakes import commit

NOW = PoolVersion(("01", "02"), "e" * 32, "v")
MODEL = Cell.of(str(cells.get_partition_keys()[0])).model


def train(lake: Lake, training_set: str, pool: PoolVersion | None, set_pool: PoolVersion | None = None) -> None:
    """A set and a cell trained on it, without a folder; None for a pool that was not recorded."""
    lake.store("training_sets", training_set).finish(
        PartitionManifest("training_sets", training_set, "s", 0, (), inputs=record_pool(set_pool))
    )
    row: dict[str, Any] = {"training_set": training_set, "model": MODEL, "seed": 0, "path": "gone", "set_version": "s"}
    row |= {"pairs_seen": 1, "budget": 1, "loss": 1.0, "sha256": "0", "recipe": "{}", "architecture": "tiny"}
    rows = pa.RecordBatch.from_pylist([row], CHECKPOINTS)
    commit(lake, "checkpoints", Cell(training_set, MODEL).key, rows, **record_pool(pool))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake whose counts say the pool of now."""
    lake = Lake(root=str(tmp_path / "lake"))
    counts = {"pool version": json.dumps({"snapshots": NOW.snapshots, "entries": NOW.entries, "entry_counts": ""})}
    shard = ShardManifest("00000", "", "", rows=0, bytes=0, digest="", cpu_seconds=5.0)
    lake.store("entry_counts").finish(PartitionManifest("entry_counts", "all", "v", 0, (shard,), inputs=counts))
    return lake


def sweep(lake: Lake) -> dict[str, Any]:
    return make_sweep(lake, Trainer(root=lake.root), baselines=[], notes={})


def test_a_cell_of_a_pool_that_was_not_recorded_is_not_of_the_pool_of_now(lake: Lake) -> None:
    train(lake, "20", NOW, NOW)
    train(lake, "100", None, NOW)  # its set tells
    train(lake, "inf", None, None)
    apart = {cell["training_set"]: cell["not_compared"] for cell in sweep(lake)["cells"]}
    assert apart["20"] == apart["100"] == "is trained but not scored"
    assert apart["inf"] == "is of another pool (a pool that was not recorded)"


def test_a_sweep_of_a_lake_from_before_pools_were_recorded_still_has_its_costs(lake: Lake) -> None:
    train(lake, "20", None)
    assert {stage["stage"]: stage["cpu_seconds"] for stage in sweep(lake)["costs"]}["entry_counts"] == 5

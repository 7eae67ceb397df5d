"""A sweep takes what no manifest names, and nothing that a reader may follow."""

import shutil
from pathlib import Path

from resources.deployments import Deployment
from resources.lake import Lake
from tests.lakes import digests

SNAPSHOTS = ["SAMPLE-2026-01", "SAMPLE-2026-02"]


def test_a_sweep_deletes_orphans_of_any_age_asked_for_and_no_row_that_readers_see(
    made: Deployment, tmp_path: Path
) -> None:
    shutil.copytree(made.lake, tmp_path / "lake")
    lake = Lake(root=str(tmp_path / "lake"))
    before = digests(lake, SNAPSHOTS)
    orphan = tmp_path / "lake" / "pairs" / SNAPSHOTS[0] / "data" / "00000.killed.parquet"
    orphan.write_bytes(b"half a file")
    assert lake.sweep(older_than_hours=1.0) == []
    assert lake.sweep(older_than_hours=0.0) == [f"pairs/{SNAPSHOTS[0]}/data/{orphan.name}"]
    assert digests(lake, SNAPSHOTS) == before

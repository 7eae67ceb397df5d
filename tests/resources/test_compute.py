"""What an asset's run tells of its shards."""

from pathlib import Path

import dagster as dg
import pytest

from resources.compute import LOG_LINES, Compute
from resources.engines import Shard
from resources.lake import Lake
from tests.resources import stages


def test_the_first_failures_are_told_whole_and_the_rest_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    num_failed = 4 * LOG_LINES
    compute = Compute(lake=Lake(root=str(tmp_path)), workers=1, max_failed_fraction=1.0)
    shards = [Shard(f"{k:05d}", {"start": k, "how": "raise" if k else ""}) for k in range(num_failed + 1)]
    context = dg.build_asset_context()
    made = compute.map_shards(context, stages.misbehave, shards, table="numbers", partition="all")
    assert len(made.failed) == num_failed
    told = capsys.readouterr().err
    assert told.count(" ERROR ") == told.count("in misbehave") == LOG_LINES
    assert f"1 done, {num_failed} failed of {num_failed + 1} shards" in told
    assert all("is broken; mend it" in error for error in made.failed.values())
    assert sum("\n" in error for error in made.failed.values()) == LOG_LINES

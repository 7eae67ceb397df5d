"""What a run's config chooses, and what an asset's run tells of its shards."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from definitions import bind
from resources.deployments import read_deployment
from resources.engines.resource import LOG_LINES, Compute, Local, RayCluster
from resources.engines.shards import Shard
from resources.lake.resource import Lake
from tests.resources import stages

CLUSTER = "10.0.0.1:6379"


def configured(ray: str, config: Mapping[str, Any]) -> Compute:
    """The resource as an asset gets it in a run with this config."""
    received: list[Compute] = []

    @dg.asset
    def table(compute: Compute) -> None:
        received.append(compute)

    where = replace(read_deployment({"METACLIP_RAY": ray}), workers=3, max_failed_fraction=0.5)
    resources = bind(where).resources or {}
    chosen = {name: resources[name] for name in ("lake", "compute")}
    dg.materialize([table], resources=chosen, run_config={"resources": {"compute": {"config": config}}})
    return received[0]


def test_the_engine_is_the_deployments_unless_a_run_chooses_another() -> None:
    assert configured("", {}).engine == Local()
    assert configured(CLUSTER, {}).engine == RayCluster(address=CLUSTER)
    assert configured(CLUSTER, {"engine": {"local": {}}}).engine == Local()
    chosen = RayCluster(address="auto", num_cpus=2.0, memory_gb=4.0, max_in_flight=7)
    assert configured("", {"engine": {"ray": chosen.model_dump(exclude={"kind"})}}).engine == chosen
    with pytest.raises(dg.DagsterInvalidConfigError, match="address"):
        configured(CLUSTER, {"engine": {"ray": {"max_in_flight": 7}}})


def test_the_first_failures_are_told_whole_and_the_rest_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    num_failed = 4 * LOG_LINES
    compute = Compute(lake=Lake(root=str(tmp_path)), workers=1, max_failed_fraction=1.0)
    shards = [Shard(f"{k:05d}", {"start": k, "how": "raise" if k else ""}) for k in range(num_failed + 1)]
    context = dg.build_asset_context()
    manifest = compute.map_shards(context, stages.misbehave, shards, table="numbers", partition="all")
    assert len(manifest.failed) == num_failed
    log = capsys.readouterr().err
    assert log.count(" ERROR ") == log.count("in misbehave") == LOG_LINES
    assert f"1 done, {num_failed} failed of {num_failed + 1} shards" in log
    assert all("is broken; mend it" in error for error in manifest.failed.values())
    assert sum("\n" in error for error in manifest.failed.values()) == LOG_LINES

"""Of a resource, a run's config sets what it names and leaves the rest as the deployment has it."""

from typing import Any

import dagster as dg
import pytest

from definitions import bind
from resources.deployments import read_deployment


@pytest.mark.parametrize(
    ("resource", "changed"),
    [
        ("compute", {"retries": 7}),
        ("common_crawl", {"connections": 2}),
        ("sources", {"piece_bytes": 1 << 20}),
        ("image_store", {"num_buckets": 3}),
        ("trainer", {"ranks": 8}),
        ("zero_shot", {"device": "cuda"}),
    ],
)
def test_config_of_one_field_leaves_the_others(resource: str, changed: dict[str, Any]) -> None:
    job = bind(read_deployment({"METACLIP_CONTACT": "you@example.org"})).resolve_implicit_global_asset_job_def()

    def told(config: dict[str, Any]) -> dict[str, Any]:
        resolved = dg.validate_run_config(job, {"resources": {resource: {"config": config}}} if config else {})
        return dict(resolved["resources"][resource]["config"])

    assert told(changed) == told({}) | changed != told({})

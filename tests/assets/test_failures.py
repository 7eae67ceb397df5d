"""A failed run is told of, to whom the deployment names, and without what is nobody else's business."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from assets.failures import build_sensor
from resources.deployments import Deployment, read_deployment
from tests.hosts import receiving

SECRET = "s3cr3t-of-a-url"


class Told(dg.Config):
    token: str = ""


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["20"]))
def subsets(config: Told) -> None:
    raise ValueError(f"https://user:{SECRET}@host.example does not answer")


@pytest.fixture(scope="module")
def context() -> Iterator[dg.RunFailureSensorContext]:
    with dg.DagsterInstance.ephemeral() as instance:
        job = dg.Definitions([subsets], jobs=[dg.define_asset_job("curate", [subsets])]).resolve_job_def("curate")
        config = {"ops": {"subsets": {"config": {"token": SECRET}}}}
        result = job.execute_in_process(run_config=config, partition_key="20", instance=instance, raise_on_error=False)
        [event] = [event for event in result.all_events if event.event_type_value == "PIPELINE_FAILURE"]
        yield dg.build_run_status_sensor_context(
            sensor_name="failed_runs", dagster_instance=instance, dagster_run=result.dagster_run, dagster_event=event
        ).for_run_failure()


def tell(context: dg.RunFailureSensorContext, **changed: str) -> Deployment:
    where = replace(read_deployment({}), **changed)  # type: ignore[arg-type]  # fields of text
    build_sensor(where)(context)
    return where


def test_a_webhook_hears_what_failed_where_to_look_and_no_secret(context: dg.RunFailureSensorContext) -> None:
    with receiving() as (url, posted):
        tell(context, failure_webhook=f"{url}/{SECRET}")
    [document] = posted
    notice = json.loads(document)
    assert SECRET.encode() not in document
    assert notice["text"].startswith("sample: subsets 20 failed (ValueError); http://127.0.0.1:3000/runs/")
    assert (notice["assets"], notice["partition"], notice["errors"]) == (["subsets"], "20", ["ValueError"])


def test_a_command_hears_the_same_on_its_standard_input(context: dg.RunFailureSensorContext, tmp_path: Path) -> None:
    tell(context, failure_command=f"tee '{tmp_path / 'told of.json'}'")
    assert json.loads((tmp_path / "told of.json").read_bytes())["partition"] == "20"


def test_a_webhook_that_fails_is_named_by_its_variable_and_never_by_its_address(
    context: dg.RunFailureSensorContext,
) -> None:
    with receiving(status=500) as (url, _), pytest.raises(Exception, match="WEBHOOK answers 500") as caught:
        tell(context, failure_webhook=f"{url}/{SECRET}")
    assert SECRET not in repr(caught.getrepr(style="short", showlocals=False))
    for address in (f"http://127.0.0.1:1/{SECRET}", f"file:///{SECRET}", f"http://h:{SECRET}/", f"http://h/{SECRET} x"):
        with pytest.raises(Exception, match="METACLIP_FAILURE_WEBHOOK") as caught:
            tell(context, failure_webhook=address)
        assert SECRET not in str(caught.value)
    with pytest.raises(Exception, match="METACLIP_FAILURE_COMMAND ended with 1"):
        tell(context, failure_command="false")
    with pytest.raises(Exception, match="METACLIP_FAILURE_COMMAND cannot be run: FileNotFoundError"):
        tell(context, failure_command="no-such-program --token x")


def test_a_webhook_that_fails_does_not_silence_the_command(context: dg.RunFailureSensorContext, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="METACLIP_FAILURE_WEBHOOK cannot be reached"):
        tell(context, failure_webhook="http://127.0.0.1:1/", failure_command=f"tee '{tmp_path / 'notice.json'}'")
    assert json.loads((tmp_path / "notice.json").read_bytes())["partition"] == "20"


def test_it_is_off_until_somebody_is_named() -> None:
    where = read_deployment({})
    asked = read_deployment({"METACLIP_FAILURE_COMMAND": "true"})
    assert [build_sensor(it).default_status.value for it in (where, asked)] == ["STOPPED", "RUNNING"]

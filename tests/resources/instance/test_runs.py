"""Runs whose process was killed are told apart from those that go on."""

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import EngineEventData

from resources.deployments import REPOSITORY, Deployment
from resources.instance.runs import CODE_LOCATION, end_lost_runs

ENDLESS = """
import sys, time
import dagster as dg

@dg.asset
def endless():
    print("under way", flush=True)
    time.sleep(600)

with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    dg.materialize([endless], instance=instance)
"""
CONFIG = REPOSITORY / "resources" / "instance" / "dagster.yaml"


@dg.job
def nothing() -> None:
    pass


@pytest.mark.parametrize("canceling", [False, True])
def test_a_run_is_lost_when_its_process_is_gone_and_not_before(tmp_path: Path, canceling: bool) -> None:
    (tmp_path / "dagster.yaml").write_bytes(CONFIG.read_bytes())
    command = [sys.executable, "-c", ENDLESS, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process, ExitStack() as stack:
        stack.callback(process.kill)
        assert process.stdout
        assert process.stdout.readline() == b"under way\n"
        with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
            [run] = instance.get_runs()
            if canceling:
                instance.report_run_canceling(run)
            end_lost_runs(instance)
            expected = dg.DagsterRunStatus.CANCELING if canceling else dg.DagsterRunStatus.STARTED
            assert [run.status for run in instance.get_runs()] == [expected]
            process.kill()
            process.wait()
            end_lost_runs(instance)
            [ended] = instance.get_runs()
            assert ended.status == (dg.DagsterRunStatus.CANCELED if canceling else dg.DagsterRunStatus.FAILURE)
            assert ended.tags.get("dagster/will_retry") == (None if canceling else "true")
            before = instance.get_run_stats(ended.run_id)
            end_lost_runs(instance)
            assert instance.get_run_stats(ended.run_id) == before


def test_a_run_that_names_no_process_yet_is_left_to_run_monitoring(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTING)
        end_lost_runs(instance)
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.STARTING]


def test_a_run_of_another_launcher_has_its_process_elsewhere_and_is_left_alone(tmp_path: Path) -> None:
    launcher = {"module": "dagster._core.launcher.sync_in_memory_run_launcher", "class": "SyncInMemoryRunLauncher"}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides={"run_launcher": launcher}) as instance:
        run = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED)
        elsewhere = EngineEventData(metadata={"pid": 2**22 + 1})  # above what Linux gives
        instance.report_engine_event("in a pod", run, elsewhere)
        end_lost_runs(instance)
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.STARTED]


def test_what_was_launched_at_a_dead_code_server_is_lost_though_it_names_no_process(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        tags = [{".dagster/grpc_info": json.dumps({"socket": socket})} for socket in ("/dead", "/alive")]
        dead, alive = (
            instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTING, tags=grpc_info).run_id
            for grpc_info in tags
        )
        end_lost_runs(instance, "/dead")
        statuses = {run.run_id: run.status for run in instance.get_runs()}
        assert statuses == {dead: dg.DagsterRunStatus.FAILURE, alive: dg.DagsterRunStatus.STARTING}


def test_a_run_without_a_code_server_is_of_the_code_location_for_the_timeline_shows_no_other(
    curated: Deployment,
) -> None:
    with dg.DagsterInstance.from_config(str(curated.dagster_home)) as instance:
        runs = instance.get_runs()
    assert {run.remote_job_origin.location_name if run.remote_job_origin else "" for run in runs} == {CODE_LOCATION}
    assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}

"""Find runs that no process executes any more, and end runs together with the code server that runs them."""

import contextlib
import json
import os
import time

import dagster as dg
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

CODE_LOCATION = "metaclip"
SECONDS_TO_CANCEL = 30.0
IN_PROGRESS = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def claim_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Say of a run that was executed without a code server which code location it is of.

    The UI's timeline leaves out runs of none, and so do sensors on runs.
    """
    if run := instance.get_run_by_id(run_id):
        location = GrpcServerCodeLocationOrigin(host="localhost", location_name=CODE_LOCATION)
        origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), run.job_name)
        instance.run_storage.replace_job_origin(run, origin)


def end_lost_runs(instance: dg.DagsterInstance, socket: str = "") -> None:
    """Report as failed each run whose process is gone, and as canceled where it was being canceled.

    Dagster leaves a run that had started as it is when its process goes together with the code server; it would hold
    its slot of the queue and of a pool for ever. One that has not named its process yet is left to run monitoring,
    unless it was launched at the code server of that socket, which is dead with all its processes. Runs that another
    launcher starts (in pods, say) have processes elsewhere, and run monitoring: none of them is touched.
    """
    if not isinstance(instance.run_launcher, dg.DefaultRunLauncher):
        return
    launched = {run.run_id for run in (_executed_at(instance, socket) if socket else [])}
    for run in _in_progress(instance):
        process = process_of(instance, run)
        if run.run_id in launched or (process and not _lives(process)):
            why = f"Its process, {process or 'not named yet'}, is gone: it ended with whatever had started it."
            if run.status == dg.DagsterRunStatus.CANCELING:
                instance.report_run_canceled(run, why)
            else:
                instance.report_run_failed(run, why)


def cancel_runs(instance: dg.DagsterInstance, socket: str) -> None:
    """Cancel what the code server at a socket executes, and wait until it has ended, 30 seconds at most."""
    with contextlib.suppress(dg.DagsterError):  # the code server is dead already: its runs are lost, not cancelled
        for run in _executed_at(instance, socket):
            instance.run_launcher.terminate(run.run_id)
    deadline = time.monotonic() + SECONDS_TO_CANCEL
    while _executed_at(instance, socket) and time.monotonic() < deadline:
        time.sleep(0.2)


def process_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> int | None:
    """The id of the process that executes a run, by the run's own events; None where it has named none yet."""
    entries = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    events = [entry.dagster_event.engine_event_data.metadata for entry in entries if entry.dagster_event]
    processes = [metadata["pid"].value for metadata in events if "pid" in metadata]
    return int(str(processes[-1])) if processes else None


def _executed_at(instance: dg.DagsterInstance, socket: str) -> list[dg.DagsterRun]:
    runs = [(run, json.loads(run.tags.get(".dagster/grpc_info", "{}"))) for run in _in_progress(instance)]
    return [run for run, server in runs if server.get("socket") == socket]


def _in_progress(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    return list(instance.get_runs(filters=dg.RunsFilter(statuses=IN_PROGRESS)))


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True

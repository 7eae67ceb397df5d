"""What the client says when servers are away, and how it reads what they answer."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest

from resources.instance.graphql import WebServer
from tests.hosts import receiving


@contextmanager
def answering(data: dict[str, Any]) -> Iterator[tuple[WebServer, list[bytes]]]:
    """A web server with one answer to all, and what it was asked."""
    with receiving(json.dumps(data).encode()) as (url, asked):
        yield WebServer(url), asked


def run(run_id: str, status: str, *steps: str, root: str = "") -> dict[str, Any]:
    tags = {"dagster/partition": "tiny|20"} | ({"dagster/root_run_id": root} if root else {})
    return {
        "runId": run_id,
        "status": status,
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
        "stepStats": [{"stepKey": step, "status": "FAILURE"} for step in steps],
    }


def backfill(status: str, *runs: dict[str, Any]) -> dict[str, Any]:
    counts = {"numPartitionsTargeted": 2, "numPartitionsMaterialized": 1}
    assets = [{"assetKey": {"path": ["scores"]}, **counts}, {"assetKey": {"path": ["sweep"]}, "materialized": True}]
    backfill = {"status": status, "error": None, "runs": list(runs)}
    return {"data": {"partitionBackfillOrError": {**backfill, "assetBackfillData": {"assetBackfillStatuses": assets}}}}


def test_where_no_server_listens_the_error_says_how_to_start_one() -> None:
    with socket.socket() as bound:  # and does not listen
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionError, match="start `metaclip ui`"):
            WebServer(f"http://127.0.0.1:{bound.getsockname()[1]}").check_daemon()


@pytest.mark.parametrize(("silent_for", "alive"), [(30, True), (600, False), (None, False)])
def test_a_daemon_whose_heart_did_not_beat_for_two_minutes_is_told(silent_for: float | None, alive: bool) -> None:
    beats = {"BACKFILL": silent_for, "QUEUED_RUN_COORDINATOR": 1.0}
    statuses = [
        {"daemonType": name, "lastHeartbeatTime": None if silent is None else time.time() - silent}
        for name, silent in beats.items()
    ]
    health = {"daemonHealth": {"allDaemonStatuses": statuses}}
    outcome = nullcontext() if alive else pytest.raises(ConnectionError, match="no Dagster daemon")
    with answering({"data": {"instance": health}}) as (web, _), outcome:
        web.check_daemon()


def test_the_loopback_is_not_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with answering({"data": {"version": "1"}}) as (web, _):
        assert web.ask("{ version }") == {"version": "1"}


def test_each_asset_of_a_backfill_has_partitions_of_its_own() -> None:
    with answering({"data": {"launchPartitionBackfill": {"backfillId": "abc"}}}) as (web, asked):
        assert web.launch({"scores": ["tiny|20", "tiny|inf"], "sweep": None}, "a sweep") == "abc"
    ranges = [{"start": key, "end": key} for key in ("tiny|20", "tiny|inf")]
    assert json.loads(asked[0])["variables"]["backfill"]["partitionsByAssets"] == [
        {"assetKey": {"path": ["scores"]}, "partitions": {"ranges": ranges}},
        {"assetKey": {"path": ["sweep"]}},
    ]


def test_a_refused_backfill_is_told_in_the_servers_words() -> None:
    refused = {"data": {"launchPartitionBackfill": {"__typename": "PythonError", "message": "no such partition"}}}
    with answering(refused) as (web, _), pytest.raises(RuntimeError, match="no such partition"):
        web.launch({"scores": ["tiny|7"]}, "a sweep")
    with answering({"errors": [{"message": "no such field"}]}) as (web, _), pytest.raises(RuntimeError, match="field"):
        web.ask("{ nothing }")


def test_a_run_that_was_retried_counts_by_its_last_attempt() -> None:
    first, other = run("one", "FAILURE"), run("two", "FAILURE", "scores")
    with answering(backfill("COMPLETED_FAILED", run("again", "SUCCESS", root="one"), other, first)) as (web, _):
        progress = web.progress("abc")
    assert progress.failures == {"scores of tiny|20": "two"}
    assert (progress.targeted, progress.unmade, progress.ended, progress.succeeded) == (3, {"scores": 1}, True, False)


def test_a_failed_check_fails_a_backfill_that_made_everything() -> None:
    with answering(backfill("COMPLETED_SUCCESS", run("one", "FAILURE", "checkpoints"))) as (web, _):
        assert not web.progress("abc").succeeded

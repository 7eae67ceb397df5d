"""Ask a running Dagster web server over GraphQL to launch a backfill, and follow it to its end."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TIMEOUT_SECONDS = 60
ENDED = {"COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "CANCELED", "FAILED"}
NEEDED_DAEMONS = ("BACKFILL", "QUEUED_RUN_COORDINATOR")
LONGEST_SILENCE_SECONDS = 120
"""Of a daemon, whose heart beats every 30; Dagster itself calls it healthy for half an hour."""

DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { daemonType lastHeartbeatTime } } } }"
KEYS = """query($asset: AssetKeyInput!) { assetNodeOrError(assetKey: $asset) { ... on AssetNode { partitionKeys
  assetPartitionStatuses { ... on DefaultPartitionStatuses { materializedPartitions } } } } }"""
LAUNCH = """mutation($backfill: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $backfill) { __typename
  ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
FOLLOW = """query($id: String!) { partitionBackfillOrError(backfillId: $id) { __typename
  ... on PythonError { message }
  ... on PartitionBackfill { status error { message }
    runs { runId status tags { key value } stepStats { stepKey status } }
    assetBackfillData { assetBackfillStatuses {
      ... on AssetPartitionsStatusCounts { assetKey { path } numPartitionsTargeted numPartitionsMaterialized }
      ... on UnpartitionedAssetStatus { assetKey { path } materialized } } } } } }"""


@dataclass(frozen=True)
class Progress:
    """How far a backfill is, in partitions of its assets."""

    status: str
    targeted: int
    unmade: dict[str, int]
    """Partitions of each asset that are still to come or, in the end, failed or lie below a failure."""
    failures: dict[str, str]
    """What failed, as `asset of partition`, with the id of its run."""
    error: str = ""
    """Why the backfill itself broke off."""

    @property
    def ended(self) -> bool:
        """Nothing more will be run."""
        return self.status in ENDED

    @property
    def succeeded(self) -> bool:
        """All was made, and no run failed: one whose check failed has made its asset all the same."""
        return self.status in ("COMPLETED", "COMPLETED_SUCCESS") and not self.failures


@dataclass(frozen=True)
class WebServer:
    """A Dagster web server by its address, `http://host:port`. Every call raises ConnectionError where none answers."""

    url: str

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data that answers a query or mutation; raises RuntimeError with the server's own words."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"content-type": "application/json"})  # noqa: S310  # http
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy reaches the loopback
        try:
            with direct.open(request, timeout=TIMEOUT_SECONDS) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            message = error.read().decode(errors="replace")[:2000]
            raise RuntimeError(f"{self.url} refused the query: {error}: {message}") from None
        except (OSError, json.JSONDecodeError) as error:
            raise ConnectionError(
                f"no Dagster web server answers at {self.url} ({error}); start `metaclip ui`"
            ) from None
        if answer.get("errors"):
            raise RuntimeError("; ".join(str(error.get("message")) for error in answer["errors"]))
        return dict(answer["data"])

    def check_daemon(self) -> None:
        """Raise ConnectionError unless the daemon that runs backfills gave a sign of life in the last two minutes."""
        statuses = self.ask(DAEMONS)["instance"]["daemonHealth"]["allDaemonStatuses"]
        since = time.time() - LONGEST_SILENCE_SECONDS
        alive = {status["daemonType"] for status in statuses if (status["lastHeartbeatTime"] or 0) > since}
        if not alive.issuperset(NEEDED_DAEMONS):
            raise ConnectionError(f"{self.url} answers, but no Dagster daemon is alive; start `metaclip ui`")

    def partitions(self, asset: str) -> tuple[list[str], list[str]]:
        """The keys that an asset's partitions may have, and those of them that were made at some time."""
        node = self.ask(KEYS, asset={"path": [asset]})["assetNodeOrError"]
        if "partitionKeys" not in node:
            raise RuntimeError(f"{self.url} knows no asset {asset}; is its code location loaded?")
        materialized = set((node["assetPartitionStatuses"] or {}).get("materializedPartitions") or [])
        return node["partitionKeys"], [key for key in node["partitionKeys"] if key in materialized]

    def launch(self, targets: Mapping[str, Sequence[str] | None], title: str) -> str:
        """Start a backfill of these partitions of each asset, and give its id; None stands for the whole asset."""
        # Each asset with partitions of its own: one list of names for all would silently leave out whatever lies
        # behind an unpartitioned asset.
        chosen = [{"assetKey": {"path": [name]}, **_partitions(keys)} for name, keys in targets.items()]
        backfill = {"partitionsByAssets": chosen, "title": title}
        launched = self.ask(LAUNCH, backfill=backfill)["launchPartitionBackfill"]
        if "backfillId" not in launched:
            raise RuntimeError(f"no backfill was launched: {launched.get('message') or launched['__typename']}")
        return str(launched["backfillId"])

    def progress(self, backfill: str) -> Progress:
        """How far a backfill is."""
        answer = self.ask(FOLLOW, id=backfill)["partitionBackfillOrError"]
        if "status" not in answer:
            raise RuntimeError(f"backfill {backfill}: {answer.get('message') or answer['__typename']}")
        assets = (answer["assetBackfillData"] or {}).get("assetBackfillStatuses") or []
        targeted = {asset["assetKey"]["path"][0]: asset.get("numPartitionsTargeted", 1) for asset in assets}
        materialized = [asset.get("numPartitionsMaterialized", asset.get("materialized", 0)) for asset in assets]
        unmade = {name: count - done for (name, count), done in zip(targeted.items(), materialized, strict=True)}
        return Progress(
            status=answer["status"],
            targeted=sum(targeted.values()),
            unmade={name: count for name, count in unmade.items() if count},
            failures=_failures(answer["runs"]),
            error=(answer["error"] or {}).get("message", ""),
        )


def _partitions(keys: Sequence[str] | None) -> dict[str, Any]:
    return {} if keys is None else {"partitions": {"ranges": [{"start": key, "end": key} for key in keys]}}


def _failures(runs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What stayed failed: a run that was retried counts by its last attempt, and runs come the newest first."""
    last: dict[str, Mapping[str, Any]] = {}
    for run in runs:
        tags = {tag["key"]: tag["value"] for tag in run["tags"]}
        last.setdefault(tags.get("dagster/root_run_id", run["runId"]), {**run, "tags": tags})
    failed = {}
    for run in last.values():
        if run["status"] in ("FAILURE", "CANCELED"):
            partition = run["tags"].get("dagster/partition")
            steps = [stats["stepKey"] for stats in run["stepStats"] if stats["status"] == "FAILURE"]
            name = ", ".join(steps) or f"run {run['runId']} ({run['status'].lower()})"
            failed[f"{name} of {partition}" if partition else name] = run["runId"]
    return failed

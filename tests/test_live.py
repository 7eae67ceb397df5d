"""What only a live daemon and web server do: backfills, refreshes and the queue of the GPU, on the mini sample."""

import json
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest

from assets.keys import THRESHOLDS
from commands import demo
from commands.sweep import REPORTS
from resources.crawl.mini import mini_deployment
from resources.deployments import Deployment
from resources.lake.resource import Lake
from tests.browser import Browser, open_browser
from tests.graphs import SNAPSHOTS
from tests.lakes import digests
from tests.live import Live, live_deployment

pytestmark = pytest.mark.night  # 80 s of CPU: each of its runs is a process that imports Dagster and the graph

WAITING = "SAMPLE-2026-03"
SENSORS = ("new_snapshots", "curation")
Partition = tuple[str, str | None]

MADE_ONCE_A_CHANGE: dict[Partition, int] = {
    **{(name, WAITING): 1 for name in ("pairs", "robots_txt", "matches", "opt_out_signals")},
    **{("exclusions", None): 1, ("entry_counts", None): 1},
    **{("admissions", key): 1 for key in [*SNAPSHOTS, WAITING]},
    **{("subsets", t): 1 for t in THRESHOLDS},
    **{("data_cards", t): 1 for t in THRESHOLDS},
    ("what_if", None): 1,
}


class EventLog:
    """What was made since this was last asked, from the deployment's own event log."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.seen: dict[str, int] = {}
        self.news()

    def news(self) -> Counter[Partition]:
        """How often each partition of each asset was made since the last call."""
        counts: Counter[Partition] = Counter()
        for key in self.instance.all_asset_keys():
            name = key.to_user_string()
            records = self.instance.fetch_materializations(key, limit=1000).records
            counts.update((name, r.partition_key) for r in records if r.storage_id > self.seen.get(name, 0))
            self.seen[name] = max((r.storage_id for r in records), default=0)
        return counts

    def runs_of(self, asset: str) -> list[dg.RunRecord]:
        """Runs that were launched for an asset by the daemon, in order of their start."""
        records = self.instance.get_run_records()
        chosen = [r for r in records if r.start_time and dg.AssetKey(asset) in (r.dagster_run.asset_selection or ())]
        return sorted(chosen, key=lambda record: record.start_time or 0)

    @property
    def is_quiet(self) -> bool:
        """No run is queued or goes on."""
        unfinished = [
            dg.DagsterRunStatus.QUEUED,
            dg.DagsterRunStatus.NOT_STARTED,
            dg.DagsterRunStatus.STARTING,
            dg.DagsterRunStatus.STARTED,
        ]
        return not self.instance.get_run_records(dg.RunsFilter(statuses=unfinished), limit=1)


@pytest.fixture(scope="module")
def live(mini: Path, imaged: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The mini sample, curated, with its training sets, and served; its crawl lists two snapshots."""
    with live_deployment(mini, tmp_path_factory.mktemp("live"), imaged) as served:
        list_snapshots(served, SNAPSHOTS)
        yield served


@pytest.fixture
def log(live: Live) -> Iterator[EventLog]:
    with dg.DagsterInstance.from_config(str(live.where.dagster_home)) as instance:
        yield EventLog(instance)


def list_snapshots(live: Live, keys: list[str]) -> None:
    listing = Path(live.where.crawl, "collinfo.json")
    partial = listing.with_suffix(".partial")
    partial.write_text(json.dumps([{"id": key} for key in sorted(keys, reverse=True)]), encoding="utf-8")
    partial.replace(listing)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


def repository(live: Live) -> dict[str, Any]:
    """The graph as the web server has it, with the selector that its parts are asked for by."""
    answer = live.web.ask(
        "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } sensors { name } } } } }"
    )
    [node] = answer["repositoriesOrError"]["nodes"]
    place = {"repositoryName": node["name"], "repositoryLocationName": node["location"]["name"]}
    return {"place": place, "sensors": [sensor["name"] for sensor in node["sensors"]]}


def train_long(live: Live) -> str:
    """Start a training of many minutes, alone, and wait until it trains; gives its run."""
    before = {path: path.stat().st_size for path in live.where.checkpoints.rglob("metrics.jsonl")}
    chosen = {
        "selector": {
            **repository(live)["place"],
            "jobName": "__ASSET_JOB",
            "assetSelection": [{"path": ["checkpoints"]}],
        },
        "runConfigData": {"ops": {"checkpoints": {"config": {"pairs_to_see": 20 * 32 * 10_000}}}},
        "executionMetadata": {
            "tags": [
                {"key": "dagster/partition", "value": "tiny|20"},
                {"key": "dagster/partition/model", "value": "tiny"},
                {"key": "dagster/partition/training_set", "value": "20"},
            ]
        },
    }
    launched = live.web.ask(
        """mutation($chosen: ExecutionParams!) { launchRun(executionParams: $chosen)
        { __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message } } }""",
        chosen=chosen,
    )["launchRun"]
    assert "run" in launched, launched

    def trains() -> bool:
        return any(
            path.stat().st_size > before.get(path, 0) for path in live.where.checkpoints.rglob("metrics.jsonl")
        ) and bool(live.processes("resources.models.rank"))

    live.until(trains, f"training by {launched}", 120)
    return str(launched["run"]["runId"])


def sensors(live: Live) -> dict[str, dict[str, str]]:
    """The selector of every sensor, by name."""
    known = repository(live)
    return {name: {**known["place"], "sensorName": name} for name in known["sensors"]}


def switch_on(live: Live, sensor: str) -> None:
    answer = live.web.ask(
        """mutation($sensor: SensorSelector!) { startSensor(sensorSelector: $sensor)
        { __typename ... on Sensor { sensorState { status } } } }""",
        sensor=sensors(live)[sensor],
    )
    assert answer["startSensor"].get("sensorState") == {"status": "RUNNING"}, answer


def ticks(live: Live, sensor: str) -> int:
    """How often a sensor was evaluated."""
    answer = live.web.ask(
        """query($sensor: SensorSelector!) { sensorOrError(sensorSelector: $sensor)
        { ... on Sensor { sensorState { ticks(limit: 1000) { status } } } } }""",
        sensor=sensors(live)[sensor],
    )
    return sum(tick["status"] in ("SUCCESS", "SKIPPED") for tick in answer["sensorOrError"]["sensorState"]["ticks"])


def report(live: Live) -> dict[str, Any]:
    sweep: dict[str, Any] = json.loads((live.where.reports / "sweep.json").read_text(encoding="utf-8"))
    return sweep


def test_an_empty_home_is_served(mini: Path, tmp_path: Path) -> None:
    with live_deployment(mini, tmp_path) as empty:
        assert empty.web.partitions("pairs") == ([], [])
        port = int(empty.web.url.rpartition(":")[2])
        listening = [
            connection.laddr
            for connection in psutil.net_connections("tcp")
            if connection.laddr and connection.status == "LISTEN"
        ]
        assert {address.ip for address in listening if address.port == port} == {"127.0.0.1"}, "it has no login"
    assert "Traceback" not in empty.tail()


def test_a_failed_rung_loses_no_other_and_is_rerun_alone(live: Live, log: EventLog) -> None:
    obstacle = live.where.checkpoints / "20"  # a file where the folder of this rung's trainings should be
    obstacle.parent.mkdir(exist_ok=True)
    obstacle.touch()
    reports: list[Partition] = [(name, None) for name in REPORTS]
    broken = live.run("sweep", "--t", "20", "--t", "inf", "--model", "tiny")
    assert broken.returncode == 1, broken.stdout + broken.stderr + live.tail()
    assert "failed: checkpoints of tiny|20" in broken.stderr
    wanted: list[Partition] = [("checkpoints", "tiny|inf"), ("scores", "tiny|inf"), *reports]
    wanted += [(name, t) for name in ("image_texts", "images") for t in THRESHOLDS]
    wanted += [("training_sets", t) for t in ("20", "inf")]
    assert log.news() == dict.fromkeys(wanted, 1)
    assert [cell["training_set"] for cell in report(live)["cells"]] == ["inf"]
    runs = [(r.start_time or 0.0, r.end_time or 0.0) for r in log.runs_of("checkpoints")]
    assert len(runs) == 2
    assert all(ended <= started for (_, ended), (started, _) in pairwise(runs))

    obstacle.unlink()
    mended = live.run("sweep", "--t", "20", "--model", "tiny")
    assert mended.returncode == 0, mended.stdout + mended.stderr + live.tail()
    alone: list[Partition] = [("image_texts", "20"), ("images", "20"), ("training_sets", "20")]
    alone += [("checkpoints", "tiny|20")]
    assert log.news() == dict.fromkeys([*alone, ("scores", "tiny|20"), *reports], 1)
    assert {cell["training_set"] for cell in report(live)["cells"]} == {"20", "inf"}


def test_backfills_and_the_grid_of_a_sweep_render_without_console_errors(
    live: Live, log: EventLog, browser: Browser
) -> None:
    backfills = log.instance.get_backfills()
    assert backfills
    for path, says in {
        **{f"runs/b/{backfill.backfill_id}": "Partitions targeted" for backfill in backfills},
        "assets/checkpoints?view=partitions&partition=tiny|20": "pairs_seen",
        "asset-groups": "curation",
    }.items():
        browser.open(f"{live.web.url}/{path}")
        browser.says(says)
        browser.settle()
        assert browser.console == [], path


def test_a_training_that_is_cancelled_ends_within_seconds_with_all_its_processes(live: Live, log: EventLog) -> None:
    run = train_long(live)
    answer = live.web.ask(
        """mutation($run: String!) { terminateRun(runId: $run, terminatePolicy: SAFE_TERMINATE)
        { __typename ... on TerminateRunSuccess { run { runId } } } }""",
        run=run,
    )
    assert answer["terminateRun"]["__typename"] == "TerminateRunSuccess", answer

    def is_over() -> bool:
        record = log.instance.get_run_by_id(run)
        return record is not None and record.is_finished and not live.processes("resources.models.rank")

    live.until(is_over, "end of the training", 15)
    ended = log.instance.get_run_by_id(run)
    assert ended is not None
    assert ended.status == dg.DagsterRunStatus.CANCELED
    assert log.news() == {}


def test_one_snapshot_is_rerun_all_the_way_downstream_and_no_other(live: Live, log: EventLog) -> None:
    rerun = live.run("rerun", SNAPSHOTS[0])
    assert rerun.returncode == 0, rerun.stdout + rerun.stderr + live.tail()
    expected = {key: 1 for key in MADE_ONCE_A_CHANGE if key[1] != WAITING}
    of_snapshot: dict[Partition, int] = {
        (name, SNAPSHOTS[0]): 1 for name in ("pairs", "robots_txt", "matches", "opt_out_signals")
    }
    assert log.news() == {**of_snapshot, **expected}


def test_what_cannot_be_launched_is_said(live: Live) -> None:
    unknown = live.run("rerun", WAITING)
    assert unknown.returncode == 1
    assert f"`metaclip register {WAITING}`" in unknown.stderr
    assert live.run("register", WAITING).returncode == 1  # the crawl does not list it yet


def test_a_snapshot_that_appears_refreshes_everything_once(
    live: Live, log: EventLog, curated: Deployment, mini: Path, tmp_path: Path
) -> None:
    for sensor in SENSORS:
        switch_on(live, sensor)
    live.until(lambda: all(ticks(live, sensor) > 0 for sensor in SENSORS), "baseline", 120)
    assert set(log.instance.get_dynamic_partitions("snapshot")) == set(SNAPSHOTS)
    list_snapshots(live, [*SNAPSHOTS, WAITING])
    news: Counter[Partition] = Counter()

    def all_made() -> bool:
        news.update(log.news())
        return news.keys() >= MADE_ONCE_A_CHANGE.keys() and log.is_quiet

    live.until(all_made, "refresh", 480)
    seen = ticks(live, "curation")
    live.until(lambda: ticks(live, "curation") >= seen + 3 and log.is_quiet, "three more ticks", 120)
    assert news + log.news() == MADE_ONCE_A_CHANGE
    shutil.copytree(curated.home, tmp_path / "alone")
    alone = mini_deployment(mini, tmp_path / "alone")
    demo.curate(alone, num_snapshots=3)
    keys = [*SNAPSHOTS, WAITING]
    assert digests(Lake(root=live.where.lake), keys) == digests(Lake(root=alone.lake), keys)


def test_ctrl_c_cancels_a_training_and_leaves_nothing_behind(live: Live, log: EventLog) -> None:
    run = train_long(live)
    live.end(signal.SIGINT)
    ended = log.instance.get_run_by_id(run)
    assert ended is not None
    assert ended.status == dg.DagsterRunStatus.CANCELED

"""The laws of the seam hold on a cluster of two nodes, whatever dies."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from assets.keys import THRESHOLDS, TRAINING_SETS
from resources.crawl.mini import mini_deployment
from resources.deferred import defer
from resources.deployments import Deployment
from resources.engines.driver import InlineEngine, drive
from resources.engines.shards import Shard, StageCall
from resources.lake.resource import Lake
from resources.lake.shard_files import read_table
from resources.lake.tables import TableStore
from tests.graphs import SNAPSHOTS, copy_home
from tests.lakes import digests
from tests.ray_cluster import ADDRESS, Cluster, Drive, cluster_of_two
from tests.resources import stages
from tests.resources.engines.test_engines import call_of, data_files, numbers, shards_of

pytestmark = pytest.mark.night
CORES = 2


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    try:
        with cluster_of_two() as nodes:
            yield nodes
    except PermissionError as error:
        pytest.skip(str(error))


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return TableStore(str(tmp_path / "lake"), "numbers", "all")


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


def slow_shards(num_shards: int, notes: Path, seconds: float = 0.5) -> list[Shard]:
    return shards_of(num_shards, folder=str(notes), seconds=seconds)


def expected(num_shards: int) -> list[int]:
    return [1000 * k + i for k in range(num_shards) for i in range(100)]


def run(cluster: Cluster, call: StageCall, shards: list[Shard], **more: Any) -> list[Any]:
    driver, reports = cluster.drive(Drive(call, shards, **more))
    received = list(reports)
    assert driver.wait() == 0
    return received


def test_the_cluster_gives_what_a_loop_gives_and_a_second_run_reuses_it(cluster: Cluster, store: TableStore) -> None:
    call = call_of(stages.count_up, store)
    reports = run(cluster, call, shards_of(6))
    assert {report.status for report in reports} == {"done"}
    assert numbers(reports, store) == expected(6)
    assert all(r.manifest.dropped == {"odd": 1} and r.manifest.seen == {"numbers": 100} for r in reports)
    again = list(drive(InlineEngine(), call, shards_of(6)))
    assert {report.status for report in again} == {"reused"}
    assert len(data_files(store)) == 6


def test_failures_are_told_as_on_one_machine_and_cost_no_other_shard_an_attempt(
    cluster: Cluster, store: TableStore
) -> None:
    how = {"00001": "die", "00003": "raise", "00004": "pass", "00006": "hang"}
    shards = [Shard(s.key, {**s.inputs, "how": how.get(s.key, "")}) for s in shards_of(8)]
    received = run(cluster, call_of(stages.misbehave, store), shards, retries=1, options={"shard_timeout": 5.0})
    reports = {report.key: report for report in received}
    assert {key for key, report in reports.items() if report.status == "failed"} == set(how)
    assert "the worker was lost" in reports["00001"].error
    assert "shard from 3000 is broken; mend it" in reports["00003"].error
    assert "the worker was lost" in reports["00006"].error
    attempts = {"00001": 2, "00003": 1, "00004": 2, "00006": 2}
    assert {key: report.attempts for key, report in reports.items()} == {s.key: 1 for s in shards} | attempts


def test_state_is_built_once_a_worker_which_imports_no_dagster(
    cluster: Cluster, store: TableStore, tmp_path: Path
) -> None:
    mark = tmp_path / "built"
    call = call_of(stages.use_state, store, setup={"state": defer(stages.build_state, str(mark))})
    read = numbers(run(cluster, call, shards_of(12)), store)
    assert all(builder == runner for builder, runner in zip(read[::2], read[1::2], strict=True))
    built = mark.read_text().split()
    assert len(built) == len(set(built)) < 12
    modules_store = TableStore(str(tmp_path / "lake"), "modules", "all")
    [report] = run(cluster, call_of(stages.list_modules, modules_store), shards_of(1))
    modules = set(read_table([modules_store.path(report.manifest)], {})["module"].to_pylist())
    assert "resources.engines.shards" in modules
    assert not {name for name in modules if name.split(".")[0] in {"dagster", "torch", "nltk"}}


def test_a_cancelled_run_begins_nothing_more(cluster: Cluster, store: TableStore, notes: Path) -> None:
    call, shards = call_of(stages.take_note, store), slow_shards(60, notes)
    driver, reports = cluster.drive(Drive(call, shards, stop_after=3, linger=600.0))
    received = [next(reports) for _ in range(3)]
    before, begun = 0, 3
    while before < begun:  # the driver lives on, as a Dagster run does
        time.sleep(4.0)
        before, begun = begun, len(list(notes.iterdir()))
    assert begun < 60
    driver.terminate()
    received += reports
    assert driver.wait() == -signal.SIGTERM  # the handler is not Ray's, which would keep a Dagster run from its cancel
    again = run(cluster, call, shards)
    assert {r.status for r in again if r.key in {done.key for done in received}} == {"reused"}
    assert numbers(again, store) == expected(60)


def test_a_killed_worker_costs_its_shard_one_attempt_and_no_other(
    cluster: Cluster, store: TableStore, tmp_path: Path
) -> None:
    flags = {"00005": str(tmp_path / "flag")}
    shards = [Shard(s.key, {**s.inputs, "flag": flags.get(s.key, "")}) for s in shards_of(12)]
    reports = run(cluster, call_of(stages.die_once, store), shards)
    assert {report.key: report.attempts for report in reports if report.attempts > 1} == {"00005": 2}
    assert numbers(reports, store) == expected(12)


def test_a_killed_node_costs_what_it_had_in_flight(cluster: Cluster, store: TableStore, notes: Path) -> None:
    driver, reports = cluster.drive(Drive(call_of(stages.take_note, store), slow_shards(24, notes)))
    received = [next(reports) for _ in range(6)]
    cluster.raylet().kill()
    received += reports
    assert driver.wait() == 0
    cluster.add_second()
    assert numbers(received, store) == expected(24)
    assert len(list(notes.iterdir())) <= 24 + 1


def test_a_killed_driver_leaves_no_worker_and_costs_what_was_in_flight(
    cluster: Cluster, store: TableStore, notes: Path
) -> None:
    call, shards = call_of(stages.take_note, store), slow_shards(24, notes)
    driver, reports = cluster.drive(Drive(call, shards))
    received = [next(reports) for _ in range(6)]
    runners = {psutil.Process(int(path.name.split(".")[1])) for path in notes.iterdir()}
    driver.kill()
    received += reports
    _, alive = psutil.wait_procs(runners, timeout=30)
    assert not alive
    again = run(cluster, call, shards)
    assert {r.status for r in again if r.key in {done.key for done in received}} == {"reused"}
    assert numbers(again, store) == expected(24)
    assert len(list(notes.iterdir())) <= 24 + CORES


def test_the_graph_on_the_cluster_gives_the_tables_of_one_machine(
    cluster: Cluster, mini: Path, curated: Deployment, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    command = ["env", f"METACLIP_RAY={ADDRESS}", sys.executable, "-m", "tests.mini", str(mini), str(home)]
    driver = cluster.popen(*command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, errors = driver.communicate()
    assert driver.returncode == 0, errors[-3000:]
    on_cluster = Lake(root=mini_deployment(mini, home).lake)
    assert digests(on_cluster, SNAPSHOTS) == digests(Lake(root=curated.lake), SNAPSHOTS)


def test_images_are_fetched_on_the_cluster_into_the_same_store(
    cluster: Cluster, mini: Path, curated: Deployment, imaged: Deployment, tmp_path: Path
) -> None:
    home = copy_home(curated, tmp_path / "home").home
    code = (
        "import os, sys; from pathlib import Path; from resources.crawl.mini import mini_deployment; "
        "from tests.mini import make_training_sets; "
        "make_training_sets(mini_deployment(Path(sys.argv[1]), Path(sys.argv[2]), os.environ))"
    )
    command = ["env", f"METACLIP_RAY={ADDRESS}", sys.executable, "-c", code, str(mini), str(home)]
    driver = cluster.popen(*command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, errors = driver.communicate()
    assert driver.returncode == 0, errors[-3000:]
    on_cluster = Lake(root=mini_deployment(mini, home).lake)
    for table, keys in (("images", THRESHOLDS), ("training_sets", TRAINING_SETS)):
        assert on_cluster.read(table, keys).equals(Lake(root=imaged.lake).read(table, keys))

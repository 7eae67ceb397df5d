"""Whatever dies, the budget is spent exactly and nothing is left running: laws of training processes."""

import contextlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest

from metaclip_dagster.training import TrainingPlan
from resources.files.local import write_text
from resources.models.rank import FAILURE, OUTPUT, RESULT
from resources.models.resource import Trainer
from resources.models.training_folders import JOB
from tests.live import reserve_port
from tests.metaclip_dagster.training_sets import BATCH, RECIPE, build_set, job_of
from tests.resources.trainers import ROOT, ended, gone, materialize, result_of, seen, starting, wait_for, write_job

EPOCH = 8 * BATCH

# Dagster calls these itself when Pipes opens a session.
pytestmark = pytest.mark.filterwarnings("ignore:.*run_id.*:DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[[Path], psutil.Process]]:
    with starting() as start_one:
        yield start_one


def ends_without_loaders(trainer: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        for loader in trainer.children():
            loader.kill()
    return ended(trainer)


@pytest.mark.night
def test_a_training_that_is_killed_thrice_sees_its_budget_exactly(
    folder: Path, start: Callable[[Path], psutil.Process], tmp_path: Path
) -> None:
    out, recipe = tmp_path / "out", replace(RECIPE, epochs=4, log_every=1)
    path = write_job(job_of(folder, out, recipe=recipe, budget=4 * EPOCH, loader_workers=1))

    trainer = start(path)
    wait_for(lambda: seen(out) > EPOCH)
    trainer.suspend()  # a rival waits for seconds, in which this one would be done
    rival = start(path)
    wait_for(lambda: ended(rival))
    trainer.resume()
    assert "RuntimeError: another trainer is at work in" in (out / OUTPUT).read_text("utf-8")
    assert not (out / FAILURE).exists()
    wait_for(trainer.children)  # none between two epochs
    processes = [trainer, *trainer.children()]
    trainer.kill()
    wait_for(lambda: gone(processes), 2)
    assert not (out / FAILURE).exists()

    trainer = start(path)
    wait_for(lambda: seen(out) > 2 * EPOCH)
    # A loader that has read its last batch of an epoch is not missed, so that the next one is killed too.
    wait_for(lambda: ends_without_loaders(trainer), 30)
    assert "DataLoader worker" in (out / FAILURE).read_text("utf-8")

    trainer = start(path)
    wait_for(lambda: seen(out) > 3 * EPOCH)
    processes = [trainer, *trainer.children()]
    trainer.terminate()
    wait_for(lambda: gone(processes), 2)
    assert not (out / RESULT).exists()

    trainer = start(path)
    wait_for(lambda: ended(trainer))
    result = result_of(out)
    assert result["pairs_seen"] == result["budget"] == 4 * EPOCH
    assert [pairs for pairs, _ in result["losses"]] == [BATCH * step for step in range(1, 33)]
    assert (out / "run" / "out.log").read_text("utf-8").count("=> resuming checkpoint") == 3
    assert sorted(p.name for p in (out / "run" / "checkpoints").iterdir()) == ["epoch_latest.pt"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"recipe": replace(RECIPE, lr=1e9, warmup=0)}, r"FloatingPointError: the loss was nan at .* pairs"),
        ({"images": "/nowhere"}, r"FileNotFoundError: /nowhere/00000/00000.tar: missing; "),
        ({"train": "os:abort"}, r"ValueError: 'os:abort' is no function of metaclip_dagster"),
    ],
    ids=["loss", "images", "function"],
)
def test_a_training_that_fails_says_why(
    folder: Path, start: Callable[[Path], psutil.Process], tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    train = changes.pop("train", None)
    path = write_job(job_of(folder, tmp_path, **changes))
    if train:
        path.write_text(json.dumps({"train": train}))
    trainer = start(path)
    wait_for(lambda: ended(trainer))
    assert re.match(reason, (tmp_path / FAILURE).read_text("utf-8"))


def unplaced(job: TrainingPlan) -> dict[str, Any]:
    """What an asset hands to the trainer: where it runs is not its business."""
    content = asdict(job)
    for name in ("device", "precision", "ranks", "loader_workers", "out"):
        del content[name]
    return content


def failure(result: dg.ExecuteInProcessResult) -> str:
    [event] = [e for e in result.all_events if e.is_step_failure]
    return str(event.step_failure_data.error)


def test_a_run_says_why_its_training_was_refused(folder: Path, tmp_path: Path) -> None:
    job = unplaced(job_of(folder, budget=300))
    said = failure(materialize(tmp_path, job))
    assert f"training in {tmp_path} failed: ValueError: a budget of 300 pairs is no whole number of steps" in said
    said = failure(materialize(tmp_path, {**job, "budget": 288}))
    assert f"{tmp_path} holds another training: budget was 300, now 288." in said


PARENT = (
    "import subprocess, sys; subprocess.run([sys.executable, '-m', 'resources.models.rank', '--launch', sys.argv[1]])"
)


@pytest.mark.night
def test_ranks_do_not_outlive_what_launched_them(folder: Path, tmp_path: Path) -> None:
    path = write_job(job_of(folder, tmp_path, ranks=2))
    parent = psutil.Popen([sys.executable, "-c", PARENT, str(path)], cwd=ROOT, stderr=subprocess.DEVNULL)
    wait_for(lambda: len(parent.children(recursive=True)) == 3)  # torchrun and two ranks
    processes = parent.children(recursive=True)
    parent.kill()
    wait_for(lambda: gone(processes), 15)
    parent.wait()


BOTH = """if True:
    import os, subprocess, sys
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DAGSTER_")}
    nodes = [subprocess.Popen(sys.argv[1:], env=environment) for _ in range(2)]
    [node.wait() for node in nodes]
"""


@pytest.mark.night
def test_two_nodes_train_as_one_that_a_launcher_starts(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PET_LOCAL_ADDR", "127.0.0.1")  # torchrun's, which else asks for the machine's name
    whole = job_of(folder, tmp_path / "out")
    out, job = Path(whole.out), unplaced(whole)
    assert "several nodes need a `rendezvous`" in failure(materialize(out, job, ranks=1, nodes=2))
    with reserve_port() as port:
        meet: dict[str, Any] = {"nodes": 2, "rendezvous": f"127.0.0.1:{port}", "launcher": [sys.executable, "-c", BOTH]}
        with dg.DagsterInstance.ephemeral() as instance:
            result = materialize(out, job, instance, ranks=1, **meet)
            assert result.success
            messages = [entry.user_message for entry in instance.all_logs(result.run_id)]
    assert any(message.startswith(f"pairs_seen {whole.budget}, loss ") for message in messages)
    assert result_of(out)["pairs_seen"] == whole.budget
    assert "Process (global: 0, local 0), total 2." in (out / "run" / "out.log").read_text("utf-8")


@pytest.mark.night
def test_two_ranks_take_up_what_one_left_and_a_cancelled_run_ends_whole(
    folder: Path, start: Callable[[Path], psutil.Process], tmp_path: Path
) -> None:
    out, epoch = tmp_path / "out", 6 * BATCH
    whole = job_of(folder, out, recipe=replace(RECIPE, log_every=1), budget=3 * epoch)
    trainer, job = start(write_job(whole)), unplaced(whole)
    wait_for(lambda: seen(out) > epoch)
    trainer.kill()
    wait_for(lambda: ended(trainer))
    moved = {"train": "metaclip_dagster.before:train", "uniform": "metaclip_dagster.before:uniform"}
    write_text(out / JOB, json.dumps({**json.loads((out / JOB).read_text("utf-8")), **moved}))
    with (out / "metrics.jsonl").open("a") as curve, (out / "attempts.jsonl").open("a") as attempts:
        print('\n{"pairs_seen": 1', file=curve, end="")  # as a full disk cuts a line
        print('\n{"wall_sec', file=attempts, end="")
    (tmp_path / "job").write_text(json.dumps(job))
    command = [sys.executable, "-m", "tests.resources.trainers", str(out), "2", str(tmp_path / "job")]
    run = psutil.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    wait_for(lambda: seen(out) > 2 * epoch)
    processes = run.children(recursive=True)
    assert len(processes) == 5  # torchrun, two ranks, a loader each
    for process in processes:
        process.suspend()
    said = failure(materialize(out, job, ranks=1))
    assert f"another trainer is at work in {out}; wait for it, or end it" in said
    for process in processes:
        process.resume()
    run.send_signal(signal.SIGINT)
    wait_for(lambda: gone([run, *processes]), 20)
    run.wait()
    assert not (out / RESULT).exists()

    with dg.DagsterInstance.ephemeral() as instance:
        result = materialize(out, job, instance, ranks=2)
        assert result.success
        messages = [entry.user_message for entry in instance.all_logs(result.run_id)]
        assert any(message.startswith(f"pairs_seen {3 * epoch}, loss ") for message in messages)
        [event] = result.asset_materializations_for_node("checkpoints")
        result_shown = event.metadata["result"].value
        assert isinstance(result_shown, dict)
        assert result_shown["pairs_seen"] == 3 * epoch
        assert 0 < result_shown["cpu_seconds"] < 4 * result_shown["wall_seconds"]
        assert result_shown == Trainer(root=str(tmp_path)).result("out/model")
        assert result_shown.items() >= result_of(out).items()
        assert (out / "run" / "out.log").read_text("utf-8").count("=> resuming checkpoint") == 2

        again = materialize(out, job, instance, ranks=2)
        assert again.success
        assert any("reused" in entry.user_message for entry in instance.all_logs(again.run_id))
    said = failure(materialize(out, {**job, "seed": 1}, ranks=1))
    assert "holds another training: seed was 0, now 1." in said

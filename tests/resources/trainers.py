"""Trainings that tests start and end.

`python -m tests.resources.trainers` imports what a training needs once, then starts one for every line of its standard
input, a job's file, and prints its process id. `python -m tests.resources.trainers FOLDER RANKS JOB` is a Dagster run
that trains the job in the folder.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import dagster as dg
import psutil

from metaclip_dagster.training import TrainingPlan, train
from metaclip_dagster.training.running import read_curve
from resources.models.rank import RESULT, launch
from resources.models.resource import Trainer

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def starting() -> Iterator[Callable[[Path], psutil.Process]]:
    """Starts a training of a job's file, without the seconds of import that each would take."""
    command = [sys.executable, "-m", "tests.resources.trainers"]
    # As under a scheduler, whose tasks are not ranks of ours.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "SLURM_NTASKS": "2", "SLURM_PROCID": "0"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def start_one(job: Path) -> psutil.Process:
            print(job, file=server.stdin, flush=True)
            return psutil.Process(int(server.stdout.readline()))  # type: ignore[union-attr]

        yield start_one
        server.stdin.close()


def write_job(job: TrainingPlan) -> Path:
    path = Path(job.out) / "job.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**asdict(job), "train": "metaclip_dagster.training.running:train"}))
    return path


def wait_for(what: Callable[[], Any], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


def seen(out: Path) -> float:
    with contextlib.suppress(FileNotFoundError, IndexError, json.JSONDecodeError):
        return read_curve(out)[-1]["pairs_seen"]
    return 0


def gone(processes: list[psutil.Process]) -> bool:
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


def ended(process: psutil.Process) -> bool:
    return gone([process])


def wait_until_ended(process: psutil.Process) -> None:
    wait_for(lambda: ended(process), 300)


def result_of(out: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((out / RESULT).read_text("utf-8"))
    return result


def materialize(
    folder: Path, job: dict[str, Any], instance: dg.DagsterInstance | None = None, **options: Any
) -> dg.ExecuteInProcessResult:
    """A run of one asset, which trains the job in the folder and gives the result as its metadata."""

    @dg.asset
    def checkpoints(context: dg.AssetExecutionContext, trainer: Trainer) -> dg.MaterializeResult[Any]:
        return dg.MaterializeResult(metadata={"result": trainer.run(context, train, job, folder)})

    resources = {"trainer": Trainer(root=str(folder.parent), **options)}
    return dg.materialize([checkpoints], resources=resources, instance=instance, raise_on_error=False)


def serve() -> None:
    """Start trainings from a process that has imported everything."""
    for module in ("open_clip_train.main", "metaclip_dagster.balancing", "safetensors.torch"):
        import_module(module)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os.setsid()
            try:
                launch(line.strip())
            except BaseException:
                traceback.print_exc()
                raise
            finally:
                os._exit(0 if sys.exc_info() == (None, None, None) else 1)
        print(pid, flush=True)  # noqa: T201


if __name__ == "__main__":
    if len(sys.argv) == 1:
        serve()
    else:
        folder, ranks, job = sys.argv[1:]
        materialize(Path(folder), json.loads(Path(job).read_text("utf-8")), ranks=int(ranks))

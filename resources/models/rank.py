"""Run one process of a training: take its job from a file, keep others out of the folder, report to Dagster."""

import ctypes
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from resources.files.local import write_text

RESULT, FAILURE, OUTPUT = "result.json", "failure.txt", "output.log"
CONTEXT, MESSAGES = "pipes_context.json", "pipes_messages.jsonl"
"""A waiting Dagster run's, in the training's folder: the first rank may be on any node, started by anyone."""
METHOD = "metaclip_dagster"
PATIENCE_SECONDS = 3.0
"""A killed trainer holds its folder until the last of its threads is gone."""
Report = Callable[[Mapping[str, float]], None]


def launch(job: str) -> None:
    """Become the training that FOLDER/job.json describes, as `python -m resources.models.rank --launch` does.

    This process becomes the one rank that the job is for, or torchrun with the ranks of this node; of several nodes
    each runs it, by the job's launcher or by hand. Every process ends with the one that started it, however that one
    ended. What any of them prints goes to FOLDER/output.log, which outlives the run that started it. The training
    leaves FOLDER/result.json, or FOLDER/failure.txt with the reason.
    """
    content = json.loads(Path(job).read_text("utf-8"))
    ranks, nodes, launcher = content.get("ranks", 1), content.get("nodes", 1), content.get("launcher", [])
    with Path(job).with_name(OUTPUT).open("ab") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    if ranks == 1 and not launcher:
        os.environ.update(RANK="0", WORLD_SIZE="1")  # else open_clip takes a SLURM task for one rank of many, and waits
        run(Path(job))
        return
    _die_with_parent(signal.SIGTERM)  # survives exec; torchrun passes it on to its ranks
    meet = ["--rdzv-backend=c10d", f"--rdzv-endpoint={content.get('rendezvous')}", f"--rdzv-id={content['out']}"]
    torchrun = [*(["--standalone"] if nodes == 1 else meet), f"--nnodes={nodes}", f"--nproc_per_node={ranks // nodes}"]
    command = [
        *launcher,
        sys.executable,
        "-m",
        "torch.distributed.run",
        *torchrun,
        "--module",
        "resources.models.rank",
        job,
    ]
    os.execvp(command[0], command)  # noqa: S606  # no shell


def run(job: Path) -> None:
    """Call the job's function as this rank; the first rank holds the folder, reports and writes the result."""
    _die_with_parent(signal.SIGKILL)  # torchrun starts ranks in sessions of their own, where no signal of ours arrives
    os.register_at_fork(after_in_child=lambda: _die_with_parent(signal.SIGKILL))  # loaders look for it every 5 s only
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, signal.SIG_DFL)  # checkpoints are whole or not there: nothing needs to be tidied up
    folder, is_first = job.parent, os.environ.get("RANK", "0") == "0"
    with lock_training(folder / "lock") if is_first else nullcontext():  # who does not get it leaves no word there
        try:
            with _open_report(folder) if is_first else nullcontext(_ignore) as report:
                content = json.loads(job.read_text("utf-8"))
                result = _import_function(content["train"])(content, report)
                if result is not None:
                    write_text(folder / RESULT, json.dumps(result, indent=1))
        except (Exception, SystemExit) as error:
            if not (folder / FAILURE).exists():  # other ranks fail of the first one's failure
                write_text(folder / FAILURE, f"{type(error).__name__}: {error}"[-4000:])
            raise


@contextmanager
def lock_training(lock: Path) -> Iterator[None]:
    """A lock that goes with this process; what it forks does not hold it. Raises RuntimeError if another has it."""
    end = time.monotonic() + PATIENCE_SECONDS
    with lock.open("w") as file:
        while True:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise RuntimeError(f"another trainer is at work in {lock.parent}; wait for it, or end it") from None
                time.sleep(0.1)
        yield


def _die_with_parent(sign: signal.Signals) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, int(sign))  # PR_SET_PDEATHSIG


@contextmanager
def _open_report(folder: Path) -> Iterator[Report]:
    """What takes numbers into the log of the Dagster run that waits for this training, if one does."""
    if not (folder / CONTEXT).exists():
        yield _ignore
        return
    import dagster_pipes as dp  # noqa: PLC0415  # without Dagster, a training needs none of it

    files = {dp.DAGSTER_PIPES_CONTEXT_ENV_VAR: CONTEXT, dp.DAGSTER_PIPES_MESSAGES_ENV_VAR: MESSAGES}
    params = {name: dp.encode_param({"path": str(folder / file)}) for name, file in files.items()}
    with dp.open_dagster_pipes(params_loader=dp.PipesMappingParamsLoader(params)) as pipes:
        yield lambda numbers: pipes.log.info(", ".join(f"{name} {value:.6g}" for name, value in numbers.items()))


def _ignore(numbers: Mapping[str, float]) -> None:
    """Drop the numbers: no Dagster run waits for them."""


def _import_function(name: str) -> Callable[..., Any]:
    """The function that a job names; a job can name no other code than the method's."""
    if name.partition(":")[0].partition(".")[0] != METHOD:
        raise ValueError(f"{name!r} is no function of {METHOD}, and nothing else is run")
    imported: Callable[..., Any] = resolve_name(name)
    return imported


if __name__ == "__main__":
    if sys.argv[1] == "--launch":
        launch(sys.argv[2])
    else:
        run(Path(sys.argv[1]))

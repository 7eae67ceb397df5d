"""Run a training in processes of its own on the GPUs there are, and hand back what came of it."""

import json
import resource
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import dagster as dg
from dagster._core.errors import DagsterPipesExecutionError  # it has no public name
from pydantic import Field
from tqdm import tqdm

from resources.deferred import address_of
from resources.files.local import append_line, read_lines, write_text
from resources.models.rank import CONTEXT, FAILURE, MESSAGES, OUTPUT, RESULT, only_trainer

REPOSITORY = Path(__file__).parents[2]
JOB, ATTEMPTS = "job.json", "attempts.jsonl"
CURVE = "metrics.jsonl"
"""What a training adds a line of numbers to, `pairs_seen` among them."""
PLACE = (
    "images", "shards", "storage_options", "online", "device", "ranks", "nodes", "rendezvous", "launcher",
    "loader_workers", "out", "train", "uniform",
)  # fmt: skip
"""Of a job, where things lie and run, code among them: it may change while the training stays the same."""


class Trainer(dg.ConfigurableResource, use_attribute_docstrings=True):
    """The processes and devices there are to train with. A training's folder is its unit of resume."""

    root: str
    """Folder of all trainings."""
    device: Literal["cpu", "cuda"] = "cpu"
    """What is trained on."""
    precision: str = ""
    """As open_clip names it; fp32 on the CPU and amp_bf16 on GPUs by default."""
    ranks: int = Field(default=0, ge=0)
    """Trainer processes of a node, one a GPU; 0 takes all GPUs that this process sees, or one process on the CPU."""
    nodes: int = Field(default=1, ge=1)
    """Machines that train together. All see the lake, the images and the trainings under the same paths."""
    rendezvous: str = ""
    """HOST:PORT of one of several nodes, where they meet."""
    launcher: list[str] = []
    """A command before the command that starts a node's ranks, as `srun` is; with several nodes it runs it on each."""
    loader_workers: int = Field(default=1, ge=0)
    """Processes that read and decode, for each rank."""
    threads: int = Field(default=1, ge=1)
    """Threads of each process; more than one only pays on a quiet machine."""
    termination_timeout_seconds: float = Field(default=15.0, ge=0)
    """How long a cancelled training may take to end; what is left then ends with the run's process."""

    def run(
        self, context: dg.AssetExecutionContext, entry: Callable[..., Any], job: Mapping[str, Any], folder: Path
    ) -> dict[str, Any]:
        """Call `entry(job, report)` on every rank and give its result; the job is completed by where it runs.

        A finished folder is not trained again; one whose training died goes on from its last checkpoint. Beside what
        `entry` gives, the result has `wall_seconds` and `cpu_seconds` of all processes, over all attempts whose run
        outlived them. Raises dg.Failure if the folder is another job's, naming what differs, and with the reason if the
        training fails; RuntimeError while another run trains there. Give the asset no retry policy: a cancelled
        training would be started again.
        """
        placed = {
            **job,
            "train": address_of(entry),
            "device": self.device,
            "precision": self.precision_used,
            "ranks": self.nodes * (self.ranks or self._count_devices()),
            "nodes": self.nodes,
            "rendezvous": self.rendezvous,
            "launcher": self.launcher,
            "loader_workers": self.loader_workers,
            "out": str(folder),
        }
        if self.nodes > 1 and not self.rendezvous:
            raise dg.Failure("several nodes need a `rendezvous`, HOST:PORT of one of them", allow_retries=False)
        folder.mkdir(parents=True, exist_ok=True)
        with only_trainer(folder / "run.lock"):
            self._claim(folder, json.loads(json.dumps(placed, allow_nan=False)))
            if (folder / RESULT).exists():
                context.log.info(f"{folder} holds this training's result: reused")
            else:
                self._launch(context, folder)
            return _read_result(folder)

    @property
    def precision_used(self) -> str:
        """The precision that is asked for, or the device's default."""
        return self.precision or {"cpu": "fp32", "cuda": "amp_bf16"}[self.device]

    def result(self, model: str) -> dict[str, Any]:
        """The result of the training that gave a model, by the model's folder relative to the root."""
        return _read_result(Path(self.root, model).parent)

    def _count_devices(self) -> int:
        if self.device == "cpu":
            return 1
        import torch  # noqa: PLC0415  # seconds, and only a training on GPUs needs it

        if not torch.cuda.device_count():
            raise dg.Failure(
                "there is no GPU here that torch can use; set the trainer's device to cpu, or say how many `ranks` "
                "its launcher finds elsewhere",
                allow_retries=False,
            )
        return torch.cuda.device_count()

    def _claim(self, folder: Path, job: Mapping[str, Any]) -> None:
        before = json.loads((folder / JOB).read_text("utf-8")) if (folder / JOB).exists() else job
        differing = [name for name in sorted({*before, *job} - {*PLACE}) if before.get(name) != job.get(name)]
        if differing:
            told = "; ".join(
                f"{name} was {_short(before.get(name))}, now {_short(job.get(name))}" for name in differing
            )
            raise dg.Failure(
                f"{folder} holds another training: {told}. Give this one another folder, or remove that one",
                allow_retries=False,
            )
        write_text(folder / JOB, json.dumps(job, indent=1))

    def _launch(self, context: dg.AssetExecutionContext, folder: Path) -> None:
        (folder / FAILURE).unlink(missing_ok=True)
        client = dg.PipesSubprocessClient(
            cwd=str(REPOSITORY),
            env={"OMP_NUM_THREADS": str(self.threads)},
            context_injector=dg.PipesFileContextInjector(str(folder / CONTEXT)),
            message_reader=dg.PipesFileMessageReader(str(folder / MESSAGES)),
            termination_timeout_seconds=self.termination_timeout_seconds,
        )
        command = [sys.executable, "-m", "resources.models.rank", "--launch", str(folder / JOB)]
        try:
            with _told_in(folder / ATTEMPTS), _shown(folder), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Dagster's own Pipes calls what Dagster has deprecated
                # The asset reports what it materialized: of this invocation only the events of the log are wanted.
                client.run(context=context, command=command)
        except DagsterPipesExecutionError as error:
            raise dg.Failure(f"training in {folder} failed: {_reason(folder, error)}", allow_retries=False) from error


@contextmanager
def _shown(folder: Path) -> Iterator[None]:
    """A bar of the pairs seen, where somebody watches a terminal."""
    job, ended = json.loads((folder / JOB).read_text("utf-8")), threading.Event()
    named = f"{job['model']} on {job['training_set']}"
    with tqdm(total=job["budget"], desc=named, unit="pair", unit_scale=True, disable=None, leave=False) as bar:
        if bar.disable:
            yield
            return

        def follow() -> None:
            while not ended.wait(1.0):
                *_, last = [{}, *read_lines(folder / CURVE)]
                bar.n = last.get("pairs_seen", 0)
                bar.refresh()

        watcher = threading.Thread(target=follow, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()


@contextmanager
def _told_in(path: Path) -> Iterator[None]:
    """Adds a line with the wall seconds of the block, and the CPU seconds of the processes that ended in it."""
    wall, cpu = time.monotonic(), _cpu_seconds()
    try:
        yield
    finally:
        spent = {"wall_seconds": time.monotonic() - wall, "cpu_seconds": _cpu_seconds() - cpu}
        append_line(path, spent)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _read_result(folder: Path) -> dict[str, Any]:
    attempts = read_lines(folder / ATTEMPTS)
    spent = {name: round(sum((one[name] for one in attempts), 0.0), 3) for name in ("wall_seconds", "cpu_seconds")}
    result = json.loads((folder / RESULT).read_text("utf-8"))
    return {**result, **spent, "path": str(folder / Path(result["path"]).name)}  # the folder may have moved


def _reason(folder: Path, error: Exception) -> str:
    """What the training itself said, or how it ended and the last lines that it printed."""
    if (folder / FAILURE).exists():
        return (folder / FAILURE).read_text("utf-8")
    lines = (folder / OUTPUT).read_text("utf-8", "replace").splitlines() if (folder / OUTPUT).exists() else []
    return "\n".join([f"{error}, without a word: was it killed, or out of memory?", *lines[-5:]])


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

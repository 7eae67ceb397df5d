"""The trainer resource: run a training in processes of its own on the GPUs there are."""

import json
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import dagster as dg
from dagster._core.errors import DagsterPipesExecutionError  # it has no public name
from pydantic import Field

from resources.deferred import address_of
from resources.deployments import REPOSITORY
from resources.models.rank import CONTEXT, FAILURE, MESSAGES, RESULT, lock_training
from resources.models.training_folders import (
    JOB,
    claim_folder,
    explain_failure,
    read_result,
    record_attempt,
    show_progress,
)


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
    cache: str = ""
    """A folder on each machine's own disk that keeps what loaders read of an image store in an object store."""
    cache_gb: float = Field(default=0.0, ge=0)
    """What it may hold, in units of 10^9 bytes; 0 keeps nothing, and reads the store anew at every pass."""
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
            "cache": str(Path(self.cache).absolute()) if self.cache else "",
            "cache_gb": self.cache_gb,
            "out": str(folder),
        }
        if self.nodes > 1 and not self.rendezvous:
            raise dg.Failure("several nodes need a `rendezvous`, HOST:PORT of one of them", allow_retries=False)
        if bool(self.cache) != bool(self.cache_gb):
            raise dg.Failure("`cache` and `cache_gb` go together: a folder, and what it may hold", allow_retries=False)
        as_stored = json.loads(json.dumps(placed, allow_nan=False))
        folder.mkdir(parents=True, exist_ok=True)
        with lock_training(folder / "run.lock"):
            try:
                claim_folder(folder, as_stored)
            except ValueError as error:
                raise dg.Failure(str(error), allow_retries=False) from None
            if (folder / RESULT).exists():
                context.log.info(f"{folder} holds this training's result: reused")
            else:
                self._launch(context, folder)
            return read_result(folder)

    @property
    def precision_used(self) -> str:
        """The precision that is asked for, or the device's default."""
        return self.precision or {"cpu": "fp32", "cuda": "amp_bf16"}[self.device]

    def result(self, model: str) -> dict[str, Any] | None:
        """The result of the training that gave a model, by its folder relative to the root; None where that is gone."""
        folder = Path(self.root, model).parent
        return read_result(folder) if (folder / RESULT).exists() else None

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
            with record_attempt(folder), show_progress(folder), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Dagster's own Pipes calls what Dagster has deprecated
                # The asset reports what it materialized: of this invocation only the events of the log are wanted.
                client.run(context=context, command=command)
        except DagsterPipesExecutionError as error:
            reason = explain_failure(folder, error)
            raise dg.Failure(f"training in {folder} failed: {reason}", allow_retries=False) from error

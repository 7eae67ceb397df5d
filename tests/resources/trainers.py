"""Trainings that tests start and end.

`python -m tests.resources.trainers` imports what a training needs once, then starts one for every line of its standard
input, a job's file, and prints its process id. `python -m tests.resources.trainers FOLDER RANKS JOB` is a Dagster run
that trains the job in the folder.
"""

import json
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

import dagster as dg

from metaclip_dagster.training import train
from resources.open_clip import Trainer
from resources.rank import launch


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

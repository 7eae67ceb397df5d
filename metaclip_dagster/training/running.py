"""Run open_clip_train in this process, and check that the weights saw every pair that they were to see."""

import json
import math
import os
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

from metaclip_dagster.training.arguments import NAME, build_arguments
from metaclip_dagster.training.exporting import (
    count_steps,
    export_checkpoint,
    read_architecture,
    read_checkpoint,
)
from metaclip_dagster.training.jobs import TrainingPlan, check_images, check_sizes
from metaclip_dagster.training.loading import ImageTexts, replace_reader
from metaclip_dagster.training.mixing import MixedTexts
from metaclip_dagster.training.tokenizing import find_tokenizer, read_tokenizer

CURVE, MODEL = "metrics.jsonl", "model"
Report = Callable[[Mapping[str, float]], None]


def train(job: Mapping[str, Any], report: Report) -> dict[str, Any] | None:
    """Train as the job says, from its folder's last checkpoint on, and export the model; the result on rank 0.

    `report` is given `pairs_seen`, `loss`, `lr`, `scale` and `samples_per_second` on rank 0 every so many steps; the
    same lines stay in the folder's metrics.jsonl. The result, plain values: what CHECKPOINTS wants, `losses` as
    [pairs seen, loss], `samples_per_second` in the median and `path`, the folder of the exported model.

    Every rank calls this, with torchrun's RANK and WORLD_SIZE in its environment, or none for a single one. Raises
    ValueError where the job cannot end well, FloatingPointError when the loss is lost, RuntimeError when a tar lacks
    images or the weights did not see the whole budget. Whatever ends it, the same job resumes at its last epoch.
    """
    plan = TrainingPlan.from_json(job)
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if world != plan.ranks:
        raise ValueError(f"the job is for {plan.ranks} ranks, and {world} were started")
    check_sizes(plan)
    if plan.tokenizer and read_tokenizer(Path(plan.tokenizer)).sha256 != plan.recipe.tokenizer:
        raise ValueError(f"the tokenizer in {plan.tokenizer} is not the recipe's: somebody changed it")
    if rank == 0:
        check_images(plan)
    run_open_clip(plan, report)
    return _export_result(plan) if rank == 0 else None


def read_curve(out: Path) -> list[dict[str, float]]:
    """The lines that a training wrote into its folder, ascending in pairs seen; steps that were redone count once.

    A line that a kill cut short is left out.
    """
    rows: list[dict[str, float]] = []
    for line in (out / CURVE).read_text("utf-8", "replace").splitlines():
        with suppress(json.JSONDecodeError):
            row = json.loads(line)
            while rows and rows[-1]["pairs_seen"] >= row["pairs_seen"]:
                rows.pop()
            rows.append(row)
    return rows


def run_open_clip(plan: TrainingPlan, report: Report) -> None:
    """open_clip_train's main, with names of its own replaced while it runs; its version is pinned for that."""
    import open_clip  # noqa: PLC0415  # seconds, and the graph's definitions reach this module
    import open_clip_train.main as trainer  # noqa: PLC0415
    import torch  # noqa: PLC0415

    architecture = read_architecture(plan.recipe.architecture, plan.tokenizer)
    if find_tokenizer(architecture["text_cfg"]):  # says why, where open_clip would show what the Hub's client raised
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # else it warns in every loader
    if plan.tokenizer:
        with TemporaryDirectory() as folder:
            fitted = Path(folder, f"{plan.recipe.architecture}.json")
            fitted.write_text(json.dumps(architecture), "utf-8")
            open_clip.add_model_config(fitted)
    image_texts = (MixedTexts if plan.mixture else ImageTexts)(plan, resolve_name(plan.uniform))
    with ExitStack() as replacements:
        replacements.enter_context(run_faster())
        for module, name, replacement in [
            (trainer, "get_data", replace_reader(trainer.get_data, image_texts)),
            # Whole numbers instead of log lines; tensorboard itself is not needed.
            (trainer, "tensorboard", SimpleNamespace(SummaryWriter=partial(_Metrics, plan, report))),
            (torch.nn.parallel, "DistributedDataParallel", _wrap_ranks(plan.device)),
        ]:
            replacements.enter_context(_replace(module, name, replacement))
        exit_code = trainer.main(build_arguments(plan))
    if exit_code is not None:  # -1 where it only printed why
        raise RuntimeError(f"open_clip_train refused to start in {plan.out}: its log says why")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@contextmanager
def run_faster() -> Iterator[None]:
    """AdamW fused and convolutions that read channels last: of a step of the tiny model, a third.

    The same numbers up to rounding.
    """
    import open_clip_train.main as trainer  # noqa: PLC0415
    import torch  # noqa: PLC0415

    create = trainer.create_model_and_transforms

    def create_channels_last(*args: Any, **options: Any) -> Any:
        model, *transforms = create(*args, **options)
        return model.to(memory_format=torch.channels_last), *transforms

    fused = SimpleNamespace(AdamW=partial(torch.optim.AdamW, fused=True))
    with _replace(trainer, "create_model_and_transforms", create_channels_last), _replace(trainer, "optim", fused):
        yield


def _export_result(plan: TrainingPlan) -> dict[str, Any]:
    """What the weights themselves say they saw, and the model as anybody loads it."""
    folder, recipe = Path(plan.out), plan.recipe
    checkpoints = folder / NAME / "checkpoints"
    checkpoint = read_checkpoint(checkpoints / "epoch_latest.pt")
    pairs_seen = count_steps(checkpoint) * recipe.batch_size
    if pairs_seen != plan.budget:
        raise RuntimeError(f"the weights in {checkpoints} saw {pairs_seen:,} pairs of a budget of {plan.budget:,}")
    sha256 = export_checkpoint(checkpoint, recipe.architecture, folder / MODEL, tokenizer=plan.tokenizer)
    (checkpoints / f"epoch_{recipe.epochs}.pt").unlink(missing_ok=True)  # the same weights twice
    curve = read_curve(folder)
    return {
        "training_set": plan.training_set,
        "model": plan.model,
        "architecture": recipe.architecture,
        "seed": plan.seed,
        "path": str(folder / MODEL),
        "pairs_seen": pairs_seen,
        "budget": plan.budget,
        "loss": curve[-1]["loss"],
        "sha256": sha256,
        "losses": [[int(row["pairs_seen"]), row["loss"]] for row in curve],
        "samples_per_second": statistics.median(row["samples_per_second"] for row in curve),
    }


class _Metrics:
    """Stands for tensorboard's SummaryWriter, which is given one number at a time, a step's loss last."""

    def __init__(self, plan: TrainingPlan, report: Report, folder: str) -> None:
        self.plan, self.report = plan, report
        self.now: dict[str, float] = {}

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.now[name.removeprefix("train/")] = float(value)
        if name != "train/loss":
            return
        row: dict[str, float] = {"pairs_seen": (step + 1) * self.plan.recipe.batch_size}
        row |= {key: self.now[key] for key in ("loss", "lr", "scale", "samples_per_second")}
        if not math.isfinite(row["loss"]):
            raise FloatingPointError(
                f"the loss was {row['loss']} at {row['pairs_seen']:,} pairs: lower the learning rate or warm up longer"
            )
        with (Path(self.plan.out) / CURVE).open("a", encoding="utf-8") as file:
            file.write(f"\n{json.dumps(row)}")  # a new line first: the last one may have been cut short
        self.report(row)


def _wrap_ranks(device: str) -> Any:
    """DistributedDataParallel whose weights have the model's own names, so that any number of ranks takes them up.

    open_clip_train hands it a device on the CPU as well, where it must have none.
    """
    from torch.nn.parallel import DistributedDataParallel  # noqa: PLC0415

    class Ranks(DistributedDataParallel):
        def __init__(self, model: Any, device_ids: Any, **options: Any) -> None:
            super().__init__(model, device_ids=None if device == "cpu" else device_ids, **options)

        def state_dict(self, *args: Any, **options: Any) -> Any:
            return self.module.state_dict(*args, **options)

        def load_state_dict(self, *args: Any, **options: Any) -> Any:
            return self.module.load_state_dict(*args, **options)

    return Ranks


@contextmanager
def _replace(module: Any, name: str, replacement: Any) -> Iterator[None]:
    original = getattr(module, name)
    setattr(module, name, replacement)
    try:
        yield
    finally:
        setattr(module, name, original)

"""Export a checkpoint as a folder that open_clip loads, and describe it as a row of CHECKPOINTS."""

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from metaclip_dagster.schemas import CHECKPOINTS, writes
from metaclip_dagster.training.tokenizing import (
    TOKENIZER,
    find_tokenizer,
    fit_architecture,
    read_tokenizer,
    render_tokenizer,
)

WEIGHTS, CONFIG = "open_clip_model.safetensors", "open_clip_config.json"
MODELS = Path(__file__).parent / "models"
"""Configs of our own architectures."""


@writes(CHECKPOINTS, name="training.exporting:describe_checkpoint")
def describe_checkpoint(result: Mapping[str, Any], *, root: str) -> pa.Table:
    """The one row of a training's result; paths are kept relative to `root`, the folder of all checkpoints."""
    row = {**result, "path": Path(result["path"]).relative_to(root).as_posix()}
    return pa.Table.from_pylist([{name: row[name] for name in CHECKPOINTS.names}], CHECKPOINTS)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of open_clip_train, read as numbers alone: nothing in the file is ever run.

    Raises ValueError where it is anything else, FileNotFoundError where there is none.
    """
    import torch  # noqa: PLC0415  # seconds, and the graph's definitions reach this module

    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise ValueError(f"{path} is no checkpoint of open_clip_train, or was cut short") from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "optimizer"} <= checkpoint.keys():
        raise ValueError(f"{path} is no checkpoint of open_clip_train: it lacks weights or their optimizer")
    return checkpoint


def count_steps(checkpoint: Mapping[str, Any]) -> int:
    """Steps that the weights' own optimizer took: no redone epoch and no half-written log can tell otherwise."""
    steps = {int(state["step"]) for state in checkpoint["optimizer"]["state"].values()}
    if len(steps) != 1:
        raise ValueError(f"the optimizer's parameters disagree about its steps: {sorted(steps)}")
    return steps.pop()


def read_architecture(architecture: str, tokenizer: str = "") -> dict[str, Any]:
    """open_clip's config of an architecture, its text tower fitted to the tokenizer in a folder where one is named.

    Raises ValueError where open_clip does not know the architecture, or the text tower cannot read that tokenizer.
    """
    import open_clip  # noqa: PLC0415

    open_clip.add_model_config(MODELS)
    config: dict[str, Any] | None = open_clip.get_model_config(architecture)
    if config is None:
        raise ValueError(f"neither open_clip nor {MODELS} has an architecture {architecture!r}")
    if not tokenizer:
        return config
    try:
        return fit_architecture(config, read_tokenizer(Path(tokenizer)), tokenizer)
    except ValueError as error:
        raise ValueError(f"{architecture} does not fit the tokenizer in {tokenizer}: {error}") from error


def export_checkpoint(checkpoint: Mapping[str, Any], architecture: str, folder: Path, *, tokenizer: str = "") -> str:
    """Write the weights as safetensors with open_clip's own config beside them, all at once; gives the weights' sha256.

    A tokenizer other than CLIP's, the architecture's or the one in the folder `tokenizer`, is written beside them.
    `open_clip.create_model_and_transforms("local-dir:<folder>")` and `get_tokenizer` then load it, here or elsewhere,
    without a network. Raises ValueError where a weight is not finite or open_clip does not know the architecture.
    """
    import open_clip  # noqa: PLC0415
    import torch  # noqa: PLC0415
    from safetensors.torch import save_file  # noqa: PLC0415

    model_config = read_architecture(architecture, tokenizer)
    text_tokenizer = find_tokenizer(model_config["text_cfg"])
    if tokenizer:
        model_config["text_cfg"]["hf_tokenizer_name"] = TOKENIZER  # open_clip looks into the exported folder itself
    weights = {name.removeprefix("module."): value.contiguous() for name, value in checkpoint["state_dict"].items()}
    lost = [name for name, value in weights.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if lost:
        raise ValueError(f"{len(lost)} weights are not finite, {lost[0]} among them: train with a lower learning rate")
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file(weights, partial / WEIGHTS)
    (partial / WEIGHTS).chmod(0o644)  # safetensors lets nobody else read it
    for name, content in (render_tokenizer(text_tokenizer) if text_tokenizer else {}).items():
        (partial / name).write_bytes(content)
    preprocess = {"mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD}
    config = {
        "model_cfg": model_config,
        "preprocess_cfg": {**preprocess, "interpolation": "bicubic", "resize_mode": "shortest"},
    }
    (partial / CONFIG).write_text(json.dumps(config, indent=1), "utf-8")
    for path in (*partial.iterdir(), partial):
        _sync(path)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    _sync(folder.parent)
    with (folder / WEIGHTS).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""The recipe of each model: architecture, batch size, learning rate and so on, the same for every training set."""

import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """How a model is trained. The defaults are MetaCLIP's for ViT-B (Xu et al. 2023, table 12) and its code's."""

    architecture: str
    """The model's name in open_clip, or of one of our own configs."""
    batch_size: int = 32_768
    """Pairs a step, over all ranks."""
    lr: float = 5e-4
    """At the end of the warm-up; a cosine then takes it to 0."""
    wd: float = 0.2
    """Weight decay, of matrices only."""
    warmup: int = 2_000
    """Steps over which the learning rate rises from 0."""
    beta1: float = 0.9
    """AdamW's decay of the mean of gradients."""
    beta2: float = 0.98
    """AdamW's decay of the mean of their squares."""
    eps: float = 1e-6
    """What AdamW adds to its denominator."""
    epochs: int = 32
    """Equal parts of the budget; a checkpoint is written at the end of each, and a run that died resumes there."""
    least_scale: float = 0.9
    """Random crops take at least this share of an image."""
    accum_freq: int = 1
    """Parts that a rank's batch is taken in, one after the other, to fit in memory."""
    grad_checkpointing: bool = False
    """Compute activations again instead of keeping them."""
    log_every: int = 100
    """Steps between two points of the loss curve."""


RECIPES = {
    "tiny": Recipe("rn32s", batch_size=128, lr=2e-3, wd=0.1, warmup=40, epochs=5, least_scale=0.8, log_every=4),
    "ViT-B-32-quickgelu": Recipe("ViT-B-32-quickgelu"),
    "ViT-B-16-quickgelu": Recipe("ViT-B-16-quickgelu"),
    "ViT-L-14-quickgelu": Recipe("ViT-L-14-quickgelu", lr=4e-4, grad_checkpointing=True),
    "ViT-H-14-quickgelu": Recipe("ViT-H-14-quickgelu", lr=4e-4, grad_checkpointing=True),
}


def recipe_of(model: str) -> tuple[Recipe, int]:
    """The recipe and the seed that a model's name stands for: `tiny` is seed 0, `tiny-s1` seed 1.

    >>> recipe_of("tiny-s2")[1]
    2
    """
    name, seed = re.fullmatch(r"(.*?)(?:-s([1-9][0-9]*))?", model, re.DOTALL).groups()  # type: ignore[union-attr]  # matches all
    if name not in RECIPES:
        raise ValueError(f"no recipe for {model!r}; there are {', '.join(RECIPES)}, and -s1, -s2, ... for other seeds")
    return RECIPES[name], int(seed or 0)


def change_recipe(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """The recipe with some fields changed. Raises ValueError naming a field that it has not, or whose value is none.

    >>> change_recipe(RECIPES["tiny"], {"lr": 1}).lr
    1.0
    """
    fields = asdict(recipe)
    if unknown := sorted(changes.keys() - fields):
        raise ValueError(f"a recipe has no {', '.join(unknown)}; it has {', '.join(fields)}")
    return replace(recipe, **{name: _check_value(name, type(fields[name]), value) for name, value in changes.items()})


_SHARES = {"beta1", "beta2", "least_scale"}


def _check_value(name: str, kind: type, value: Any) -> Any:
    if kind is float and type(value) is int:
        value = float(value)
    value_type = type(value)
    least = 1 if kind is int and name != "warmup" else 0
    most = 1 if name in _SHARES else sys.maxsize
    if value_type is kind and (kind in (bool, str) or least <= value <= most):
        return value
    expected = {
        bool: "true or false",
        str: "a name",
        int: f"a whole number of at least {least}",
        float: f"a number from 0 {'to 1' if name in _SHARES else 'on'} (in YAML with a point: 5.0e-4)",
    }[kind]
    raise ValueError(f"{name} of a recipe is {expected}, not {value!r}")

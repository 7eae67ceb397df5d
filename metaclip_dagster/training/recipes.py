"""One recipe a model: what is trained and how, never on what. Only the data varies between runs of a recipe."""

import re
from dataclasses import dataclass


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
    beta2: float = 0.98
    eps: float = 1e-6
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
    "ViT-H-14-quickgelu": Recipe("ViT-H-14-quickgelu", lr=4e-4, wd=0.1, beta2=0.95, grad_checkpointing=True),
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

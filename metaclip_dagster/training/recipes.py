"""The recipe of each model: architecture, batch size, learning rate and so on, the same for every training set."""

import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any


@dataclass(frozen=True)
class Recipe:
    """How a model is trained. The defaults are MetaCLIP's for ViT-B (Xu et al. 2023, table 12) and its code's."""

    architecture: Annotated[str, "The model's name in open_clip, or of one of our own configs."]
    batch_size: Annotated[int, "Pairs a step, over all ranks."] = 32_768
    lr: Annotated[float, "The learning rate at the end of the warm-up; a cosine then takes it to 0."] = 5e-4
    wd: Annotated[float, "Weight decay, of matrices only."] = 0.2
    warmup: Annotated[int, "Steps over which the learning rate rises from 0."] = 2_000
    beta1: Annotated[float, "AdamW's decay of the mean of gradients."] = 0.9
    beta2: Annotated[float, "AdamW's decay of the mean of their squares."] = 0.98
    eps: Annotated[float, "What AdamW adds to its denominator."] = 1e-6
    epochs: Annotated[int, "Equal parts of the budget; each ends in a checkpoint, where a run that died resumes."] = 32
    least_scale: Annotated[float, "Random crops take at least this share of an image."] = 0.9
    accum_freq: Annotated[int, "Parts that a rank's batch is taken in, one after the other, to fit in memory."] = 1
    grad_checkpointing: Annotated[bool, "Compute activations again instead of keeping them."] = False
    log_every: Annotated[int, "Steps between two points of the loss curve."] = 100
    tokenizer: Annotated[
        str, "Folder of a tokenizer.json that texts are read by; pool: the lake's; empty: the architecture's own."
    ] = ""
    languages: Annotated[str, "Whose texts alone are trained on, by codes with commas between; empty: all."] = ""

    @property
    def language_names(self) -> tuple[str, ...]:
        """The languages whose texts alone are trained on; none are all."""
        return tuple(filter(None, map(str.strip, self.languages.split(","))))


POOL = "pool"
"""As a recipe's tokenizer: the one that was trained from the pool's own texts."""

_TINY = Recipe("rn32s", batch_size=128, lr=2e-3, wd=0.1, warmup=40, epochs=5, least_scale=0.8, log_every=4)

RECIPES = {
    "tiny": _TINY,
    "tiny-worldwide": replace(_TINY, tokenizer=POOL),
    "tiny-worldwide-en": replace(_TINY, tokenizer=POOL, languages="en"),
    "ViT-B-32-quickgelu": Recipe("ViT-B-32-quickgelu"),
    "ViT-B-16-quickgelu": Recipe("ViT-B-16-quickgelu"),
    "ViT-L-14-quickgelu": Recipe("ViT-L-14-quickgelu", lr=4e-4, grad_checkpointing=True),
    # As H/14 of paper A; only its later version 1.2 takes weight decay 0.1 and beta2 0.95.
    "ViT-H-14-quickgelu": Recipe("ViT-H-14-quickgelu", lr=4e-4, grad_checkpointing=True),
} | {
    # Meta CLIP 2 (arXiv 2507.22062) and its release: 384 GPUs x 196 pairs. It gives H/14's values alone; other sizes
    # take them too. Its 32 epochs of 920 million pairs are a budget, 2.3 times the English models'.
    name: Recipe(
        architecture, batch_size=75_264, lr=4e-4, wd=0.1, beta2=0.95, grad_checkpointing=not name.startswith("ViT-B")
    )
    for name, architecture in {
        "ViT-B-32-worldwide": "ViT-B-32-worldwide-quickgelu",
        "ViT-B-16-worldwide": "ViT-B-16-worldwide-quickgelu",
        "ViT-L-14-worldwide": "ViT-L-14-worldwide-quickgelu",
        "ViT-H-14-worldwide": "ViT-H-14-worldwide-quickgelu",
        "ViT-bigG-14-worldwide": "ViT-bigG-14-worldwide",  # open_clip has it with GELU alone
    }.items()
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


def describe_recipe(recipe: Recipe) -> dict[str, Any]:
    """The recipe's fields by name, without a tokenizer of its own or languages where it has none."""
    return {name: value for name, value in asdict(recipe).items() if value or name not in ("tokenizer", "languages")}


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

"""The cells of a sweep: which of one recipe may be compared, and their mean and spread over seeds."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from metaclip_dagster.reporting.sweep_scores import Part, Scores, add_means, by_key, finite, over_seeds

MAX_LOSSES = 400


@dataclass(frozen=True)
class TrainedCell:
    """One model trained on one training set, scored or not yet.

    `checkpoint` is its row of CHECKPOINTS, `scores` and `class_scores` are tables of SCORES and CLASS_SCORES, `losses`
    are (pairs seen, loss) in the order of training.
    """

    checkpoint: Mapping[str, Any]
    scores: pa.Table | None = None
    class_scores: pa.Table | None = None
    losses: Sequence[Sequence[float]] = ()

    @property
    def training_set(self) -> str:
        """A t, or online-<t>."""
        return str(self.checkpoint["training_set"])

    @property
    def model(self) -> str:
        """The recipe with its seed."""
        return str(self.checkpoint["model"])

    @property
    def seed(self) -> int:
        """Seed of weights and order."""
        return int(self.checkpoint["seed"])

    @property
    def pairs_seen(self) -> int:
        """Pairs that the weights were trained on."""
        return int(self.checkpoint["pairs_seen"])

    @property
    def recipe(self) -> str:
        """The model without -s<seed>: what its seeds have in common."""
        return self.model.removesuffix(f"-s{self.seed}")

    def rows(self) -> list[Part]:
        """Its scores; raises ValueError if they are of another cell."""
        rows: list[Part] = self.scores.to_pylist() if self.scores is not None else []
        for row in rows:
            if (row["training_set"], row["model"]) != (self.training_set, self.model):
                raise ValueError(
                    f"scores of {row['model']} on {row['training_set']} stand beside the checkpoint of {self.model} on "
                    f"{self.training_set}; read the scores of the checkpoint's own cell"
                )
        return rows


def set_order(training_set: str) -> tuple[int, float, str]:
    """Place of a training set: finite t ascending, then inf, then online ones, then any other by name.

    >>> sorted(["online-20", "inf", "100", "random", "20"], key=set_order)
    ['20', '100', 'inf', 'online-20', 'random']
    """
    t = set_t(training_set)
    if t is None:
        return 3, 0.0, training_set
    return (2 if training_set.startswith("online-") else int(math.isinf(t))), t, training_set


def set_t(training_set: str) -> float | None:
    """The t of a training set, online or not; None where its name is no t.

    >>> set_t("online-20"), set_t("inf"), set_t("random")
    (20.0, inf, None)
    """
    try:
        t = float(training_set.removeprefix("online-"))
    except ValueError:
        return None
    return t if t > 0 else None


def describe_recipes(cells: Sequence[TrainedCell]) -> tuple[list[Part], list[Part]]:
    """The recipes, those with most compared cells first, and every cell with why it is compared with none, if so.

    Raises ValueError where two cells claim the same training set, recipe and seed.
    """
    claims = Counter((cell.training_set, cell.recipe, cell.seed) for cell in cells)
    for (training_set, recipe, seed), num in claims.items():
        if num > 1:
            raise ValueError(f"{num} cells of {recipe} on {training_set} have seed {seed}; give each its own seed")
    ordered = sorted(cells, key=lambda cell: (cell.recipe, *set_order(cell.training_set), cell.seed))
    budgets = {recipe: _shared_budget(of) for recipe, of in _by_recipe(ordered).items()}
    told = [(cell, _why_not(cell, budgets[cell.recipe])) for cell in ordered]
    compared = _by_recipe(cell for cell, why in told if why is None)
    recipes = [_recipe(name, budgets[name], of) for name, of in compared.items()]
    recipes.sort(key=lambda recipe: (-sum(len(row["seeds"]) for row in recipe["sets"]), recipe["recipe"]))
    return recipes, [_describe_cell(cell, why) for cell, why in told]


def _by_recipe(cells: Iterable[TrainedCell]) -> dict[str, list[TrainedCell]]:
    groups: dict[str, list[TrainedCell]] = {}
    for cell in cells:
        groups.setdefault(cell.recipe, []).append(cell)
    return groups


def _shared_budget(cells: Sequence[TrainedCell]) -> int:
    """The pairs seen that most training sets share; of ties, what most cells have, then the larger."""
    scored = [cell for cell in cells if _scored_pairs(cell) == {cell.pairs_seen}] or cells
    sets = Counter(seen for seen, _ in {(cell.pairs_seen, cell.training_set) for cell in scored})
    each = Counter(cell.pairs_seen for cell in scored)
    return max(each, key=lambda seen: (sets[seen], each[seen], seen))


def _why_not(cell: TrainedCell, budget: int) -> str | None:
    seen = _scored_pairs(cell)
    if not seen:
        return "is trained but not scored"
    if seen != {cell.pairs_seen}:
        return "has scores of other weights: score it again"
    return None if cell.pairs_seen == budget else f"saw {cell.pairs_seen:,} pairs, not {budget:,}"


def _scored_pairs(cell: TrainedCell) -> set[int]:
    return {row["pairs_seen"] for row in cell.rows()}


def _recipe(name: str, pairs_seen: int, cells: Sequence[TrainedCell]) -> Part:
    scores = add_means([by_key(cell.rows()) for cell in cells])
    sets: dict[str, dict[int, Scores]] = {}
    for cell, own in zip(cells, scores, strict=True):
        sets.setdefault(cell.training_set, {})[cell.seed] = own
    return {
        "recipe": name,
        "architectures": sorted({str(cell.checkpoint["architecture"]) for cell in cells}),
        "pairs_seen": pairs_seen,
        "sets": [
            {"training_set": key, "seeds": sorted(own), "scores": over_seeds(own)}
            for key, own in sorted(sets.items(), key=lambda item: set_order(item[0]))
        ],
    }


def _describe_cell(cell: TrainedCell, why: str | None) -> Part:
    step = max(1, math.ceil(len(cell.losses) / MAX_LOSSES))
    kept = [(int(seen), finite(loss)) for seen, loss in cell.losses]
    thinned = kept[::step] + ([kept[-1]] if (len(kept) - 1) % step and kept else [])
    names = ("training_set", "model", "architecture")
    return {
        **{name: str(cell.checkpoint[name]) for name in names},
        "recipe": cell.recipe,
        "seed": cell.seed,
        "pairs_seen": cell.pairs_seen,
        "budget": int(cell.checkpoint["budget"]),
        "loss": finite(cell.checkpoint["loss"]),
        "not_compared": why,
        "losses": [[seen, loss] for seen, loss in thinned],
    }

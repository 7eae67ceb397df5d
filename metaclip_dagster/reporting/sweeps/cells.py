"""The cells of a sweep, and by recipe their mean and spread over seeds."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from metaclip_dagster.reporting.sweeps.scores import Part, Scores, by_key, finite, over_seeds, with_mean

MAX_LOSSES = 400


@dataclass(frozen=True)
class PoolVersion:
    """The pool that a training set was drawn from: sets of one pool have every field alike."""

    snapshots: tuple[str, ...]
    entries: str
    """Version of the list of entries."""
    entry_counts: str
    """Version of the counts."""

    def describe(self) -> str:
        """Its snapshots and versions, short.

        >>> PoolVersion(("2026-01", "2026-02"), "0123456789abcdef", "fedcba9876543210").describe()
        'snapshots 2026-01, 2026-02; entries 01234567; counts fedcba98'
        """
        return f"snapshots {', '.join(self.snapshots)}; entries {self.entries[:8]}; counts {self.entry_counts[:8]}"


@dataclass(frozen=True)
class TrainedCell:
    """One model trained on one training set, scored or not yet.

    `checkpoint` is its row of CHECKPOINTS, `scores` and `class_scores` are tables of SCORES and CLASS_SCORES, `losses`
    are (pairs seen, loss) in the order of training. `outdated` says, where it is so, that its weights are not those of
    the training set or of the scores that are there now.
    """

    checkpoint: Mapping[str, Any]
    scores: pa.Table | None = None
    class_scores: pa.Table | None = None
    losses: Sequence[Sequence[float]] = ()
    outdated: str | None = None
    pool: PoolVersion | None = None
    """The pool that its training set was drawn from, when it was trained; None where that was not recorded."""

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

    @property
    def trained_by(self) -> str:
        """Every field of its recipe, as JSON."""
        return str(self.checkpoint["recipe"])

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


def by_recipe(cells: Iterable[TrainedCell]) -> dict[str, list[TrainedCell]]:
    """The cells of each recipe, in their order."""
    groups: dict[str, list[TrainedCell]] = {}
    for cell in cells:
        groups.setdefault(cell.recipe, []).append(cell)
    return groups


def describe_recipes(cells: Iterable[TrainedCell], mean_over: Sequence[str]) -> list[Part]:
    """The recipes of cells that may be compared, those with most cells first; `mean_over` are the mean's tasks."""
    recipes = [_recipe(name, of, mean_over) for name, of in by_recipe(cells).items()]
    return sorted(recipes, key=lambda recipe: (-sum(len(row["seeds"]) for row in recipe["sets"]), recipe["recipe"]))


def describe_cell(cell: TrainedCell, why: str | None) -> Part:
    """One cell, with at most 400 points of its losses."""
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


def _recipe(name: str, cells: Sequence[TrainedCell], mean_over: Sequence[str]) -> Part:
    sets: dict[str, dict[int, Scores]] = {}
    for cell in cells:
        sets.setdefault(cell.training_set, {})[cell.seed] = with_mean(by_key(cell.rows()), mean_over)
    return {
        "recipe": name,
        "architectures": sorted({str(cell.checkpoint["architecture"]) for cell in cells}),
        "pairs_seen": cells[0].pairs_seen,
        "sets": [
            {"training_set": key, "seeds": sorted(own), "scores": over_seeds(own)}
            for key, own in sorted(sets.items(), key=lambda item: set_order(item[0]))
        ],
    }

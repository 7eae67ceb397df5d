"""Describe the cells of a sweep (models trained and scored), and by recipe their mean and spread over seeds."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.reporting.sweeps.pools import PoolVersion
from metaclip_dagster.reporting.sweeps.scores import (
    Json,
    Scores,
    add_mean,
    average_seeds,
    index_scores,
    none_unless_finite,
)
from metaclip_dagster.reporting.sweeps.training_sets import rank_set

MAX_LOSSES = 400


@dataclass(frozen=True)
class TrainedCell:
    """One model trained on one training set, scored or not yet.

    `checkpoint` is its row of CHECKPOINTS, `scores` is a table of SCORES, `class_scores` one of CLASS_SCORES in each
    task's own language, `losses` are (pairs seen, loss) in the order of training. `outdated` says, where it is so, that
    its weights are not those of the training set or of the scores that are there now.
    """

    checkpoint: Mapping[str, Any]
    scores: pa.Table | None = None
    class_scores: pa.Table | None = None
    losses: Sequence[Sequence[float]] = ()
    outdated: str | None = None
    pool: PoolVersion | None = None
    """The pool that its training set was drawn from, when it was trained; None where that was not recorded."""
    read_predictions: Callable[[str], pa.Table | None] | None = None
    """Gives a task's SAMPLE_PREDICTIONS in its own language, or None where there are none that belong to the scores."""

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

    def rows(self) -> list[Json]:
        """Its scores in each task's own language; raises ValueError if they are of another cell."""
        rows: list[Json] = keep_own_language(self.scores).to_pylist() if self.scores is not None else []
        for row in rows:
            if (row["training_set"], row["model"]) != (self.training_set, self.model):
                raise ValueError(
                    f"scores of {row['model']} on {row['training_set']} stand beside the checkpoint of {self.model} on "
                    f"{self.training_set}; read the scores of the checkpoint's own cell"
                )
        return rows


def keep_own_language(table: pa.Table) -> pa.Table:
    """The rows in each task's own language, which comes first: of SCORES, CLASS_SCORES or SAMPLE_PREDICTIONS.

    Only these may stand beside tasks that were scored in one language. A table of before there were several is whole.
    """
    if "language" not in table.column_names or not table.num_rows:
        return table
    of_model = [table[name] for name in ("training_set", "model") if name in table.column_names]
    texts = [column.combine_chunks().cast(pa.string()) for column in (*of_model, table["task"])]
    key = pc.binary_join_element_wise(*texts, "\n", null_handling="replace").dictionary_encode().indices.to_numpy()
    language = table["language"].combine_chunks().dictionary_encode(null_encoding="encode").indices.to_numpy()
    _, first = np.unique(key, return_index=True)
    return table.filter(pa.array(language == language[first][key]))


def group_by_recipe(cells: Iterable[TrainedCell]) -> dict[str, list[TrainedCell]]:
    """The cells of each recipe, in their order."""
    groups: dict[str, list[TrainedCell]] = {}
    for cell in cells:
        groups.setdefault(cell.recipe, []).append(cell)
    return groups


def describe_recipes(cells: Iterable[TrainedCell], mean_over: Sequence[str]) -> list[Json]:
    """The recipes of cells that may be compared, those with most cells first; `mean_over` are the mean's tasks."""
    recipes = [_describe_recipe(name, of_recipe, mean_over) for name, of_recipe in group_by_recipe(cells).items()]
    return sorted(recipes, key=lambda recipe: (-sum(len(row["seeds"]) for row in recipe["sets"]), recipe["recipe"]))


def describe_cell(cell: TrainedCell, not_compared: str | None) -> Json:
    """One cell, with at most 400 points of its losses, and why it is not compared, if so."""
    losses = [[int(pairs_seen), none_unless_finite(loss)] for pairs_seen, loss in cell.losses]
    step = max(1, math.ceil(len(losses) / MAX_LOSSES))
    return {
        **{name: str(cell.checkpoint[name]) for name in ("training_set", "model", "architecture")},
        "recipe": cell.recipe,
        "seed": cell.seed,
        "pairs_seen": cell.pairs_seen,
        "budget": int(cell.checkpoint["budget"]),
        "loss": none_unless_finite(cell.checkpoint["loss"]),
        "not_compared": not_compared,
        "losses": losses[::step] + (losses[-1:] if (len(losses) - 1) % step else []),
    }


def _describe_recipe(name: str, cells: Sequence[TrainedCell], mean_over: Sequence[str]) -> Json:
    sets: dict[str, dict[int, Scores]] = {}
    for cell in cells:
        sets.setdefault(cell.training_set, {})[cell.seed] = add_mean(index_scores(cell.rows()), mean_over)
    return {
        "recipe": name,
        "architectures": sorted({str(cell.checkpoint["architecture"]) for cell in cells}),
        "pairs_seen": cells[0].pairs_seen,
        "sets": [
            {"training_set": key, "seeds": sorted(sets[key]), "scores": average_seeds(sets[key])}
            for key in sorted(sets, key=rank_set)
        ],
    }

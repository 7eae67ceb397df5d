"""Compare balanced with unbalanced data at equal pairs seen, on a task and class by class."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from metaclip_dagster.reporting.sweeps.cells import TrainedCell
from metaclip_dagster.reporting.sweeps.scores import (
    Json,
    find_score,
    none_unless_finite,
    restrict_seeds,
    values_by_seed,
)
from metaclip_dagster.reporting.sweeps.training_sets import CONTROL, FINITE, ONLINE, rank_set

NUM_CLASSES = 10


def compare_sets(recipe: Json, task: Json) -> dict[str, Any]:
    """The best finite t and the best online set beside the unbalanced control, on one task and recipe.

    Each of `best`, `online` and `control` is null, or {training_set, mean, spread, seeds} over the seeds that it shares
    with its other side, or over its own where they share none. Without a finite t the best online set is `best`.
    `differences` are best less control at every seed that both have, as shares.
    """
    scores = {
        row["training_set"]: score
        for row in recipe["sets"]
        if (score := find_score(row["scores"], task["task"], "all", task["metric"]))
    }
    control = scores.get(CONTROL)
    best, online = (_find_leader(scores, kind) for kind in (FINITE, ONLINE))
    if best is None:
        best, online = online, None
    of_best = scores[best] if best else None
    best_side = _describe_side(best, of_best, control)
    control_side = _describe_side(CONTROL, control, of_best)
    chance = next((score["chance"] for score in scores.values() if score["chance"] is not None), None)
    return {
        "recipe": recipe["recipe"],
        "pairs_seen": recipe["pairs_seen"],
        "task": task["task"],
        "metric": task["metric"],
        "chance": chance,
        "best": best_side,
        "online": _describe_side(online, scores[online] if online else None, control),
        "control": control_side,
        "num_finite": sum(rank_set(key)[0] == FINITE for key in scores),
        "won": best_side["mean"] > control_side["mean"] if best_side and control_side else None,
        "near_chance": chance is not None and all(score["mean"] <= bar_above(chance) for score in scores.values()),
        "differences": {str(seed): lead for seed, lead in _subtract(of_best, control).items()},
    }


def bar_above(chance: float) -> float:
    """What a score must be above to be no guess: three times chance, or halfway from chance to 1 if that is less.

    >>> bar_above(0.01), bar_above(0.5)
    (0.03, 0.75)
    """
    return min(3 * chance, (1 + chance) / 2)


def find_side_score(recipe: Json, side: Json, task: str, part: str, metric: str) -> Json | None:
    """Another score of a comparison's side, over the same seeds; None where there is none."""
    of_set = next(row for row in recipe["sets"] if row["training_set"] == side["training_set"])
    score = find_score(of_set["scores"], task, part, metric)
    return restrict_seeds(score, side["seeds"]) if score else None


def compare_classes(cells: Iterable[TrainedCell], comparison: Json) -> dict[str, Any] | None:
    """The classes of the comparison's task that the best t helped and hurt most, by the mean of acc1 over its seeds.

    `cells` are those that may be compared. Ties go by acc5, then to the lower class_id; classes without an image are
    left out. None where either side has no CLASS_SCORES.
    """
    if not comparison["best"] or not comparison["control"]:
        return None
    best_classes, control_classes = (_read_classes(cells, comparison, comparison[side]) for side in ("best", "control"))
    shared = sorted(set(best_classes) & set(control_classes))
    if not shared:
        return None
    rows = []
    for key in shared:
        (balanced, balanced_top5), (unbalanced, unbalanced_top5) = (
            np.mean([[row["acc1"], row["acc5"]] for row in classes[key]], axis=0).tolist()
            for classes in (best_classes, control_classes)
        )
        rows.append(
            {
                **{name: best_classes[key][0][name] for name in ("class_id", "class_name", "part", "num_images")},
                "balanced": balanced,
                "unbalanced": unbalanced,
                "difference": balanced - unbalanced,
                "difference_top5": balanced_top5 - unbalanced_top5,
            }
        )
    better, worse = (
        sorted(
            (row for row in rows if sign * row["difference"] > 0),
            key=lambda row: (-sign * row["difference"], -sign * row["difference_top5"], row["class_id"]),
        )
        for sign in (1, -1)
    )
    return {
        "recipe": comparison["recipe"],
        "task": comparison["task"],
        "training_set": comparison["best"]["training_set"],
        "num_better": len(better),
        "num_worse": len(worse),
        "num_same": len(rows) - len(better) - len(worse),
        "helped": better[:NUM_CLASSES],
        "hurt": worse[:NUM_CLASSES],
    }


def _find_leader(scores: Mapping[str, Json], kind: int) -> str | None:
    """The set of that kind which is furthest ahead of the control."""
    control = scores.get(CONTROL)

    def average_lead(name: str) -> float:
        leads = _subtract(scores[name], control)
        mean = float(scores[name]["mean"]) - (control["mean"] if control else 0)
        return float(np.mean([*leads.values()])) if leads else mean

    of_kind = sorted((name for name in scores if rank_set(name)[0] == kind), key=rank_set)
    return max(of_kind, key=average_lead, default=None)


def _subtract(score: Json | None, control: Json | None) -> dict[int, float]:
    """How far a score is ahead of the control at each seed that both have."""
    if score is None or control is None:
        return {}
    values, control_values = values_by_seed(score), values_by_seed(control)
    return {seed: values[seed] - control_values[seed] for seed in values if seed in control_values}


def _describe_side(training_set: str | None, score: Json | None, other: Json | None) -> dict[str, Any] | None:
    """A set's score over the seeds that the other side has too, or over all of its own."""
    if training_set is None or score is None:
        return None
    over_seeds = restrict_seeds(score, [*_subtract(score, other)]) or score
    return {"training_set": training_set, **{name: over_seeds[name] for name in ("mean", "spread", "seeds")}}


def _read_classes(cells: Iterable[TrainedCell], comparison: Json, side: Json) -> dict[tuple[int, str], list[Json]]:
    """CLASS_SCORES of a side's cells by class, the lowest seed first."""
    cells_of_side = [
        cell
        for cell in cells
        if (cell.recipe, cell.training_set) == (comparison["recipe"], side["training_set"])
        and cell.seed in side["seeds"]
    ]
    classes: dict[tuple[int, str], list[Json]] = {}
    for cell in sorted(cells_of_side, key=lambda cell: cell.seed):
        for row in cell.class_scores.to_pylist() if cell.class_scores is not None else []:
            scored = all(none_unless_finite(row[metric]) is not None for metric in ("acc1", "acc5"))
            if row["task"] == comparison["task"] and scored:
                classes.setdefault((row["class_id"], row["class_name"]), []).append(row)
    return classes

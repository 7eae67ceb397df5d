"""Balanced beside unbalanced at equal pairs seen: on a task, and class by class."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from metaclip_dagster.reporting.sweeps.cells import TrainedCell, set_order
from metaclip_dagster.reporting.sweeps.scores import Part, at_seeds, by_seed, finite, score_of

Score = Mapping[str, Any]  # as `over_seeds` gives it

CONTROL = "inf"
NUM_CLASSES = 10
_FINITE, _ONLINE = 0, 2  # of set_order


def compare(recipe: Mapping[str, Any], task: Mapping[str, Any]) -> Part:
    """The best finite t and the best online set beside the unbalanced control, on one task and recipe.

    Each of `best`, `online` and `control` is null, or {training_set, mean, spread, seeds} over the seeds that it shares
    with its other side, or over its own where they share none. Without a finite t the best online set is `best`.
    `differences` are best less control at every seed that both have, as shares.
    """
    scores = {
        row["training_set"]: score
        for row in recipe["sets"]
        if (score := score_of(row["scores"], task["task"], "all", task["metric"]))
    }
    control = scores.get(CONTROL)
    names = [_leader(scores, kind) for kind in (_FINITE, _ONLINE)]
    best, online = (_side(name, scores[name], control) if name else None for name in names)
    if best is None:
        best, online = online, None
    of_best = scores[best["training_set"]] if best else None
    beside = _side(CONTROL, control, of_best) if control else None
    chance = next((score["chance"] for score in scores.values() if score["chance"] is not None), None)
    return {
        "recipe": recipe["recipe"],
        "pairs_seen": recipe["pairs_seen"],
        "task": task["task"],
        "metric": task["metric"],
        "chance": chance,
        "best": best,
        "online": online,
        "control": beside,
        "num_finite": sum(set_order(key)[0] == _FINITE for key in scores),
        "won": best["mean"] > beside["mean"] if best and beside else None,
        "near_chance": chance is not None and all(score["mean"] <= bar_above(chance) for score in scores.values()),
        "differences": {str(seed): lead for seed, lead in _leads(of_best, control).items()},
    }


def bar_above(chance: float) -> float:
    """What a score must be above to be no guess: three times chance, or halfway from chance to 1 if that is less.

    >>> bar_above(0.01), bar_above(0.5)
    (0.03, 0.75)
    """
    return min(3 * chance, (1 + chance) / 2)


def score_at(recipe: Mapping[str, Any], side: Mapping[str, Any], task: str, part: str, metric: str) -> Part | None:
    """Another score of a comparison's side, over the same seeds; None where there is none."""
    own = next(row for row in recipe["sets"] if row["training_set"] == side["training_set"])
    score = score_of(own["scores"], task, part, metric)
    return at_seeds(score, side["seeds"]) if score else None


def compare_classes(cells: Iterable[TrainedCell], found: Mapping[str, Any]) -> Part | None:
    """The classes of the comparison's task that the best t helped and hurt most, by the mean of acc1 over its seeds.

    `cells` are those that may be compared. Ties go by acc5, then to the lower class_id; classes without an image are
    left out. None where either side has no CLASS_SCORES.
    """
    if not found["best"] or not found["control"]:
        return None
    sides = [_classes(cells, found, found[side]) for side in ("best", "control")]
    shared = sorted(set(sides[0]) & set(sides[1]))
    if not shared:
        return None
    rows = []
    for key in shared:
        best, control = (np.mean([[row["acc1"], row["acc5"]] for row in side[key]], axis=0) for side in sides)
        rows.append(
            {
                **{name: sides[0][key][0][name] for name in ("class_id", "class_name", "part", "num_images")},
                "balanced": float(best[0]),
                "unbalanced": float(control[0]),
                "difference": float(best[0] - control[0]),
                "difference_top5": float(best[1] - control[1]),
            }
        )
    ranked = sorted(rows, key=lambda row: (row["difference"], row["difference_top5"], -row["class_id"]), reverse=True)
    better, worse = ([row for row in ranked if sign * row["difference"] > 0] for sign in (1, -1))
    worse = sorted(worse, key=lambda row: (row["difference"], row["difference_top5"], row["class_id"]))
    return {
        "recipe": found["recipe"],
        "task": found["task"],
        "training_set": found["best"]["training_set"],
        "num_better": len(better),
        "num_worse": len(worse),
        "num_same": len(rows) - len(better) - len(worse),
        "helped": better[:NUM_CLASSES],
        "hurt": worse[:NUM_CLASSES],
    }


def _leader(scores: Mapping[str, Score], kind: int) -> str | None:
    """The set of that kind that is furthest ahead of the control."""
    control = scores.get(CONTROL)

    def lead(name: str) -> float:
        leads = _leads(scores[name], control)
        return float(
            np.mean([*leads.values()]) if leads else scores[name]["mean"] - (control["mean"] if control else 0)
        )

    return max(sorted((name for name in scores if set_order(name)[0] == kind), key=set_order), key=lead, default=None)


def _leads(score: Score | None, control: Score | None) -> dict[int, float]:
    """How far a score is ahead of the control at each seed that both have."""
    if score is None or control is None:
        return {}
    ours, theirs = by_seed(score), by_seed(control)
    return {seed: ours[seed] - theirs[seed] for seed in ours if seed in theirs}


def _side(training_set: str, score: Score, other: Score | None) -> Part:
    told = at_seeds(score, [*_leads(score, other)]) or score
    return {"training_set": training_set, **{name: told[name] for name in ("mean", "spread", "seeds")}}


def _classes(
    cells: Iterable[TrainedCell], found: Mapping[str, Any], side: Mapping[str, Any]
) -> dict[tuple[int, str], list[Part]]:
    of_side = found["recipe"], side["training_set"]
    mine = [cell for cell in cells if (cell.recipe, cell.training_set) == of_side and cell.seed in side["seeds"]]
    classes: dict[tuple[int, str], list[Part]] = {}
    for cell in sorted(mine, key=lambda cell: cell.seed):
        for row in cell.class_scores.to_pylist() if cell.class_scores is not None else []:
            if row["task"] == found["task"] and finite(row["acc1"]) is not None and finite(row["acc5"]) is not None:
                classes.setdefault((row["class_id"], row["class_name"]), []).append(row)
    return classes

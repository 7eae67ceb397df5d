"""Balanced beside unbalanced at equal pairs seen: on a task, and class by class."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from metaclip_dagster.reporting.sweep_cells import TrainedCell, set_order
from metaclip_dagster.reporting.sweep_scores import Part, score_of

CONTROL = "inf"
TIMES_CHANCE = 3
NUM_CLASSES = 10
_FINITE, _ONLINE = 0, 2  # of set_order


def compare(recipe: Mapping[str, Any], task: Mapping[str, Any]) -> Part:
    """The best finite t and the best online set beside the unbalanced control, on one task and recipe.

    Each of `best`, `online` and `control` is null, or {training_set, mean, spread, seeds}. Without a finite t the best
    online set is `best`. `differences` are best less control at every seed that both have, as shares.
    """
    means = {
        row["training_set"]: score
        for row in recipe["sets"]
        if (score := score_of(row["scores"], task["task"], "all", task["metric"]))
    }
    best, online = (_best(means, kind) for kind in (_FINITE, _ONLINE))
    if best is None:
        best, online = online, None
    control = _side(CONTROL, means[CONTROL]) if CONTROL in means else None
    chance = next((score["chance"] for score in means.values() if score["chance"] is not None), None)
    of_best, of_control = (_by_seed(means[side["training_set"]]) if side else {} for side in (best, control))
    return {
        "recipe": recipe["recipe"],
        "pairs_seen": recipe["pairs_seen"],
        "task": task["task"],
        "metric": task["metric"],
        "chance": chance,
        "best": best,
        "online": online,
        "control": control,
        "num_finite": sum(set_order(key)[0] == _FINITE for key in means),
        "won": best["mean"] > control["mean"] if best and control else None,
        "near_chance": chance is not None and all(s["mean"] < TIMES_CHANCE * chance for s in means.values()),
        "differences": {str(seed): of_best[seed] - of_control[seed] for seed in of_best if seed in of_control},
    }


def compare_classes(
    cells: Iterable[TrainedCell], found: Mapping[str, Any], compared: set[tuple[str, str]]
) -> Part | None:
    """The classes of the comparison's task that the best t helped and hurt most, by the mean of acc1 over seeds.

    `compared` are the (training set, model) that may be compared. Ties go by acc5, then to the lower class_id. None
    where either side has no CLASS_SCORES.
    """
    if not found["best"] or not found["control"]:
        return None
    sides = [_classes(cells, found, found[side]["training_set"], compared) for side in ("best", "control")]
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
    rows = [row for row in rows if np.isfinite([row["difference"], row["difference_top5"]]).all()]
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


def _best(means: Mapping[str, Mapping[str, Any]], kind: int) -> Part | None:
    own = sorted((key for key in means if set_order(key)[0] == kind), key=set_order)
    best = max(own, key=lambda key: means[key]["mean"], default=None)
    return None if best is None else _side(best, means[best])


def _side(training_set: str, score: Mapping[str, Any]) -> Part:
    return {"training_set": training_set, **{name: score[name] for name in ("mean", "spread", "seeds")}}


def _by_seed(score: Mapping[str, Any]) -> dict[int, float]:
    return dict(zip(score["seeds"], score["values"], strict=True))


def _classes(
    cells: Iterable[TrainedCell], found: Mapping[str, Any], training_set: str, compared: set[tuple[str, str]]
) -> dict[tuple[int, str], list[Part]]:
    mine = [cell for cell in cells if (cell.recipe, cell.training_set) == (found["recipe"], training_set)]
    classes: dict[tuple[int, str], list[Part]] = {}
    for cell in sorted(mine, key=lambda cell: cell.seed):
        if cell.class_scores is None or (cell.training_set, cell.model) not in compared:
            continue
        for row in cell.class_scores.to_pylist():
            if row["task"] == found["task"]:
                classes.setdefault((row["class_id"], row["class_name"]), []).append(row)
    return classes

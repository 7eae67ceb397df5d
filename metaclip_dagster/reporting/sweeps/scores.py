"""Scores by task, part and metric: their mean and spread over seeds, each with its chance."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from metaclip_dagster.reporting.html.text import reveal

Part = dict[str, Any]  # JSON, whose shape only the sweep's modules know
Key = tuple[str, str, str]  # task, part, metric
Scores = dict[Key, tuple[float, float | None]]  # score and chance

MEAN_TASK = "mean of tasks"
MIN_TASKS_FOR_MEAN = 3
METRICS = {
    "acc1": "top-1",
    "acc5": "top-5",
    "main": "main metric",
    "mean_per_class": "mean per class",
    "acc1_acc5": "mean of top-1 and top-5",
    "roc_auc": "area under the ROC curve",
    "mean_recall@1": "mean recall at 1",
}
"""Metrics in the order that people ask for them, with their words."""


def by_key(rows: Iterable[Mapping[str, Any]]) -> Scores:
    """Score and chance of each key of SCORES, without scores that are no number."""
    return {
        (row["task"], row["part"], row["metric"]): (float(row["score"]), finite(row["chance"]))
        for row in rows
        if finite(row["score"]) is not None
    }


def tasks_of_mean(cells: Iterable[Scores]) -> list[str]:
    """The tasks that a mean is taken over: those that all of the cells have, if these are three or more."""
    of_each = [_tasks(scores) for scores in cells]
    tasks = sorted(set.intersection(*of_each)) if of_each else []
    return tasks if len(tasks) >= MIN_TASKS_FOR_MEAN else []


def with_mean(scores: Scores, tasks: Collection[str]) -> Scores:
    """With the mean over the tasks too, where it has every one of them."""
    if not tasks or not _tasks(scores).issuperset(tasks):
        return scores
    return {**scores, (MEAN_TASK, "all", "main"): _mean([scores[task, "all", "main"] for task in tasks])}


def mean_over_tasks(rows: Iterable[Mapping[str, Any]]) -> float:
    """The plain mean of the tasks' own metrics, as the average over CLIP's 26 tasks is taken; SCORES of one model."""
    scores = by_key(rows)
    return _mean([scores[task, "all", "main"] for task in _tasks(scores)])[0]


def over_seeds(own: Mapping[int, Scores]) -> list[Part]:
    """Mean and sample standard deviation (n - 1) of each score over its seeds; one seed alone has no spread."""
    told = []
    for key in sorted({key for scores in own.values() for key in scores}, key=_key_order):
        found = {seed: own[seed][key] for seed in sorted(own) if key in own[seed]}
        chance = next((chance for _, chance in found.values() if chance is not None), None)
        named = dict(zip(("task", "part", "metric"), key, strict=True))
        told.append({**named, "chance": chance, **_over({seed: score for seed, (score, _) in found.items()})})
    return told


def by_seed(score: Mapping[str, Any]) -> dict[int, float]:
    """The score at each of its seeds."""
    return dict(zip(score["seeds"], score["values"], strict=True))


def at_seeds(score: Mapping[str, Any], seeds: Collection[int]) -> Part | None:
    """The score over these of its seeds alone; None where it has none of them."""
    own = {seed: value for seed, value in by_seed(score).items() if seed in seeds}
    return {**score, **_over(own)} if own else None


def score_of(scores: Iterable[Mapping[str, Any]], task: str, part: str, metric: str) -> Mapping[str, Any] | None:
    """The score of that key, if there is one."""
    return next(
        (score for score in scores if (score["task"], score["part"], score["metric"]) == (task, part, metric)), None
    )


def describe_tasks(rows: Iterable[Mapping[str, Any]], notes: Mapping[str, str]) -> list[Part]:
    """What the tasks are, first those that most training sets were scored on, then that most cells were.

    Of these, one that tells head from tail goes first, of several the one with most names to choose from. A task's
    `metric` is its own, by its name.
    """
    of_task: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        of_task.setdefault(row["task"], []).append(row)
    told = [
        {
            "task": task,
            "num_classes": max(row["num_classes"] for row in own),
            "num_images": max(row["num_images"] for row in own),
            "parts": sorted({row["part"] for row in own}, key=_part_order),
            "metrics": sorted({row["metric"] for row in own}, key=_metric_order),
            "metric": _own_metric(own),
            "note": notes.get(task),
        }
        for task, own in of_task.items()
    ]
    cells = {task: {(row["training_set"], row["model"]) for row in own} for task, own in of_task.items()}
    return sorted(told, key=lambda task: _task_order(task, cells[task["task"]]))


def tasks_beside(sweep: Mapping[str, Any], first: str) -> list[tuple[str, str]]:
    """Task and metric of what is told beside the first task: the mean where there is one, else the only other task."""
    if sweep["mean_over"]:
        return [(MEAN_TASK, "main")]
    others = [(task["task"], task["metric"]) for task in sweep["tasks"] if task["task"] != first]
    return others if len(others) == 1 else []


def words(metric: str) -> str:
    """A metric in words."""
    return METRICS.get(metric, reveal(metric))


def finite(value: float | None) -> float | None:
    """The number, or None where JSON has none for it."""
    return None if value is None or not math.isfinite(value) else float(value)


def _own_metric(rows: Sequence[Mapping[str, Any]]) -> str:
    """The metric that `main` repeats, the same for every cell."""
    scores: dict[str, dict[Any, float | None]] = {}
    for row in rows:
        if row["part"] == "all":
            scores.setdefault(row["metric"], {})[row["training_set"], row["model"]] = finite(row["score"])
    main = scores.pop("main", {})
    return next((metric for metric in sorted(scores, key=_metric_order) if scores[metric] == main), "main")


def _tasks(scores: Scores) -> set[str]:
    return {task for task, part, metric in scores if (part, metric) == ("all", "main")}


def _over(values: Mapping[int, float]) -> Part:
    """Mean and spread of a score by seed."""
    scores = [*values.values()]
    spread = float(np.std(scores, ddof=1)) if len(scores) > 1 else None
    return {"mean": float(np.mean(scores)), "spread": spread, "seeds": [*values], "values": scores}


def _mean(mains: Sequence[tuple[float, float | None]]) -> tuple[float, float | None]:
    chances = [chance for _, chance in mains if chance is not None]
    chance = float(np.mean(chances)) if len(chances) == len(mains) else None
    return float(np.mean([score for score, _ in mains])), chance


def _key_order(key: Key) -> tuple[Any, ...]:
    task, part, metric = key
    return task, _part_order(part), _metric_order(metric)


def _metric_order(metric: str) -> tuple[int, str]:
    return [*METRICS, metric].index(metric), metric


def _part_order(part: str) -> tuple[int, str]:
    return ["all", "tail", "head", part].index(part), part


def _task_order(task: Part, cells: Collection[tuple[str | None, str]]) -> tuple[Any, ...]:
    sets = {training_set for training_set, _ in cells} - {None}  # a baseline has none
    trained = sum(training_set is not None for training_set, _ in cells)
    return -len(sets), -trained, not {"head", "tail"} <= {*task["parts"]}, -task["num_classes"], task["task"]

"""Scores by task, part and metric: their mean and spread over seeds, each with its chance."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Part = dict[str, Any]  # JSON, whose shape only the sweep's modules know
Key = tuple[str, str, str]  # task, part, metric
Scores = dict[Key, tuple[float, float | None]]  # score and chance

MEAN_TASK = "mean of tasks"
MIN_TASKS_FOR_MEAN = 3
METRICS = {"acc1": "top-1", "acc5": "top-5", "main": "main metric", "mean_per_class": "mean per class"}
"""Metrics in the order that people ask for them, with their words."""


def by_key(rows: Iterable[Mapping[str, Any]]) -> Scores:
    """Score and chance of each key of SCORES, without scores that are no number."""
    return {
        (row["task"], row["part"], row["metric"]): (float(row["score"]), finite(row["chance"]))
        for row in rows
        if finite(row["score"]) is not None
    }


def add_means(cells: Sequence[Scores]) -> list[Scores]:
    """Each with the plain mean of `main` over the tasks that all of them have, if these are three or more."""
    of_each = [{task for task, part, metric in scores if (part, metric) == ("all", "main")} for scores in cells]
    tasks = sorted(set.intersection(*of_each)) if of_each else []
    if len(tasks) < MIN_TASKS_FOR_MEAN:
        return [*cells]
    return [
        {**scores, (MEAN_TASK, "all", "main"): _mean([scores[t, "all", "main"] for t in tasks])} for scores in cells
    ]


def over_seeds(own: Mapping[int, Scores]) -> list[Part]:
    """Mean and sample standard deviation (n - 1) of each score over its seeds; one seed alone has no spread."""
    told = []
    for key in sorted({key for scores in own.values() for key in scores}, key=_key_order):
        found = {seed: own[seed][key] for seed in sorted(own) if key in own[seed]}
        scores = [score for score, _ in found.values()]
        told.append(
            {
                **dict(zip(("task", "part", "metric"), key, strict=True)),
                "mean": float(np.mean(scores)),
                "spread": float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
                "chance": next((chance for _, chance in found.values() if chance is not None), None),
                "seeds": [*found],
                "values": scores,
            }
        )
    return told


def score_of(scores: Iterable[Mapping[str, Any]], task: str, part: str, metric: str) -> Mapping[str, Any] | None:
    """The score of that key, if there is one."""
    return next(
        (score for score in scores if (score["task"], score["part"], score["metric"]) == (task, part, metric)), None
    )


def describe_tasks(rows: Iterable[Mapping[str, Any]], notes: Mapping[str, str]) -> list[Part]:
    """What the tasks are; first one that tells head from tail, of several the one with most names to choose from."""
    told: dict[str, Part] = {}
    for row in rows:
        empty = {"task": row["task"], "num_classes": 0, "num_images": 0, "parts": set(), "metrics": set()}
        task = told.setdefault(row["task"], empty)
        task["num_classes"] = max(task["num_classes"], row["num_classes"])
        task["num_images"] = max(task["num_images"], row["num_images"])
        task["parts"].add(row["part"])
        task["metrics"].add(row["metric"])
    ordered = sorted(told.values(), key=_task_order)
    return [
        {
            **task,
            "parts": sorted(task["parts"], key=_part_order),
            "metrics": sorted(task["metrics"], key=_metric_order),
            "metric": "acc1" if "acc1" in task["metrics"] else "main",
            "note": notes.get(task["task"]),
        }
        for task in ordered
    ]


def finite(value: float | None) -> float | None:
    """The number, or None where JSON has none for it."""
    return None if value is None or not math.isfinite(value) else float(value)


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


def _task_order(task: Part) -> tuple[Any, ...]:
    split = {"head", "tail"} <= task["parts"]
    return not split, "acc1" not in task["metrics"], -task["num_classes"], task["task"]

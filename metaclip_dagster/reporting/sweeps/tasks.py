"""List the tasks of a sweep in the order in which they are shown."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from metaclip_dagster.reporting.sweeps.scores import MEAN_TASK, Json, none_unless_finite, rank_metric, rank_part


def describe_tasks(rows: Iterable[Json], notes: Mapping[str, str], versions: Mapping[str, str]) -> list[Json]:
    """What the tasks are, first those that most training sets were scored on, then that most cells were.

    Of these, one that tells head from tail goes first, of several the one with most names to choose from. A task's
    `metric` is its own, by its name; `notes` are what tasks say of themselves, `versions` those that were scored, by
    task.
    """
    rows_by_task: dict[str, list[Json]] = {}
    for row in rows:
        rows_by_task.setdefault(row["task"], []).append(row)
    tasks = [
        {
            "task": task,
            "num_classes": max(row["num_classes"] for row in of_task),
            "num_images": max(row["num_images"] for row in of_task),
            "parts": sorted({row["part"] for row in of_task}, key=rank_part),
            "metrics": sorted({row["metric"] for row in of_task}, key=rank_metric),
            "metric": _find_main_metric(of_task),
            "note": notes.get(task),
            "version": versions[task],
        }
        for task, of_task in rows_by_task.items()
    ]
    cells = {task: {(row["training_set"], row["model"]) for row in of_task} for task, of_task in rows_by_task.items()}
    return sorted(tasks, key=lambda task: _rank_task(task, cells[task["task"]]))


def choose_other_tasks(sweep: Json, first: str) -> list[tuple[str, str]]:
    """Task and metric of what stands beside the first task: the mean where there is one, else the only other task."""
    if sweep["mean_over"]:
        return [(MEAN_TASK, "main")]
    others = [(task["task"], task["metric"]) for task in sweep["tasks"] if task["task"] != first]
    return others if len(others) == 1 else []


def _find_main_metric(rows: Sequence[Json]) -> str:
    """The metric that `main` repeats, the same for every cell; `main` where none does."""
    scores: dict[str, dict[Any, float | None]] = {}
    for row in rows:
        if row["part"] == "all":
            scores.setdefault(row["metric"], {})[row["training_set"], row["model"]] = none_unless_finite(row["score"])
    main = scores.pop("main", {})
    return next((metric for metric in sorted(scores, key=rank_metric) if scores[metric] == main), "main")


def _rank_task(task: Json, cells: Collection[tuple[str | None, str]]) -> tuple[Any, ...]:
    num_sets = len({training_set for training_set, _ in cells} - {None})  # a baseline has none
    num_trained = sum(training_set is not None for training_set, _ in cells)
    return -num_sets, -num_trained, not {"head", "tail"} <= {*task["parts"]}, -task["num_classes"], task["task"]

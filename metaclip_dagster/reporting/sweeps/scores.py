"""Group scores by task, part and metric, each with its chance, its spread over seeds and its interval over images."""

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from metaclip_dagster.reporting.html.intervals import bound_share
from metaclip_dagster.reporting.html.text import reveal

Json = Mapping[str, Any]  # a part of the sweep, whose shape only the sweep's modules know
Key = tuple[str, str, str]  # task, part, metric


class Score(NamedTuple):
    """A score of SCORES with its chance, and how many images it is of; None for a mean over tasks."""

    value: float
    chance: float | None
    num_images: int | None


Scores = dict[Key, Score]

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
SHARES = ("acc1", "acc5")
"""Metrics that are shares of images, which alone have an interval."""


def index_scores(rows: Iterable[Json]) -> Scores:
    """The score of each key of SCORES, without scores that are no number."""
    return {
        (row["task"], row["part"], row["metric"]): Score(
            float(row["score"]), none_unless_finite(row["chance"]), row["num_images"]
        )
        for row in rows
        if none_unless_finite(row["score"]) is not None
    }


def choose_mean_tasks(cells: Iterable[Scores]) -> list[str]:
    """The tasks that a mean is taken over: those that all of the cells have, if these are three or more."""
    tasks_of_cells = [_list_tasks(scores) for scores in cells]
    tasks = sorted(set.intersection(*tasks_of_cells)) if tasks_of_cells else []
    return tasks if len(tasks) >= MIN_TASKS_FOR_MEAN else []


def add_mean(scores: Scores, tasks: Collection[str]) -> Scores:
    """The scores with their mean over the tasks, where they have every one of them."""
    if not tasks or not _list_tasks(scores).issuperset(tasks):
        return scores
    return {**scores, (MEAN_TASK, "all", "main"): _average_tasks(scores, tasks)}


def mean_over_tasks(rows: Iterable[Json]) -> float:
    """The plain mean of the tasks' own metrics, as the average over CLIP's 26 tasks is taken; SCORES of one model."""
    scores = index_scores(rows)
    return _average_tasks(scores, sorted(_list_tasks(scores))).value


def average_seeds(scores_by_seed: Mapping[int, Scores]) -> list[Json]:
    """Mean and sample standard deviation (n - 1) of each score over its seeds; one seed alone has no spread.

    `interval` is that of the mean over test images, as `bound_share` has it, where the metric is a share of images.
    """
    averages: list[Json] = []
    keys = {key for scores in scores_by_seed.values() for key in scores}
    for key in sorted(keys, key=lambda key: (key[0], rank_part(key[1]), rank_metric(key[2]))):
        seeds = {seed: scores_by_seed[seed][key] for seed in sorted(scores_by_seed) if key in scores_by_seed[seed]}
        chance = next((score.chance for score in seeds.values() if score.chance is not None), None)
        num_images = next(iter(seeds.values())).num_images if key[2] in SHARES else None
        names = dict(zip(("task", "part", "metric"), key, strict=True))
        values = {seed: score.value for seed, score in seeds.items()}
        averages.append({**names, "chance": chance, "num_images": num_images, **_average(values, num_images)})
    return averages


def values_by_seed(score: Json) -> dict[int, float]:
    """A score of `average_seeds` at each of its seeds."""
    return dict(zip(score["seeds"], score["values"], strict=True))


def restrict_seeds(score: Json, seeds: Collection[int]) -> Json | None:
    """A score of `average_seeds` over these of its seeds alone; None where it has none of them."""
    values = {seed: value for seed, value in values_by_seed(score).items() if seed in seeds}
    return {**score, **_average(values, score["num_images"])} if values else None


def find_score(scores: Iterable[Json], task: str, part: str, metric: str) -> Json | None:
    """The score of that key, if there is one."""
    key = (task, part, metric)
    return next((score for score in scores if (score["task"], score["part"], score["metric"]) == key), None)


def name_metric(metric: str) -> str:
    """A metric in words."""
    return METRICS.get(metric, reveal(metric))


def sign_points(difference: float) -> str:
    """A difference of shares in percentage points, signed; one near 0 with a digit more, which tells its side.

    >>> sign_points(0.0123), sign_points(-0.00034), sign_points(0.0)
    ('+1.2', '-0.03', '+0.0')
    """
    return f"{100 * difference:+.{1 if abs(difference) >= 0.001 or not difference else 2}f}"


def rank_metric(metric: str) -> tuple[int, str]:
    """Sort key of a metric: in the order that people ask for them, then any other."""
    return [*METRICS, metric].index(metric), metric


def rank_part(part: str) -> tuple[int, str]:
    """Sort key of a task's part: all of it, its tail, its head, then any other."""
    return ["all", "tail", "head", part].index(part), part


def none_unless_finite(value: float | None) -> float | None:
    """The number, or None where JSON has none for it."""
    return None if value is None or not math.isfinite(value) else float(value)


def _list_tasks(scores: Scores) -> set[str]:
    return {task for task, part, metric in scores if (part, metric) == ("all", "main")}


def _average(values: Mapping[int, float], num_images: int | None) -> Json:
    scores = [*values.values()]
    mean, spread = float(np.mean(scores)), float(np.std(scores, ddof=1)) if len(scores) > 1 else None
    interval = list(bound_share(mean, num_images)) if num_images else None
    return {"mean": mean, "spread": spread, "interval": interval, "seeds": [*values], "values": scores}


def _average_tasks(scores: Scores, tasks: Iterable[str]) -> Score:
    """Mean score of the tasks' own metrics, and mean chance where all have one."""
    main = [scores[task, "all", "main"] for task in tasks]
    chances = [score.chance for score in main if score.chance is not None]
    chance = float(np.mean(chances)) if len(chances) == len(main) else None
    return Score(float(np.mean([score.value for score in main])), chance, None)

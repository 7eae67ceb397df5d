"""Lay the sweep out as tables of text, with a row for each training set, for terminals and pages."""

from metaclip_dagster.reporting.html.numbers import number, percent
from metaclip_dagster.reporting.html.text import reveal
from metaclip_dagster.reporting.sweeps.answers import find_difference
from metaclip_dagster.reporting.sweeps.scores import Json, find_score, name_metric, rank_part, sign_points
from metaclip_dagster.reporting.sweeps.tasks import choose_other_tasks
from metaclip_dagster.reporting.sweeps.training_sets import label_set

Column = tuple[str, str, str, str]  # heading, task, part, metric


def sweep_table(sweep: Json, *, intervals: bool = True) -> list[list[str]]:
    """Rows of text, headings first and chance last: t, pairs, images, mean ± s.d. of scores, seeds and pairs seen.

    A training set without a score has dashes. With several recipes each has its own rows and chance. A terminal has no
    room for `intervals`.
    """
    columns, several = _choose_columns(sweep), len(sweep["recipes"]) > 1
    recipe_heading = ["recipe"] if several else []
    rows = [["t", *recipe_heading, "pairs", "images", *(heading for heading, *_ in columns), "seeds", "seen pairs"]]
    for recipe in sweep["recipes"] or [{"recipe": "", "sets": [], "pairs_seen": None}]:
        scored = {row["training_set"]: row for row in recipe["sets"]}
        recipe_cell = [reveal(recipe["recipe"])] if several else []
        for facts in sweep["sets"]:
            row = scored.get(facts["training_set"])
            size = [number(facts[name]) for name in ("pairs", "images")]
            of_columns = [find_score(row["scores"], *key) if row else None for _, *key in columns]
            scores = [show_score(score, intervals=intervals) for score in of_columns]
            seen = [f"{len(row['seeds'])}", number(recipe["pairs_seen"])] if row else ["–", "–"]
            rows.append([reveal(facts["training_set"]), *recipe_cell, *size, *scores, *seen])
    for baseline in sweep["baselines"]:
        scores = [show_score(find_score(baseline["scores"], *key), intervals=intervals) for _, *key in columns]
        rows.append([reveal(baseline["model"]), *(["baseline"] if several else []), "–", "–", *scores, "–", "–"])
    if columns:
        chances = [percent(_find_chance(sweep, *key)) for _, *key in columns]
        rows.append(["chance", *([""] if several else []), "", "", *chances, "", ""])
    return rows


def task_table(sweep: Json, task: Json) -> list[list[str]]:
    """Rows of text, headings first and chance last: every score of one task by metric, then its own metric by part."""
    name, metric = task["task"], task["metric"]
    columns = [(name_metric(each), name, "all", each) for each in task["metrics"]]
    columns += [(f"{name_metric(metric)}, {part}", name, part, metric) for part in task["parts"] if part != "all"]
    several = len(sweep["recipes"]) > 1
    scores = [
        ((f"{recipe['recipe']}, " if several else "") + label_set(row["training_set"]), row["scores"])
        for recipe in sweep["recipes"]
        for row in recipe["sets"]
    ]
    scores += [(f"baseline {baseline['model']}", baseline["scores"]) for baseline in sweep["baselines"]]
    return [
        ["Training set", *(heading for heading, *_ in columns)],
        *([label, *(show_score(find_score(of_row, *key)) for _, *key in columns)] for label, of_row in scores),
        ["chance", *(percent(_find_chance(sweep, *key)) for _, *key in columns)],
    ]


def paired_table(comparison: Json, task: str) -> list[list[str]]:
    """Each set's top-1 on a task less the control's, in points, in all and by part, with intervals over test images.

    Headings first; no row where nothing is known of single images.
    """
    rows = [row for row in comparison["paired"] if row["task"] == task]
    parts = sorted({row["part"] for row in rows}, key=rank_part)
    table = [["Training set", *("top-1" if part == "all" else reveal(part) for part in parts), "images", "seeds"]]
    for row in (row for row in rows if row["part"] == "all"):
        differences = [find_difference(comparison, row["training_set"], task, part) for part in parts]
        size = [number(row["num_images"]), number(len(row["seeds"]))]
        table.append([label_set(row["training_set"]), *map(_show_difference, differences), *size])
    return table


def show_score(score: Json | None, *, intervals: bool = True) -> str:
    """A score in percent, with its standard deviation over seeds, or its interval where it is of one seed.

    >>> show_score({"mean": 0.0731, "spread": 0.008}), show_score(None)
    ('7.3 ± 0.8%', '–')
    >>> show_score({"mean": 0.0731, "spread": None, "interval": [0.0516, 0.1]})
    '7.3% (5.2 to 10.0)'
    """
    if score is None:
        return "–"
    mean, spread = score["mean"], score["spread"]
    digits = 1 if mean >= 0.01 or not mean else 2
    if spread is not None:
        return f"{100 * mean:.{digits}f} ± {100 * spread:.{digits}f}%"
    bounds = [f"{100 * bound:.{digits}f}" for bound in (intervals and score["interval"]) or []]
    return percent(mean) + (f" ({' to '.join(bounds)})" if bounds else "")


def _show_difference(row: Json | None) -> str:
    if row is None:
        return "–"
    difference, low, high = map(sign_points, (row["difference"], *row["interval"]))
    return f"{difference} ({low} to {high})"


def _choose_columns(sweep: Json) -> list[Column]:
    """The first task in all and by its parts, then the mean over tasks, or the only other one."""
    if not sweep["tasks"]:
        return []
    first = sweep["tasks"][0]
    task, metric = first["task"], first["metric"]
    by_part = [(name_metric(metric) if part == "all" else reveal(part), task, part, metric) for part in first["parts"]]
    others = [(reveal(other), other, "all", main) for other, main in choose_other_tasks(sweep, task)]
    return [*by_part, *others]


def _find_chance(sweep: Json, task: str, part: str, metric: str) -> float | None:
    every = [row["scores"] for recipe in sweep["recipes"] for row in recipe["sets"]]
    every += [baseline["scores"] for baseline in sweep["baselines"]]
    chances = (score["chance"] for scores in every if (score := find_score(scores, task, part, metric)))
    return next((chance for chance in chances if chance is not None), None)

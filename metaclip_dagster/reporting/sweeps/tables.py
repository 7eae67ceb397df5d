"""The sweep as one table: a row a training set, for a terminal and for a page."""

from collections.abc import Mapping, Sequence
from typing import Any

from metaclip_dagster.reporting.html.numbers import number, percent
from metaclip_dagster.reporting.html.text import reveal
from metaclip_dagster.reporting.sweeps.findings import label
from metaclip_dagster.reporting.sweeps.scores import score_of, tasks_beside, words

Found = Mapping[str, Any]  # parts of a sweep, whose shape `describe_sweep` fixes
Column = tuple[str, str, str, str]  # heading, task, part, metric


def sweep_table(sweep: Found) -> list[list[str]]:
    """Rows of text, headings first and chance last: t, pairs, images, mean ± s.d. of scores, seeds and pairs seen.

    A training set without a score has dashes. With several recipes each has its own rows and chance.
    """
    columns, several = score_columns(sweep), len(sweep["recipes"]) > 1
    of_recipe = ["recipe"] if several else []
    rows = [["t", *of_recipe, "pairs", "images", *(heading for heading, *_ in columns), "seeds", "seen pairs"]]
    for recipe in sweep["recipes"] or [{"recipe": "", "sets": [], "pairs_seen": None}]:
        own = {row["training_set"]: row for row in recipe["sets"]}
        named = [reveal(recipe["recipe"])] if several else []
        for facts in sweep["sets"]:
            row = own.get(facts["training_set"])
            size = [number(facts[name]) for name in ("pairs", "images")]
            scores = [shown(score_of(row["scores"], *key) if row else None) for _, *key in columns]
            seen = [f"{len(row['seeds'])}", number(recipe["pairs_seen"])] if row else ["–", "–"]
            rows.append([reveal(facts["training_set"]), *named, *size, *scores, *seen])
    for baseline in sweep["baselines"]:
        scores = [shown(score_of(baseline["scores"], *key)) for _, *key in columns]
        rows.append([reveal(baseline["model"]), *(["baseline"] if several else []), "–", "–", *scores, "–", "–"])
    if columns:
        chances = [percent(chance_of(sweep, *key)) for _, *key in columns]
        rows.append(["chance", *([""] if several else []), "", "", *chances, "", ""])
    return rows


def task_table(sweep: Found, task: Found) -> list[list[str]]:
    """Rows of text, headings first and chance last: every score of one task by metric, then its own metric by part."""
    own = task["metric"]
    columns = [(words(metric), "all", metric) for metric in task["metrics"]]
    columns += [(f"{words(own)}, {part}", part, own) for part in task["parts"] if part != "all"]
    keys = [(task["task"], part, metric) for _, part, metric in columns]
    several = len(sweep["recipes"]) > 1
    rows = [
        ((f"{recipe['recipe']}, " if several else "") + label(row["training_set"]), row["scores"])
        for recipe in sweep["recipes"]
        for row in recipe["sets"]
    ]
    rows += [(f"baseline {baseline['model']}", baseline["scores"]) for baseline in sweep["baselines"]]
    return [
        ["Training set", *(heading for heading, *_ in columns)],
        *([name, *(shown(score_of(scores, *key)) for key in keys)] for name, scores in rows),
        ["chance", *(percent(chance_of(sweep, *key)) for key in keys)],
    ]


def score_columns(sweep: Found) -> list[Column]:
    """The first task in all and by its parts, then the mean over tasks, or the only other one."""
    if not sweep["tasks"]:
        return []
    first = sweep["tasks"][0]
    task, own = first["task"], first["metric"]
    columns = [(words(own) if part == "all" else reveal(part), task, part, own) for part in first["parts"]]
    return [*columns, *((reveal(other), other, "all", metric) for other, metric in tasks_beside(sweep, task))]


def shown(score: Found | None) -> str:
    """A score in percent, with its standard deviation over seeds where there is one.

    >>> shown({"mean": 0.0731, "spread": 0.008}), shown({"mean": 0.0731, "spread": None}), shown(None)
    ('7.3 ± 0.8%', '7.3%', '–')
    """
    if score is None:
        return "–"
    mean, spread = score["mean"], score["spread"]
    digits = 1 if mean >= 0.01 or not mean else 2
    return percent(mean) if spread is None else f"{100 * mean:.{digits}f} ± {100 * spread:.{digits}f}%"


def chance_of(sweep: Found, task: str, part: str, metric: str) -> float | None:
    """What guessing gives, as any of the scores says."""
    every: list[Sequence[Found]] = [row["scores"] for recipe in sweep["recipes"] for row in recipe["sets"]]
    every += [baseline["scores"] for baseline in sweep["baselines"]]
    found = (score_of(scores, task, part, metric) for scores in every)
    return next((score["chance"] for score in found if score and score["chance"] is not None), None)

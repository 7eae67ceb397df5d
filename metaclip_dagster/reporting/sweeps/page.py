"""Render the sweep over all t as a page that begins with what was found."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from metaclip_dagster.reporting.html.numbers import percent
from metaclip_dagster.reporting.html.pages import render
from metaclip_dagster.reporting.html.text import reveal
from metaclip_dagster.reporting.html.thumbnails import Picture, Pictures
from metaclip_dagster.reporting.sweeps.comparisons import find_side_score
from metaclip_dagster.reporting.sweeps.languages import language_table
from metaclip_dagster.reporting.sweeps.plots import SCORES_HEIGHT, caption_plots
from metaclip_dagster.reporting.sweeps.scores import name_metric
from metaclip_dagster.reporting.sweeps.tables import paired_table, sweep_table, task_table
from metaclip_dagster.reporting.sweeps.training_sets import label_set


def render_sweep(
    sweep: Mapping[str, Any],
    plots: Mapping[str, bytes],
    pictures: Mapping[int, Picture] | None = None,
    *,
    mode: Pictures = "shown",
) -> str:
    """The page of a sweep of `describe_sweep`.

    `plots` are PNG by name, from `plot_sweep`; `pictures` are of the test images that the sweep shows, by number.
    """
    return render(
        "sweeps/sweep.html",
        sweep=sweep,
        plots=plots,
        captions=caption_plots(plots),
        headline=_describe_headline(sweep),
        summary=sweep_table(sweep),
        partitions=[(stage["stage"], cost) for stage in sweep["costs"] for cost in stage["partitions"]],
        scores_height=SCORES_HEIGHT,
        label_set=label_set,
        task_table=task_table,
        paired_table=paired_table,
        languages=language_table(sweep["languages"], sweep["tasks"]) if sweep["languages"] else [],
        pictures=pictures or {},
        answered_sets=_label_answered_sets(sweep),
        mode=mode,
    )


def describe_pictures(sweep: Mapping[str, Any], pictures: Mapping[int, Picture], side: str) -> list[Picture]:
    """The pictures of one side, each with the names that the training sets gave it as its note."""
    images = sweep["classes"] and sweep["classes"]["images"]
    return [
        replace(pictures[image["sample"]], note="; ".join(map(_describe_answer, image["answers"])))
        for image in (images[side] if images else [])
        if image["sample"] in pictures
    ]


def _label_answered_sets(sweep: Mapping[str, Any]) -> list[str]:
    images = sweep["classes"] and sweep["classes"]["images"]
    return [label_set(name) for name in images["training_sets"]] if images else []


def _describe_answer(answer: Mapping[str, Any]) -> str:
    return f"{answer['training_set']}: {'right' if answer['right'] else answer['class_name']}"


def _describe_headline(sweep: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, scores before and after, and what they are of: the first comparison that has both sides."""
    with_both = (comparison for comparison in sweep["comparisons"] if comparison["best"] and comparison["control"])
    if not (comparison := next(with_both, None)):
        return []
    recipe = next(recipe for recipe in sweep["recipes"] if recipe["recipe"] == comparison["recipe"])
    control, best = comparison["control"], comparison["best"]
    sets = f"unbalanced → {label_set(best['training_set'])}; chance {percent(comparison['chance'])}"
    tiles = []
    for part in ("all", "tail"):
        before, after = (
            find_side_score(recipe, side, comparison["task"], part, comparison["metric"]) for side in (control, best)
        )
        if before and after:
            metric = name_metric(comparison["metric"]).capitalize() + ("" if part == "all" else f" on the {part}")
            scores = f"{percent(before['mean'])} → {percent(after['mean'])}"
            tiles.append((f"{metric}, {reveal(comparison['task'])}", scores, sets))
    return tiles

"""Render the sweep over all t as a page that begins with what was found."""

from collections.abc import Mapping
from typing import Any

from metaclip_dagster.reporting.html.numbers import percent
from metaclip_dagster.reporting.html.pages import render
from metaclip_dagster.reporting.html.text import reveal
from metaclip_dagster.reporting.sweeps.comparisons import find_side_score
from metaclip_dagster.reporting.sweeps.plots import SCORES_HEIGHT, caption_plots
from metaclip_dagster.reporting.sweeps.scores import name_metric
from metaclip_dagster.reporting.sweeps.tables import paired_table, sweep_table, task_table
from metaclip_dagster.reporting.sweeps.training_sets import label_set


def render_sweep(sweep: Mapping[str, Any], plots: Mapping[str, bytes]) -> str:
    """The page of a sweep of `describe_sweep`; `plots` are PNG by name, from `plot_sweep`."""
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
    )


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

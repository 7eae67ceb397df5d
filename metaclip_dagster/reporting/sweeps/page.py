"""The sweep over all t as a page for people, led by what was found."""

from collections.abc import Mapping
from typing import Any

from metaclip_dagster.reporting.html.numbers import percent
from metaclip_dagster.reporting.html.pages import render
from metaclip_dagster.reporting.html.text import reveal
from metaclip_dagster.reporting.sweeps.comparisons import score_at
from metaclip_dagster.reporting.sweeps.findings import label
from metaclip_dagster.reporting.sweeps.plots import SCORES_HEIGHT
from metaclip_dagster.reporting.sweeps.scores import words
from metaclip_dagster.reporting.sweeps.tables import sweep_table, task_table


def render_sweep(sweep: Mapping[str, Any], plots: Mapping[str, bytes]) -> str:
    """The page of a sweep of `describe_sweep`; `plots` are PNG by name, from `plot_sweep`."""
    return render(
        "sweeps/sweep.html",
        sweep=sweep,
        plots=plots,
        headline=_describe_headline(sweep),
        summary=sweep_table(sweep),
        partitions=[(stage["stage"], cost) for stage in sweep["costs"] for cost in stage["partitions"]],
        scores_height=SCORES_HEIGHT,
        label=label,
        task_table=task_table,
    )


def _describe_headline(sweep: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, scores before and after, and what they are of: the first comparison that has both sides."""
    both_sides = (found for found in sweep["comparisons"] if found["best"] and found["control"])
    comparison = next(both_sides, None)
    if comparison is None:
        return []
    recipe = next(recipe for recipe in sweep["recipes"] if recipe["recipe"] == comparison["recipe"])
    control, best = comparison["control"], comparison["best"]
    sets = f"unbalanced → {label(best['training_set'])}; chance {percent(comparison['chance'])}"
    tiles = []
    for part in ("all", "tail"):
        before, after = (
            score_at(recipe, side, comparison["task"], part, comparison["metric"]) for side in (control, best)
        )
        if before and after:
            metric = words(comparison["metric"]).capitalize() + ("" if part == "all" else f" on the {part}")
            scores = f"{percent(before['mean'])} → {percent(after['mean'])}"
            tiles.append((f"{metric}, {reveal(comparison['task'])}", scores, sets))
    return tiles

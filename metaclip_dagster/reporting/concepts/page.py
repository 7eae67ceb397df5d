"""Render the report on concepts as a page that begins with what was found."""

from collections.abc import Mapping
from typing import Any

from metaclip_dagster.reporting.concepts.findings import points
from metaclip_dagster.reporting.concepts.plots import caption_plots, slopes_height
from metaclip_dagster.reporting.concepts.starving import find_best_fit
from metaclip_dagster.reporting.concepts.tables import (
    bin_table,
    class_table,
    fit_table,
    language_table,
    suggestion_table,
    within_table,
)
from metaclip_dagster.reporting.html.pages import render


def render_concepts(report: Mapping[str, Any], plots: Mapping[str, bytes]) -> str:
    """The page of a report of `describe_concepts`; `plots` are PNG by name, from `plot_concepts`."""
    return render(
        "concepts/concepts.html",
        report=report,
        plots=plots,
        captions=caption_plots(report),
        fits=fit_table(report),
        within=within_table(report),
        languages=language_table(report),
        starved=class_table(report, "starved"),
        failing=class_table(report, "failing"),
        suggestions=suggestion_table(report),
        bin_table=bin_table,
        best_fit=find_best_fit,
        points=points,
        slopes_height=slopes_height,
    )

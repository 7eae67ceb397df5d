"""Relate what classes score to how many training pairs have their names, over t and seeds: the report on concepts."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from assets.partitions import all_cells
from assets.queries.concepts import ClassNames, TextsOfSet, find_texts, judge_trained, list_class_names, make_concepts
from assets.shown import plots as show_plots
from assets.shown import table
from metaclip_dagster.covering import build_name_searches, count_names
from metaclip_dagster.matching import build_matcher
from metaclip_dagster.reporting.concepts.page import render_concepts
from metaclip_dagster.reporting.concepts.plots import caption_plots, plot_concepts
from metaclip_dagster.reporting.concepts.tables import class_table, fit_table, suggestion_table
from resources.deferred import defer
from resources.engines.resource import Compute
from resources.lake.resource import Lake
from resources.models.resource import Trainer
from resources.reports.resource import Reports

MOST_ROWS = 50


@dg.asset(
    deps=[
        dg.AssetDep("scores", partition_mapping=all_cells),
        dg.AssetDep("checkpoints", partition_mapping=all_cells),
        dg.AssetDep("training_sets", partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep("subsets", partition_mapping=dg.AllPartitionMapping()),
        "entries",
        "entry_counts",
    ],
    group_name="evaluation",
    kinds={"python", "html"},
    owners=["team:models"],
)
def concepts(
    context: dg.AssetExecutionContext, lake: Lake, compute: Compute, reports: Reports, trainer: Trainer
) -> dg.MaterializeResult:
    """What more pairs of a concept are worth: accuracy of each class over the pairs whose texts have its name.

    Takes the cells that the sweep compares, and counts names in each training set once. The page names starved classes.

    Next: `entries` with a list of your own of what it suggests, or `metaclip rung` for a larger t.
    """
    judged = judge_trained(lake, trainer)
    names, texts = list_class_names(lake, judged.fit), find_texts(lake, judged)
    count_class_names(context, compute, names, texts)
    report = make_concepts(lake, judged, names, texts)
    plots = plot_concepts(report)
    links = reports.write("concepts", render_concepts(report, plots), report)
    return dg.MaterializeResult(metadata={**_show(report), **links, "plots": show_plots(plots, caption_plots(report))})


def count_class_names(
    context: dg.AssetExecutionContext, compute: Compute, names: ClassNames, texts: Sequence[TextsOfSet]
) -> None:
    """Make NAME_TEXTS of all sets; what was counted before and still holds is reused. Nothing without name or text."""
    shards = {
        f"{of_set.training_set}/{key}": {
            "texts": shard,
            "training_set": of_set.training_set,
            "thresholds": of_set.thresholds,
        }
        for of_set in texts
        for key, shard in of_set.shards.items()
    }
    setup = {"searches": defer(build_name_searches, names.searched, names.languages, build_matcher)}
    if names.searched and shards:
        compute.map_shards(context, count_names, shards, table="name_texts", setup=setup, whole=True)


def _show(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report's tables and numbers, for Dagster; the first rows of each."""
    tables = {
        "slopes": fit_table(report),
        "starved": class_table(report, "starved"),
        "failing": class_table(report, "failing"),
        "suggestions": suggestion_table(report),
    }
    shown = {name: table(rows[0], rows[1 : 1 + MOST_ROWS]) for name, rows in tables.items()}
    return {
        "findings": " ".join(report["findings"]),
        **shown,
        "num_suggestions": len(report["suggestions"]),
        "left_out": report["left_out"],
        "cannot_tell": report["cannot_tell"],
    }

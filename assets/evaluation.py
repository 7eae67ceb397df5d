"""Score checkpoints on zero-shot tasks, and report on all t together: the sweep."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from assets.checks import above_chance, check_specs, of_one_pool, up_to_date
from assets.keys import Cell
from assets.outdated import report_outdated
from assets.partitions import all_cells, baseline_keys, cells
from assets.queries.models import check_tokenizer
from assets.queries.provenance import find_outdated, record_parents
from assets.queries.samples import read_samples_of_sweep
from assets.queries.sweeps import make_sweep
from assets.shown import plots as show_plots
from assets.shown import show_pictures, table
from assets.tags import tag_run
from metaclip_dagster.evaluation import (
    load_model,
    predict_samples,
    read_task,
    score_classes,
    score_model,
    task_version,
)
from metaclip_dagster.reporting.html.thumbnails import Picture
from metaclip_dagster.reporting.sweeps.answers import SIDES
from metaclip_dagster.reporting.sweeps.cells import keep_own_language
from metaclip_dagster.reporting.sweeps.languages import language_table, list_scores_by_language
from metaclip_dagster.reporting.sweeps.page import describe_pictures, render_sweep
from metaclip_dagster.reporting.sweeps.plots import caption_plots, plot_sweep
from metaclip_dagster.reporting.sweeps.scores import mean_over_tasks
from metaclip_dagster.reporting.sweeps.tables import sweep_table
from resources.deferred import Deferred
from resources.engines.resource import Compute
from resources.lake.resource import Lake
from resources.lake.tables import PartitionManifest
from resources.models.resource import Trainer
from resources.reports.resource import Reports
from resources.tasks.resource import ZeroShot
from resources.web.archives import archive_version


class Scoring(dg.Config, use_attribute_docstrings=True):
    """How images are embedded."""

    batch_size: int = Field(default=256, ge=1)
    """Images that are embedded together: fewer need less memory."""


@dg.asset(
    partitions_def=cells,
    deps=["checkpoints"],
    group_name="evaluation",
    kinds={"pytorch"},
    owners=["team:models"],
    pool="gpu",
    check_specs=check_specs("scores", above_chance, up_to_date, partitions=cells),
)
@tag_run
def scores(
    context: dg.AssetExecutionContext, config: Scoring, lake: Lake, compute: Compute, zero_shot: ZeroShot
) -> dg.MaterializeResult:
    """Zero-shot accuracy and recall of the cell's model on every task, in all and for head and tail.

    Next: `sweep`, or first the cells of other t and of more seeds.
    """
    cell = Cell.of(context.partition_key)
    facts = record_parents(lake, "scores", cell.key)
    trained, model = find_model(lake, zero_shot, cell)
    # First, so that where there are scores, there are those of classes and images too; the model embeds once for all.
    beside = [
        compute.map_shards(
            context,
            stage,
            _read_tasks(zero_shot),
            table=table,
            setup={"model": model},
            options=_choose_options(config, zero_shot),
            inline=True,
        )
        for table, stage in (("class_scores", score_classes), ("sample_predictions", predict_samples))
    ]
    columns = {"model_name": cell.model, **{name: trained[name] for name in ("training_set", "seed", "pairs_seen")}}
    manifest, metadata, check = _score_tasks(context, config, compute, zero_shot, model, columns, facts)
    checks = [check, report_outdated(context, lake)]
    return compute.result(manifest, beside=beside, metadata=metadata, checks=checks)


@dg.asset(
    partitions_def=baseline_keys,
    group_name="evaluation",
    kinds={"pytorch"},
    owners=["team:models"],
    pool="gpu",
    check_specs=check_specs("baselines", above_chance, partitions=baseline_keys),
)
@tag_run
def baselines(
    context: dg.AssetExecutionContext, config: Scoring, compute: Compute, zero_shot: ZeroShot
) -> dg.MaterializeResult:
    """Zero-shot accuracy and recall of a model made elsewhere, on every task.

    Its key is `architecture:tag` of open_clip, or `architecture:file`.

    Next: `sweep`, which sets it beside your own models.
    """
    architecture, _, pretrained = context.partition_key.partition(":")
    version = str(archive_version(pretrained)) if Path(pretrained).is_file() else pretrained  # a tag is its own
    model = zero_shot.model(load_model, architecture, pretrained, version=version)
    columns = {"model_name": context.partition_key}
    manifest, metadata, check = _score_tasks(context, config, compute, zero_shot, model, columns)
    return compute.result(manifest, metadata=metadata, checks=[check])


@dg.asset(
    deps=[
        dg.AssetDep("scores", partition_mapping=all_cells),
        dg.AssetDep("checkpoints", partition_mapping=all_cells),
        dg.AssetDep("training_sets", partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep("baselines", partition_mapping=dg.AllPartitionMapping()),
        # Only to look at: where a subset is another now, the report is out of date.
        dg.AssetDep("subsets", partition_mapping=dg.AllPartitionMapping()),
        "entry_counts",
    ],
    group_name="evaluation",
    kinds={"python", "html"},
    owners=["team:models"],
    check_specs=check_specs("sweep", of_one_pool, up_to_date),
)
def sweep(
    context: dg.AssetExecutionContext, lake: Lake, reports: Reports, trainer: Trainer, zero_shot: ZeroShot
) -> dg.MaterializeResult:
    """Which t serves best: scores of every cell that is there beside chance, head against tail, sizes and costs.

    Next: open the report, train the cells that it names as missing, and give the best t away with `published`.
    """
    registered = sorted(context.instance.get_dynamic_partitions("baseline"))
    report = make_sweep(lake, trainer, baselines=registered, notes=zero_shot.notes())
    plots, pictures = plot_sweep(report), read_samples_of_sweep(zero_shot, report)
    links = reports.write("sweep", render_sweep(report, plots, pictures, mode=reports.pictures), report)
    rows = sweep_table(report)
    return dg.MaterializeResult(
        metadata={
            "scores": table(rows[0], rows[1:]),
            **_show_languages(report),
            "cells": len(report["cells"]),
            "missing": report["missing"],
            **links,
            "plots": show_plots(plots, caption_plots(plots)),
            **_show_images(report, pictures, reports),
        },
        check_results=[of_one_pool(report), up_to_date("sweep", find_outdated(lake))],
    )


def find_model(lake: Lake, zero_shot: ZeroShot, cell: Cell) -> tuple[dict[str, Any], Deferred]:
    """The row of CHECKPOINTS of a cell, and its model, yet to be loaded.

    Raises ValueError if its tokenizer is another than when it was trained.
    """
    [trained] = lake.read("checkpoints", [cell.key]).to_pylist()
    folder = Path(zero_shot.checkpoints, trained["path"])
    check_tokenizer(folder, trained)
    return trained, zero_shot.model(load_model, f"local-dir:{folder}", version=trained["sha256"])


def _show_languages(report: Mapping[str, Any]) -> dict[str, Any]:
    """The table of scores by language, where there are two."""
    if not report["languages"]:
        return {}
    rows = language_table(report["languages"], report["tasks"])
    return {"by_language": table(rows[0], rows[1:])}


def _show_images(report: Mapping[str, Any], pictures: Mapping[int, Picture], reports: Reports) -> dict[str, Any]:
    """The test images of the report, of classes that balancing helped and hurt, where there are any."""
    shown = {side: describe_pictures(report, pictures, side) for side in SIDES}
    return {
        name: value
        for side, listed in shown.items()
        if listed
        for name, value in show_pictures(f"images_{side}", listed, reports.pictures).items()
    }


def _score_tasks(
    context: dg.AssetExecutionContext,
    config: Scoring,
    compute: Compute,
    zero_shot: ZeroShot,
    model: Deferred,
    columns: Mapping[str, Any],
    facts: Mapping[str, str] | None = None,
) -> tuple[PartitionManifest, dict[str, Any], dg.AssetCheckResult]:
    """Score the model on every task; gives the partition, the asset's metadata and its check.

    `columns` are those of SCORES that say which model it is, `facts` what the manifest keeps.
    """
    options = {**columns, **_choose_options(config, zero_shot)}
    manifest = compute.map_shards(
        context, score_model, _read_tasks(zero_shot), setup={"model": model}, options=options, inline=True, facts=facts
    )
    scores = compute.lake.read(manifest.table, [manifest.partition])
    rows = keep_own_language(scores).to_pylist()
    mains = [row for row in rows if row["metric"] in ("main", "acc1")]
    metadata = {f"{row['task']}/{row['part']}/{row['metric']}": row["score"] for row in mains}
    headings = ["task", "part", "metric", "score", "chance", "num_images"]
    listed = [[row[name] for name in headings] for row in rows if row["metric"] != "main"]
    shown = {"scores": table(headings, listed), "mean_over_tasks": mean_over_tasks(rows)}
    of_language, by_language = list_scores_by_language(scores)
    if by_language:
        shown["by_language"] = table(of_language, by_language)
    return manifest, {**metadata, **shown}, above_chance(keep_own_language(scores))


def _choose_options(config: Scoring, zero_shot: ZeroShot) -> dict[str, Any]:
    return {**config.model_dump(), "languages": zero_shot.scored_languages}


def _read_tasks(zero_shot: ZeroShot) -> dict[str, dict[str, Deferred]]:
    return {name: {"task": task} for name, task in zero_shot.tasks(read_task, task_version).items()}

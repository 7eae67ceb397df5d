"""From checkpoints to zero-shot scores, and one report over all t."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from assets.checks import above_chance, check_specs, of_one_pool, up_to_date
from assets.partitions import Cell, all_cells, cells
from assets.provenance import find_outdated, parents_of, report_outdated, tell_read
from assets.shown import plots as inline
from assets.shown import table
from assets.sweeps import make_sweep
from metaclip_dagster.evaluation import (
    load_model,
    read_task,
    score_classes,
    score_model,
    task_version,
)
from metaclip_dagster.reporting.sweeps.page import render_sweep
from metaclip_dagster.reporting.sweeps.plots import plot_sweep
from metaclip_dagster.reporting.sweeps.scores import mean_over_tasks
from metaclip_dagster.reporting.sweeps.tables import sweep_table
from resources.deferred import Deferred
from resources.engines.resource import Compute
from resources.lake.resource import Lake
from resources.lake.tables import PartitionManifest
from resources.models.resource import Trainer
from resources.models.zero_shot import ZeroShot
from resources.reports.resource import Reports
from resources.web.archives import archive_version

Result = dg.MaterializeResult

baseline_keys = dg.DynamicPartitionsDefinition(name="baseline")


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
    check_specs=[
        *check_specs("scores", above_chance, blocking=False, partitions=cells),
        *check_specs("scores", up_to_date, blocking=False),
    ],
)
def scores(
    context: dg.AssetExecutionContext, config: Scoring, lake: Lake, compute: Compute, zero_shot: ZeroShot
) -> Result:
    """Zero-shot accuracy and recall of the cell's model on every task, in all and for head and tail."""
    cell = Cell.of(context.partition_key)
    made_of = tell_read(lake, *parents_of("scores", cell.key))
    [trained] = lake.read("checkpoints", [cell.key]).to_pylist()
    folder = Path(zero_shot.checkpoints, trained["path"])
    model = zero_shot.model(load_model, f"local-dir:{folder}", version=trained["sha256"])
    told = {name: trained[name] for name in ("training_set", "seed", "pairs_seen")}
    # First, so that where there are scores, there are those of classes too; the model embeds once for both.
    of_classes = compute.map_shards(
        context,
        score_classes,
        _tasks(zero_shot),
        table="class_scores",
        setup={"model": model},
        options=config.model_dump(),
        inline=True,
    )
    options = {"model_name": cell.model, **told}
    made, metadata, check = _score(context, config, compute, zero_shot, model=model, told=options, made_of=made_of)
    checks = [check, report_outdated(context, lake)]
    return compute.result(made, beside=[of_classes], metadata=metadata, checks=checks)


@dg.asset(
    partitions_def=baseline_keys,
    group_name="evaluation",
    kinds={"pytorch"},
    owners=["team:models"],
    pool="gpu",
    check_specs=check_specs("baselines", above_chance, blocking=False, partitions=baseline_keys),
)
def baselines(context: dg.AssetExecutionContext, config: Scoring, compute: Compute, zero_shot: ZeroShot) -> Result:
    """The same for models made elsewhere: a key is `architecture:tag` of open_clip, or `architecture:file`."""
    architecture, _, pretrained = context.partition_key.partition(":")
    model = zero_shot.model(load_model, architecture, pretrained, version=_version(pretrained))
    options = {"model_name": context.partition_key}
    made, metadata, check = _score(context, config, compute, zero_shot, model=model, told=options)
    return compute.result(made, metadata=metadata, checks=[check])


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
    check_specs=check_specs("sweep", of_one_pool, up_to_date, blocking=False),
)
def sweep(
    context: dg.AssetExecutionContext, lake: Lake, reports: Reports, trainer: Trainer, zero_shot: ZeroShot
) -> Result:
    """Which t serves best: scores of every cell that is there beside chance, head against tail, sizes and costs."""
    registered = sorted(context.instance.get_dynamic_partitions("baseline"))
    made = make_sweep(lake, trainer, baselines=registered, notes=zero_shot.notes())
    plots = plot_sweep(made)
    links = reports.write("sweep", render_sweep(made, plots), made)
    rows = sweep_table(made)
    return Result(
        metadata={
            "scores": table(rows[0], rows[1:]),
            "cells": len(made["cells"]),
            "missing": made["missing"],
            **links,
            "plots": inline(plots),
        },
        check_results=[of_one_pool(made), up_to_date("sweep", find_outdated(lake))],
    )


def _score(
    context: dg.AssetExecutionContext,
    config: Scoring,
    compute: Compute,
    zero_shot: ZeroShot,
    *,
    model: Deferred,
    told: Mapping[str, Any],
    made_of: Mapping[str, str] | None = None,
) -> tuple[PartitionManifest, dict[str, Any], dg.AssetCheckResult]:
    """Score the model on every task; gives what is told of it, and its check."""
    options = {**told, **config.model_dump()}
    made = compute.map_shards(
        context, score_model, _tasks(zero_shot), setup={"model": model}, options=options, inline=True, facts=made_of
    )
    rows = compute.lake.read(made.table, [made.partition])
    shown = [row for row in rows.to_pylist() if row["metric"] in ("main", "acc1")]
    metadata = {f"{row['task']}/{row['part']}/{row['metric']}": row["score"] for row in shown}
    columns = ["task", "part", "metric", "score", "chance", "num_images"]
    listed = [[row[name] for name in columns] for row in rows.to_pylist() if row["metric"] != "main"]
    metadata["scores"] = table(columns, listed)
    metadata["mean_over_tasks"] = mean_over_tasks(rows.to_pylist())
    return made, metadata, above_chance(rows)


def _tasks(zero_shot: ZeroShot) -> dict[str, dict[str, Deferred]]:
    return {name: {"task": task} for name, task in zero_shot.tasks(read_task, task_version).items()}


def _version(pretrained: str) -> str:
    """A tag is its own version, a file's is its size and time."""
    return str(archive_version(pretrained)) if Path(pretrained).is_file() else pretrained

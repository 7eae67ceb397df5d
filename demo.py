"""The main job on the sample: from two crawls to a sweep over t, every step a Dagster run that `make ui` shows."""

import json
import os
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import dagster as dg

from assets.partitions import THRESHOLDS, TRAINING_SETS, Cell, register_snapshots
from definitions import bind
from metaclip_dagster.reporting.sweeps.tables import sweep_table
from resources.crawl.resource import open_crawl
from resources.deployments import Deployment, deployment
from resources.instance.runs import claim_run
from resources.lake.resource import Lake, open_lake

STAGES = {"pairs": "parsed", "matches": "matched, in English", "admissions": "in the pool, none twice"}


def run(where: Deployment) -> None:
    """From the crawl's two oldest snapshots to the sweep report over one model; what holds is reused."""
    curate(where)
    train(where)


def curate(where: Deployment, num_snapshots: int = 2) -> None:
    """Put the crawl's oldest snapshots into the pool and make everything up to the data cards."""
    lake, common_crawl = open_lake(where), open_crawl(where)
    keys = list(reversed(common_crawl.snapshots()))[:num_snapshots]
    with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
        register_snapshots(instance, common_crawl, keys)
        _take(where, instance, steps(keys))
    _print_summary(lake, keys)
    print(
        f"\nEntries, and how they cover the pool: {where.reports / 'entries.html'}, {where.reports / 'coverage.html'}"
    )
    print(f"Data cards: {', '.join(str(where.reports / f'data_card_t_{t}.html') for t in THRESHOLDS)}\n")


def train(where: Deployment) -> None:
    """Fetch the images, train the deployment's first model on every set but the larger online ones, and score it."""
    with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
        _take(where, instance, training_steps(where.models[0]))
    sweep = json.loads((where.reports / "sweep.json").read_text(encoding="utf-8"))
    _print_table(sweep_table(sweep))
    notes = [f"{task['task']}: {task['note']}" for task in sweep["tasks"] if task["note"]]
    for sentence in [*sweep["findings"][:2], *notes]:
        print(f"\n{textwrap.fill(sentence, 110)}")
    print(f"\nSweep report: {where.reports / 'sweep.html'}")


def steps(keys: Sequence[str]) -> list[tuple[list[str], Sequence[str | None]]]:
    """Which assets are made together and for which partitions, in order."""
    return [
        (["wordnet_synsets", "wikipedia_ngrams", "wikipedia_unigrams", "wikipedia_bigrams"], [None]),
        (["wikipedia_titles", "entries"], [None]),
        (["pairs", "matches"], keys),
        (["coverage"], [None]),
        (["exclusions", "entry_counts"], [None]),
        (["admissions"], keys),
        (["subsets", "data_cards"], THRESHOLDS),
    ]


def training_steps(model: str) -> list[tuple[list[str], Sequence[str | None]]]:
    """The same, from images to the sweep, for one model."""
    trained_on = TRAINING_SETS[: len(THRESHOLDS) + 1]
    return [
        (["images"], THRESHOLDS),
        (["training_sets"], trained_on),
        (["checkpoints", "scores"], [Cell(training_set, model).key for training_set in trained_on]),
        (["sweep"], [None]),
    ]


def materialize(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    names: Sequence[str],
    partition: str | None = None,
    config: Mapping[str, Any] | None = None,
) -> dg.ExecuteInProcessResult:
    """One Dagster run of these assets; raises what the first that fails raised, a blocking check's failure included."""
    quiet = {"loggers": {"console": {"config": {"log_level": "WARNING"}}}}
    job = definitions.resolve_implicit_global_asset_job_def()
    keys = [dg.AssetKey(name) for name in names]
    settings = {**quiet, **(config or {})}
    run_id = str(uuid4())
    try:
        return job.execute_in_process(
            instance=instance, asset_selection=keys, partition_key=partition, run_config=settings, run_id=run_id
        )
    finally:
        claim_run(instance, run_id)


def _take(
    where: Deployment, instance: dg.DagsterInstance, plan: Sequence[tuple[list[str], Sequence[str | None]]]
) -> None:
    for names, partitions in plan:
        for partition in partitions:
            started = time.monotonic()
            made = materialize(bind(where), instance, names, partition)
            told = [partition, *names, f"{time.monotonic() - started:.1f} s", _reused(made)]
            print("  ".join(filter(None, told)), flush=True)


def _reused(made: dg.ExecuteInProcessResult) -> str:
    metadata = [event.materialization.metadata for event in made.get_asset_materialization_events()]
    shards = [(told["shards"].value, told["reused_shards"].value) for told in metadata if "shards" in told]
    return "reused" if shards and all(total == reused for total, reused in shards) else ""


def _print_summary(lake: Lake, keys: Sequence[str]) -> None:
    """Pairs per stage and snapshot, and |D(t)| per t."""
    rows = [["pairs", *keys, "in all"]]
    for stage, says in STAGES.items():
        counts = [lake.manifest(stage, key).rows for key in keys]
        rows.append([says, *(f"{count:,}" for count in counts), f"{sum(counts):,}"])
    pool = sum(lake.manifest("admissions", key).rows for key in keys)
    sizes = [(t, lake.manifest("subsets", t).rows) for t in THRESHOLDS]
    _print_table(rows)
    _print_table([["t", "|D(t)|", "of the pool"], *([t, f"{size:,}", f"{size / pool:.1%}"] for t, size in sizes)])


def _print_table(rows: list[list[str]]) -> None:
    print()
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        _, *numbers = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join([row[0].ljust(widths[0]), *numbers]))


if __name__ == "__main__":
    run(deployment())
    sys.stdout.flush()
    os._exit(0)  # at a usual end DuckDB, kept alive by torch, would list all its functions as leaked

"""Run the main job on the sample: from two crawls to a sweep over t, as Dagster runs that the UI shows."""

import argparse
import json
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence, Set
from functools import partial
from typing import Any
from uuid import uuid4

import dagster as dg

from assets.keys import THRESHOLDS, TRAINING_SETS, Cell
from assets.partitions import register_snapshots
from commands.tables import render_table
from definitions import bind
from metaclip_dagster.reporting.sweeps.languages import language_table
from metaclip_dagster.reporting.sweeps.tables import sweep_table
from metaclip_dagster.training import POOL, recipe_of
from resources.crawl.mini import build_mini, mini_deployment
from resources.crawl.resource import open_crawl
from resources.deployments import Deployment, deployment
from resources.instance.runs import claim_run
from resources.lake.resource import open_lake

STAGES = {"pairs": "parsed", "matches": "matched, in English", "admissions": "in the pool, none twice"}
Step = tuple[list[str], Sequence[str | None]]
"""Which assets are made together, and for which partitions."""
REPORTS = {"coverage", "data_cards", "what_if"}
WITH_PICTURES = {"data_cards", "what_if"}
"""Reports that say more once there are images, so that a demo with training makes them only then."""
QUICK_PAIRS = 3000
LEFT_OUT = "Left out: most pages, WordNet but its adverbs, images, training, scores. `metaclip demo` has them all."


def main(asked: argparse.Namespace) -> None:
    """Run the demo, and end the process with it; raises RuntimeError where a run of Dagster's does not go through."""
    try:
        _choose(asked)(deployment())
    except (dg.DagsterError, dg.Failure) as error:  # a blocking check, shards that failed
        raise RuntimeError(str(error).partition("\n")[0]) from error
    sys.stdout.flush()
    os._exit(0)  # at a usual end DuckDB, kept alive by torch, would list all its functions as leaked


def run(where: Deployment) -> None:
    """From the crawl's two oldest snapshots to the sweep report over one model; what holds is reused."""
    _curate(where, num_snapshots=2, without=WITH_PICTURES)
    print(flush=True)
    train(where)
    _print_reports(where)


def run_quick(where: Deployment) -> None:
    """Curate the mini sample in folders of its own beside the deployment's: its tables first, then its data cards.

    Raises ValueError for another deployment than the sample.
    """
    if where.name != "sample":
        raise ValueError(f"--quick is a part of the sample: unset METACLIP_DEPLOYMENT, which is {where.name}")
    data = where.home.parent / "quick"
    if not (data / "mini").exists():
        shutil.rmtree(data / "partial", ignore_errors=True)
        build_mini(data / "partial", pairs_of_a_file=QUICK_PAIRS).rename(data / "mini")
    quick = mini_deployment(data / "mini", data / where.name, workers=where.workers)
    with dg.DagsterInstance.from_config(str(quick.dagster_home)) as instance:
        keys = _register_oldest(quick, instance, num_snapshots=2)
        tables, reports = (
            [([name for name in names if (name in REPORTS) is is_report], on) for names, on in steps(keys)]
            for is_report in (False, True)
        )
        make(quick, instance, tables)
        _print_summary(quick, keys)
        print(flush=True)
        make(quick, instance, reports)
    _print_reports(quick)
    print(f"{LEFT_OUT}\nTo look at it: METACLIP_DATA={data} METACLIP_CRAWL={quick.crawl} metaclip ui")


def curate(where: Deployment, num_snapshots: int = 2) -> None:
    """Put the crawl's oldest snapshots into the pool and make everything up to the data cards."""
    _curate(where, num_snapshots)
    _print_reports(where)


def train(where: Deployment) -> None:
    """Fetch the images, train the deployment's first model on every set but the larger online ones, and score it."""
    with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
        make(where, instance, training_steps(where.models[0]))
    sweep = json.loads((where.reports / "sweep.json").read_text(encoding="utf-8"))
    print(f"\n{render_table(sweep_table(sweep, intervals=False))}")
    if sweep["languages"]:
        print(f"\n{render_table(language_table(sweep['languages'], sweep['tasks'], intervals=False))}")
    notes = [f"{task['task']}: {task['note']}" for task in sweep["tasks"] if task["note"]]
    for sentence in [*sweep["findings"][:2], *notes]:
        print(f"\n{textwrap.fill(sentence, 110)}")
    print(f"\nSweep report: {where.reports / 'sweep.html'}")
    print(f"Accuracy of classes over the pairs with their names: {where.reports / 'concepts.html'}")


def steps(keys: Sequence[str]) -> list[Step]:
    """From WordNet to data cards and the what-if page, in order."""
    return [
        (["wordnet_synsets", "wikipedia_ngrams", "wikipedia_unigrams", "wikipedia_bigrams"], [None]),
        (["wikipedia_titles", "entries"], [None]),
        (["pairs", "robots_txt", "matches", "opt_out_signals"], keys),
        (["coverage"], [None]),
        (["exclusions", "entry_counts"], [None]),
        (["admissions"], keys),
        (["subsets", "data_cards"], THRESHOLDS),
        (["what_if"], [None]),
    ]


def training_steps(model: str) -> list[Step]:
    """From images to the reports on the sweep, in order, for one model; only then are there pictures and hours."""
    training_sets = TRAINING_SETS[: len(THRESHOLDS) + 1]
    recipe, _ = recipe_of(model)
    return [
        (["image_texts", "images"], THRESHOLDS),
        (["data_cards"], THRESHOLDS),  # with pictures
        (["training_sets"], training_sets),
        (["tokenizer"], [None] if recipe.tokenizer == POOL else []),
        (["checkpoints", "scores"], [Cell(training_set, model).key for training_set in training_sets]),
        (["sweep", "concepts", "what_if"], [None]),
    ]


def make(
    where: Deployment, instance: dg.DagsterInstance, plan: Sequence[Step], config: Mapping[str, Any] | None = None
) -> None:
    """A run for each partition of each step, each told in a line."""
    for names, partitions in plan:
        for partition in partitions if names else ():
            started = time.monotonic()
            result = materialize(bind(where), instance, names, partition, config)
            words = [partition, *names, f"{time.monotonic() - started:.1f} s", _reused(result)]
            print("  ".join(filter(None, words)), flush=True)


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


def _curate(where: Deployment, num_snapshots: int, without: Set[str] = frozenset()) -> None:
    """Put the crawl's oldest snapshots into the pool, make all but these reports, and print what it came to."""
    with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
        keys = _register_oldest(where, instance, num_snapshots)
        make(where, instance, [([name for name in names if name not in without], on) for names, on in steps(keys)])
    _print_summary(where, keys)


def _choose(asked: argparse.Namespace) -> Callable[[Deployment], None]:
    if asked.worldwide:
        from commands.worldwide import run_worldwide  # noqa: PLC0415  # it takes the steps of this module

        if asked.quick:
            raise ValueError("--quick has no other languages: leave it or --worldwide out")
        return partial(run_worldwide, training=not asked.no_training)
    return run_quick if asked.quick else curate if asked.no_training else run


def _register_oldest(where: Deployment, instance: dg.DagsterInstance, num_snapshots: int) -> list[str]:
    common_crawl = open_crawl(where)
    keys = list(reversed(common_crawl.snapshots()))[:num_snapshots]
    register_snapshots(instance, common_crawl, keys)
    return keys


def _reused(result: dg.ExecuteInProcessResult) -> str:
    metadata = [event.materialization.metadata for event in result.get_asset_materialization_events()]
    shards = [(values["shards"].value, values["reused_shards"].value) for values in metadata if "shards" in values]
    return "reused" if shards and all(total == reused for total, reused in shards) else ""


def _print_summary(where: Deployment, keys: Sequence[str]) -> None:
    lake, rows = open_lake(where), [["pairs", *keys, "in all"]]
    languages = "English" if where.languages == ("en",) else "a language with a list"
    for stage, says in STAGES.items():
        counts = [lake.manifest(stage, key).rows for key in keys]
        rows.append([says.replace("English", languages), *(f"{count:,}" for count in counts), f"{sum(counts):,}"])
    pool = sum(lake.manifest("admissions", key).rows for key in keys)
    sizes = [(t, lake.manifest("subsets", t).rows) for t in THRESHOLDS]
    subsets = [["t", "|D(t)|", "of the pool"], *([t, f"{size:,}", f"{size / pool:.1%}"] for t, size in sizes)]
    print(f"\n{render_table(rows)}\n\n{render_table(subsets)}")


def _print_reports(where: Deployment) -> None:
    reports = where.reports
    print(f"\nEntries, and how they cover the pool: {reports / 'entries.html'}, {reports / 'coverage.html'}")
    print(f"Data cards: {', '.join(str(reports / f'data_card_t_{t}.html') for t in THRESHOLDS)}")
    print(f"What another t would keep: {reports / 'explore.html'}\n", flush=True)

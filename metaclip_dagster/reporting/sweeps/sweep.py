"""Report on all t: what training sets hold, what models trained on them score, and what it cost."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.reporting.html.numbers import share
from metaclip_dagster.reporting.sweeps.answers import choose_images, compare_answers, read_answers, read_class_names
from metaclip_dagster.reporting.sweeps.cells import (
    TrainedCell,
    describe_cell,
    describe_recipes,
    keep_own_language,
)
from metaclip_dagster.reporting.sweeps.comparisons import compare_classes, compare_sets
from metaclip_dagster.reporting.sweeps.costs import PartitionCost, describe_costs
from metaclip_dagster.reporting.sweeps.findings import write_findings
from metaclip_dagster.reporting.sweeps.judging import judge_baselines, judge_sweep, why_unfit
from metaclip_dagster.reporting.sweeps.languages import LanguageSize, describe_languages
from metaclip_dagster.reporting.sweeps.pools import PoolVersion, describe_pools
from metaclip_dagster.reporting.sweeps.scores import (
    Json,
    add_mean,
    average_seeds,
    choose_mean_tasks,
    index_scores,
    none_unless_finite,
)
from metaclip_dagster.reporting.sweeps.tasks import describe_tasks
from metaclip_dagster.reporting.sweeps.training_sets import label_set, rank_set, read_t


@dataclass(frozen=True)
class SetFacts:
    """What one training set holds; an online one holds the whole pool, drawn anew by t at every epoch."""

    pairs_in_subset: int
    """|D(t)|, whether its images could be had or not."""
    pairs: int
    """Of these, pairs whose image is there: the training set's."""
    images: int
    failed: Mapping[str, int] = field(default_factory=dict)
    """Images that could not be had, by reason."""
    tail_before: float | None = None
    """Share of the pool's matches that fall on entries of the tail, at most t matches."""
    tail_after: float | None = None
    """Share of D(t)'s matches that fall on entries of the tail."""
    pool: PoolVersion | None = None
    """The pool that the set was drawn from; None where that was not recorded."""
    version: str | None = None
    filters: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Limits to scores and numbers, by filter, outside which the set has nothing."""


def describe_sweep(
    *,
    cells: Sequence[TrainedCell],
    missing: Sequence[str] = (),
    sets: Mapping[str, SetFacts] | None = None,
    costs: Sequence[PartitionCost] = (),
    baselines: pa.Table | None = None,
    notes: Mapping[str, str] | None = None,
    languages: Mapping[str, LanguageSize] | None = None,
) -> dict[str, Any]:
    """The sweep as strict JSON: no NaN, no Infinity, null for what is not known; t stays text.

    Only sets and cells of one pool, that of most training sets, stand side by side; the others are named in `pools` and
    `other_sets`, and what was spent on another pool is left out of the costs.
    `missing` names the cells and baselines that are not there yet, `sets` holds the facts of training sets by name,
    `notes` what a task says of itself, by task, `languages` what the pool has of each. `baselines` are SCORES of models
    that were not trained here. All but `languages` is in each task's own language. Only cells
    of one recipe, all its fields alike, with equal pairs seen, scored on the same versions of tasks, are compared; the
    others are named, as are baselines of other versions. The order of cells and rows changes nothing. Raises ValueError
    where two cells claim one place or scores stand beside another cell's checkpoint.
    """
    facts, baseline_tables = dict(sets or {}), _group_by_model(baselines)
    baseline_rows = {model: keep_own_language(table).to_pylist() for model, table in baseline_tables.items()}
    pools = {name: of_set.pool for name, of_set in facts.items()}
    judged = judge_sweep(cells, pools, baseline_rows)
    compared, fit, judged_baselines = judged.pool, judged.fit, judge_baselines(baseline_rows, judged.versions)
    pools = {cell.training_set: cell.pool for cell in cells} | pools
    of_sets = [*pools.items(), *((cell.training_set, cell.pool) for cell in cells if not why_unfit(cell))]
    scores = [cell.rows() for cell in fit]
    scores += [list(rows) for _, rows, not_compared in judged_baselines if not_compared is None]
    tasks = describe_tasks(itertools.chain.from_iterable(scores), notes or {}, judged.versions)
    mean_over = choose_mean_tasks(index_scores(cell.rows()) for cell in fit)
    recipes = describe_recipes(fit, mean_over)
    compared_sets = [compare_sets(recipe, _choose_task(recipe, tasks)) for recipe in recipes]
    comparisons, classes = _compare_images(fit, compared_sets, tasks)
    fit_baselines = [(model, baseline_tables[model]) for model, _, why in judged_baselines if why is None]
    described = {name: _describe_set(name, facts.get(name)) for name in sorted(pools, key=rank_set)}
    sweep = {
        "pools": describe_pools(compared, of_sets),
        "sets": [described[name] for name in described if pools[name] == compared],
        "other_sets": [described[name] for name in described if pools[name] != compared],
        "tasks": tasks,
        "mean_over": mean_over,
        "recipes": recipes,
        "comparisons": comparisons,
        "languages": describe_languages(fit, fit_baselines, tasks, languages or {}),
        "cells": [describe_cell(cell, not_compared) for cell, not_compared in judged.cells],
        "missing": [str(name) for name in missing],
        "classes": classes,
        "baselines": [
            {
                "model": model,
                "not_compared": not_compared,
                "scores": [] if not_compared else average_seeds({0: add_mean(index_scores(rows), mean_over)}),
            }
            for model, rows, not_compared in judged_baselines
        ],
        "costs": describe_costs([cost for cost in costs if cost.pool in (None, compared)]),
        "provenance": dict(sorted(_describe_provenance(compared, facts).items())),
    }
    return {"findings": write_findings(sweep), **sweep}


def _compare_images(
    cells: Sequence[TrainedCell], comparisons: Sequence[Json], tasks: Sequence[Json]
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Each comparison with what answers to single images say on every task; the first one's classes, with images."""
    described, classes = list[dict[str, Any]](), compare_classes(cells, comparisons[0]) if comparisons else None
    class_names = read_class_names(cells)
    for comparison in comparisons:
        paired, unanswered = list[Json](), list[str]()
        for task in (task["task"] for task in tasks):
            answers, missing = read_answers(cells, comparison["recipe"], task)
            paired += compare_answers(task, answers, class_names.get(task, {}))
            unanswered += missing
            if classes and not described and task == comparison["task"]:
                classes["images"] = choose_images(answers, classes, comparison, class_names[task])
        described.append({**comparison, "paired": paired, "unanswered": [*dict.fromkeys(unanswered)]})
    return described, classes


def _group_by_model(scores: pa.Table | None) -> dict[str, pa.Table]:
    if scores is None:
        return {}
    models = pc.unique(scores["model"]).to_pylist()
    return {str(model): scores.filter(pc.equal(scores["model"], model)) for model in models}


def _choose_task(recipe: Json, tasks: Sequence[Json]) -> Json:
    scored = {score["task"] for row in recipe["sets"] for score in row["scores"]}
    return next((task for task in tasks if task["task"] in scored), tasks[0])


def _describe_set(name: str, facts: SetFacts | None) -> Json:
    failed = sorted((facts.failed if facts else {}).items(), key=lambda item: (-item[1], item[0]))
    num_failed = sum(num for _, num in failed)
    return {
        "training_set": name,
        "label": label_set(name),
        "t": None if read_t(name) is None else name.removeprefix("online-"),
        "online": name.startswith("online-"),
        "filters": {of: dict(limits) for of, limits in facts.filters.items()} if facts else {},
        "pairs_in_subset": facts and facts.pairs_in_subset,
        "pairs": facts and facts.pairs,
        "images": facts and facts.images,
        "images_failed": facts and num_failed,
        "share_failed": facts and share(num_failed, facts.images + num_failed),
        "failed": {str(reason): int(num) for reason, num in failed if num},
        "tail_before": facts and none_unless_finite(facts.tail_before),
        "tail_after": facts and none_unless_finite(facts.tail_after),
    }


def _describe_provenance(compared: PoolVersion | None, facts: Mapping[str, SetFacts]) -> dict[str, str]:
    """What the compared sets are made of, as they say themselves."""
    provenance = {}
    if compared:
        provenance = {
            "snapshots": ", ".join(compared.snapshots),
            "entries": compared.entries,
            "entry_counts": compared.entry_counts,
        }
    versions = {name: of_set.version for name, of_set in facts.items() if of_set.pool == compared}
    return provenance | {f"training_sets {name}": version for name, version in versions.items() if version}

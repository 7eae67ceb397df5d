"""One report over all t: what each training set holds, what models trained on it score, and what it cost."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from metaclip_dagster.reporting.html.numbers import share
from metaclip_dagster.reporting.sweeps.cells import (
    PoolVersion,
    TrainedCell,
    describe_cell,
    describe_recipes,
    set_order,
    set_t,
)
from metaclip_dagster.reporting.sweeps.comparisons import compare, compare_classes
from metaclip_dagster.reporting.sweeps.findings import findings, label
from metaclip_dagster.reporting.sweeps.judging import judge_baselines, judge_cells, task_versions, unfit
from metaclip_dagster.reporting.sweeps.pools import choose_pool, describe_pools, why_apart
from metaclip_dagster.reporting.sweeps.scores import (
    by_key,
    describe_tasks,
    finite,
    over_seeds,
    tasks_of_mean,
    with_mean,
)

Sweep = dict[str, Any]  # JSON, whose shape only `describe_sweep` and the page know


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
    """The same in D(t)."""
    pool: PoolVersion | None = None
    """The pool that the set was drawn from; None where that was not recorded."""
    version: str | None = None


@dataclass(frozen=True)
class Cost:
    """What one partition of one stage cost; the seconds of shards that ran side by side add up."""

    stage: str
    partition: str
    cpu_seconds: float
    wall_seconds: float
    pool: PoolVersion | None = None
    """The pool that it was spent on; None for what belongs to no single one."""


def describe_sweep(
    *,
    cells: Sequence[TrainedCell],
    missing: Sequence[str] = (),
    sets: Mapping[str, SetFacts] | None = None,
    costs: Sequence[Cost] = (),
    baselines: pa.Table | None = None,
    notes: Mapping[str, str] | None = None,
    provenance: Mapping[str, str] | None = None,
) -> Sweep:
    """The sweep as strict JSON: no NaN, no Infinity, null for what is not known; t stays text.

    Only sets and cells of one pool, that of most training sets, stand side by side; the others are named in `pools` and
    `other_sets`, and what was spent on another pool is left out of the costs.
    `missing` names the cells and baselines that are not there yet, `sets` holds the facts of training sets by name,
    `notes` what a task says of itself, by task. `baselines` are SCORES of models that were not trained here. Only cells
    of one recipe, all its fields alike, with equal pairs seen, scored on the same versions of tasks, are compared; the
    others are named, as are baselines of other versions. The order of cells and rows changes nothing. Raises ValueError
    where two cells claim one place or scores stand beside another cell's checkpoint.
    """
    facts, others = dict(sets or {}), _by_model(baselines)
    pools = {name: of_set.pool for name, of_set in facts.items()}
    compared = choose_pool([(cell.training_set, cell.pool) for cell in cells if not unfit(cell)], pools)
    pools = {cell.training_set: cell.pool for cell in cells} | pools
    of_sets = [*pools.items(), *((cell.training_set, cell.pool) for cell in cells if not unfit(cell))]
    cells = [replace(cell, outdated=cell.outdated or why_apart(cell.pool, compared)) for cell in cells]
    versions = task_versions(cells, others)
    judged, beside = judge_cells(cells, versions), judge_baselines(others, versions)
    fit = [cell for cell, why in judged if why is None]
    scored = [*(cell.rows() for cell in fit), *(rows for _, rows, why in beside if why is None)]
    tasks = describe_tasks(itertools.chain.from_iterable(scored), notes or {})
    mean_over = tasks_of_mean(by_key(cell.rows()) for cell in fit)
    recipes = describe_recipes(fit, mean_over)
    comparisons = [compare(recipe, _task_of(recipe, tasks)) for recipe in recipes]
    described = {name: _describe_set(name, facts.get(name)) for name in sorted(pools, key=set_order)}
    sweep = {
        "pools": describe_pools(compared, of_sets),
        "sets": [described[name] for name in described if pools[name] == compared],
        "other_sets": [described[name] for name in described if pools[name] != compared],
        "tasks": tasks,
        "mean_over": mean_over,
        "recipes": recipes,
        "comparisons": comparisons,
        "cells": [describe_cell(cell, why) for cell, why in judged],
        "missing": [str(name) for name in missing],
        "classes": compare_classes(fit, comparisons[0]) if comparisons else None,
        "baselines": [
            {
                "model": model,
                "not_compared": why,
                "scores": [] if why else over_seeds({0: with_mean(by_key(rows), mean_over)}),
            }
            for model, rows, why in beside
        ],
        "costs": _describe_costs([cost for cost in costs if cost.pool in (None, compared)]),
        "provenance": dict(sorted({**_provenance(compared, facts), **(provenance or {})}.items())),
    }
    return {"findings": findings(sweep), **sweep}


def _task_of(recipe: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The first task that the recipe was scored on."""
    own = {score["task"] for row in recipe["sets"] for score in row["scores"]}
    return next((task for task in tasks if task["task"] in own), tasks[0])


def _describe_set(name: str, facts: SetFacts | None) -> Sweep:
    t = set_t(name)
    failed = sorted((facts.failed if facts else {}).items(), key=lambda item: (-item[1], item[0]))
    num_failed = sum(num for _, num in failed)
    return {
        "training_set": name,
        "label": label(name),
        "t": None if t is None else name.removeprefix("online-"),
        "online": name.startswith("online-"),
        "pairs_in_subset": facts and facts.pairs_in_subset,
        "pairs": facts and facts.pairs,
        "images": facts and facts.images,
        "images_failed": facts and num_failed,
        "share_failed": facts and share(num_failed, facts.images + num_failed),
        "failed": {str(reason): int(num) for reason, num in failed if num},
        "tail_before": facts and finite(facts.tail_before),
        "tail_after": facts and finite(facts.tail_after),
    }


def _provenance(compared: PoolVersion | None, facts: Mapping[str, SetFacts]) -> dict[str, str]:
    """What the compared sets are made of, as they say themselves."""
    of_pool = {"entries": compared.entries, "entry_counts": compared.entry_counts} if compared else {}
    snapshots = {"snapshots": ", ".join(compared.snapshots)} if compared else {}
    mine = {name: of_set.version for name, of_set in facts.items() if of_set.pool == compared}
    return {**snapshots, **of_pool, **{f"training_sets {name}": version for name, version in mine.items() if version}}


def _by_model(scores: pa.Table | None) -> dict[str, list[Mapping[str, Any]]]:
    own: dict[str, list[Mapping[str, Any]]] = {}
    for row in scores.to_pylist() if scores is not None else []:
        own.setdefault(str(row["model"]), []).append(row)
    return own


def _describe_costs(costs: Sequence[Cost]) -> list[Sweep]:
    """Seconds by stage, the dearest first, with those of each partition."""
    stages: dict[str, list[Cost]] = {}

    def place(cost: Cost) -> tuple[Any, ...]:
        # A cell's partition ends with its training set.
        key = cost.partition.rsplit("|", 1)[-1]
        return *set_order(key), cost.stage, cost.partition, cost.cpu_seconds, cost.wall_seconds

    for cost in sorted(costs, key=place):
        stages.setdefault(cost.stage, []).append(cost)
    told = [
        {
            "stage": stage,
            "cpu_seconds": sum(cost.cpu_seconds for cost in own),
            "wall_seconds": sum(cost.wall_seconds for cost in own),
            "partitions": [
                {"partition": c.partition, "cpu_seconds": c.cpu_seconds, "wall_seconds": c.wall_seconds} for c in own
            ],
        }
        for stage, own in stages.items()
    ]
    return sorted(told, key=lambda stage: (-stage["cpu_seconds"], stage["stage"]))

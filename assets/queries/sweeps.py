"""Collect from the lake what the sweep reports: every cell that is there, and which are missing."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from assets.keys import CELLS, MIXTURES, TRAINING_SETS, Cell, t_of
from assets.queries.language_sizes import measure_languages
from assets.queries.provenance import current_pool, recorded_pool
from assets.queries.rungs import thresholds_of
from metaclip_dagster.reporting.cards.counts import count_subset
from metaclip_dagster.reporting.cards.distribution import Distribution
from metaclip_dagster.reporting.sweeps.cells import TrainedCell, keep_own_language
from metaclip_dagster.reporting.sweeps.costs import PartitionCost
from metaclip_dagster.reporting.sweeps.pools import PoolVersion
from metaclip_dagster.reporting.sweeps.sweep import SetFacts, describe_sweep
from metaclip_dagster.schemas import SAMPLE_PREDICTIONS
from resources.lake.resource import WHOLE, Lake
from resources.lake.tables import PartitionManifest
from resources.models.resource import Trainer
from resources.takedowns.taking_down import read_flag

FAILED_IMAGES = "failed images"
"""Where a training set's manifest has them, by reason."""
FILTERS = "filters"
"""Where it has its filters with their limits."""


def make_sweep(lake: Lake, trainer: Trainer, *, baselines: Sequence[str], notes: Mapping[str, str]) -> dict[str, Any]:
    """The sweep over every cell of the deployment; `notes` are what tasks say of themselves, by task."""
    sets = read_manifests(lake, "training_sets", TRAINING_SETS)
    cells = read_cells(lake, trainer, sets)
    trained = {Cell(cell.training_set, cell.model).key: cell.checkpoint["path"] for cell in cells}
    results = {key: result for key, path in trained.items() if (result := trainer.result(path))}
    # Where no set says its pool, none is compared by it, nor are costs.
    now = current_pool(lake) if any(map(recorded_pool, sets.values())) else None
    scored = lake.finished("baselines", sorted(baselines))
    missing = [f"{cell.model} on {cell.training_set}" for cell in map(Cell.of, CELLS) if cell.key not in trained]
    return describe_sweep(
        cells=cells,
        missing=[*missing, *(f"baseline {key}" for key in sorted(baselines) if key not in scored)],
        sets=dict(_describe_sets(lake, sets)),
        costs=[
            *_sum_costs(lake, now),
            *(
                PartitionCost(
                    "checkpoints", key, it["cpu_seconds"], it["wall_seconds"], _pool_of(lake, "checkpoints", key, now)
                )
                for key, it in results.items()
            ),
        ],
        baselines=_read_baselines(lake, scored),
        notes=notes,
        languages=measure_languages(lake, cells, sets),
    )


def _read_baselines(lake: Lake, scored: Sequence[str]) -> pa.Table | None:
    """One by one, for those of an earlier version lack columns."""
    tables = [lake.read("baselines", [key]) for key in scored]
    return pa.concat_tables(tables, promote_options="default") if tables else None


def read_cells(lake: Lake, trainer: Trainer, sets: Mapping[str, PartitionManifest]) -> list[TrainedCell]:
    """Every cell that is trained, with its scores where it is scored; `sets` are the training sets' manifests."""
    trained = lake.finished("checkpoints", CELLS)
    scores = read_manifests(lake, "scores", lake.finished("class_scores", trained))
    rows = {key: lake.read("checkpoints", [key]).to_pylist()[0] for key in trained}
    return [
        _describe_cell(
            lake, trainer, row, trainer.result(row["path"]) or {}, sets.get(row["training_set"]), scores.get(key)
        )
        for key, row in rows.items()
    ]


def read_manifests(lake: Lake, table: str, partitions: Iterable[str]) -> dict[str, PartitionManifest]:
    """Of the partitions that are finished."""
    return {partition: lake.manifest(table, partition) for partition in lake.finished(table, partitions)}


def _describe_cell(
    lake: Lake,
    trainer: Trainer,
    row: Mapping[str, Any],
    result: Mapping[str, Any],
    training_set: PartitionManifest | None,
    scores: PartitionManifest | None,
) -> TrainedCell:
    losses, outdated = result.get("losses", ()), None
    if training_set and training_set.version != row["set_version"]:
        outdated = f"{_describe_flag(read_flag(Path(trainer.root, row['path']).parent))}: train it again"
    elif scores and not scores.inputs["model"].endswith(row["sha256"]):
        outdated = "has scores of other weights: score it again"
    tables = {table: lake.read(table, [scores.partition]) for table in ("scores", "class_scores") if scores}
    pool = recorded_pool(lake.manifest("checkpoints", Cell(row["training_set"], row["model"]).key))
    if training_set and training_set.version == row["set_version"]:
        pool = pool or recorded_pool(training_set)
    read = partial(_read_predictions, lake, scores) if scores else None
    class_scores = keep_own_language(tables["class_scores"]) if tables else None
    return TrainedCell(row, tables.get("scores"), class_scores, losses, outdated, pool, read)


def _read_predictions(lake: Lake, scores: PartitionManifest, task: str) -> pa.Table | None:
    """What single images of the task were given; None where these scores are of before that was kept, or of others."""
    predictions = lake.store("sample_predictions", scores.partition).manifest()
    if predictions is None or any(
        predictions.inputs.get(name) != scores.inputs.get(name) for name in ("model", "task")
    ):
        return None
    if task not in {shard.key for shard in predictions.shards}:
        return None
    batches = [*lake.shards("sample_predictions", scores.partition)[task]()]
    return keep_own_language(pa.Table.from_batches(batches)) if batches else SAMPLE_PREDICTIONS.empty_table()


def _describe_flag(flag: Mapping[str, Any] | None) -> str:
    if flag is None:
        return "was trained on another version of its set"
    if flag["pairs"] is None:
        return "was trained on a set that is gone, which may have held pairs taken down since"
    return f"was trained on {flag['pairs']:,} pairs that were taken down since"


def _describe_sets(lake: Lake, sets: Mapping[str, PartitionManifest]) -> Iterator[tuple[str, SetFacts]]:
    """Sizes of each set as it was made, its images that failed, and what share of matches its tail has.

    All as they were when the set was made: what its subset and rings are now may be of another pool.
    """
    now, rungs = current_pool(lake), {t_of(name) for name in sets} - {"inf", *MIXTURES}
    tails = _measure_tails(lake, lake.finished("subsets", sorted(rungs)), now)
    for name, manifest in sets.items():
        pool, pairs = recorded_pool(manifest), manifest.total("seen")["pairs"]
        failures = json.loads(manifest.inputs.get(FAILED_IMAGES, "{}"))
        tail = tails.get(t_of(name), (None, None)) if pool == now else (None, None)
        in_subset = pairs + manifest.total("dropped").total()
        yield (
            name,
            SetFacts(
                pairs_in_subset=in_subset,
                pairs=pairs,
                images=manifest.rows,
                failed=failures,
                tail_before=tail[0],
                tail_after=tail[1],
                pool=pool,
                version=manifest.version,
                filters=json.loads(manifest.inputs.get(FILTERS, "{}")),
            ),
        )


def _measure_tails(
    lake: Lake, rungs: Collection[str], pool: PoolVersion | None
) -> dict[str, tuple[float | None, float | None]]:
    """The share of all matches that the tail has in the pool and in D(t)."""
    if not rungs:
        return {}
    entries, counts, tails = lake.read("entries"), lake.read("entry_counts"), {}
    for t in rungs:
        if recorded_pool(lake.manifest("subsets", t)) != pool:
            continue
        try:
            after = count_subset(lake.stream("subsets", [t])(), entries.num_rows)
            head = Distribution.build(entries, counts, after, thresholds_of(lake, t)).totals()
        except ValueError:
            continue  # it is of another pool than the counts are now: nothing is known of it
        before, after_t = (None if share is None else 1 - share for share in (head["head_before"], head["head_after"]))
        tails[t] = before, after_t
    return tails


def _sum_costs(lake: Lake, default: PoolVersion | None) -> Iterator[PartitionCost]:
    """The cost of every partition, summed over its shards, but for trainings, whose results have it.

    Snapshots that are in no pool of now, and tables of theirs, are left out.
    """
    now = current_pool(lake)
    for table, partition in lake.partitions():
        manifest = lake.store(table, partition).manifest() if table != "checkpoints" else None
        of_pool = now is None or partition == WHOLE or partition in now.snapshots
        if manifest and (of_pool or table in ("baselines", "own_entries") or partition in {*TRAINING_SETS, *CELLS}):
            spent = [sum(getattr(shard, name) for shard in manifest.shards) for name in ("cpu_seconds", "wall_seconds")]
            pool = None if table == "baselines" else _pool_of(lake, table, partition, default)
            yield PartitionCost(table, partition, spent[0], spent[1], pool)


def _pool_of(lake: Lake, table: str, partition: str, default: PoolVersion | None) -> PoolVersion | None:
    """The pool that a partition's costs belong to: its own, that of its set or cell, or the default."""
    partitions = [(table, partition), ("training_sets", partition)]
    if "|" in partition:
        partitions[1:] = [("checkpoints", partition), ("training_sets", Cell.of(partition).training_set)]
    for it in partitions:
        if (manifest := lake.store(*it).manifest()) and (pool := recorded_pool(manifest)) and pool.entry_counts:
            return pool
    return default

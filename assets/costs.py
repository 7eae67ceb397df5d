"""What a snapshot, or a t, will cost, stage by stage, beside what it took where it is made already."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from assets.partitions import THRESHOLDS, Cell
from assets.pool import thresholds_of
from metaclip_dagster.balancing import parse_threshold
from metaclip_dagster.spilling import spilling
from metaclip_dagster.training import recipe_of
from resources.deployments import Deployment
from resources.lake.costs import (
    Cost,
    Observation,
    cost_of,
    observe,
    predict_by_shard,
    predict_by_size,
    read_costs,
)
from resources.lake.resource import WHOLE, Lake
from resources.lake.tables import PartitionManifest
from resources.models.resource import Trainer

NUM_OTHERS = 3
"""Snapshots that a run of `pairs` is compared with: a manifest of 90,000 shards is some 40 MB to read."""


@dataclass(frozen=True)
class Prediction:
    """What a stage will cost, predicted from other partitions alone, and what it took."""

    stage: str
    expected: Cost | None
    """At least, where what is made leaves a range. None where nothing is made to predict from: it is not known."""
    took: Cost | None
    """None where it is not made yet."""
    off: float | None = None
    """By which share the CPU seconds may well be off: twice the standard error. None where it is not known."""
    at_most: Cost | None = None
    """Where what is made leaves a range, its other end."""


@dataclass(frozen=True)
class Size:
    """How much there is at a t."""

    pairs: int
    """|D(t)|."""
    ring: int
    """Images that the rung below does not have."""
    to_fetch: int
    """Of those, what the store lacks."""
    bytes_an_image: float
    """The mean of what it has."""


def expected_cost(lake: Lake, made: PartitionManifest) -> dict[str, Any]:
    """For the metadata of a snapshot's table: the CPU seconds that other snapshots let expect of as many shards."""
    others = sorted(_alike(lake, made.table, made.partition))[-NUM_OTHERS:]
    told = _by_shard(lake, made.table, made.partition, others, len(made.shards))
    if told.expected is None:
        return {}
    off = {} if told.off is None else {"expected_within": f"± {told.off:.0%}"}
    return {"expected_cpu_seconds": round(told.expected.cpu_seconds, 3), **off}


def predict_snapshot(
    where: Deployment, lake: Lake, key: str, num_files: int, *, from_own: bool = False
) -> list[Prediction]:
    """Every stage of curation that a snapshot of so many files adds to, from the other snapshots that are made.

    `from_own` predicts more, or less, of one that is made in part: from what it took too, which is not told then.
    """
    others = [*_alike(lake, "pairs", key), *([key] if from_own else [])]
    told = [_by_shard(lake, stage, key, others, num_files) for stage in ("pairs", "matches", "admissions")]
    matches = ((None if from_own else told[1].took) or told[1].expected or Cost()).rows
    rows = {k: lake.manifest("matches", k).rows for k in lake.finished("matches", others)}
    for stage in ("places", "snapshot_counts"):
        made = [one for k in lake.finished(stage, rows) for one in observe(lake.manifest(stage, k), rows[k])]
        told.append(_by_size(lake, stage, key, made, matches, -(-num_files // where.group_size)))
    pool = lake.store("exclusions", WHOLE).manifest()
    is_in = not from_own and pool is not None and key in {shard.key for shard in pool.shards}
    num_snapshots = len({*rows, key})
    size = sum(num for k, num in rows.items() if k != key) + matches
    for stage in ("duplicates", "exclusions", "entry_counts"):
        whole = lake.store(stage, WHOLE).manifest()
        observed = observe(whole, sum(rows.values())) if whole else []
        made = observed[:-1] if is_in else observed
        num_shards = num_snapshots if stage == "exclusions" else len(whole.shards) if whole else 0
        prediction = _by_size(lake, stage, WHOLE, made, size, num_shards)
        told.append(replace(prediction, took=prediction.took if is_in else None))
        if stage == "entry_counts" and whole:  # a row an entry, however large the pool, with a count a snapshot
            told[-1] = _exactly(told[-1], rows=whole.rows, bytes_written=cost_of(whole).bytes_written)
            if told[-1].at_most:
                growth = num_snapshots / max(len(rows), 1)
                most = replace(told[-1].at_most, bytes_written=growth * cost_of(whole).bytes_written)
                told[-1] = replace(told[-1], at_most=most)
    pool_files = num_files + sum(len(lake.manifest("pairs", k).shards) for k in rows if k != key)
    told += _predict_subsets(lake, key, pool_files, is_in=is_in, from_own=from_own)
    told += _predict_cards(where, size, is_in=is_in)
    return [replace(prediction, took=None) for prediction in told] if from_own else told


def predict_t(where: Deployment, lake: Lake, t: str) -> list[Prediction]:
    """Every stage from the subset to scores at a t, a rung or not: rows exactly, costs from the rungs that are made.

    Raises ValueError for a t that is no positive number, FileNotFoundError where the pool has no admissions.
    """
    size = measure(where, lake, t)
    subsets = {rung: lake.manifest("subsets", rung) for rung in lake.finished("subsets", THRESHOLDS) if rung != t}
    files = len(next(iter(subsets.values())).shards) if subsets else 0
    shards = {"subsets": files, "image_texts": -(-files // where.group_size), "training_sets": where.image_buckets}
    told = {}
    for stage, num_shards in shards.items():
        made = [
            one
            for rung in lake.finished(stage, subsets)
            for one in observe(lake.manifest(stage, rung), subsets[rung].rows)
        ]
        told[stage] = _by_size(lake, stage, t, made, size.pairs, num_shards)
    for stage in ("subsets", "image_texts"):
        told[stage] = _exactly(told[stage], rows=size.pairs)
    rings = [lake.manifest("images", rung) for rung in lake.finished("images", THRESHOLDS) if rung != t]
    own = lake.store("images", t).manifest()
    fetched = _fetched(own) if own else size.to_fetch
    made = [one for ring in rings for one in observe(ring, _fetched(ring))]
    images = _by_size(lake, "images", t, made, fetched, where.image_buckets)
    told["images"] = _exactly(images, rows=size.ring, bytes_read=fetched * size.bytes_an_image)
    if own and images.took:
        sizes = lake.dataset("images", [t]).to_batches(columns=["size"])
        brought = sum(pc.sum(batch["size"]).as_py() or 0 for batch in sizes)
        told["images"] = replace(told["images"], took=replace(images.took, bytes_read=brought))
    ordered = [told[stage] for stage in ("subsets", "image_texts", "images", "training_sets")]
    return ordered + list(_predict_cells(where, lake, t))


def measure(where: Deployment, lake: Lake, t: str) -> Size:
    """Count what D(t) has, over the whole pool; `t` may be a rung or not. Raises as `predict_t` does."""
    value = parse_threshold(t)
    below = [rung for rung in THRESHOLDS if parse_threshold(rung) < value]
    held_to, held_below = thresholds_of(lake, t), thresholds_of(lake, below[-1]) if below else {}
    rungs = [{"language": of, "t": at, "below": held_below.get(of, 0.0)} for of, at in held_to.items()]
    indices = [str(path) for path in where.images.glob("*/*.parquet")]
    with spilling() as query:
        query.register("pool", lake.dataset("admissions", [shard.key for shard in lake.manifest("exclusions").shards]))
        query.register("rungs", pa.Table.from_pylist(rungs))
        query.sql("create table stored (image_id varchar, size ubigint)")
        if indices:
            query.execute("insert into stored select image_id, size from read_parquet(?)", [indices])
        [told] = query.sql("""
            with drawn as (
                select lower(hex(image_id)) as image_id, count_if(admitted_at < t) as pairs,
                    count_if(admitted_at < t) > 0 and count_if(admitted_at < below) = 0 as in_ring
                from pool join rungs using (language) group by image_id
            )
            select coalesce(sum(pairs), 0)::bigint, count_if(in_ring), count_if(in_ring and stored.image_id is null),
                coalesce((select avg(size) from stored), 0)
            from drawn left join (select distinct image_id from stored) as stored using (image_id)
        """).fetchall()
    return Size(*told)


def _predict_subsets(lake: Lake, key: str, num_files: int, *, is_in: bool, from_own: bool) -> Iterator[Prediction]:
    """The subset at each rung that is made: a shard a file of the pool, all of which a new snapshot has made again."""
    rungs = lake.finished("subsets", THRESHOLDS)
    for t in rungs:
        subset = lake.manifest("subsets", t)
        others = [shard for shard in subset.shards if from_own or not shard.key.startswith(f"{key}/")]
        expected, off = predict_by_shard([replace(subset, shards=tuple(others))], num_files) if others else (None, None)
        yield Prediction(f"subsets {t}", expected, cost_of(subset) if is_in else None, off)
    if not rungs:
        yield Prediction("subsets", None, None)


def _predict_cards(where: Deployment, size: float, *, is_in: bool) -> Iterator[Prediction]:
    """The data card at each rung that has one, which its run's own process makes of the whole pool."""
    rungs = [(t, observed) for t in THRESHOLDS if (observed := read_costs(where.reports, f"data_card_t_{t}"))]
    for t, observed in rungs:
        *earlier, last = observed
        stage, before = f"data_cards {t}", earlier if is_in else observed
        expected, at_most = predict_by_size(before, size, 1) if before else (None, None)
        yield _ranged(Prediction(stage, expected, last.cost if is_in else None), at_most)
    if not rungs:
        yield Prediction("data_cards", None, None)


def _alike(lake: Lake, table: str, key: str) -> list[str]:
    """The other snapshots that have the table; of another pool, none."""
    made = [k for name, k in lake.partitions() if name == table and k != key and not k.startswith("pool-")]
    return [] if key.startswith("pool-") else lake.finished(table, made)


def _by_shard(lake: Lake, stage: str, key: str, others: Sequence[str], num_shards: int) -> Prediction:
    made = [lake.manifest(stage, k) for k in lake.finished(stage, others)]
    expected, off = predict_by_shard(made, num_shards) if made else (None, None)
    return Prediction(stage, expected, _took(lake, stage, key), off)


def _by_size(lake: Lake, stage: str, key: str, made: Sequence[Observation], size: float, num_shards: int) -> Prediction:
    expected, at_most = predict_by_size(made, size, num_shards) if made else (None, None)
    return _ranged(Prediction(stage, expected, _took(lake, stage, key)), at_most)


def _ranged(prediction: Prediction, at_most: Cost | None) -> Prediction:
    return prediction if at_most == prediction.expected else replace(prediction, at_most=at_most)


def _took(lake: Lake, stage: str, key: str) -> Cost | None:
    made = lake.store(stage, key).manifest()
    return cost_of(made) if made else None


def _exactly(prediction: Prediction, **known: float) -> Prediction:
    expected, at_most = (cost and replace(cost, **known) for cost in (prediction.expected, prediction.at_most))
    return replace(prediction, expected=expected, at_most=at_most)


def _fetched(ring: PartitionManifest) -> int:
    return ring.total("seen")["fetched"]


def _predict_cells(where: Deployment, lake: Lake, t: str) -> Iterator[Prediction]:
    """Training and scores of each model on D(t), from those of its architecture on other sets."""
    spent = dict(_seconds_per_pair(where, lake))
    for model in where.models:
        architecture = recipe_of(model)[0].architecture
        others = [s for (cell, of), s in spent.items() if of == architecture and cell.training_set != t]
        own = spent.get((Cell(t, model), architecture))
        expected, took = (
            None if seconds is None else Cost(cpu_seconds=seconds * where.pairs_to_see, rows=where.pairs_to_see)
            for seconds in (sum(others) / len(others) if others else None, own)
        )
        yield Prediction(f"checkpoints {model}", expected, took)
        scored = [k for table, k in lake.partitions() if table == "scores" and Cell.of(k).training_set != t]
        alike = [k for k in scored if recipe_of(Cell.of(k).model)[0].architecture == architecture]
        for table in ("scores", "class_scores"):  # whichever of them comes first embeds the images for both
            made = [one for k in lake.finished(table, alike) for one in observe(lake.manifest(table, k), 1)]
            told = _by_size(lake, table, Cell(t, model).key, made, 1, len(where.tasks))
            yield replace(told, stage=f"{table} {model}")


def _seconds_per_pair(where: Deployment, lake: Lake) -> Iterator[tuple[tuple[Cell, str], float]]:
    """CPU seconds for a seen pair of every training that is finished and still there."""
    trainer = Trainer(root=str(where.checkpoints))
    for key in lake.finished("checkpoints", [k for table, k in lake.partitions() if table == "checkpoints"]):
        [row] = lake.read("checkpoints", [key]).to_pylist()
        try:
            result = trainer.result(row["path"])
        except FileNotFoundError:
            continue  # its folder was removed
        yield (Cell.of(key), row["architecture"]), result["cpu_seconds"] / result["pairs_seen"]

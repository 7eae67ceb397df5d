"""Predict what a snapshot will cost to curate, stage by stage, beside what it cost where it is made."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from assets.keys import THRESHOLDS
from resources.deployments import Deployment
from resources.lake.costs import Cost, Observation, cost_of, observe, predict_by_shard, predict_by_size, read_costs
from resources.lake.resource import WHOLE, Lake
from resources.lake.tables import PartitionManifest

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


def expected_cost(lake: Lake, manifest: PartitionManifest) -> dict[str, Any]:
    """For the metadata of a snapshot's table: the CPU seconds that other snapshots let expect of as many shards."""
    others = sorted(_alike(lake, manifest.table, manifest.partition))[-NUM_OTHERS:]
    prediction = _by_shard(lake, manifest.table, manifest.partition, others, len(manifest.shards))
    if prediction.expected is None:
        return {}
    off = {} if prediction.off is None else {"expected_within": f"± {prediction.off:.0%}"}
    return {"expected_cpu_seconds": round(prediction.expected.cpu_seconds, 3), **off}


def predict_snapshot(
    where: Deployment, lake: Lake, key: str, num_files: int, *, from_own: bool = False
) -> list[Prediction]:
    """Every stage of curation that a snapshot of so many files adds to, from the other snapshots that are made.

    `from_own` predicts more, or less, of one that is made in part: from what it took too, which is left out then.
    """
    others = [*_alike(lake, "pairs", key), *([key] if from_own else [])]
    optional = ["opt_out_signals"] if lake.finished("opt_out_signals", others) else []
    stages = ("pairs", "matches", "admissions", *optional)
    by_shard = [_by_shard(lake, stage, key, others, num_files) for stage in stages]
    matches = ((None if from_own else by_shard[1].took) or by_shard[1].expected or Cost()).rows
    rows = {k: lake.manifest("matches", k).rows for k in lake.finished("matches", others)}
    predictions = [*by_shard, *_predict_exchange(where, lake, key, rows, matches, num_files)]
    pool = lake.store("exclusions", WHOLE).manifest()
    is_in = not from_own and pool is not None and key in {shard.key for shard in pool.shards}
    size = sum(num for k, num in rows.items() if k != key) + matches
    predictions += _predict_pool(lake, key, rows, size, is_in=is_in)
    pool_files = num_files + sum(len(lake.manifest("pairs", k).shards) for k in rows if k != key)
    predictions += _predict_subsets(lake, key, pool_files, is_in=is_in, from_own=from_own)
    predictions += _predict_cards(where, size, is_in=is_in)
    return [replace(prediction, took=None) for prediction in predictions] if from_own else predictions


def predict_stage(
    lake: Lake, stage: str, key: str, observed: Sequence[Observation], size: float, num_shards: int
) -> Prediction:
    """A stage by what others of it took and how much they read; `size` is how much this one reads."""
    expected, at_most = predict_by_size(observed, size, num_shards) if observed else (None, None)
    return _ranged(Prediction(stage, expected, _took(lake, stage, key)), at_most)


def set_exactly(prediction: Prediction, **exact: float) -> Prediction:
    """The prediction with what is no guess: numbers that the tables give."""
    expected, at_most = (cost and replace(cost, **exact) for cost in (prediction.expected, prediction.at_most))
    return replace(prediction, expected=expected, at_most=at_most)


def _predict_exchange(
    where: Deployment, lake: Lake, key: str, rows: Mapping[str, int], matches: float, num_files: int
) -> Iterator[Prediction]:
    """The tables that exclusions and entry_counts make of the snapshot's matches on the way."""
    for stage in ("places", "snapshot_counts"):
        observed = [one for k in lake.finished(stage, rows) for one in observe(lake.manifest(stage, k), rows[k])]
        yield predict_stage(lake, stage, key, observed, matches, -(-num_files // where.group_size))


def _predict_pool(lake: Lake, key: str, rows: Mapping[str, int], size: float, *, is_in: bool) -> Iterator[Prediction]:
    """What is made of the whole pool; `rows` are the matches of the snapshots that have any, `size` all with this."""
    num_snapshots = len({*rows, key})
    for stage in ("duplicates", "exclusions", "entry_counts"):
        whole = lake.store(stage, WHOLE).manifest()
        observed = observe(whole, sum(rows.values())) if whole else []
        num_shards = num_snapshots if stage == "exclusions" else len(whole.shards) if whole else 0
        prediction = predict_stage(lake, stage, WHOLE, observed[:-1] if is_in else observed, size, num_shards)
        prediction = replace(prediction, took=prediction.took if is_in else None)
        if stage == "entry_counts" and whole:  # a row an entry, however large the pool, with a count a snapshot
            bytes_written = cost_of(whole).bytes_written
            prediction = set_exactly(prediction, rows=whole.rows, bytes_written=bytes_written)
            if prediction.at_most:
                most = replace(prediction.at_most, bytes_written=num_snapshots / max(len(rows), 1) * bytes_written)
                prediction = replace(prediction, at_most=most)
        yield prediction


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
        others = earlier if is_in else observed
        expected, at_most = predict_by_size(others, size, 1) if others else (None, None)
        yield _ranged(Prediction(f"data_cards {t}", expected, last.cost if is_in else None), at_most)
    if not rungs:
        yield Prediction("data_cards", None, None)


def _alike(lake: Lake, table: str, key: str) -> list[str]:
    """The other snapshots that have the table; of another pool, none."""
    others = [k for name, k in lake.partitions() if name == table and k != key and not k.startswith("pool-")]
    return [] if key.startswith("pool-") else lake.finished(table, others)


def _by_shard(lake: Lake, stage: str, key: str, others: Sequence[str], num_shards: int) -> Prediction:
    manifests = [lake.manifest(stage, k) for k in lake.finished(stage, others)]
    expected, off = predict_by_shard(manifests, num_shards) if manifests else (None, None)
    return Prediction(stage, expected, _took(lake, stage, key), off)


def _ranged(prediction: Prediction, at_most: Cost | None) -> Prediction:
    return prediction if at_most == prediction.expected else replace(prediction, at_most=at_most)


def _took(lake: Lake, stage: str, key: str) -> Cost | None:
    manifest = lake.store(stage, key).manifest()
    return cost_of(manifest) if manifest else None

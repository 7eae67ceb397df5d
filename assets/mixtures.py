"""Draw subsets and part texts by the sources of a mixture; a rung has one source without a name."""

from collections import Counter
from typing import Any

import dagster as dg

from assets.defaults import DEFAULTS
from assets.keys import MIXTURES
from assets.pool import Pool, align_shards, group_shards, snapshots_of
from assets.queries.mixtures import describe_mixture, is_as_declared
from assets.queries.rungs import thresholds_of
from assets.shown import table
from metaclip_dagster.reporting.html.numbers import percent
from metaclip_dagster.training.mixtures import assign_snapshots
from resources.deferred import Deferred
from resources.engines.shards import Shard
from resources.lake.resource import Lake
from resources.lake.tables import PartitionManifest

Thresholds = dict[str, dict[str, float]]


def find_thresholds(lake: Lake, key: str, pool: Pool) -> Thresholds:
    """Each language's own t in every snapshot that the subset is drawn from: all of the pool, or a mixture's.

    Raises dg.Failure where a mixture's sources do not fit the pool.
    """
    if key not in MIXTURES:
        return dict.fromkeys(pool.snapshots, thresholds_of(lake, key))
    try:
        of_snapshot = assign_snapshots(MIXTURES[key], pool.snapshots)
        of_source = {source: thresholds_of(lake, source.t) for source in MIXTURES[key]}
        return {snapshot: of_source[of_snapshot[snapshot]] for snapshot in pool.snapshots if snapshot in of_snapshot}
    except ValueError as error:
        raise dg.Failure(f"{key}: {error}", allow_retries=False) from None


def plan_subset(lake: Lake, key: str, thresholds: Thresholds) -> tuple[list[Shard], dict[str, Any]]:
    """The shards of a subset and their options: the t of a rung is all shards' own, that of a mixture each source's."""
    of_source = {snapshot: {"thresholds": of} if key in MIXTURES else {} for snapshot, of in thresholds.items()}
    shards = [
        Shard(f"{snapshot}/{shard}", {"snapshot": snapshot, **of, **inputs})
        for snapshot, of in of_source.items()
        for shard, inputs in align_shards(lake, snapshot, "pairs", "matches", "admissions").items()
    ]
    return shards, {} if key in MIXTURES else {"thresholds": next(iter(thresholds.values()))}


def refuse_empty(subset: PartitionManifest) -> None:
    """Raise dg.Failure, naming it, where a source of a mixture has no pair in its subset."""
    if (key := subset.partition) not in MIXTURES:
        return
    of_snapshot, pairs = assign_snapshots(MIXTURES[key], snapshots_of(subset)), Counter[str]()
    for shard in subset.shards:
        pairs[of_snapshot[shard.key.rpartition("/")[0]].name] += shard.rows
    if empty := [source for source in MIXTURES[key] if not pairs[source.name]]:
        described = "; ".join(f"{it.name} ({', '.join(it.snapshots)}) at t = {it.t}" for it in empty)
        raise dg.Failure(
            f"{key}: no pair is left of {described}: take a larger t, or leave the source out of mixtures.json",
            allow_retries=False,
        )


def group_subset(lake: Lake, key: str, size: int) -> dict[str, dict[str, Deferred]]:
    """Neighbouring shards of a subset, `size` at a time and of one source, by source and number of the group.

    Raises dg.Failure where the subset was drawn by another mixtures.json.
    """
    shards = lake.shards("subsets", key)
    if key not in MIXTURES:
        return group_shards(shards, size)
    check_drawn(lake, key)
    of_snapshot = assign_snapshots(MIXTURES[key], snapshots_of(lake.manifest("subsets", key)))
    groups = dict[str, dict[str, Deferred]]()
    for source in MIXTURES[key]:
        of_source = {it: rows for it, rows in shards.items() if of_snapshot[it.rpartition("/")[0]] == source}
        groups |= {f"{source.name}/{group}": of for group, of in group_shards(of_source, size).items()}
    return groups


def check_drawn(lake: Lake, key: str) -> None:
    """Raise dg.Failure where a mixture's subset has other sources, or another t, than mixtures.json says now."""
    if not is_as_declared(lake.manifest("subsets", key), key):
        raise dg.Failure(
            f"the subset {key} was drawn by another mixtures.json; materialize subsets of {key}, then image_texts, "
            "images and training_sets",
            allow_retries=False,
        )


def show_t(thresholds: Thresholds) -> dict[str, Any]:
    """Each language's own t, for people; of a mixture by snapshot."""
    spelled = {snapshot: {language: f"{t:g}" for language, t in of.items()} for snapshot, of in thresholds.items()}
    return spelled if len({*map(str, spelled.values())}) > 1 else next(iter(spelled.values()))


def show_mixture(training_set: PartitionManifest, budget: int = DEFAULTS.pairs_to_see) -> dict[str, Any]:
    """A table of a mixture's sources, as a training of that budget sees them; nothing where the set is no mixture.

    Raises dg.Failure for a source without an image.
    """
    try:
        sources = describe_mixture(training_set, budget)
    except ValueError as error:
        raise dg.Failure(f"{training_set.partition}: {error}", allow_retries=False) from None
    columns = ["source", "snapshots", "t", "asked", "pairs", "images", "pairs seen", "share seen", "times seen"]
    rows = [
        (
            *(it.name, ", ".join(it.snapshots), it.t, it.asked, it.pairs, it.images, it.pairs_seen),
            *(percent(it.share), f"{it.times:.3g}"),
        )
        for it in sources
    ]
    return {"sources": table(columns, rows)} if rows else {}

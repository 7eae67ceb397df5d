"""From pairs to balanced subsets."""

import dagster as dg

from assets.checks import (
    check_specs,
    counts_add_up,
    every_pair_admitted,
    no_empty_snapshot,
    no_pair_twice,
    subsets_nested,
)
from assets.partitions import all_snapshots, snapshots, thresholds
from assets.pool import aligned, drawing_setup, grouped, matching_setup, pool_of, pool_shards, strays, thresholds_of
from metaclip_dagster.balancing import admit, select_pairs
from metaclip_dagster.counting import count_entries, merge_counts
from metaclip_dagster.deduplicating import find_duplicates, gather_exclusions, scatter_pairs
from metaclip_dagster.matching import match_entries
from resources.compute import Compute
from resources.deployments import deployment
from resources.engines import Shard, defer
from resources.lake import Lake
from resources.tables import chain_batches

Result = dg.MaterializeResult


class Grouping(dg.Config):
    """How much of MATCHES one worker takes at a time."""

    group_size: int = deployment().group_size
    """Shards that are scattered or counted together."""


class Exchange(Grouping):
    """How pairs are brought together that may be the same."""

    num_buckets: int = deployment().num_buckets
    """Each bucket is judged in memory: at 24 bytes a pair, take as many as keep one under a worker's share."""


class Balancing(dg.Config):
    """How pairs are drawn."""

    seed: int = 0


@dg.asset(
    partitions_def=snapshots,
    deps=["pairs", "entries"],
    group_name="curation",
    kinds={"parquet"},
    check_specs=check_specs("matches", no_empty_snapshot),
)
def matches(context: dg.AssetExecutionContext, lake: Lake, compute: Compute) -> Result:
    """Every pair of the snapshot whose text is in a language of the entries and contains one of them."""
    shards = {key: {"pairs": batches} for key, batches in lake.shards("pairs", context.partition_key).items()}
    made = compute.map_shards(context, match_entries, shards, setup=matching_setup(lake))
    return compute.result(made, checks=[no_empty_snapshot(made)])


@dg.asset(
    deps=[dg.AssetDep("matches", partition_mapping=all_snapshots)],
    group_name="curation",
    kinds={"parquet", "duckdb"},
    check_specs=check_specs("exclusions", no_pair_twice),
)
def exclusions(context: dg.AssetExecutionContext, config: Exchange, lake: Lake, compute: Compute) -> Result:
    """Pairs of the pool that a lower place holds already: the lowest snapshot, then the lowest shard, owns a pair."""
    pool = pool_of(context, lake, "matches", matching_setup(lake))
    for snapshot in pool.snapshots:
        groups = grouped(lake.shards("matches", snapshot), config.group_size)
        scattered = {key: {"matches": group, "snapshot": snapshot} for key, group in groups.items()}
        options = {"num_buckets": config.num_buckets}
        compute.map_shards(context, scatter_pairs, scattered, table="places", partition=snapshot, options=options)
    buckets = {
        f"{bucket:05d}": {"places": lake.where("places", "bucket", bucket, partitions=pool.snapshots)}
        for bucket in range(config.num_buckets)
    }
    judged = compute.map_shards(context, find_duplicates, buckets, table="duplicates")
    gathered = {s: {"exclusions": lake.where("duplicates", "snapshot", s), "snapshot": s} for s in pool.snapshots}
    made = compute.map_shards(context, gather_exclusions, gathered)
    check = no_pair_twice(judged, made)
    return compute.result(made, metadata={**config.model_dump(), **pool.metadata}, checks=[check])


@dg.asset(
    deps=[dg.AssetDep("matches", partition_mapping=all_snapshots), "exclusions", "entries"],
    group_name="curation",
    kinds={"parquet", "duckdb"},
    check_specs=check_specs("entry_counts", counts_add_up),
)
def entry_counts(context: dg.AssetExecutionContext, config: Grouping, lake: Lake, compute: Compute) -> Result:
    """How many pairs of the pool match each entry, in all and snapshot by snapshot."""
    pool = pool_of(context, lake, "matches", matching_setup(lake))
    for snapshot in pool.snapshots:
        groups = grouped(pool_shards(lake, snapshot), config.group_size)
        counted = {
            k: {"pool": defer(chain_batches, *group.values()), "snapshot": snapshot} for k, group in groups.items()
        }
        compute.map_shards(context, count_entries, counted, table="snapshot_counts", partition=snapshot)
    counts = {"counts": lake.stream("snapshot_counts", pool.snapshots), "entries": lake.table("entries")}
    made = compute.map_shards(context, merge_counts, {"00000": counts})
    check = counts_add_up(lake, pool.snapshots)
    return compute.result(made, metadata={**config.model_dump(), **pool.metadata}, checks=[check])


@dg.asset(
    partitions_def=snapshots,
    deps=["matches", "exclusions", "entry_counts"],
    group_name="curation",
    kinds={"parquet"},
    check_specs=check_specs("admissions", every_pair_admitted),
)
def admissions(context: dg.AssetExecutionContext, config: Balancing, lake: Lake, compute: Compute) -> Result:
    """The t above which each pair of the pool is kept: one number a pair serves every t."""
    shards = {key: {"pool": batches} for key, batches in pool_shards(lake, context.partition_key).items()}
    made = compute.map_shards(context, admit, shards, setup=drawing_setup(lake), options={"seed": config.seed})
    check = every_pair_admitted(lake, context.partition_key, made)
    return compute.result(made, metadata=config.model_dump(), checks=[check])


@dg.asset(
    partitions_def=thresholds,
    deps=[
        dg.AssetDep("admissions", partition_mapping=all_snapshots),
        dg.AssetDep("pairs", partition_mapping=all_snapshots),
        dg.AssetDep("matches", partition_mapping=all_snapshots),
        "entry_counts",
    ],
    group_name="curation",
    kinds={"parquet"},
    check_specs=check_specs("subsets", subsets_nested),
)
def subsets(context: dg.AssetExecutionContext, lake: Lake, compute: Compute) -> Result:
    """D(t): the balanced pairs at t with their URLs and texts, ready for any downloader."""
    pool = pool_of(context, lake, "admissions", drawing_setup(lake), alike="seed")
    shards = [
        Shard(f"{snapshot}/{key}", {"snapshot": snapshot, **inputs})
        for snapshot in pool.snapshots
        for key, inputs in aligned(lake, snapshot, "pairs", "matches", "admissions").items()
    ]
    held_to = thresholds_of(lake, context.partition_key)
    made = compute.map_shards(context, select_pairs, shards, options={"thresholds": held_to})
    told = {**pool.metadata, "t": {language: f"{t:g}" for language, t in held_to.items()}}
    return compute.result(made, metadata=told, checks=[subsets_nested(strays(lake, context.partition_key))])

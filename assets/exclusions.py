"""Find the pairs that the pool leaves out: copies across snapshots, what is taken down, and what a policy names."""

import dagster as dg

from assets.automation import when_changed
from assets.checks import check_specs, every_snapshot_there, no_pair_twice
from assets.choices import AsBefore
from assets.partitions import all_snapshots
from assets.policies import Policy, apply_policy
from assets.pool import Exchange, group_shards, matching_setup, pool_of, record_matches
from assets.shown import lineage, table
from assets.takedowns import Excluded, drop_excluded, find_taken_down, join_exclusions, read_takedowns
from assets.waiting import find_missing
from metaclip_dagster.deduplicating import DUPLICATE, find_duplicates, gather_exclusions, scatter_pairs
from metaclip_dagster.deduplicating.takedowns import TAKEN_DOWN
from metaclip_dagster.reporting.cards.counts import count_pairs
from resources.engines.resource import Compute
from resources.images.resource import Images
from resources.lake.resource import Lake
from resources.lake.tables import PartitionManifest
from resources.takedowns.resource import TakedownList


@dg.asset(
    deps=[dg.AssetDep(name, partition_mapping=all_snapshots) for name in ("matches", "opt_out_signals")],
    group_name="curation",
    kinds={"parquet", "duckdb"},
    owners=["team:data"],
    metadata=lineage(pair_id="matches.pair_id"),
    check_specs=check_specs("exclusions", no_pair_twice, every_snapshot_there),
    automation_condition=when_changed("entry_counts", "admissions", optional=["opt_out_signals"]),
)
def exclusions(
    context: dg.AssetExecutionContext,
    config: AsBefore[Policy],
    lake: Lake,
    compute: Compute,
    image_store: Images,
    takedown_list: TakedownList,
) -> dg.MaterializeResult:
    """Pairs that a lower place holds already, pairs that are taken down, and pairs that the policy leaves out.

    The lowest snapshot, then the lowest shard, owns a pair; where that is taken down or opted out, the next does. With
    an empty policy opt_out_signals need not be there.

    Next: `entry_counts`.
    """
    choice = config.choose(context, lake)
    policy = choice.config
    pool = pool_of(context, lake, "matches", matching_setup(lake))
    facts = choice.facts | record_matches(
        lake, pool.snapshots
    )  # before they are read: what is made anew meanwhile is not recorded
    takedowns = read_takedowns(takedown_list, image_store.root)
    taken_down = {key: find_taken_down(context, compute, takedowns, key) for key in pool.snapshots}
    opted_out = {key: apply_policy(context, policy, compute, key, taken_down[key]) for key in pool.snapshots}
    excluded = {key: (taken_down[key], opted_out[key]) for key in pool.snapshots}
    places = [_scatter_snapshot(context, policy, compute, key, *excluded[key]) for key in pool.snapshots]
    duplicates = _find_duplicates(context, policy, compute, places)
    shards = {
        key: {
            "exclusions": join_exclusions(lake.where("duplicates", "snapshot", key), *excluded[key]),
            "snapshot": key,
        }
        for key in pool.snapshots
    }
    manifest = compute.map_shards(context, gather_exclusions, shards, size=duplicates.size, whole=True, facts=facts)
    reasons = {DUPLICATE: 0, TAKEN_DOWN: 0} | count_pairs(lake.stream("exclusions")(), "reason")
    shown = {
        "excluded": table(["snapshot", "pairs excluded"], [(shard.key, shard.rows) for shard in manifest.shards]),
        **reasons,
    }
    checks = [no_pair_twice(duplicates, reasons[DUPLICATE]), every_snapshot_there(find_missing(context.instance, lake))]
    metadata = {**choice.metadata, **pool.metadata, **shown}
    return compute.result(manifest, beside=[*places, duplicates], metadata=metadata, checks=checks)


def _scatter_snapshot(
    context: dg.AssetExecutionContext, config: Exchange, compute: Compute, snapshot: str, *excluded: Excluded
) -> PartitionManifest:
    """PLACES of a snapshot: which of its shards have which pair, by buckets of pair_ids."""
    matches = compute.lake.shards("matches", snapshot, ["pair_id"])
    for of_kind in excluded:
        matches = drop_excluded(matches, of_kind)
    groups = group_shards(matches, config.group_size)
    return compute.map_shards(
        context,
        scatter_pairs,
        {key: {"matches": group, "snapshot": snapshot} for key, group in groups.items()},
        table="places",
        partition=snapshot,
        options={"num_buckets": config.num_buckets},
        size=compute.lake.manifest("matches", snapshot).rows,
        whole=True,
    )


def _find_duplicates(
    context: dg.AssetExecutionContext, config: Exchange, compute: Compute, places: list[PartitionManifest]
) -> PartitionManifest:
    """DUPLICATES of the whole pool, bucket by bucket: every place of a pair but the lowest."""
    snapshots = [manifest.partition for manifest in places]
    buckets = {
        f"{bucket:05d}": {"places": compute.lake.where("places", "bucket", bucket, partitions=snapshots)}
        for bucket in range(config.num_buckets)
    }
    size = sum(manifest.size for manifest in places)
    return compute.map_shards(context, find_duplicates, buckets, table="duplicates", size=size, whole=True)

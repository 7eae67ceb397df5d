"""Find the pairs that the pool leaves out: copies across snapshots, and what is taken down."""

import dagster as dg
import pyarrow.compute as pc
from pydantic import Field

from assets.automation import when_changed
from assets.checks import check_specs, every_snapshot_there, no_pair_twice
from assets.defaults import DEFAULTS
from assets.partitions import all_snapshots
from assets.pool import Grouping, group_shards, matching_setup, pool_of, record_matches
from assets.shown import lineage, table
from assets.takedowns import TakenDown, drop_taken_down, find_taken_down, join_exclusions, read_takedowns
from assets.waiting import find_missing
from metaclip_dagster.deduplicating import DUPLICATE, find_duplicates, gather_exclusions, scatter_pairs
from resources.engines.resource import Compute
from resources.images.resource import Images
from resources.lake.resource import Lake
from resources.lake.tables import PartitionManifest
from resources.takedowns.resource import TakedownList


class Exchange(Grouping):
    """How pairs are brought together that may be the same."""

    num_buckets: int = Field(default=DEFAULTS.num_buckets, ge=1)
    """Each bucket is judged in memory: at 24 bytes a pair, take as many as keep one under a worker's share."""


@dg.asset(
    deps=[dg.AssetDep("matches", partition_mapping=all_snapshots)],
    group_name="curation",
    kinds={"parquet", "duckdb"},
    owners=["team:data"],
    metadata=lineage(pair_id="matches.pair_id"),
    check_specs=check_specs("exclusions", no_pair_twice, every_snapshot_there),
    automation_condition=when_changed("entry_counts", "admissions"),
)
def exclusions(
    context: dg.AssetExecutionContext,
    config: Exchange,
    lake: Lake,
    compute: Compute,
    image_store: Images,
    takedown_list: TakedownList,
) -> dg.MaterializeResult:
    """Pairs that a lower place holds already, and pairs that are taken down.

    The lowest snapshot, then the lowest shard, owns a pair; where that is taken down, the next does.
    """
    pool = pool_of(context, lake, "matches", matching_setup(lake))
    facts = record_matches(lake, pool.snapshots)  # before they are read: what is made anew meanwhile is not recorded
    takedowns = read_takedowns(takedown_list, image_store.root)
    taken_down = {key: find_taken_down(context, compute, takedowns, key) for key in pool.snapshots}
    places = [_scatter_snapshot(context, config, compute, key, taken_down[key]) for key in pool.snapshots]
    duplicates = _find_duplicates(context, config, compute, places)
    shards = {
        key: {
            "exclusions": join_exclusions(lake.where("duplicates", "snapshot", key), taken_down[key]),
            "snapshot": key,
        }
        for key in pool.snapshots
    }
    manifest = compute.map_shards(context, gather_exclusions, shards, size=duplicates.size, whole=True, facts=facts)
    num_duplicates = lake.dataset("exclusions").count_rows(filter=pc.field("reason") == DUPLICATE)
    excluded = table(["snapshot", "pairs excluded"], [(shard.key, shard.rows) for shard in manifest.shards])
    shown = {"excluded": excluded, "taken_down": manifest.rows - num_duplicates}
    checks = [no_pair_twice(duplicates, num_duplicates), every_snapshot_there(find_missing(context.instance, lake))]
    metadata = {**config.model_dump(), **pool.metadata, **shown}
    return compute.result(manifest, beside=[*places, duplicates], metadata=metadata, checks=checks)


def _scatter_snapshot(
    context: dg.AssetExecutionContext, config: Exchange, compute: Compute, snapshot: str, taken_down: TakenDown
) -> PartitionManifest:
    """PLACES of a snapshot: which of its shards have which pair, by buckets of pair_ids."""
    matches = drop_taken_down(compute.lake.shards("matches", snapshot, ["pair_id"]), taken_down)
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

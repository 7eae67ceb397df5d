"""Gather, before images are fetched, what is known of them: digests that pools list, and when pages were crawled."""

from collections.abc import Mapping, Sequence

import dagster as dg

from assets.defaults import DEFAULTS
from assets.pool import group_shards
from metaclip_dagster.imaging import needs_times, scatter_crawl_times, scatter_digests
from resources.deferred import Deferred, defer
from resources.engines.resource import Compute
from resources.images.resource import Images
from resources.lake.resource import Lake
from resources.lake.shard_files import chain_batches


def gather_hints(
    context: dg.AssetExecutionContext,
    compute: Compute,
    image_store: Images,
    *,
    snapshots: Sequence[str],
    second_source: str,
    buckets: Mapping[str, int],
) -> dict[str, dict[str, Deferred]]:
    """For each bucket its FETCH_HINTS as `hints`; nothing where no pool lists digests and no time is asked for."""
    lake, options = compute.lake, {"num_buckets": len(buckets)}
    partitions: dict[str, list[str]] = {}
    for pool, shards in image_store.listed_digests(snapshots).items():
        compute.map_shards(context, scatter_digests, shards, table="pool_digests", partition=pool, options=options)
        partitions.setdefault("pool_digests", []).append(pool)
    if needs_times(second_source):
        groups = {key: {"shards": group} for key, group in _group_pairs(lake, context.partition_key).items()}
        compute.map_shards(context, scatter_crawl_times, groups, table="crawl_times", options=options)
        partitions["crawl_times"] = [context.partition_key]
    tables = [lake.where_each(name, "bucket", buckets.values(), partitions=of) for name, of in partitions.items()]
    if not tables:
        return {key: {} for key in buckets}
    return {
        key: {"hints": defer(chain_batches, *(of_table[bucket] for of_table in tables))}
        for key, bucket in buckets.items()
    }


def _group_pairs(lake: Lake, t: str) -> dict[str, dict[str, dict[str, Deferred]]]:
    """The subset's shards, each with the PAIRS that it was selected from, some shards together."""
    subset = lake.shards("subsets", t)
    pairs = {snapshot: lake.shards("pairs", snapshot) for snapshot in {key.rpartition("/")[0] for key in subset}}
    joined = {}
    for key, of_subset in subset.items():
        snapshot, _, shard = key.rpartition("/")
        joined[key] = {"subset": of_subset, "pairs": pairs[snapshot][shard]}
    return group_shards(joined, DEFAULTS.group_size)

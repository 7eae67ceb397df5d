"""Count how many pairs of the pool match each entry."""

import dagster as dg

from assets.automation import when_changed
from assets.checks import check_specs, counts_add_up
from assets.choices import AsBefore
from assets.partitions import all_snapshots
from assets.pool import Grouping, check_exclusions, group_shards, matching_setup, pool_of, pool_shards
from assets.queries.changes import build_before, compare_counts_to
from assets.queries.distributions import list_languages
from assets.queries.provenance import describe_balance, record_counts, record_pool
from assets.shown import describe_counts, lineage, show_changed_counts
from metaclip_dagster.counting import count_entries, merge_counts, read_published
from metaclip_dagster.reporting.sweeps.pools import PoolVersion
from resources.deferred import Deferred, defer
from resources.engines.resource import Compute
from resources.lake.resource import Lake
from resources.lake.shard_files import chain_batches
from resources.lake.tables import PartitionManifest
from resources.sources.resource import Sources


class Counting(Grouping, use_attribute_docstrings=True):
    """How pairs are counted, and which counts balancing draws with."""

    counts_from: str = ""
    """A file of counts that somebody published, MetaCLIP's JSON or Parquet, or a folder of such, one a language: the
    pool is balanced to them instead of to its own; entries that are not in it are balanced to their own."""


@dg.asset(
    deps=[dg.AssetDep("matches", partition_mapping=all_snapshots), "exclusions", "entries"],
    group_name="curation",
    kinds={"parquet", "duckdb"},
    owners=["team:data"],
    metadata=lineage(
        entry_id="entries.entry_id",
        entry="entries.entry",
        language="entries.language",
        entry_count="matches.entry_ids exclusions.pair_id",
        balanced_to="matches.entry_ids exclusions.pair_id",
        snapshot_counts="matches.entry_ids exclusions.pair_id",
    ),
    check_specs=check_specs("entry_counts", counts_add_up),
    automation_condition=when_changed("admissions", "subsets", "data_cards", "images", "what_if"),
)
def entry_counts(
    context: dg.AssetExecutionContext, config: AsBefore[Counting], lake: Lake, compute: Compute, sources: Sources
) -> dg.MaterializeResult:
    """How many pairs of the pool match each entry, in all and snapshot by snapshot.

    Few entries, the head, have most of the matches; balancing thins those above t and keeps the tail whole.

    Next: `admissions` of every snapshot.
    """
    choice = config.choose(context, lake)
    published = _read_published(lake, sources, choice.config.counts_from)
    pool = pool_of(context, lake, "matches", matching_setup(lake))
    check_exclusions(lake, pool.snapshots)
    counted = [_count_snapshot(context, choice.config, compute, key) for key in pool.snapshots]
    counts = {"counts": lake.stream("snapshot_counts", pool.snapshots), "entries": lake.table("entries"), **published}
    before = build_before(lake, "entry_counts")
    recorded = record_pool(PoolVersion(tuple(pool.snapshots), lake.manifest("entries").version, ""))
    facts = {**recorded, **record_counts(choice.config.counts_from), **choice.facts}
    size = sum(manifest.size for manifest in counted)
    manifest = compute.map_shards(context, merge_counts, {"00000": counts}, size=size, facts=facts)
    shown = {**describe_counts(lake), **show_changed_counts(compare_counts_to(before, lake))}
    metadata = {**choice.metadata, "balanced_to": describe_balance(lake), **pool.metadata, **shown}
    return compute.result(manifest, beside=counted, metadata=metadata, checks=[counts_add_up(lake, pool.snapshots)])


def _read_published(lake: Lake, sources: Sources, url: str) -> dict[str, Deferred]:
    """The published counts as an input of `merge_counts`; none where no file is named."""
    if not url:
        return {}
    files = sources.published_counts(url)
    return {"published": defer(read_published, files, name=url, languages=list_languages(lake))}


def _count_snapshot(
    context: dg.AssetExecutionContext, config: Counting, compute: Compute, snapshot: str
) -> PartitionManifest:
    """SNAPSHOT_COUNTS of a snapshot: its pairs of the pool, counted a group of shards at a time."""
    groups = group_shards(pool_shards(compute.lake, snapshot), config.group_size)
    shards = {
        key: {"pool": defer(chain_batches, *group.values()), "snapshot": snapshot} for key, group in groups.items()
    }
    size = compute.lake.manifest("matches", snapshot).rows
    return compute.map_shards(context, count_entries, shards, table="snapshot_counts", partition=snapshot, size=size)

"""From pairs to balanced subsets."""

import dagster as dg
import pyarrow.compute as pc
from pydantic import Field

from assets.automation import RELEASES, when_changed
from assets.changes import build_before, changed_counts, changed_subset
from assets.checks import (
    check_specs,
    counts_add_up,
    every_pair_admitted,
    every_snapshot_there,
    no_empty_snapshot,
    no_pair_twice,
    subsets_nested,
)
from assets.choices import AsBefore
from assets.parsers import parsed_by, refuse_outdated
from assets.partitions import all_snapshots, snapshots, thresholds
from assets.pool import (
    aligned,
    all_judged,
    drawing_setup,
    grouped,
    judged,
    matched_pairs,
    matching_setup,
    pool_of,
    pool_shards,
    strays,
    thresholds_of,
)
from assets.provenance import current_pool, report_outdated, tell_pool
from assets.shown import describe_counts, kept_and_dropped, lineage, sample_matches, sample_subset, table
from assets.takedowns import find_taken, left_over, read_takedowns, together
from assets.waiting import find_missing, waited_for
from metaclip_dagster.balancing import admit, select_pairs
from metaclip_dagster.counting import count_entries, merge_counts
from metaclip_dagster.deduplicating import DUPLICATE, find_duplicates, gather_exclusions, scatter_pairs
from metaclip_dagster.matching import match_entries
from metaclip_dagster.reporting.sweeps.pools import PoolVersion
from resources.deferred import defer
from resources.deployments import deployment
from resources.engines.resource import Compute
from resources.engines.shards import Shard
from resources.images.resource import Images
from resources.lake.resource import Lake
from resources.lake.shard_files import chain_batches
from resources.takedowns.resource import TakedownList

Result = dg.MaterializeResult


class Grouping(dg.Config, use_attribute_docstrings=True):
    """How much of MATCHES one worker takes at a time."""

    group_size: int = Field(default=deployment().group_size, ge=1)
    """Shards that are scattered or counted together."""


class Exchange(Grouping):
    """How pairs are brought together that may be the same."""

    num_buckets: int = Field(default=deployment().num_buckets, ge=1)
    """Each bucket is judged in memory: at 24 bytes a pair, take as many as keep one under a worker's share."""


class Balancing(dg.Config, use_attribute_docstrings=True):
    """How pairs are drawn."""

    seed: int = Field(default=0, ge=0)
    """What pair and entry are hashed with: another seed draws other pairs. All snapshots of a pool need the same."""


@dg.asset(
    partitions_def=snapshots,
    deps=["pairs", "entries"],
    group_name="curation",
    kinds={"python", "parquet"},
    owners=["team:data"],
    metadata=lineage(
        pair_id="pairs.pair_id",
        image_id="pairs.image_id",
        language="pairs.text",
        language_score="pairs.text",
        entry_ids="pairs.text entries.entry",
    ),
    check_specs=check_specs("matches", no_empty_snapshot, partitions=snapshots),
    automation_condition=when_changed("exclusions", "entry_counts", "admissions", "subsets"),
)
@waited_for
def matches(context: dg.AssetExecutionContext, lake: Lake, compute: Compute) -> Result:
    """Every pair of the snapshot whose text is in a language of the entries and contains one of them.

    These are the pool; all that matches nothing leaves here.
    """
    refuse_outdated(lake, "pairs", [context.partition_key])
    told = parsed_by(lake, "pairs", [context.partition_key])
    shards = {key: {"pairs": batches} for key, batches in lake.shards("pairs", context.partition_key).items()}
    made = compute.map_shards(context, match_entries, shards, setup=matching_setup(lake), facts=told)
    shown = {
        "kept_and_dropped": kept_and_dropped(made.rows, made.total("dropped")),
        **sample_matches(lake, context.partition_key),
    }
    return compute.result(made, metadata=shown, checks=[no_empty_snapshot(made)])


@dg.asset(
    deps=[dg.AssetDep("matches", partition_mapping=all_snapshots)],
    group_name="curation",
    kinds={"parquet", "duckdb"},
    owners=["team:data"],
    metadata=lineage(pair_id="matches.pair_id"),
    check_specs=[
        *check_specs("exclusions", no_pair_twice),
        *check_specs("exclusions", every_snapshot_there, blocking=False),
    ],
    automation_condition=when_changed("entry_counts", "admissions"),
)
def exclusions(
    context: dg.AssetExecutionContext,
    config: Exchange,
    lake: Lake,
    compute: Compute,
    image_store: Images,
    takedown_list: TakedownList,
) -> Result:
    """Pairs that a lower place holds already, and pairs that are taken down.

    The lowest snapshot, then the lowest shard, owns a pair; where that is taken down, the next does.
    """
    pool = pool_of(context, lake, "matches", matching_setup(lake))
    made_of = judged(lake, pool.snapshots)  # before they are read: what is made anew meanwhile is not what is told
    takedowns = read_takedowns(takedown_list, image_store.root)
    taken = find_taken(context, lake, compute, takedowns, pool.snapshots)
    sizes, beside = matched_pairs(lake, pool.snapshots), []
    for snapshot in pool.snapshots:
        groups = grouped(left_over(lake.shards("matches", snapshot, ["pair_id"]), taken[snapshot]), config.group_size)
        scattered = {key: {"matches": group, "snapshot": snapshot} for key, group in groups.items()}
        options = {"num_buckets": config.num_buckets}
        places = compute.map_shards(
            context,
            scatter_pairs,
            scattered,
            table="places",
            partition=snapshot,
            options=options,
            size=sizes[snapshot],
            whole=True,
        )
        beside.append(places)
    buckets = {
        f"{bucket:05d}": {"places": lake.where("places", "bucket", bucket, partitions=pool.snapshots)}
        for bucket in range(config.num_buckets)
    }
    found = compute.map_shards(
        context, find_duplicates, buckets, table="duplicates", size=sum(sizes.values()), whole=True
    )
    gathered = {
        s: {"exclusions": together(lake.where("duplicates", "snapshot", s), taken[s]), "snapshot": s}
        for s in pool.snapshots
    }
    made = compute.map_shards(context, gather_exclusions, gathered, size=sum(sizes.values()), whole=True, facts=made_of)
    duplicates = lake.dataset("exclusions").count_rows(filter=pc.field("reason") == DUPLICATE)
    excluded = table(["snapshot", "pairs excluded"], [(shard.key, shard.rows) for shard in made.shards])
    told = {**config.model_dump(), **pool.metadata, "excluded": excluded, "taken_down": made.rows - duplicates}
    checks = [no_pair_twice(found, duplicates), every_snapshot_there(find_missing(context.instance, lake))]
    return compute.result(made, beside=[*beside, found], metadata=told, checks=checks)


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
        snapshot_counts="matches.entry_ids exclusions.pair_id",
    ),
    check_specs=check_specs("entry_counts", counts_add_up),
    automation_condition=when_changed("admissions", "subsets", "data_cards", "images"),
)
def entry_counts(context: dg.AssetExecutionContext, config: Grouping, lake: Lake, compute: Compute) -> Result:
    """How many pairs of the pool match each entry, in all and snapshot by snapshot.

    Few entries, the head, have most of the matches; balancing thins those above t and keeps the tail whole.
    """
    pool = pool_of(context, lake, "matches", matching_setup(lake))
    all_judged(lake, pool.snapshots)
    sizes, beside = matched_pairs(lake, pool.snapshots), []
    for snapshot in pool.snapshots:
        groups = grouped(pool_shards(lake, snapshot), config.group_size)
        counted = {
            k: {"pool": defer(chain_batches, *group.values()), "snapshot": snapshot} for k, group in groups.items()
        }
        beside.append(
            compute.map_shards(
                context, count_entries, counted, table="snapshot_counts", partition=snapshot, size=sizes[snapshot]
            )
        )
    counts = {"counts": lake.stream("snapshot_counts", pool.snapshots), "entries": lake.table("entries")}
    before = build_before(lake, "entry_counts")
    of_pool = tell_pool(PoolVersion(tuple(pool.snapshots), lake.manifest("entries").version, ""))
    made = compute.map_shards(context, merge_counts, {"00000": counts}, size=sum(sizes.values()), facts=of_pool)
    check = counts_add_up(lake, pool.snapshots)
    told = {**config.model_dump(), **pool.metadata, **describe_counts(lake), **changed_counts(lake, before)}
    return compute.result(made, beside=beside, metadata=told, checks=[check])


@dg.asset(
    partitions_def=snapshots,
    deps=["matches", "exclusions", "entry_counts"],
    group_name="curation",
    kinds={"python", "parquet"},
    owners=["team:data"],
    metadata=lineage(
        pair_id="matches.pair_id",
        image_id="matches.image_id",
        language="matches.language",
        admitted_at="matches.entry_ids entry_counts.entry_count",
    ),
    check_specs=check_specs("admissions", every_pair_admitted, partitions=snapshots),
    automation_condition=when_changed("subsets"),
)
def admissions(context: dg.AssetExecutionContext, config: AsBefore[Balancing], lake: Lake, compute: Compute) -> Result:
    """The t above which each pair of the pool is kept: one number a pair serves every t."""
    refuse_outdated(lake, "matches", [context.partition_key])
    choice = config.choose(context, lake)
    made_of = parsed_by(lake, "matches", [context.partition_key]) | choice.told
    shards = {key: {"pool": batches} for key, batches in pool_shards(lake, context.partition_key).items()}
    options = choice.config.model_dump()
    made = compute.map_shards(context, admit, shards, setup=drawing_setup(lake), options=options, facts=made_of)
    check = every_pair_admitted(lake, context.partition_key, made)
    return compute.result(made, metadata=choice.metadata, checks=[check])


@dg.asset(
    partitions_def=thresholds,
    deps=[
        dg.AssetDep("admissions", partition_mapping=all_snapshots),
        dg.AssetDep("pairs", partition_mapping=all_snapshots),
        dg.AssetDep("matches", partition_mapping=all_snapshots),
        "entry_counts",
    ],
    group_name="curation",
    kinds={"python", "parquet"},
    owners=["team:data"],
    metadata=lineage(
        pair_id="pairs.pair_id",
        image_id="pairs.image_id",
        url="pairs.url",
        text="pairs.text",
        page_url="pairs.page_url",
        pool_address="pairs.pool_address",
        language="admissions.language",
        admitted_at="admissions.admitted_at",
        entry_ids="matches.entry_ids",
        t="entry_counts.entry_count",
    ),
    check_specs=check_specs("subsets", subsets_nested, partitions=thresholds),
    automation_condition=when_changed("data_cards", "image_texts", "images", "training_sets"),
    freshness_policy=RELEASES,
)
def subsets(context: dg.AssetExecutionContext, lake: Lake, compute: Compute) -> Result:
    """D(t): the balanced pairs at t with their URLs and texts, ready for any downloader.

    An entry with more than t matches is thinned to about t; D of a smaller t lies inside D of a larger one, and inf
    is the pool as it is.
    """
    pool = pool_of(context, lake, "admissions", drawing_setup(lake), "seed")
    shards = [
        Shard(f"{snapshot}/{key}", {"snapshot": snapshot, **inputs})
        for snapshot in pool.snapshots
        for key, inputs in aligned(lake, snapshot, "pairs", "matches", "admissions").items()
    ]
    held_to = thresholds_of(lake, context.partition_key)
    before = build_before(lake, "subsets", context.partition_key)
    made_of = parsed_by(lake, "admissions", pool.snapshots) | tell_pool(current_pool(lake))
    made = compute.map_shards(context, select_pairs, shards, options={"thresholds": held_to}, facts=made_of)
    report_outdated(context, lake)
    told = {**pool.metadata, "t": {language: f"{t:g}" for language, t in held_to.items()}}
    told |= sample_subset(lake, pool.snapshots[-1], held_to) | changed_subset(lake, context.partition_key, before)
    told |= {"pairs_of_pool": sum(lake.manifest("admissions", key).rows for key in pool.snapshots)}
    return compute.result(made, metadata=told, checks=[subsets_nested(strays(lake, context.partition_key))])

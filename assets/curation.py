"""Curate pairs into balanced subsets: the tables matches, admissions and subsets."""

import dagster as dg
from pydantic import Field

from assets.automation import RELEASES, when_changed
from assets.checks import check_specs, every_pair_admitted, no_empty_snapshot, subsets_nested
from assets.choices import AsBefore
from assets.mixtures import find_thresholds, plan_subset, refuse_empty, show_t
from assets.outdated import report_outdated
from assets.partitions import all_snapshots, snapshots, subset_keys
from assets.pool import count_strays, drawing_setup, matching_setup, pool_of, pool_shards, refuse_outdated
from assets.queries.changes import build_before, compare_subset_to
from assets.queries.mixtures import record_drawn
from assets.queries.parsers import record_parsers
from assets.queries.provenance import current_pool, record_pool
from assets.shown import lineage, sample_matches, sample_subset, show_kept_and_dropped
from assets.tags import tag_run
from assets.waiting import report_waits
from metaclip_dagster.balancing import admit, select_pairs
from metaclip_dagster.matching import match_entries
from resources.engines.resource import Compute
from resources.lake.resource import Lake


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
    automation_condition=when_changed("exclusions", "entry_counts", "admissions", "subsets", "what_if"),
)
@tag_run
@report_waits
def matches(context: dg.AssetExecutionContext, lake: Lake, compute: Compute) -> dg.MaterializeResult:
    """Every pair of the snapshot whose text is in a language of the entries and contains one of them.

    These are the pool before exclusions; all that matches nothing leaves here.

    Next: `exclusions`, once every registered snapshot has its matches.
    """
    refuse_outdated(lake, "pairs", [context.partition_key])
    facts = record_parsers(lake, "pairs", [context.partition_key])
    shards = {key: {"pairs": batches} for key, batches in lake.shards("pairs", context.partition_key).items()}
    manifest = compute.map_shards(context, match_entries, shards, setup=matching_setup(lake), facts=facts)
    metadata = {
        "kept_and_dropped": show_kept_and_dropped(manifest.rows, manifest.total("dropped")),
        **sample_matches(lake, context.partition_key),
    }
    return compute.result(manifest, metadata=metadata, checks=[no_empty_snapshot(manifest)])


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
        admitted_at="matches.entry_ids entry_counts.balanced_to",
    ),
    check_specs=check_specs("admissions", every_pair_admitted, partitions=snapshots),
    automation_condition=when_changed("subsets", "what_if"),
)
@tag_run
def admissions(
    context: dg.AssetExecutionContext, config: AsBefore[Balancing], lake: Lake, compute: Compute
) -> dg.MaterializeResult:
    """The t above which each pair of the pool is kept: one number a pair serves every t.

    Next: `subsets` of every t, once each snapshot has its admissions.
    """
    refuse_outdated(lake, "matches", [context.partition_key])
    choice = config.choose(context, lake)
    facts = record_parsers(lake, "matches", [context.partition_key]) | choice.facts
    shards = {key: {"pool": batches} for key, batches in pool_shards(lake, context.partition_key).items()}
    options = choice.config.model_dump()
    manifest = compute.map_shards(context, admit, shards, setup=drawing_setup(lake), options=options, facts=facts)
    check = every_pair_admitted(lake, context.partition_key, manifest)
    return compute.result(manifest, metadata=choice.metadata, checks=[check])


@dg.asset(
    partitions_def=subset_keys,
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
        license="pairs.license",
        license_evidence="pairs.license_evidence",
        language="admissions.language",
        admitted_at="admissions.admitted_at",
        entry_ids="matches.entry_ids",
        t="entry_counts.balanced_to",
    ),
    check_specs=check_specs("subsets", subsets_nested, partitions=subset_keys),
    automation_condition=when_changed("data_cards", "image_texts", "images", "training_sets"),
    freshness_policy=RELEASES,
)
@tag_run
def subsets(context: dg.AssetExecutionContext, lake: Lake, compute: Compute) -> dg.MaterializeResult:
    """D(t): the balanced pairs at t with their URLs and texts, ready for any downloader.

    An entry with more than t matches is thinned to about t; D of a smaller t lies inside D of a larger one, and inf
    is the pool as it is. A mixture, `mix-<name>`, has a t for each of its sources.

    Next: `data_cards` of the same t, to judge it by; then `image_texts`.
    """
    t, pool = context.partition_key, pool_of(context, lake, "admissions", drawing_setup(lake), "seed")
    thresholds = find_thresholds(lake, t, pool)
    shards, options = plan_subset(lake, t, thresholds)
    before = build_before(lake, "subsets", t)
    facts = record_parsers(lake, "admissions", pool.snapshots) | record_pool(current_pool(lake)) | record_drawn(t)
    manifest = compute.map_shards(context, select_pairs, shards, options=options, facts=facts)
    refuse_empty(manifest)
    report_outdated(context, lake)
    metadata = {
        **pool.metadata,
        "t": show_t(thresholds),
        **sample_subset(lake, *[*thresholds.items()][-1]),
        **compare_subset_to(before, lake, t),
        "pairs_of_pool": sum(lake.manifest("admissions", key).rows for key in pool.snapshots),
    }
    return compute.result(manifest, metadata=metadata, checks=[subsets_nested(count_strays(lake, t))])

"""Collect the texts of each image of a subset, and fetch each ring of images once."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import dagster as dg
from pydantic import field_validator

from assets.checks import check_specs, every_pair_scattered, few_failed_images, some_images, up_to_date
from assets.hints import gather_hints
from assets.hosts import show_hosts
from assets.keys import MIXTURES, rings_up_to
from assets.left_out import sample_failures
from assets.mixtures import check_drawn, group_subset
from assets.outdated import report_outdated
from assets.partitions import subset_keys
from assets.pool import Grouping, group_shards, refuse_outdated, snapshots_of
from assets.queries.provenance import record_parents, record_pool, record_ring, recorded_pool
from assets.queries.rungs import thresholds_of
from assets.shown import lineage, show_kept_and_dropped
from assets.tags import tag_run
from metaclip_dagster.deduplicating.takedowns import TAKEN_DOWN
from metaclip_dagster.imaging import check_pattern, describe_fetches, gather_images
from metaclip_dagster.sharding import scatter_texts
from metaclip_dagster.signals import keep_out
from resources.deferred import Deferred, defer, version_of
from resources.engines.resource import Compute
from resources.images.resource import Images
from resources.lake.resource import Lake
from resources.lake.shard_files import chain_batches
from resources.takedowns.resource import TakedownList
from resources.web.client import NO_CONTACT

BUCKETS_TOGETHER = 16
"""Of the image store, whose FETCHES are described in one shard: they are small."""


class Fetching(dg.Config, use_attribute_docstrings=True):
    """How images are asked for."""

    retry_failed: bool = False
    """Ask again for those of this ring that failed before, and for nothing else."""
    fetch_again: bool = False
    """Ask again for those of this ring that are stored with too little for the form that the store is now to keep."""
    fetch_only_same: bool = False
    """Leave out images whose bytes are not those that their pool lists, by SHA-256 or MD5, as `changed`."""
    second_source: str = ""
    """Where to ask for what is gone, as in `https://archive.example/web/{timestamp}id_/{url}`; empty: nowhere."""

    @field_validator("second_source")
    @classmethod
    def _check_second_source(cls, pattern: str) -> str:
        return check_pattern(pattern)

    @property
    def options(self) -> dict[str, Any]:
        """What a stage is told of this: nothing of what is off, or rings of earlier versions would be made again."""
        return {name: value for name in ("fetch_only_same", "second_source") if (value := getattr(self, name))}


@dg.asset(
    partitions_def=subset_keys,
    deps=["subsets"],
    group_name="training",
    kinds={"python", "parquet"},
    owners=["team:models"],
    metadata=lineage(
        image_id="subsets.image_id",
        url="subsets.url",
        texts="subsets.pair_id subsets.text subsets.language subsets.entry_ids subsets.admitted_at",
    ),
    check_specs=check_specs("image_texts", every_pair_scattered, up_to_date, partitions=subset_keys),
)
@tag_run
def image_texts(
    context: dg.AssetExecutionContext, config: Grouping, lake: Lake, compute: Compute, image_store: Images
) -> dg.MaterializeResult:
    """D(t) by the image store's buckets: the pairs of an image together, for whoever fetches it or trains on it.

    Next: `images` of the same t, and of all smaller ones.
    """
    t = context.partition_key
    refuse_outdated(lake, "subsets", [t])
    facts = record_parents(lake, "image_texts", t)
    shards = {key: {"subset": group} for key, group in group_subset(lake, t, config.group_size).items()}
    options = {"num_buckets": len(image_store.buckets())}
    manifest = compute.map_shards(context, scatter_texts, shards, options=options, facts=facts)
    checks = [every_pair_scattered(manifest, lake.manifest("subsets", t).rows), report_outdated(context, lake)]
    return compute.result(manifest, metadata=config.model_dump(), checks=checks)


@dg.asset(
    partitions_def=subset_keys,
    deps=["image_texts", "subsets", "entry_counts"],
    group_name="training",
    kinds={"python", "webdataset"},
    owners=["team:models"],
    check_specs=check_specs("images", some_images, few_failed_images, up_to_date, partitions=subset_keys),
)
@tag_run
def images(
    context: dg.AssetExecutionContext,
    config: Fetching,
    lake: Lake,
    compute: Compute,
    image_store: Images,
    takedown_list: TakedownList,
) -> dg.MaterializeResult:
    """The ring of images between the next smaller t and this one: what the store lacks of it is fetched, once.

    D(t) is the ring of t and those of all smaller t. Images that cannot be had are kept count of, with the reason.

    Next: `training_sets` of t, once the rings of all smaller t are there.
    """
    t, buckets = context.partition_key, image_store.buckets()
    if image_store.from_web and not image_store.contact:
        context.log.warning(NO_CONTACT)
    facts = record_parents(lake, "images", t) | record_ring(t) | record_pool(recorded_pool(lake.manifest("subsets", t)))
    texts = read_texts(lake, t, buckets)
    snapshots = snapshots_of(lake.manifest("subsets", t))
    hints = gather_hints(
        context, compute, image_store, snapshots=snapshots, second_source=config.second_source, buckets=buckets
    )
    shards = {key: {"texts": texts[key], "bucket": bucket, **hints[key]} for key, bucket in buckets.items()}
    refused = dict.fromkeys(takedown_list.digests(), TAKEN_DOWN)
    setup = {
        "store": image_store.store(retry_failed=config.retry_failed, fetch_again=config.fetch_again, refused=refused),
        "fetch": image_store.source(snapshots, keep_out, workers=compute.most_workers),
    }
    smaller = rings_up_to(t)[:-1]
    below = thresholds_of(lake, smaller[-1]) if smaller else {}
    options = {"thresholds_below": below, "form": image_store.form, **config.options}
    force = config.retry_failed or config.fetch_again
    manifest = compute.map_shards(
        context, gather_images, shards, setup=setup, options=options, facts=facts, force=force
    )
    of_ring = lake.shards("images", t)
    of_buckets = {key: {"bucket": buckets[key], "images": of_ring[key], **hints[key]} for key in of_ring}
    groups = {key: {"buckets": group} for key, group in group_shards(of_buckets, BUCKETS_TOGETHER).items()}
    fetches = compute.map_shards(
        context, describe_fetches, groups, table="fetches", setup={"store": image_store.store()}, force=force
    )
    failed = manifest.total("dropped")
    metadata = {
        **config.model_dump(),
        "kept_and_dropped": show_kept_and_dropped(manifest.rows - failed.total(), failed),
        **sample_failures(lake, t),
        **show_hosts(lake, t, fetches),
    }
    checks = [some_images(manifest), few_failed_images(manifest), report_outdated(context, lake)]
    return compute.result(manifest, beside=[fetches], metadata=metadata, checks=checks)


def read_texts(lake: Lake, t: str, buckets: Mapping[str, int], *, prefix: str = "") -> dict[str, Deferred]:
    """The texts of D(t), bucket by bucket, of a mixture those of the source whose shards have that prefix.

    Raises dg.Failure where image_texts are of another subset or store.
    """
    refuse_outdated(lake, "subsets", [t])
    check_drawn(lake, t)
    manifest = lake.store("image_texts", t).manifest()
    expected = record_parents(lake, "image_texts", t) | {"num_buckets": version_of(len(buckets))}
    if manifest is None or not expected.items() <= manifest.inputs.items():
        raise dg.Failure(f"image_texts of t = {t} are not made of its subset: materialize image_texts of {t} first")
    texts = lake.where_each("image_texts", "bucket", buckets.values(), partitions=[t], prefix=prefix)
    return {key: texts[bucket] for key, bucket in buckets.items()}


def read_texts_by_source(lake: Lake, key: str, buckets: Mapping[str, int]) -> dict[str, dict[str, Deferred]]:
    """The texts of each source of a mixture, bucket by bucket, by what begins its shards' keys; else of all of D(t)."""
    prefixes = [f"{source.name}/" for source in MIXTURES.get(key, ())] or [""]
    return {prefix: read_texts(lake, key, buckets, prefix=prefix) for prefix in prefixes}


def read_rings(lake: Lake, rings: Sequence[str], buckets: Collection[str]) -> dict[str, Deferred]:
    """The images of some rings, bucket by bucket. Raises dg.Failure where a ring, or a bucket of one, is not there."""
    finished = lake.finished("images", rings)
    if missing := [ring for ring in rings if ring not in finished]:
        raise dg.Failure(f"the images of t = {', '.join(missing)} are not there; materialize images for them first")
    shards_of = {ring: lake.shards("images", ring) for ring in rings}
    for ring, shards in shards_of.items():
        if odd := sorted(set(buckets) ^ set(shards)):
            raise dg.Failure(
                f"the images of t = {ring} lack buckets, or have others than the store: {', '.join(odd[:5])} "
                f"({len(odd)} in all); materialize images of {ring} again, which makes those that failed"
            )
    return {bucket: defer(chain_batches, *(shards_of[ring][bucket] for ring in rings)) for bucket in buckets}

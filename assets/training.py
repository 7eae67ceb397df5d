"""From balanced subsets to trained models: images fetched in rings, training sets, checkpoints."""

import json
from collections.abc import Collection, Sequence

import dagster as dg

from assets.checks import (
    budget_spent,
    check_specs,
    every_pair_accounted_for,
    few_failed_images,
    loss_below_chance,
    some_images,
)
from assets.curation import Grouping
from assets.filters import Filtering, verdicts
from assets.jobs import Training, prepare_job
from assets.partitions import (
    Cell,
    by_training_set,
    cells,
    rings_of_set,
    rings_up_to,
    subset_of_set,
    thresholds,
    training_set_keys,
)
from assets.pool import grouped, thresholds_of
from assets.shown import kept_and_dropped, lineage, plots
from metaclip_dagster.imaging import gather_images
from metaclip_dagster.reporting import plot_losses
from metaclip_dagster.sharding import build_training_set, scatter_texts
from metaclip_dagster.takedowns import TAKEN_DOWN
from metaclip_dagster.training import describe_checkpoint, train
from resources.compute import Compute
from resources.engines import Deferred, defer
from resources.images import Images
from resources.lake import Lake
from resources.open_clip import Trainer
from resources.tables import PartitionManifest, chain_batches
from resources.takedowns import TakedownList
from resources.zero_shot import ZeroShot

Result = dg.MaterializeResult


class Fetching(Grouping):
    """How images are asked for."""

    retry_failed: bool = False
    """Ask again for those of this ring that failed before, and for nothing else."""


@dg.asset(
    partitions_def=thresholds,
    deps=["subsets", "entry_counts"],
    group_name="training",
    kinds={"python", "webdataset"},
    owners=["team:models"],
    check_specs=[*check_specs("images", some_images), *check_specs("images", few_failed_images, blocking=False)],
)
def images(
    context: dg.AssetExecutionContext,
    config: Fetching,
    lake: Lake,
    compute: Compute,
    image_store: Images,
    takedown_list: TakedownList,
) -> Result:
    """The ring of images between the next smaller t and this one: what the store lacks of it is fetched, once.

    D(t) is the ring of t and those of all smaller t. Images that cannot be had are kept count of, with the reason.
    """
    t, buckets = context.partition_key, image_store.buckets()
    scatter(context, config, lake, compute, t=t, num_buckets=len(buckets))
    texts = lake.where_each("image_texts", "bucket", buckets.values(), partitions=[t])
    shards = {key: {"texts": texts[bucket], "bucket": bucket} for key, bucket in buckets.items()}
    snapshots = sorted({shard.key.rsplit("/", 1)[0] for shard in lake.manifest("subsets", t).shards})
    setup = {
        "store": image_store.store(
            retry_failed=config.retry_failed, refused=dict.fromkeys(takedown_list.digests(), TAKEN_DOWN)
        ),
        "fetch": image_store.source(snapshots),
    }
    smaller = rings_up_to(t)[:-1]
    below = thresholds_of(lake, smaller[-1]) if smaller else {}
    made = compute.map_shards(
        context, gather_images, shards, setup=setup, options={"thresholds_below": below}, force=config.retry_failed
    )
    failed = made.total("dropped")
    told = {**config.model_dump(), "kept_and_dropped": kept_and_dropped(made.rows - failed.total(), failed)}
    return compute.result(made, metadata=told, checks=[some_images(made), few_failed_images(made)])


@dg.asset(
    partitions_def=training_set_keys,
    deps=[
        dg.AssetDep("images", partition_mapping=rings_of_set),
        dg.AssetDep("subsets", partition_mapping=subset_of_set),
    ],
    group_name="training",
    kinds={"parquet", "duckdb"},
    owners=["team:models"],
    metadata=lineage(
        tar="images.tar",
        image_id="images.image_id",
        texts="subsets.pair_id subsets.text subsets.language subsets.entry_ids subsets.admitted_at",
    ),
    check_specs=check_specs("training_sets", every_pair_accounted_for),
)
def training_sets(
    context: dg.AssetExecutionContext,
    config: Filtering,
    lake: Lake,
    compute: Compute,
    image_store: Images,
    zero_shot: ZeroShot,
) -> Result:
    """Which images of which tars are in D(t), with which texts; online-<t> holds the pool, and training redraws it.

    No image is copied: trainers read the image store's tars with this table beside them. Nor is one that a filter
    leaves out deleted: the filter may be switched off again.
    """
    t = "inf" if context.partition_key.startswith("online-") else context.partition_key
    rings, buckets = rings_up_to(t), image_store.buckets()
    held = _images_of(lake, rings, buckets)
    scatter(context, config, lake, compute, t=t, num_buckets=len(buckets))
    texts = lake.where_each("image_texts", "bucket", buckets.values(), partitions=[t])
    judged, found = verdicts(context, config, lake, compute, image_store, zero_shot, rings=rings, buckets=buckets)
    shards = {k: {"texts": texts[b], "images": held[k], **judged.get(k, {})} for k, b in buckets.items()}
    made = compute.map_shards(context, build_training_set, shards)
    pairs, pairs_of_subset = made.total("seen")["pairs"], lake.manifest("subsets", t).rows
    told = {"pairs": pairs, "pairs_of_subset": pairs_of_subset, "rings": list(rings), **found}
    told["pairs_kept_and_dropped"] = kept_and_dropped(pairs, made.total("dropped"))
    return compute.result(made, metadata=told, checks=[every_pair_accounted_for(made, pairs_of_subset)])


@dg.asset(
    partitions_def=cells,
    deps=[dg.AssetDep("training_sets", partition_mapping=by_training_set), "entry_counts"],
    group_name="training",
    kinds={"pytorch"},
    owners=["team:models"],
    pool="gpu",
    check_specs=check_specs("checkpoints", budget_spent, loss_below_chance),
)
def checkpoints(
    context: dg.AssetExecutionContext,
    config: Training,
    lake: Lake,
    compute: Compute,
    image_store: Images,
    trainer: Trainer,
) -> Result:
    """CLIP trained on one set by one recipe, for as many seen pairs whatever t; resumes where it was ended.

    Never made by automation, and one at a time: each holds the GPU pool.
    """
    cell = Cell.of(context.partition_key)
    set_version = lake.manifest("training_sets", cell.training_set).version  # it may be made anew in the meantime
    folder, job = prepare_job(lake, trainer, image_store, cell, config)
    result = trainer.run(context, train, job, folder)
    trained_by = {"recipe": json.dumps(job["recipe"], sort_keys=True), "set_version": set_version}
    row = {"00000": {"result": {**result, **trained_by}, "root": trainer.root}}
    made = compute.map_shards(context, describe_checkpoint, row, inline=True)
    numbers = ("pairs_seen", "loss", "samples_per_second", "wall_seconds", "cpu_seconds")
    told = {**config.model_dump(exclude_none=True), **job["recipe"], **{name: result[name] for name in numbers}}
    told["folder"] = dg.MetadataValue.path(str(folder))
    told["plots"] = plots({"loss": plot_losses({cell.key: result["losses"]})})
    checks = [budget_spent(result, config.pairs_to_see), loss_below_chance(result, job["recipe"]["batch_size"])]
    return compute.result(made, metadata=told, checks=checks)


def scatter(
    context: dg.AssetExecutionContext, config: Grouping, lake: Lake, compute: Compute, *, t: str, num_buckets: int
) -> PartitionManifest:
    """D(t) by the image store's buckets, made by whichever asset needs it first."""
    groups = grouped(lake.shards("subsets", t), config.group_size)
    return compute.map_shards(
        context,
        scatter_texts,
        {key: {"subset": group} for key, group in groups.items()},
        table="image_texts",
        partition=t,
        options={"num_buckets": num_buckets},
    )


def _images_of(lake: Lake, rings: Sequence[str], buckets: Collection[str]) -> dict[str, Deferred]:
    """The images of all rings, bucket by bucket. Raises dg.Failure where a ring, or a bucket of one, is not there."""
    finished = lake.finished("images", rings)
    if missing := [ring for ring in rings if ring not in finished]:
        raise dg.Failure(f"the images of t = {', '.join(missing)} are not there; materialize images for them first")
    held = {ring: lake.shards("images", ring) for ring in rings}
    for ring, shards in held.items():
        if odd := sorted(set(buckets) ^ set(shards)):
            raise dg.Failure(
                f"the images of t = {ring} lack buckets, or have others than the store: {', '.join(odd[:5])} "
                f"({len(odd)} in all); materialize images of {ring} again, which makes those that failed"
            )
    return {bucket: defer(chain_batches, *(held[ring][bucket] for ring in rings)) for bucket in buckets}

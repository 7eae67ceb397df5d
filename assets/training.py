"""From balanced subsets to trained models: images fetched in rings, training sets, checkpoints."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import dagster as dg

from assets.checks import (
    budget_spent,
    check_specs,
    every_pair_accounted_for,
    every_pair_scattered,
    few_failed_images,
    loss_below_chance,
    some_images,
    up_to_date,
)
from assets.choices import AsBefore
from assets.curation import Grouping
from assets.filters import Filtering, verdicts
from assets.jobs import Training, prepare_job
from assets.parsers import refuse_outdated
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
from assets.provenance import parents_of, recorded_pool, report_outdated, tell_pool, tell_read, tell_ring
from assets.shown import kept_and_dropped, lineage, plots
from assets.sweeps import FAILED_IMAGES
from metaclip_dagster.deduplicating.takedowns import TAKEN_DOWN
from metaclip_dagster.imaging import gather_images
from metaclip_dagster.reporting.sweeps.plots import plot_losses
from metaclip_dagster.sharding import build_training_set, scatter_texts
from metaclip_dagster.training import describe_checkpoint, train
from resources.deferred import Deferred, defer, version_of
from resources.engines.resource import Compute
from resources.images.resource import Images
from resources.lake.resource import Lake
from resources.lake.shard_files import chain_batches
from resources.models.resource import Trainer
from resources.models.zero_shot import ZeroShot
from resources.takedowns.resource import TakedownList
from resources.web.client import NO_CONTACT

Result = dg.MaterializeResult


class Fetching(dg.Config, use_attribute_docstrings=True):
    """How images are asked for."""

    retry_failed: bool = False
    """Ask again for those of this ring that failed before, and for nothing else."""


@dg.asset(
    partitions_def=thresholds,
    deps=["subsets"],
    group_name="training",
    kinds={"python", "parquet"},
    owners=["team:models"],
    metadata=lineage(
        image_id="subsets.image_id",
        url="subsets.url",
        texts="subsets.pair_id subsets.text subsets.language subsets.entry_ids subsets.admitted_at",
    ),
    check_specs=[
        *check_specs("image_texts", every_pair_scattered, partitions=thresholds),
        *check_specs("image_texts", up_to_date, blocking=False),
    ],
)
def image_texts(
    context: dg.AssetExecutionContext, config: Grouping, lake: Lake, compute: Compute, image_store: Images
) -> Result:
    """D(t) by the image store's buckets: the pairs of an image together, for whoever fetches it or trains on it."""
    t = context.partition_key
    refuse_outdated(lake, "subsets", [t])
    made_of = tell_read(lake, *parents_of("image_texts", t))
    shards = {key: {"subset": group} for key, group in grouped(lake.shards("subsets", t), config.group_size).items()}
    options = {"num_buckets": len(image_store.buckets())}
    made = compute.map_shards(context, scatter_texts, shards, options=options, told=made_of)
    checks = [every_pair_scattered(made, lake.manifest("subsets", t).rows), report_outdated(context, lake)]
    return compute.result(made, metadata=config.model_dump(), checks=checks)


@dg.asset(
    partitions_def=thresholds,
    deps=["image_texts", "subsets", "entry_counts"],
    group_name="training",
    kinds={"python", "webdataset"},
    owners=["team:models"],
    check_specs=[
        *check_specs("images", some_images, partitions=thresholds),
        *check_specs("images", few_failed_images, blocking=False, partitions=thresholds),
        *check_specs("images", up_to_date, blocking=False),
    ],
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
    if image_store.from_web and not image_store.contact:
        context.log.warning(NO_CONTACT)
    t, buckets = context.partition_key, image_store.buckets()
    told = tell_read(lake, *parents_of("images", t)) | tell_ring(t) | _pool_of_subset(lake, t)
    texts = read_texts(lake, t, buckets)
    shards = {key: {"texts": texts[key], "bucket": bucket} for key, bucket in buckets.items()}
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
        context,
        gather_images,
        shards,
        setup=setup,
        options={"thresholds_below": below},
        facts=told,
        force=config.retry_failed,
    )
    failed = made.total("dropped")
    metadata = {**config.model_dump(), "kept_and_dropped": kept_and_dropped(made.rows - failed.total(), failed)}
    checks = [some_images(made), few_failed_images(made), report_outdated(context, lake)]
    return compute.result(made, metadata=metadata, checks=checks)


@dg.asset(
    partitions_def=training_set_keys,
    deps=[
        dg.AssetDep("image_texts", partition_mapping=subset_of_set),
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
    check_specs=[
        *check_specs("training_sets", every_pair_accounted_for, partitions=training_set_keys),
        *check_specs("training_sets", up_to_date, blocking=False),
    ],
)
def training_sets(
    context: dg.AssetExecutionContext,
    config: AsBefore[Filtering],
    lake: Lake,
    compute: Compute,
    image_store: Images,
    zero_shot: ZeroShot,
) -> Result:
    """Which images of which tars are in D(t), with which texts; online-<t> holds the pool, and training redraws it.

    No image is copied: trainers read the image store's tars with this table beside them. Nor is one that a filter
    leaves out deleted: the filter may be switched off again.
    """
    choice = config.choose(context, lake)
    t = "inf" if context.partition_key.startswith("online-") else context.partition_key
    rings, buckets = rings_up_to(t), image_store.buckets()
    held = _images_of(lake, rings, buckets)
    failed = sum((lake.manifest("images", ring).total("dropped") for ring in rings), Counter[str]())
    made_of = tell_read(lake, *parents_of("training_sets", context.partition_key)) | _pool_of_subset(lake, t)
    made_of |= {FAILED_IMAGES: json.dumps(failed, sort_keys=True)}
    texts = read_texts(lake, t, buckets)
    filtering = choice.config
    judged, found = verdicts(context, filtering, lake, compute, image_store, zero_shot, rings=rings, buckets=buckets)
    shards = {k: {"texts": texts[k], "images": held[k], **judged.get(k, {})} for k in buckets}
    made = compute.map_shards(context, build_training_set, shards, facts=made_of | choice.told)
    pairs, pairs_of_subset = made.total("seen")["pairs"], lake.manifest("subsets", t).rows
    told = {"pairs": pairs, "pairs_of_subset": pairs_of_subset, "rings": list(rings), **choice.metadata, **found}
    told["pairs_kept_and_dropped"] = kept_and_dropped(pairs, made.total("dropped"))
    checks = [every_pair_accounted_for(made, pairs_of_subset), report_outdated(context, lake)]
    return compute.result(made, metadata=told, checks=checks)


@dg.asset(
    partitions_def=cells,
    deps=[dg.AssetDep("training_sets", partition_mapping=by_training_set), "entry_counts"],
    group_name="training",
    kinds={"pytorch"},
    owners=["team:models"],
    pool="gpu",
    check_specs=[
        *check_specs("checkpoints", budget_spent, loss_below_chance, partitions=cells),
        *check_specs("checkpoints", up_to_date, blocking=False),
    ],
)
def checkpoints(
    context: dg.AssetExecutionContext,
    config: AsBefore[Training],
    lake: Lake,
    compute: Compute,
    image_store: Images,
    trainer: Trainer,
) -> Result:
    """CLIP trained on one set by one recipe, for as many seen pairs whatever t; resumes where it was ended.

    Never made by automation, and one at a time: each holds the GPU pool.
    """
    cell, choice = Cell.of(context.partition_key), config.choose(context, lake)
    training_set = lake.manifest("training_sets", cell.training_set)  # it may be made anew in the meantime
    made_of = tell_read(lake, *parents_of("checkpoints", cell.key)) | tell_pool(recorded_pool(training_set))
    folder, job = prepare_job(lake, trainer, image_store, cell, choice.config)
    result = trainer.run(context, train, job, folder)
    trained_by = {"recipe": json.dumps(job["recipe"], sort_keys=True), "set_version": training_set.version}
    row = {"00000": {"result": {**result, **trained_by}, "root": trainer.root}}
    made = compute.map_shards(context, describe_checkpoint, row, inline=True, facts=made_of | choice.told)
    numbers = ("pairs_seen", "loss", "samples_per_second", "wall_seconds", "cpu_seconds")
    told = {**choice.metadata, **job["recipe"], **{name: result[name] for name in numbers}}
    told["folder"] = dg.MetadataValue.path(str(folder))
    told["plots"] = plots({"loss": plot_losses({cell.key: result["losses"]})})
    checks = [budget_spent(result, choice.config.pairs_to_see), loss_below_chance(result, job["recipe"]["batch_size"])]
    checks.append(report_outdated(context, lake))
    return compute.result(made, metadata=told, checks=checks)


def read_texts(lake: Lake, t: str, buckets: Mapping[str, int]) -> dict[str, Deferred]:
    """The texts of D(t), bucket by bucket. Raises dg.Failure where image_texts are of another subset or store."""
    refuse_outdated(lake, "subsets", [t])
    made = lake.store("image_texts", t).manifest()
    expected = tell_read(lake, *parents_of("image_texts", t)) | {"num_buckets": version_of(len(buckets))}
    if made is None or not expected.items() <= made.inputs.items():
        raise dg.Failure(f"image_texts of t = {t} are not made of its subset: materialize image_texts of {t} first")
    texts = lake.where_each("image_texts", "bucket", buckets.values(), partitions=[t])
    return {key: texts[bucket] for key, bucket in buckets.items()}


def _pool_of_subset(lake: Lake, t: str) -> dict[str, str]:
    return tell_pool(recorded_pool(lake.manifest("subsets", t)))


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

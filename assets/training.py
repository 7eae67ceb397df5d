"""Build training sets from images, and train a checkpoint of each set and model."""

import json
from collections import Counter

import dagster as dg

from assets.checks import budget_spent, check_specs, every_pair_accounted_for, loss_below_chance, up_to_date
from assets.choices import AsBefore
from assets.filters import POOL, Filtering, apply_filters, choose_filtering, record_filters
from assets.images import read_rings, read_texts, read_texts_by_source
from assets.jobs import Training, prepare_job, record_tokenizer
from assets.keys import Cell, rings_up_to, rung_of
from assets.left_out import report_left_out
from assets.mixtures import show_mixture
from assets.outdated import report_outdated
from assets.pair_filters import judge_texts, score_texts
from assets.partitions import by_training_set, cells, rings_of_set, subset_of_set, training_set_keys
from assets.pool import chain_groups
from assets.queries.mixtures import record_mixture, recorded_mixture
from assets.queries.provenance import record_parents, record_pool, recorded_pool
from assets.queries.sweeps import FAILED_IMAGES
from assets.shown import lineage, plots, show_kept_and_dropped
from assets.tags import tag_run
from metaclip_dagster.reporting.sweeps.plots import CAPTIONS, plot_losses
from metaclip_dagster.sharding import build_training_set, choose_buckets_together
from metaclip_dagster.training import describe_checkpoint, train
from resources.engines.resource import Compute
from resources.images.resource import Images
from resources.lake.resource import Lake
from resources.models.resource import Trainer
from resources.reports.resource import Reports
from resources.tasks.resource import ZeroShot


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
    pool=POOL,
    metadata=lineage(
        tar="images.tar",
        image_id="images.image_id",
        texts="subsets.pair_id subsets.text subsets.language subsets.entry_ids subsets.admitted_at",
    ),
    check_specs=check_specs("training_sets", every_pair_accounted_for, up_to_date, partitions=training_set_keys),
)
@tag_run
def training_sets(
    context: dg.AssetExecutionContext,
    config: AsBefore[Filtering],
    lake: Lake,
    compute: Compute,
    image_store: Images,
    zero_shot: ZeroShot,
    reports: Reports,
) -> dg.MaterializeResult:
    """Which images of which tars are in D(t), with which texts; `online-<t>` holds the pool, and training redraws it.

    A mixture, `mix-<name>`, holds each of its sources by itself; how often training sees them stands in the metadata.
    `<t>-<name>` is D(t) by the filters of that name in METACLIP_FILTERS.

    No image is copied: trainers read the image store's tars with this table beside them. Nor is one that a filter
    leaves out deleted: the filter may be switched off again.

    Next: `checkpoints` of this set with each model; beyond the sample, they need a GPU.
    """
    key, choice, buckets = context.partition_key, choose_filtering(context, lake, config), image_store.buckets()
    t = rung_of(key)
    rings = rings_up_to(t)
    images, texts = read_rings(lake, rings, buckets), read_texts_by_source(lake, t, buckets)
    failed = sum((lake.manifest("images", ring).total("dropped") for ring in rings), Counter[str]())
    facts = record_parents(lake, "training_sets", key) | record_pool(recorded_pool(lake.manifest("subsets", t)))
    facts |= {FAILED_IMAGES: json.dumps(failed, sort_keys=True), **choice.facts, **record_filters(choice.config)}
    facts |= record_mixture(t)
    verdicts, tallies = apply_filters(
        context, choice.config, compute, image_store, zero_shot, rings=rings, buckets=buckets
    )
    of_all = texts.get("") or read_texts(lake, t, buckets)
    scores, limits = score_texts(context, choice.config, compute, image_store, t=t, texts=of_all, images=images)
    left_out = {**verdicts, **scores, **judge_texts(context, choice.config, compute, t=t, buckets=buckets)}
    pairs_of_subset = lake.manifest("subsets", t).rows
    together = choose_buckets_together(len(buckets), pairs_of_subset)
    shards = {
        f"{source}{group}": streams
        for source, of_source in texts.items()
        for group, streams in chain_groups({"texts": of_source, "images": images, **left_out}, together).items()
    }
    options = {"opt_outs": choice.config.opt_outs, **limits}
    manifest = compute.map_shards(context, build_training_set, shards, options=options, facts=facts)
    pairs = manifest.total("seen")["pairs"]
    numbers = {"pairs": pairs, "pairs_of_subset": pairs_of_subset, "rings": list(rings)}
    shown = {
        "pairs_kept_and_dropped": show_kept_and_dropped(pairs, manifest.total("dropped")),
        **show_mixture(manifest),
        **report_left_out(lake, reports, image_store, key, choice.config),
    }
    checks = [every_pair_accounted_for(manifest, pairs_of_subset), report_outdated(context, lake)]
    return compute.result(manifest, metadata={**numbers, **choice.metadata, **tallies, **shown}, checks=checks)


@dg.asset(
    partitions_def=cells,
    deps=[dg.AssetDep("training_sets", partition_mapping=by_training_set), "entry_counts", "tokenizer"],
    group_name="training",
    kinds={"pytorch"},
    owners=["team:models"],
    pool="gpu",
    check_specs=check_specs("checkpoints", budget_spent, loss_below_chance, up_to_date, partitions=cells),
)
@tag_run
def checkpoints(
    context: dg.AssetExecutionContext,
    config: AsBefore[Training],
    lake: Lake,
    compute: Compute,
    image_store: Images,
    trainer: Trainer,
) -> dg.MaterializeResult:
    """CLIP trained on one set by one recipe, for as many seen pairs whatever t; resumes where it was ended.

    Never made by automation, and one at a time: each holds the GPU pool.

    Next: `scores` of the same cell.
    """
    cell, choice = Cell.of(context.partition_key), config.choose(context, lake)
    training_set = lake.manifest("training_sets", cell.training_set)  # it may be made anew in the meantime
    facts = record_parents(lake, "checkpoints", cell.key) | record_pool(recorded_pool(training_set)) | choice.facts
    facts |= record_tokenizer(lake, cell, choice.config) | recorded_mixture(training_set)
    folder, job = prepare_job(lake, trainer, image_store, cell, choice.config)
    result = trainer.run(context, train, job, folder)
    trained_by = {"recipe": json.dumps(job["recipe"], sort_keys=True), "set_version": training_set.version}
    row = {"00000": {"result": {**result, **trained_by}, "root": trainer.root}}
    manifest = compute.map_shards(context, describe_checkpoint, row, inline=True, facts=facts)
    numbers = ("pairs_seen", "loss", "samples_per_second", "wall_seconds", "cpu_seconds")
    shown = {
        "folder": dg.MetadataValue.path(str(folder)),
        "plots": plots({"loss": plot_losses({cell.key: result["losses"]})}, {"loss": CAPTIONS["losses"]}),
    }
    shown |= show_mixture(training_set, choice.config.pairs_to_see)
    metadata = {**choice.metadata, **job["recipe"], **{name: result[name] for name in numbers}, **shown}
    checks = [
        budget_spent(result, choice.config.pairs_to_see),
        loss_below_chance(result, job["recipe"]["batch_size"]),
        report_outdated(context, lake),
    ]
    return compute.result(manifest, metadata=metadata, checks=checks)

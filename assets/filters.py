"""Choose the images that a training set leaves out by their looks; by default none."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow.compute as pc
from pydantic import Field, ValidationError, field_validator, model_validator

from assets.choices import AsBefore, Choice, Sparse
from assets.defaults import DEFAULTS
from assets.keys import TRAINING_SETS, filters_of, verdicts_of
from assets.pool import group_shards
from assets.queries.sweeps import FILTERS
from assets.shown import table
from metaclip_dagster.evaluation import read_task, task_version
from metaclip_dagster.evaluation.images import decode_image, read_samples
from metaclip_dagster.filtering import find_near_images, hash_samples, judge_images, scatter_looks, score_images
from metaclip_dagster.filtering.bands import MAX_DISTANCE, choose_num_bands
from metaclip_dagster.filters import load_scorers, read_column, sees_texts
from metaclip_dagster.opting_out.policies import OF_IMAGES
from resources.deferred import Deferred, defer, stage_version
from resources.engines.resource import Compute
from resources.images.resource import Images
from resources.lake.resource import WHOLE, Lake
from resources.lake.shard_files import chain_batches
from resources.lake.tables import PartitionManifest
from resources.tasks.resource import ZeroShot

NUM_LEAKED_SHOWN = 20
IMAGES_TOGETHER = 1 << 20
"""Images that are compared in one process at once, if what a band of their hashes has is even."""

OFF = -1
"""A distance at which nothing is looked for."""


def _distance(default: int | None) -> Any:
    return Field(default=OFF if default is None else default, ge=OFF, le=MAX_DISTANCE)


class Limits(Sparse, use_attribute_docstrings=True):
    """The scores of an image that stays."""

    at_least: float | None = Field(None, allow_inf_nan=False)
    """The lowest; none where left out."""
    at_most: float | None = Field(None, allow_inf_nan=False)
    """The highest; none where left out."""

    @model_validator(mode="after")
    def _check_limits(self) -> "Limits":
        if self.at_least is None and self.at_most is None:
            raise ValueError("give at_least, at_most or both")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"no score is at_least {self.at_least} and at_most {self.at_most}")
        return self


class Filtering(dg.Config, use_attribute_docstrings=True):
    """What a training set leaves out. Distances are bits of 64 in which perceptual hashes may differ."""

    filters: dict[str, Limits] = Field(
        {name: dict(limits) for name, limits in DEFAULTS.filters.items()}, validate_default=True
    )
    """Scorers by name, as in `metaclip_dagster.filters:Nsfw`, and their limits, at_least, at_most or both.

    One with a model of one's choice has it in parentheses: `metaclip_dagster.filters:ClipScore(local-dir:/models/b32)`.
    `column:similarity` is what a pool has of its pairs in the column `similarity`, which pools.json keeps.
    """
    near_duplicate_distance: int = _distance(DEFAULTS.near_duplicate_distance)
    """Of images as near as this to each other only the first stays; -1 looks for none."""
    leakage_distance: int = _distance(DEFAULTS.leakage_distance)
    """Images as near as this to a zero-shot task's are counted and named; -1 looks for none."""
    remove_leakage: bool = False
    """Leave those images out."""
    opt_outs: list[str] = ["c2pa_training_mining"]
    """Signals of IMAGES that leave an image out: by default a manifest in the image itself that disallows training."""

    @field_validator("opt_outs")
    @classmethod
    def _check_signals(cls, opt_outs: list[str]) -> list[str]:
        if unknown := [name for name in opt_outs if name not in OF_IMAGES]:
            raise ValueError(f"{', '.join(unknown)}: no signal of images; there are {', '.join(OF_IMAGES)}")
        return list(dict.fromkeys(opt_outs))

    @property
    def options(self) -> dict[str, Any]:
        """What is asked of images: the limits that are given; None for a distance at which nothing is looked for."""
        distances = {"near_duplicate_distance": self.near_duplicate_distance, "leakage_distance": self.leakage_distance}
        return {
            "filters": self._choose_limits(lambda name: not sees_texts(name) and read_column(name) is None),
            **{name: None if distance == OFF else distance for name, distance in distances.items()},
            "remove_leakage": self.remove_leakage,
        }

    @property
    def pair_filters(self) -> dict[str, dict[str, float]]:
        """The limits to what images and texts score together, by scorer."""
        return self._choose_limits(sees_texts)

    @property
    def column_filters(self) -> dict[str, dict[str, float]]:
        """The limits to numbers that a pool has of its pairs, by column."""
        limits = self._choose_limits(lambda name: read_column(name) is not None)
        return {str(read_column(name)): of for name, of in limits.items()}

    @property
    def is_on(self) -> bool:
        """Whether images are looked at without their texts."""
        return bool(self.options["filters"]) or max(self.near_duplicate_distance, self.leakage_distance) > OFF

    def _choose_limits(self, is_chosen: Callable[[str], bool]) -> dict[str, dict[str, float]]:
        return {name: limits.model_dump() for name, limits in self.filters.items() if is_chosen(name)}


def _read_named() -> dict[str, Filtering]:
    named = {}
    for name, config in DEFAULTS.named_filters.items():
        try:
            named[name] = Filtering(**config)
        except ValidationError as error:
            raise ValueError(f"METACLIP_FILTERS: {name}: {error}") from None
        if unknown := config.keys() - Filtering.model_fields.keys():
            fields = ", ".join(Filtering.model_fields)
            raise ValueError(f"METACLIP_FILTERS: {name}: no {', '.join(sorted(unknown))}; there are {fields}")
    return named


NAMED = _read_named()
"""What METACLIP_FILTERS says of each name."""
POOL = "filters" if NAMED else None
"""Sets that share scores are made one after another: none is scored twice."""


def choose_filtering(context: dg.AssetExecutionContext, lake: Lake, asked: AsBefore[Filtering]) -> Choice[Filtering]:
    """What a training set leaves out: of one of the deployment's names what METACLIP_FILTERS says, else as before.

    Raises dg.Failure where a run asks a named set for something.
    """
    name = filters_of(context.partition_key)
    if not name:
        return asked.choose(context, lake, among=[key for key in TRAINING_SETS if not filters_of(key)])
    if asked.overrides:
        raise dg.Failure(
            f"METACLIP_FILTERS says what {name} leaves out: change it there, or give {', '.join(asked.overrides)} "
            "another name",
            allow_retries=False,
        )
    return Choice(NAMED[name], {}, ())


def record_filters(config: Filtering) -> dict[str, str]:
    """For the manifest of a training set: its filters with their limits."""
    limits = {name: of.model_dump() for name, of in config.filters.items()}
    return {FILTERS: json.dumps(limits, sort_keys=True)} if limits else {}


def list_scorers(config: Filtering, *, texts: bool) -> set[str]:
    """The scorers that the config names, and those of all named filters, which share tables of scores.

    Sets of one t are often made at once: scores of one must not lack what the other asks for.
    """
    configs = [config, *NAMED.values()]
    return {name for one in configs for name in (one.pair_filters if texts else one.options["filters"])}


def apply_filters(
    context: dg.AssetExecutionContext,
    config: Filtering,
    compute: Compute,
    image_store: Images,
    zero_shot: ZeroShot,
    *,
    rings: Sequence[str],
    buckets: Mapping[str, int],
) -> tuple[dict[str, dict[str, Deferred]], dict[str, Any]]:
    """The `verdicts` that the set is built with, by bucket, and what they count; neither where nothing is asked."""
    if not config.is_on:
        return {}, {}
    for ring in rings:
        _score_ring(context, config, compute, image_store, ring=ring, rings=rings)
    samples = [] if config.leakage_distance == OFF else [_hash_tasks(context, compute, zero_shot)]
    scores_of_ring = {ring: compute.lake.shards("image_scores", ring) for ring in rings}
    scores = {key: {ring: scores_of_ring[ring][key] for ring in rings} for key in buckets}
    tests = defer(chain_batches, *samples)
    near = _find_near(context, config, compute, scores, tests, rings=rings, buckets=buckets)
    shards = {key: {"rings": scores[key], "samples": tests, "near": near[key]} for key in buckets}
    manifest = compute.map_shards(
        context,
        judge_images,
        shards,
        table="image_verdicts",
        partition=verdicts_of(context.partition_key),
        options=config.options | {"num_buckets": len(buckets)},
        whole=True,
    )
    verdicts = compute.lake.shards("image_verdicts", verdicts_of(context.partition_key))
    return {"verdicts": verdicts}, _count_verdicts(compute.lake, config, manifest)


def _score_ring(
    context: dg.AssetExecutionContext,
    config: Filtering,
    compute: Compute,
    image_store: Images,
    *,
    ring: str,
    rings: Sequence[str],
) -> None:
    """IMAGE_SCORES of one ring; scores of earlier runs are taken over where the bytes are the same."""
    rows = compute.lake.shards("images", ring)
    known = gather_known(compute, "image_scores", score_images, partitions=rings, buckets=rows)
    shards = {key: {"images": images, "known": known[key]} for key, images in rows.items()}
    names = tuple(sorted(list_scorers(config, texts=False)))
    setup = {"store": image_store.store(), "scorers": defer(load_scorers, names)}
    compute.map_shards(context, score_images, shards, table="image_scores", partition=ring, setup=setup, whole=True)


def gather_known(
    compute: Compute, name: str, stage: Callable[..., Any], *, partitions: Sequence[str], buckets: Iterable[str]
) -> dict[str, Deferred]:
    """The scores that the same stage gave in earlier runs, by bucket; none for a forced run.

    They stand outside fingerprints, as the store does: a score is what its function gives, whenever it was asked.
    """
    finished = [] if compute.force else compute.lake.finished(name, partitions)
    version = stage_version(stage)
    alike = [it for it in finished if compute.lake.manifest(name, it).inputs.get("stage") == version]
    earlier = [compute.lake.shards(name, it) for it in alike]
    return {
        key: Deferred(chain_batches, tuple(of[key] for of in earlier if key in of), declared="known scores")
        for key in buckets
    }


def _find_near(
    context: dg.AssetExecutionContext,
    config: Filtering,
    compute: Compute,
    scores: Mapping[str, Mapping[str, Deferred]],
    tests: Deferred,
    *,
    rings: Sequence[str],
    buckets: Mapping[str, int],
) -> dict[str, Deferred]:
    """NEAR_IMAGES of each of the store's buckets: looks meet in buckets of bands of their hashes."""
    if config.near_duplicate_distance == OFF:
        return dict.fromkeys(buckets, defer(chain_batches))
    lake, distance, partition = compute.lake, config.near_duplicate_distance, verdicts_of(context.partition_key)
    num_images = sum(lake.manifest("image_scores", ring).rows for ring in rings)
    num_parts = max(1, -(-num_images // IMAGES_TOGETHER))
    groups = group_shards(scores, -(-len(scores) // num_parts))
    num_bands = choose_num_bands(num_images, distance)
    compute.map_shards(
        context,
        scatter_looks,
        {group: {"scores": of, "samples": tests} for group, of in groups.items()},
        table="image_looks",
        partition=partition,
        options=config.options | {"num_bands": num_bands, "num_parts": num_parts},
        size=num_images,
        whole=True,
    )
    looks = lake.where_each("image_looks", "bucket", range((distance + 1) * num_parts), partitions=[partition])
    compute.map_shards(
        context,
        find_near_images,
        {f"{bucket:05d}": {"looks": rows, "band": bucket // num_parts} for bucket, rows in looks.items()},
        table="near_images",
        partition=partition,
        options={"near_duplicate_distance": distance, "num_bands": num_bands, "num_buckets": len(buckets)},
        size=num_images,
        whole=True,
    )
    near = lake.where_each("near_images", "bucket", buckets.values(), partitions=[partition])
    return {key: near[bucket] for key, bucket in buckets.items()}


def _hash_tasks(context: dg.AssetExecutionContext, compute: Compute, zero_shot: ZeroShot) -> Deferred:
    tasks = zero_shot.tasks(read_task, task_version)
    shards = {name: {"samples": defer(read_samples, task), "task": name} for name, task in tasks.items()}
    options = {"decode": decode_image}
    compute.map_shards(
        context, hash_samples, shards, table="sample_hashes", partition=WHOLE, options=options, whole=True
    )
    return compute.lake.stream("sample_hashes")


def _count_verdicts(lake: Lake, config: Filtering, manifest: PartitionManifest) -> dict[str, Any]:
    """How many images each filter found, and the first that are a task's own."""
    counts: dict[str, Any] = {f"images/{what}": num for what, num in sorted(manifest.total("seen").items())}
    if config.leakage_distance == OFF:
        return counts
    near_tests = lake.dataset(manifest.table, [manifest.partition]).filter(pc.field("reason") == "benchmark")
    shown = near_tests.head(NUM_LEAKED_SHOWN).to_pylist()
    leaked = [(row["image_id"], row["near"], int(row["measured"])) for row in shown]
    columns = ["image", "task/sample", "bits that differ"]
    return {**counts, "images/benchmark": near_tests.count_rows(), "leaked": table(columns, leaked)}

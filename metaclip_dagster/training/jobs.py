"""Plan one training as its job.json, and check before anything is loaded that it can end well."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from metaclip_dagster.training.caching import BlockCache
from metaclip_dagster.training.recipes import Recipe
from metaclip_dagster.training.tars import Tars

PRECISIONS = ("fp32", "amp_bf16", "amp_bfloat16", "bf16", "fp16", "pure_bf16", "pure_fp16")
"""As open_clip_train names them, without amp, which skips steps."""


@dataclass(frozen=True)
class SetFile:
    """A Parquet file of TRAINING_SETS and the tars, relative to the image store, whose rows it holds."""

    path: str
    tars: tuple[str, ...]
    source: str = ""
    """The source whose images these are, where the set is a mixture."""


@dataclass(frozen=True)
class Online:
    """Balance anew at every visit (Xu et al. 2023, A.2): each language's own t, finite, and the pool's draw.

    `draw` is an .npz file with `entry_key` (uint64) and `entry_count` (float64), both by entry_id.
    """

    thresholds: Mapping[str, float]
    draw: str


@dataclass(frozen=True)
class TrainingPlan:
    """One training, as job.json holds it: a recipe, a training set, and where it runs. Paths are absolute."""

    training_set: str
    model: str
    recipe: Recipe
    seed: int
    budget: int
    """Pairs to see, a whole number of steps in each of the recipe's epochs."""
    images: str
    """Root of the image store: a folder, or an fsspec URL."""
    shards: tuple[SetFile, ...]
    uniform: str
    """Name, as module:function, of what gives one number in [0, 1) for uint64 pair_id, uint64 entry_key and a seed."""
    storage_options: Mapping[str, Any] = field(default_factory=dict)
    """fsspec's, for the shards' files."""
    objects: Mapping[str, str] = field(default_factory=dict)
    """Names of the tars' objects below an image store's URL, where they differ: each attempt's object has its own."""
    image_options: Mapping[str, Any] = field(default_factory=dict)
    """fsspec's, for these."""
    cache: str = ""
    """A folder of each machine that keeps what was read of them; empty reads everything anew at every pass."""
    cache_gb: float = 0.0
    """What it may hold, in units of 10^9 bytes; 0 keeps nothing."""
    online: Online | None = None
    mixture: Mapping[str, int] = field(default_factory=dict)
    """Of a mixture, by source whole numbers that stand to each other as its seen pairs do."""
    device: str = "cpu"
    precision: str = "fp32"
    ranks: int = 1
    loader_workers: int = 0
    """Processes that read and decode, for each rank; 0 reads in the rank itself."""
    tokenizer: str = ""
    """Folder of the files of the tokenizer whose digest is the recipe's; empty for the architecture's own."""
    out: str = ""
    """Folder of this training alone: log, checkpoints, loss curve and the exported model."""

    @classmethod
    def from_json(cls, job: Mapping[str, Any]) -> "TrainingPlan":
        """The plan that job.json holds; keys that a plan has not are for others."""
        fields = {name: job[name] for name in cls.__dataclass_fields__ if name in job}
        fields["recipe"] = Recipe(**job["recipe"])
        fields["shards"] = tuple(SetFile(**{**shard, "tars": tuple(shard["tars"])}) for shard in job["shards"])
        fields["online"] = Online(**job["online"]) if job.get("online") else None
        return cls(**fields)

    @property
    def tars(self) -> list[tuple[str, str]]:
        """Each tar with the Parquet file of its rows; loaders know a tar by its number here."""
        return [(tar, shard.path) for shard in self.shards for tar in shard.tars]

    @property
    def num_parts(self) -> int:
        """What loaders are told apart by: each takes some tars, or is one place in a mixture."""
        return self.loaders if self.mixture else len(self.tars)

    @property
    def store(self) -> Tars:
        """The tars themselves."""
        cache = BlockCache(Path(self.cache), int(self.cache_gb * 1e9)) if self.cache and self.cache_gb else None
        return Tars(self.images, self.objects, self.image_options, cache)

    @property
    def loaders(self) -> int:
        """Processes that tars are shared out to."""
        return self.ranks * max(1, self.loader_workers)

    @property
    def loader_batch(self) -> int:
        """Images that a loader hands over at a time."""
        return self.recipe.batch_size // (self.ranks * self.recipe.accum_freq)

    @property
    def pairs_an_epoch(self) -> int:
        """Pairs seen from one checkpoint to the next."""
        return self.budget // self.recipe.epochs


def check_sizes(plan: TrainingPlan) -> None:
    """Refuse what open_clip_train would round or skip: it fills an epoch up to whole batches of every loader."""
    if plan.precision == "amp":
        raise ValueError("precision amp skips steps, and no budget would be spent exactly: take amp_bf16 or fp32")
    if plan.precision not in PRECISIONS:
        raise ValueError(f"there is no precision {plan.precision!r}: take one of {', '.join(PRECISIONS)}")
    recipe, parts = plan.recipe, plan.ranks * plan.recipe.accum_freq
    if recipe.batch_size % parts:
        raise ValueError(
            f"a batch of {recipe.batch_size:,} pairs does not divide into {plan.ranks} ranks x {recipe.accum_freq} "
            f"accumulated parts; {_round_to(recipe.batch_size, parts):,} would"
        )
    batches = math.lcm(recipe.accum_freq, max(1, plan.loader_workers))
    unit = recipe.epochs * recipe.batch_size // recipe.accum_freq * batches
    if plan.budget < unit or plan.budget % unit:
        raise ValueError(
            f"a budget of {plan.budget:,} pairs is no whole number of steps of {recipe.batch_size:,} in each of "
            f"{recipe.epochs} epochs and {max(1, plan.loader_workers)} loader workers; the nearest that is: "
            f"{_round_to(plan.budget, unit):,}"
        )
    unbounded = [] if plan.online is None else [k for k, t in plan.online.thresholds.items() if not math.isfinite(t)]
    if unbounded:
        raise ValueError(f"online balancing needs a finite t, which {', '.join(unbounded)} has not; train on t = inf")


def check_images(plan: TrainingPlan) -> Counter[str]:
    """Refuse a set that is not all there or too small for its loaders; gives its images by tar.

    open_clip_train logs a broken tar and goes on with fewer images, and waits for ever for a batch that no loader can
    fill. The worst share of tars that a loader can get must hold a batch.
    """
    named = [(shard.source, tar) for shard in plan.shards for tar in shard.tars]
    if len(set(named)) < len(named):
        raise ValueError(f"{plan.training_set}: a tar is named twice: {Counter(named).most_common(1)[0][0][1]}")
    names = [*dict.fromkeys(tar for _, tar in named)]
    plan.store.check(names)
    images, of_source = Counter[str](), {source: Counter[str]() for source in plan.mixture or [""]}
    for shard in plan.shards:
        counts = _count_images(shard.path, plan)
        images.update(counts)
        of_source[shard.source].update(counts)
    if set(images) != set(names):
        odd = min(set(images) ^ set(names))
        raise ValueError(
            f"{plan.training_set}: the job and the set's rows do not name the same tars; {odd} is in one only"
        )
    if plan.mixture:
        for source, counts in of_source.items():
            _check_source(plan, source, counts)
        return images
    if len(names) < plan.loaders:
        raise ValueError(
            f"{plan.training_set} lies in {len(names)} tars, too few for {plan.loaders} loaders "
            f"({plan.ranks} ranks x {max(1, plan.loader_workers)}): take fewer loader workers"
        )
    least = sum(sorted(images.values())[: len(names) // plan.loaders])
    if least < plan.loader_batch:
        raise ValueError(
            f"{plan.training_set} has {images.total():,} images{_in_languages(plan.recipe)}, and of its {plan.loaders} "
            f"loaders one may get only {least:,}, fewer than its batch of {plan.loader_batch:,}: take a smaller batch "
            "or fewer loader workers"
        )
    return images


def find_spoken(texts: pa.StructArray, recipe: Recipe) -> npt.NDArray[np.bool_]:
    """Which texts, structs with a `language`, are in a language that the recipe trains on."""
    if not recipe.language_names:
        return np.ones(len(texts), np.bool_)
    spoken = pc.is_in(texts.field("language"), pa.array(recipe.language_names, pa.string()))
    return np.asarray(spoken.to_numpy(zero_copy_only=False), np.bool_)


def _check_source(plan: TrainingPlan, source: str, images: Counter[str]) -> None:
    """Refuse a source of a mixture of which a loader has nothing; where tars are too few, each takes rows of them."""
    most = max(images.values(), default=0)
    if not most or (len(images) < plan.loaders and most < plan.loaders):
        raise ValueError(
            f"{plan.training_set}: {source} has {images.total():,} images{_in_languages(plan.recipe)}, and at most "
            f"{most:,} of them in a tar, too few for {plan.loaders} loaders: take fewer loader workers, or leave it out"
        )


def _round_to(number: int, unit: int) -> int:
    return max(1, round(number / unit)) * unit


def _in_languages(recipe: Recipe) -> str:
    return f" with a text in {', '.join(recipe.language_names)}" if recipe.language_names else ""


def _count_images(path: str, plan: TrainingPlan) -> Counter[str]:
    """Images that have a text to train on, by tar; a tar without one counts 0."""
    counts: Counter[str] = Counter()
    columns = ["tar", "texts"] if plan.recipe.language_names else ["tar"]
    with fsspec.open(path, "rb", **plan.storage_options) as file, pq.ParquetFile(file, pre_buffer=False) as parquet:
        for batch in parquet.iter_batches(columns=columns, use_threads=False):
            counts.update(dict.fromkeys(pc.unique(batch["tar"]).to_pylist(), 0))
            tars = batch["tar"]
            if "texts" in columns:
                spoken = find_spoken(batch["texts"].flatten(), plan.recipe)
                rows = pc.list_parent_indices(batch["texts"]).filter(pa.array(spoken))
                tars = tars.take(pc.unique(rows))
            counts.update({str(it["values"]): it["counts"] for it in pc.value_counts(tars).to_pylist()})
    return counts

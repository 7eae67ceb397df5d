"""Say of a mixture's tables which source their pairs are of, and how often a training sees each source."""

import json
from collections import Counter

from assets.keys import MIXTURES
from metaclip_dagster.training.mixtures import SeenSource, Source, describe_sources, parse_mixture, weigh_sources
from resources.lake.tables import PartitionManifest

_DRAWN, _ASKED = "drawn from", "mixture"


def record_drawn(key: str) -> dict[str, str]:
    """For the manifest of a mixture's subset: its snapshots and t by source; nothing for a rung."""
    return {_DRAWN: json.dumps({it.name: it.drawn for it in MIXTURES[key]})} if key in MIXTURES else {}


def record_mixture(key: str) -> dict[str, str]:
    """For the manifest of a mixture's training set: all that mixtures.json says of it; nothing for other sets."""
    return {_ASKED: json.dumps({it.name: it.asked for it in MIXTURES[key]})} if key in MIXTURES else {}


def recorded_mixture(training_set: PartitionManifest) -> dict[str, str]:
    """For the manifest of what is trained on a set: what mixtures.json said of it when the set was made."""
    return {_ASKED: training_set.inputs[_ASKED]} if _ASKED in training_set.inputs else {}


def is_as_declared(manifest: PartitionManifest, key: str) -> bool:
    """Whether a subset, training set or checkpoint was made by what mixtures.json says of the mixture `key` now."""
    now = {**record_drawn(key), **record_mixture(key)}
    return all(manifest.inputs.get(name, said) == said for name, said in now.items())


def source_of(shard: str) -> str:
    """The source that a shard of a mixture's IMAGE_TEXTS or training set is of, empty for a shard of any other set.

    >>> source_of("ours/00007"), source_of("00007")
    ('ours', '')
    """
    return shard.rpartition("/")[0]


def read_shares(training_set: PartitionManifest) -> dict[str, int]:
    """By source whole numbers that stand to each other as its seen pairs; none where the set is no mixture.

    Raises ValueError for a source without an image.
    """
    sources = _read_sources(training_set)
    return weigh_sources(sources, _count_images(training_set)) if sources else {}


def describe_mixture(training_set: PartitionManifest, budget: int) -> list[SeenSource]:
    """Each source of a training set, as a training of that budget sees it; none where the set is no mixture.

    Raises ValueError for a source without an image.
    """
    pairs = Counter[str]()
    for shard in training_set.shards:
        pairs[source_of(shard.key)] += shard.seen.get("pairs", 0)
    sources = _read_sources(training_set)
    return describe_sources(sources, pairs, _count_images(training_set), budget) if sources else []


def _read_sources(training_set: PartitionManifest) -> tuple[Source, ...]:
    asked = recorded_mixture(training_set).get(_ASKED)
    return parse_mixture(json.loads(asked)) if asked else ()


def _count_images(training_set: PartitionManifest) -> Counter[str]:
    images = Counter[str]()
    for shard in training_set.shards:
        images[source_of(shard.key)] += shard.rows
    return images

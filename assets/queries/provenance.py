"""Say what a partition was made of, by its manifest, and which partitions are outdated."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import PurePosixPath

from assets.keys import CELLS, MIXTURES, SUBSETS, TRAINING_SETS, Cell, rings_up_to, rung_of
from assets.queries.mixtures import is_as_declared
from metaclip_dagster.reporting.sweeps.pools import PoolVersion
from resources.lake.resource import WHOLE, Lake
from resources.lake.tables import PartitionManifest

BELOW_SUBSETS = ("image_texts", "images", "training_sets", "checkpoints", "scores")

_POOL, _READ, _BELOW, _BALANCED_TO = "pool version", "read ", "rung below", "balanced to"

_OTHER_MIXTURE = "mixtures.json says otherwise now"

_TOKENIZER = ("tokenizer", WHOLE)

Outdated = dict[str, dict[str, str]]
"""By asset and partition, why."""


def list_snapshots(lake: Lake) -> list[str]:
    """The snapshots that the pool has; raises FileNotFoundError where there is none."""
    return [shard.key for shard in lake.manifest("exclusions").shards]


def record_pool(pool: PoolVersion | None) -> dict[str, str]:
    """For the manifest of what is made of one pool."""
    return {} if pool is None else {_POOL: json.dumps(asdict(pool))}


def recorded_pool(manifest: PartitionManifest) -> PoolVersion | None:
    """The pool that a partition was made of; None where an older version made it."""
    if not (recorded := manifest.inputs.get(_POOL)):
        return None
    fields = json.loads(recorded)
    return PoolVersion(tuple(fields["snapshots"]), fields["entries"], fields["entry_counts"])


def record_counts(url: str) -> dict[str, str]:
    """For the manifest of ENTRY_COUNTS: the name of the file that the pool is balanced to; nothing without one."""
    return {_BALANCED_TO: PurePosixPath(url).name} if url else {}


def describe_balance(lake: Lake) -> str:
    """Which counts the pool is balanced to, in words: its own, or those of a file, and what that lacks."""
    manifest = lake.manifest("entry_counts")
    if not (name := manifest.inputs.get(_BALANCED_TO)):
        return "the pool's own counts"
    seen = manifest.total("seen")
    absent, matches = seen["absent_from_published"], seen["matches_absent_from_published"]
    return (
        f"counts of {name}, which has {seen['published_entries']:,} entries; {absent:,} entries of ours, with "
        f"{matches:,} matches, are not in it and are balanced to their own counts"
    )


def current_pool(lake: Lake) -> PoolVersion | None:
    """The pool that entry_counts are of, which subsets are drawn from next; None where nothing says it."""
    counts = lake.store("entry_counts").manifest()
    recorded = recorded_pool(counts) if counts else None
    return replace(recorded, entry_counts=counts.version) if counts and recorded else None


def record_parents(lake: Lake, table: str, key: str) -> dict[str, str]:
    """For the manifest of a partition below the subsets: the versions of what it reads. Ask before they are read."""
    parents = [record_read(lake, parent, of) for parent, of in parents_of(table, key)]
    return {name: version for parent in parents for name, version in parent.items()}


def record_read(lake: Lake, table: str, partition: str) -> dict[str, str]:
    """For the manifest of what reads a partition: its version."""
    return {f"{_READ}{table}/{partition}": lake.manifest(table, partition).version}


def record_ring(t: str) -> dict[str, str]:
    """For the manifest of a ring of images: the rung at which it begins."""
    return {_BELOW: _rung_below(t)}


def parents_of(table: str, key: str) -> list[tuple[str, str]]:
    """What a partition below the subsets is made of, as table and partition.

    Rings of images name their subset, not IMAGE_TEXTS, which are the same pairs in another order.
    """
    if table in ("image_texts", "images"):
        return [("subsets", key)]
    if table == "training_sets":
        t = rung_of(key)
        return [("subsets", t), *(("images", ring) for ring in rings_up_to(t))]
    if table == "checkpoints":
        return [("training_sets", Cell.of(key).training_set)]
    if table == "image_embeddings":
        return [("training_sets", Cell.of(key).training_set), ("checkpoints", key)]
    return [("checkpoints", key)]


def find_outdated(lake: Lake) -> Outdated:
    """The partitions from subsets on that are not made of what is there now, directly or through what they read.

    What was made before versions were kept counts as up to date, unless what it reads does not.
    """
    pool = current_pool(lake)
    keys_of = (SUBSETS, SUBSETS, TRAINING_SETS, CELLS, CELLS)
    manifests = {("subsets", t): manifest for t in SUBSETS if (manifest := lake.store("subsets", t).manifest())}
    outdated: Outdated = {"subsets": {}}
    for (_, t), manifest in manifests.items():
        if pool and recorded_pool(manifest) not in (None, pool):
            outdated["subsets"][t] = "entry_counts are of another pool"
        elif t in MIXTURES and not is_as_declared(manifest, t):
            outdated["subsets"][t] = _OTHER_MIXTURE
    if tokenizer := lake.store(*_TOKENIZER).manifest():
        manifests[_TOKENIZER] = tokenizer
    for table, keys in zip(BELOW_SUBSETS, keys_of, strict=True):
        outdated[table] = {}
        for key in keys:
            if manifest := lake.store(table, key).manifest():
                manifests[table, key] = manifest
                if why := next(_find_reasons(table, key, manifests, outdated), None):
                    outdated[table][key] = why
    return outdated


def _find_reasons(
    table: str, key: str, manifests: Mapping[tuple[str, str], PartitionManifest], outdated: Outdated
) -> Iterator[str]:
    inputs = manifests[table, key].inputs
    has_versions = any(name.startswith(_READ) for name in inputs)
    if table == "images" and _BELOW in inputs and inputs[_BELOW] != _rung_below(key):
        yield f"the ring begins at {_rung_below(key)} now"
    mixture = Cell.of(key).training_set if "|" in key else key
    if mixture in MIXTURES and not is_as_declared(manifests[table, key], mixture):
        yield _OTHER_MIXTURE
    if read := inputs.get(f"{_READ}{'/'.join(_TOKENIZER)}"):
        if _TOKENIZER not in manifests:
            yield "the pool's tokenizer is not there"
        elif read != manifests[_TOKENIZER].version:
            yield "the pool's tokenizer was made anew"
    for parent, of in parents_of(table, key):
        if (parent, of) not in manifests:
            yield f"{parent} of {of} are not there"
        elif has_versions and inputs.get(f"{_READ}{parent}/{of}") != manifests[parent, of].version:
            yield f"{parent} of {of} were made anew"
        elif of in outdated[parent]:
            yield f"{parent} of {of} are outdated"


def _rung_below(t: str) -> str:
    return ("0", *rings_up_to(t))[-2]

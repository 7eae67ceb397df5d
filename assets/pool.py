"""The pool as it lies in the lake: its snapshots, and their matches without excluded pairs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
from pydantic import Field

from assets.defaults import DEFAULTS
from assets.keys import THRESHOLDS
from assets.queries.identification import language_identification
from assets.queries.languages import read_texts, sets_clause_marks_apart
from assets.queries.parsers import why_outdated
from metaclip_dagster.balancing import build_draw
from metaclip_dagster.deduplicating import exclude, pair_ids
from metaclip_dagster.matching import INDEX, build_matcher, index_entries, open_matcher
from metaclip_dagster.spilling import spilling
from resources.deferred import Deferred, defer, version_of
from resources.files.digests import combine
from resources.files.mapped import map_table
from resources.lake.resource import Lake
from resources.lake.shard_files import chain_batches
from resources.lake.tables import PartitionManifest

_MATCHES = "matches of "
Value = TypeVar("Value")


class Grouping(dg.Config, use_attribute_docstrings=True):
    """How much of a table one worker takes at a time."""

    group_size: int = Field(default=DEFAULTS.group_size, ge=1)
    """Shards that are scattered or counted together."""


class Exchange(Grouping):
    """How rows are brought together that may be of one thing."""

    num_buckets: int = Field(default=DEFAULTS.num_buckets, ge=1)
    """Each bucket is judged in memory: at 24 bytes a pair, take as many as keep one under a worker's share."""


@dataclass(frozen=True)
class Pool:
    """Registered snapshots whose upstream table is finished, in the order of places: by key, never by registration."""

    snapshots: list[str]
    missing: list[str]

    @property
    def metadata(self) -> dict[str, Any]:
        """For the asset: which snapshots are in, and which are registered but not there yet."""
        return {"snapshots": self.snapshots, "missing_snapshots": self.missing}


def matching_setup(lake: Lake) -> dict[str, Deferred]:
    """What every worker matches with: one index of the entries on each machine, which its workers map into memory."""
    entries = lake.table("entries")
    home = lake.scratch if "://" in lake.root else Path(lake.root).parent
    path = Path(home, "matchers") / f"{combine([entries.version, str(INDEX)])}.arrow"
    index = defer(map_table, path, defer(index_entries, entries).__call__)  # called where there is no such file
    # What it gives follows from the entries and what was said when they were built.
    declared = " ".join(filter(None, [defer(build_matcher, entries).version, read_texts(lake)]))
    marks = {"clause_marks": sets_clause_marks_apart(lake)}
    return {
        "matcher": Deferred(open_matcher, (index,), marks, declared=declared),
        "identify": language_identification(),
    }


def drawing_setup(lake: Lake) -> dict[str, Deferred]:
    """What every worker draws with."""
    return {"draw": defer(build_draw, lake.table("entry_counts"))}


def pool_of(
    context: dg.AssetExecutionContext, lake: Lake, table: str, setup: Mapping[str, Deferred], *alike: str
) -> Pool:
    """The snapshots of the pool that have the table; a deleted key stays in the lake, so the registered keys decide.

    Raises dg.Failure if none has it, if one comes of pages that another version parsed, or was made with another setup
    than there is now, or if they differ in their stage or in an option that is to be `alike`: what comes of two
    versions must not be added up. PAIRS of WAT, WARC and pools have stages of their own.
    """
    registered = sorted(context.instance.get_dynamic_partitions("snapshot"))
    finished = lake.finished(table, registered)
    if not finished:
        raise dg.Failure(
            f"no snapshot has {table}: materialize it for {', '.join(registered) or 'a registered snapshot'}"
        )
    refuse_outdated(lake, table, finished)
    inputs = {key: lake.manifest(table, key).inputs for key in finished}
    current = {name: version_of(deferred) for name, deferred in setup.items()}
    stale = [key for key in finished if any(inputs[key].get(name) != version for name, version in current.items())]
    if stale:
        names = ", ".join(stale)
        raise dg.Failure(
            f"{table} of {names} was made from another version of its inputs; materialize it again for {names}"
        )
    for name in alike if table == "pairs" else ("stage", *alike):
        values = {key: inputs[key].get(name) for key in finished}
        if len(set(values.values())) > 1:
            raise dg.Failure(f"{table} was made with more than one {name}: {values}; materialize it again with one")
    return Pool(finished, [key for key in registered if key not in finished])


def refuse_outdated(lake: Lake, table: str, partitions: Iterable[str]) -> None:
    """Raise dg.Failure if any of the finished partitions comes of pages that another version parsed."""
    if why := why_outdated(lake, table, partitions):
        raise dg.Failure(why, allow_retries=False)


def record_matches(lake: Lake, snapshots: Sequence[str]) -> dict[str, str]:
    """For the manifest of EXCLUSIONS: which matches they are made of; they hold for no other."""
    return {f"{_MATCHES}{snapshot}": lake.manifest("matches", snapshot).version for snapshot in snapshots}


def check_exclusions(lake: Lake, snapshots: Sequence[str]) -> None:
    """Raise dg.Failure unless EXCLUSIONS is made of just these snapshots: a pair's place may be in any of them."""
    inputs = lake.manifest("exclusions").inputs
    excluded_from = sorted(name.removeprefix(_MATCHES) for name in inputs if name.startswith(_MATCHES))
    if {*excluded_from} != {*snapshots}:
        both = f"exclusions was made of {', '.join(excluded_from)}, the pool is {', '.join(snapshots)}"
        raise dg.Failure(f"{both}: materialize exclusions")


def pool_shards(lake: Lake, snapshot: str) -> dict[str, Deferred]:
    """The snapshot's shards of MATCHES without the excluded pairs; a shard's version knows its own exclusions only.

    Raises dg.Failure if EXCLUSIONS is made of other matches of the snapshot.
    """
    if not record_matches(lake, [snapshot]).items() <= lake.manifest("exclusions").inputs.items():
        raise dg.Failure(f"exclusions was made of other matches of {snapshot}: materialize exclusions")
    versions = lake.versions("exclusions", "shard", shard=snapshot)
    return {
        key: defer(
            exclude,
            batches,
            defer(pair_ids, lake.where("exclusions", "shard", key, shard=snapshot, version=versions.get(key, "none"))),
        )
        for key, batches in lake.shards("matches", snapshot).items()
    }


def snapshots_of(subset: PartitionManifest) -> list[str]:
    """The snapshots that a subset is drawn from, in the order of their keys."""
    return sorted({shard.key.rsplit("/", 1)[0] for shard in subset.shards})


def align_shards(lake: Lake, snapshot: str, *tables: str) -> dict[str, dict[str, Deferred]]:
    """For each shard of the last table, the shards of that key in all the tables, by table."""
    shards = {table: lake.shards(table, snapshot) for table in tables}
    return {key: {table: shards[table][key] for table in tables} for key in shards[tables[-1]]}


def group_shards(shards: Mapping[str, Value], size: int) -> dict[str, dict[str, Value]]:
    """Neighbouring shards, `size` at a time, by the number of the group."""
    keys = list(shards)
    return {
        f"{number:05d}": {key: shards[key] for key in keys[start : start + size]}
        for number, start in enumerate(range(0, len(keys), size))
    }


def chain_groups(arguments: Mapping[str, Mapping[str, Deferred]], size: int) -> dict[str, dict[str, Deferred]]:
    """For each group of neighbouring shards, `size` at a time, every argument's streams as one.

    `arguments` have a stream of each shard, by the key of the shard.
    """
    groups = {name: group_shards(streams, size) for name, streams in arguments.items()}
    keys = next(iter(groups.values()))
    return {key: {name: defer(chain_batches, *of[key].values()) for name, of in groups.items()} for key in keys}


def count_strays(lake: Lake, t: str) -> dict[str, int]:
    """Count pairs of the next smaller rung's subset that this one lacks, and of this one that the next larger lacks.

    Rungs that are not made, or from other admissions, are not compared; a mixture is no rung.
    """
    if t not in THRESHOLDS:
        return {}
    at = THRESHOLDS.index(t)
    neighbours = [(THRESHOLDS[i], THRESHOLDS[i + 1]) for i in (at - 1, at) if 0 <= i < len(THRESHOLDS) - 1]
    strays = {}
    for smaller, larger in neighbours:
        manifests = [lake.store("subsets", key).manifest() for key in (smaller, larger)]
        if all(manifests) and len({it.inputs.get("admissions") for it in manifests if it}) == 1:
            with spilling() as query:
                query.register("smaller", lake.dataset("subsets", [smaller]))
                query.register("larger", lake.dataset("subsets", [larger]))
                [(strays[f"{smaller} in {larger}"],)] = query.sql(
                    "select count(*) from smaller anti join larger using (pair_id)"
                ).fetchall()
    return strays

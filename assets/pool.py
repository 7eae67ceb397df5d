"""The pool as the lake has it: which snapshots are in, and their matches without the excluded pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from assets.parsers import refuse_outdated
from assets.partitions import THRESHOLDS
from metaclip_dagster.balancing import build_draw, language_thresholds, parse_threshold
from metaclip_dagster.deduplicating import exclude, pair_ids
from metaclip_dagster.matching import INDEX, build_matcher, index_entries, open_matcher
from metaclip_dagster.spilling import spilling
from resources.deferred import Deferred, defer, version_of
from resources.deployments import deployment
from resources.files.digests import combine
from resources.files.mapped import map_table
from resources.lake.resource import Lake
from resources.models.language_id import MODEL, load_identifier

_JUDGED = "matches of "


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
    home = deployment().home if "://" in lake.root else Path(lake.root).parent
    path = home / "matchers" / f"{combine([entries.version, str(INDEX)])}.arrow"
    index = defer(map_table, path, defer(index_entries, entries).__call__)  # called where there is no such file
    return {
        # What it gives follows from the entries alone.
        "matcher": Deferred(open_matcher, (index,), declared=defer(build_matcher, entries).version),
        "identify": Deferred(load_identifier, declared=MODEL),
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
    wanted = {name: version_of(deferred) for name, deferred in setup.items()}
    stale = [key for key in finished if any(inputs[key].get(name) != version for name, version in wanted.items())]
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


def judged(lake: Lake, snapshots: Sequence[str]) -> dict[str, str]:
    """Which matches EXCLUSIONS are made of, as its manifest is told; they hold for no other."""
    return {f"{_JUDGED}{snapshot}": lake.manifest("matches", snapshot).version for snapshot in snapshots}


def matched_pairs(lake: Lake, snapshots: Sequence[str]) -> dict[str, int]:
    """Pairs of each snapshot that match: how much the stages of the whole pool are made of."""
    return {snapshot: lake.manifest("matches", snapshot).rows for snapshot in snapshots}


def all_judged(lake: Lake, snapshots: Sequence[str]) -> None:
    """Raise dg.Failure unless EXCLUSIONS is made of just these snapshots: a pair's place may be in any of them."""
    held = {name.removeprefix(_JUDGED) for name in lake.manifest("exclusions").inputs if name.startswith(_JUDGED)}
    if held != {*snapshots}:
        told = ", ".join(sorted(held))
        raise dg.Failure(f"exclusions was made of {told}, the pool is {', '.join(snapshots)}: materialize exclusions")


def pool_shards(lake: Lake, snapshot: str) -> dict[str, Deferred]:
    """The snapshot's shards of MATCHES without the excluded pairs; a shard's version knows its own exclusions only.

    Raises dg.Failure if EXCLUSIONS is made of other matches of the snapshot.
    """
    if not judged(lake, [snapshot]).items() <= lake.manifest("exclusions").inputs.items():
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


def aligned(lake: Lake, snapshot: str, *tables: str) -> dict[str, dict[str, Deferred]]:
    """The same shard of several tables side by side, for every shard of the last."""
    shards = {table: lake.shards(table, snapshot) for table in tables}
    return {key: {table: shards[table][key] for table in tables} for key in shards[tables[-1]]}


def grouped(shards: Mapping[str, Deferred], size: int) -> dict[str, dict[str, Deferred]]:
    """Neighbouring shards, `size` at a time, by the number of the group."""
    keys = list(shards)
    return {
        f"{number:05d}": {key: shards[key] for key in keys[start : start + size]}
        for number, start in enumerate(range(0, len(keys), size))
    }


def thresholds_of(lake: Lake, key: str) -> dict[str, float]:
    """Each language's own t at the rung that the partition key names."""
    reference = deployment().reference_language
    return language_thresholds(lake.read("entry_counts"), parse_threshold(key), reference=reference)


def strays(lake: Lake, t: str) -> dict[str, int]:
    """Pairs of the next smaller rung's subset that this one lacks, and of this one that the next larger lacks.

    Rungs that are not made, or from other admissions, are not compared.
    """
    at = THRESHOLDS.index(t)
    neighbours = [(THRESHOLDS[i], THRESHOLDS[i + 1]) for i in (at - 1, at) if 0 <= i < len(THRESHOLDS) - 1]
    found = {}
    for smaller, larger in neighbours:
        made = [lake.store("subsets", key).manifest() for key in (smaller, larger)]
        if all(made) and len({m.inputs.get("admissions") for m in made if m}) == 1:
            with spilling() as query:
                query.register("smaller", lake.dataset("subsets", [smaller]))
                query.register("larger", lake.dataset("subsets", [larger]))
                [(found[f"{smaller} in {larger}"],)] = query.sql(
                    "select count(*) from smaller anti join larger using (pair_id)"
                ).fetchall()
    return found

"""Plan which shards of a partition must be made, and write its manifest from their reports."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resources.deferred import Deferred, stage_version, version_of
from resources.engines.shards import Shard, ShardReport, StageCall, check_arguments
from resources.files.digests import combine
from resources.lake.costs import keep_earlier
from resources.lake.tables import PartitionManifest, TableStore


@dataclass(frozen=True)
class Plan:
    """A partition that is to be finished: all its shards in order, and those that need not be made."""

    call: StageCall
    shards: Sequence[Shard]
    generation: int
    before: PartitionManifest | None
    reused: Mapping[str, ShardReport]
    """By key, the shards that are as the last finished partition has them."""

    @property
    def missing(self) -> list[Shard]:
        """The shards that must be made, or were committed by a run that did not finish."""
        return [shard for shard in self.shards if shard.key not in self.reused]


def plan_partition(
    store: TableStore,
    stage: Callable[..., Any],
    shards: Sequence[Shard],
    *,
    setup: Mapping[str, Deferred],
    options: Mapping[str, Any],
    force: bool,
    again: Collection[str],
) -> Plan:
    """Look what is stored and still holds; with `force` nothing does, nor do the shards whose keys are in `again`.

    Raises TypeError, before anything is touched, where the arguments do not fit the stage's signature.
    """
    before = store.manifest()
    generation = (before.generation if before else 0) + force
    schema = stage.writes  # type: ignore[attr-defined]  # set by @writes
    call = StageCall(stage, schema, store, setup, options, salt=str(generation) if generation else "")
    check_arguments(call, shards)
    fingerprints = {shard.key: call.fingerprint(shard) for shard in shards}
    for key in fingerprints.keys() & again:
        store.forget(key, fingerprints[key])
    reused = {
        manifest.key: ShardReport(manifest.key, "reused", manifest)
        for manifest in (before.shards if before else ())
        if manifest.key not in again and fingerprints.get(manifest.key) == manifest.fingerprint
    }
    return Plan(call, shards, generation, before, reused)


def finish_partition(
    plan: Plan, reports: Mapping[str, ShardReport], *, facts: Mapping[str, str], size: float
) -> PartitionManifest:
    """Write the partition's manifest, unless it would say what the last one says; failed shards are named in it."""
    store, stage = plan.call.store, plan.call.stage
    done = tuple(it for shard in plan.shards if (it := reports[shard.key].manifest) is not None)
    manifest = PartitionManifest(
        table=store.table,
        partition=store.partition,
        version=combine(f"{shard.key} {shard.digest}" for shard in done),
        generation=plan.generation,
        shards=done,
        failed={key: report.error for key, report in reports.items() if report.status == "failed"},
        inputs=_combine_versions(plan) | dict(facts),
        size=size,
        earlier=keep_earlier(plan.before, stage_version(stage), size),
        reused=sum(report.status == "reused" for report in reports.values()),
    )
    if manifest != plan.before:
        store.finish(manifest)
    return manifest


def _combine_versions(plan: Plan) -> dict[str, str]:
    """The version of each argument of the stage, over all shards, and the stage's own."""
    names = plan.shards[0].inputs
    of_inputs = {name: combine(version_of(shard.inputs[name]) for shard in plan.shards) for name in names}
    of_others = {name: version_of(value) for name, value in {**plan.call.setup, **plan.call.options}.items()}
    return of_inputs | of_others | {"stage": stage_version(plan.call.stage)}

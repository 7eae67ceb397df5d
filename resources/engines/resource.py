"""The compute resource: run a stage over shards for an asset, and describe the partition to Dagster."""

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import dagster as dg
from pydantic import Field
from tqdm import tqdm

from resources.deferred import Deferred
from resources.engines.driver import Engine, InlineEngine, drive
from resources.engines.local_engine import LocalEngine
from resources.engines.planning import Plan, finish_partition, plan_partition
from resources.engines.shards import Shard, ShardReport
from resources.lake.resource import WHOLE, Lake
from resources.lake.tables import PartitionManifest

LOG_LINES = 5
SHOWN_FAILURES = 100


class Local(dg.Config, use_attribute_docstrings=True):
    """Processes of this machine, as many as `workers` says."""

    kind: Literal["local"] = "local"


class RayCluster(dg.Config, use_attribute_docstrings=True):
    """Tasks of a Ray cluster (the extra `ray`), on a node of which this very process must run."""

    kind: Literal["ray"] = "ray"
    address: str
    """host:port of the cluster's head; `auto` is the cluster that this machine is a node of."""
    num_cpus: float = Field(default=1.0, ge=0)
    """Cores that a shard is given."""
    memory_gb: float = Field(default=0.0, ge=0)
    """Memory that a shard is given: a node runs no more than it has memory for. 0 leaves it at the cores."""
    max_in_flight: int = Field(default=2000, ge=1)
    """Shards that the cluster is told of at once: more than it has cores, and than an autoscaler may give it."""


class Compute(dg.ConfigurableResource, use_attribute_docstrings=True):
    """Where stages run. A shard that fails is tried again; shards that stay failed fail the partition above a bound."""

    lake: dg.ResourceDependency[Lake]
    engine: Local | RayCluster = Field(default_factory=Local, discriminator="kind")
    """Where workers run."""
    workers: int = Field(default=0, ge=0)
    """Worker processes of the local engine; 0 takes every core this process may use."""
    retries: int = Field(default=2, ge=0)
    """How often a shard whose worker was lost, or that failed, is tried again."""
    max_failed_fraction: float = Field(default=0.0, ge=0, le=1)
    """Share of a partition's shards that may stay failed: they are named in the manifest and left out."""
    shard_timeout_seconds: float | None = Field(default=None, gt=0)
    """A shard that runs longer counts as lost; none by default."""
    force: bool = False
    """Make every shard anew, whatever is stored."""

    @property
    def most_workers(self) -> int:
        """How many shards may be made at once."""
        if isinstance(self.engine, RayCluster):
            return self.engine.max_in_flight
        return self.workers or len(os.sched_getaffinity(0))

    def map_shards(
        self,
        context: dg.AssetExecutionContext,
        stage: Callable[..., Any],
        shards: Sequence[Shard] | Mapping[str, Mapping[str, Any]],
        *,
        table: str | None = None,
        partition: str | None = None,
        setup: Mapping[str, Deferred] | None = None,
        options: Mapping[str, Any] | None = None,
        facts: Mapping[str, str] | None = None,
        size: float = 0,
        force: bool = False,
        again: Collection[str] = (),
        inline: bool = False,
        whole: bool = False,
    ) -> PartitionManifest:
        """Run the stage over every shard and finish the partition; what is stored and still holds is reused.

        The table is the asset's own and the partition its key, unless named. Each shard is a call of the stage, whose
        arguments are the shard's inputs, `setup` (built once a worker) and `options`. `facts` go into the manifest
        beside the versions of these. `size` is the number of rows that the partition is made of, by which costs of
        later builds are predicted. `force` makes it anew, `again` only the shards that it names. `inline` runs in this
        process, a shard at a time, for stages that hold a model or a GPU.

        Raises TypeError, before anything runs, for an argument that the stage lacks, does not take, or gets twice.
        Raises dg.Failure, naming the first failed shard and why, if more than `max_failed_fraction` of them failed, or
        any where the partition must be `whole`. Readers then still see the last finished partition, and the next run
        takes up the shards that were committed.
        """
        table = table or context.asset_key.to_python_identifier()
        partition = partition or (context.partition_key if context.has_partition_key else WHOLE)
        name, store = f"{table}/{partition}", self.lake.store(table, partition)
        if not shards:
            raise dg.Failure(f"{name}: there is nothing to make it from; are its upstreams empty?")
        if isinstance(shards, Mapping):
            shards = [Shard(key, inputs) for key, inputs in shards.items()]
        plan = plan_partition(
            store, stage, shards, setup=setup or {}, options=options or {}, force=force or self.force, again=again
        )
        reports = self._run(context, plan, name, inline=inline)
        _refuse_failures(name, reports, at_most=0 if whole else self.max_failed_fraction * len(shards))
        return finish_partition(plan, reports, facts=facts or {}, size=size)

    def result(
        self,
        manifest: PartitionManifest,
        *,
        beside: Sequence[PartitionManifest] = (),
        metadata: Mapping[str, Any] | None = None,
        checks: Sequence[Any] = (),
    ) -> dg.MaterializeResult:
        """Describe a finished partition to Dagster: rows, columns, drops, cost and version.

        The tables `beside` are those that the asset made on the way: their bytes and seconds count too.
        """
        tables = [manifest, *beside]
        schema = self.lake.dataset(manifest.table, [manifest.partition]).schema
        counted = {**_prefixed("dropped", manifest.total("dropped")), **_prefixed("seen", manifest.total("seen"))}
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count" if manifest.partition == WHOLE else "dagster/partition_row_count": manifest.rows,
                "dagster/column_schema": _column_schema(schema),
                "rows": manifest.rows,
                "shards": len(manifest.shards),
                "failed_shards": len(manifest.failed),
                "reused_shards": manifest.reused,
                "bytes": sum(shard.bytes for table in tables for shard in table.shards),
                "cpu_seconds": round(sum(shard.cpu_seconds for table in tables for shard in table.shards), 3),
                "wall_seconds": round(sum(shard.wall_seconds for table in tables for shard in table.shards), 3),
                **counted,
                **({"failed": _describe_failures(manifest)} if manifest.failed else {}),
                **round_floats(metadata or {}),
            },
            data_version=dg.DataVersion(manifest.version),
            check_results=list(checks),
        )

    def _run(self, context: dg.AssetExecutionContext, plan: Plan, name: str, *, inline: bool) -> dict[str, ShardReport]:
        """Make the shards that are missing, with a bar and some lines of log; gives the reports of all."""
        reports, num_shards = dict(plan.reused), len(plan.shards)
        if not (missing := plan.missing):
            context.log.info(f"{name}: all {num_shards} shards are as they were: reused")
            return reports
        counts = Counter(report.status for report in reports.values())
        started, every = time.monotonic(), -(-len(missing) // LOG_LINES)
        engine = _inline_engine() if inline else self._engine(len(missing))
        running = drive(engine, plan.call, missing, retries=self.retries)
        bar = tqdm(total=num_shards, initial=len(reports), desc=name, unit="shard", disable=None, leave=False)
        with bar, contextlib.closing(running):  # Dagster's cancel arrives as an exception here: end the workers
            for report in running:
                counts[report.status] += 1
                bar.update()
                many = counts["failed"] > LOG_LINES
                reports[report.key] = replace(report, error=report.summary) if many else report
                if report.status == "failed" and not many:
                    context.log.error(f"{name}: shard {report.key} failed at attempt {report.attempts}: {report.error}")
                if len(reports) == num_shards or len(reports) % every == 0:
                    progress = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
                    context.log.info(f"{name}: {progress} of {num_shards} shards, {time.monotonic() - started:.0f} s")
        return reports

    def _engine(self, num_shards: int) -> Engine:
        if isinstance(self.engine, RayCluster):
            from resources.engines.ray_engine import RayEngine  # noqa: PLC0415  # nobody else pays for Ray, or needs to have it

            options = self.engine.model_dump(exclude={"kind"})
            return RayEngine(**options, shard_timeout=self.shard_timeout_seconds)
        workers = min(self.most_workers, num_shards)
        return _inline_engine() if workers == 1 else LocalEngine(workers, self.shard_timeout_seconds)


def _inline_engine() -> InlineEngine:
    return InlineEngine(interrupts=(dg.DagsterExecutionInterruptedError,))  # how Dagster's cancel arrives


def _refuse_failures(name: str, reports: Mapping[str, ShardReport], *, at_most: float) -> None:
    """Raise dg.Failure, with why the first failed and the first lines of others, if more shards failed than that."""
    failed = {key: report.error for key, report in reports.items() if report.status == "failed"}
    if len(failed) > at_most:
        first = next(iter(failed))  # the first to fail, whose error is whole
        raise dg.Failure(
            f"{name}: {len(failed)} of {len(reports)} shards failed; shard {first}: {failed[first]}",
            metadata={key: dg.MetadataValue.text(error) for key, error in sorted(failed.items())[:20]},
            allow_retries=False,
        )


def round_floats(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Round metadata as people write numbers: floats to four significant digits, integers and texts not at all.

    >>> round_floats({"share": 0.048515981735159815, "loss": 5.0, "rows": 123456})
    {'share': 0.04852, 'loss': 5.0, 'rows': 123456}
    """
    return {name: float(f"{it:.4g}") if isinstance(it, float) else it for name, it in metadata.items()}


def _prefixed(prefix: str, counts: Counter[str]) -> dict[str, int]:
    return {f"{prefix}/{name.replace(' ', '_')}": count for name, count in counts.most_common(10)}


def _describe_failures(manifest: PartitionManifest) -> dg.TableMetadataValue:
    """The shards that failed within the bound, the first of them, and the first line of why."""
    failed = list(manifest.failed.items())[:SHOWN_FAILURES]
    return dg.MetadataValue.table(
        [dg.TableRecord({"shard": key, "why": error.partition("\n")[0][:500]}) for key, error in failed]
    )


def _column_schema(schema: Any) -> dg.TableSchema:
    columns = [
        dg.TableColumn(f.name, str(f.type), description=(f.metadata or {}).get(b"description", b"").decode())
        for f in schema
    ]
    return dg.TableSchema(columns)

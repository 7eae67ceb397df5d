"""Sum up CPU and wall seconds by stage, the dearest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from metaclip_dagster.reporting.sweeps.pools import PoolVersion
from metaclip_dagster.reporting.sweeps.scores import Json
from metaclip_dagster.reporting.sweeps.training_sets import rank_set


@dataclass(frozen=True)
class PartitionCost:
    """What one partition of one stage cost; the seconds of shards that ran side by side add up."""

    stage: str
    partition: str
    cpu_seconds: float
    wall_seconds: float
    pool: PoolVersion | None = None
    """The pool that it was spent on; None for what belongs to no single one."""


def describe_costs(costs: Sequence[PartitionCost]) -> list[Json]:
    """Seconds by stage, the dearest first, with those of each partition."""
    stages: dict[str, list[PartitionCost]] = {}
    for cost in sorted(costs, key=_rank_cost):
        stages.setdefault(cost.stage, []).append(cost)
    described = [
        {
            "stage": stage,
            "cpu_seconds": sum(cost.cpu_seconds for cost in of_stage),
            "wall_seconds": sum(cost.wall_seconds for cost in of_stage),
            "partitions": [
                {"partition": cost.partition, "cpu_seconds": cost.cpu_seconds, "wall_seconds": cost.wall_seconds}
                for cost in of_stage
            ],
        }
        for stage, of_stage in stages.items()
    ]
    return sorted(described, key=lambda stage: (-stage["cpu_seconds"], stage["stage"]))


def _rank_cost(cost: PartitionCost) -> tuple[Any, ...]:
    # A cell's partition ends with its training set.
    training_set = cost.partition.rsplit("|", 1)[-1]
    return *rank_set(training_set), cost.stage, cost.partition, cost.cpu_seconds, cost.wall_seconds

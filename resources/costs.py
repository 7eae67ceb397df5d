"""What was spent on partitions that are made, and from that what others will cost. Imports no Dagster."""

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from resources.tables import PartitionManifest, ShardManifest


@dataclass(frozen=True)
class Cost:
    """CPU seconds of the workers, bytes read of archives and written to the lake, and rows given."""

    cpu_seconds: float = 0.0
    bytes_read: float = 0.0
    bytes_written: float = 0.0
    rows: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        """Both together."""
        return Cost(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def times(self, factor: float) -> "Cost":
        """So many of it."""
        return Cost(*(factor * number for number in astuple(self)))


def cost_of(manifest: PartitionManifest) -> Cost:
    """What a partition took, whenever its shards were made."""
    return sum(map(_cost_of_shard, manifest.shards), start=Cost())


def predict_by_shard(made: Sequence[PartitionManifest], num_shards: float) -> tuple[Cost, float]:
    """What `num_shards` will cost, from the mean of those that are made; and by which share its CPU may well be off.

    The share is twice the standard error of the mean, relative to it: it tells of the spread between shards, and
    nothing of a snapshot that differs from the others. Infinite for a single shard. Raises LookupError where nothing
    is made.
    """
    costs = [_cost_of_shard(shard) for manifest in made for shard in manifest.shards]
    if not costs:
        raise LookupError("nothing of the kind is made yet to predict from")
    mean = sum(costs, start=Cost()).times(1 / len(costs))
    deviations = sum((cost.cpu_seconds - mean.cpu_seconds) ** 2 for cost in costs)
    error = math.sqrt(deviations / max(len(costs) - 1, 1) / len(costs))
    is_known = len(costs) > 1 and mean.cpu_seconds > 0
    return mean.times(num_shards), 2 * error / mean.cpu_seconds if is_known else math.inf


def predict_by_size(made: Sequence[tuple[float, PartitionManifest]], size: float, num_shards: float) -> Cost:
    """What a partition of `size` in `num_shards` will cost, from others with the sizes that they were made for.

    Each cost is so much a shard and so much a unit of size, neither below nothing, as fits the others best: a shard
    costs its start, however little it holds. Raises LookupError where nothing is made.
    """
    if not made:
        raise LookupError("nothing of the kind is made yet to predict from")
    sizes = np.array([(len(manifest.shards), size) for size, manifest in made])
    costs = np.array([astuple(cost_of(manifest)) for _, manifest in made])
    return Cost(*(float(_fit(sizes, column) @ (num_shards, size)) for column in costs.T))


def _cost_of_shard(shard: ShardManifest) -> Cost:
    return Cost(shard.cpu_seconds, shard.seen.get("bytes_read", 0), shard.bytes, shard.rows)


def _fit(sizes: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Least squares without negative coefficients: of shards and size, or of one of them alone."""
    fitted = []
    for columns in ([0, 1], [1], [0]):
        solved = np.zeros(2)
        solved[columns] = np.linalg.lstsq(sizes[:, columns], costs, rcond=None)[0]
        if (solved >= 0).all():
            fitted.append(solved)
    return min(fitted, key=lambda solved: float(((sizes @ solved - costs) ** 2).sum()))

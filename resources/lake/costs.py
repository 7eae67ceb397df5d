"""Sum up what finished partitions cost, and estimate from that what others will cost."""

import json
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from resources.files.local import write_text
from resources.lake.tables import Earlier, PartitionManifest, ShardManifest

_SAME_SIZE = 0.1
_SAME_COST = 1.1
_MOST_EARLIER = 8


@dataclass(frozen=True)
class Cost:
    """CPU seconds of the workers, bytes read of archives and written to the lake, and rows given."""

    cpu_seconds: float = 0.0
    bytes_read: float = 0.0
    bytes_written: float = 0.0
    rows: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        """Add each of the numbers to the other's."""
        return Cost(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def times(self, factor: float) -> "Cost":
        """Multiply each of the numbers."""
        return Cost(*(factor * number for number in astuple(self)))


@dataclass(frozen=True)
class Observation:
    """What so many shards for so much input took."""

    shards: float
    size: float
    cost: Cost


LEAST_RATIO = 1.5
"""By which input a shard must differ between observations, before the cost of shards is told from that of input."""


def cost_of(manifest: PartitionManifest) -> Cost:
    """What a partition took, whenever its shards were made."""
    return sum(map(cost_of_shard, manifest.shards), start=Cost())


def observe(manifest: PartitionManifest, size: float) -> list[Observation]:
    """What a partition took, and what earlier builds of it did; `size` is its input where it was not kept."""
    return [*map(_read, manifest.earlier), Observation(len(manifest.shards), manifest.size or size, cost_of(manifest))]


def keep_earlier(before: PartitionManifest | None, stage: str, size: float) -> tuple[Earlier, ...]:
    """What a manifest keeps of the builds before it: those of the same stage and of another size."""
    if before is None or not size or before.inputs.get("stage") != stage:
        return ()
    return tuple(map(_write, _of_other_sizes(observe(before, 0), size)))


def read_costs(folder: Path, name: str) -> list[Observation]:
    """What a report took each time that it was made of a pool of another size, the last time last."""
    path = _path_of_costs(folder, name)
    return [_read(fields) for fields in json.loads(path.read_text("utf-8"))] if path.exists() else []


def write_costs(folder: Path, name: str, latest: Observation) -> None:
    """Keep what a report took, for it has no manifest that does."""
    observed = [*_of_other_sizes(read_costs(folder, name), latest.size), latest]
    write_text(_path_of_costs(folder, name), json.dumps([*map(_write, observed)]))


def predict_by_shard(manifests: Sequence[PartitionManifest], num_shards: float) -> tuple[Cost, float]:
    """What `num_shards` will cost, from the mean of finished ones, and by which share its CPU may well be off.

    The share is twice the standard error of the mean, relative to it: it tells of the spread between shards, and
    nothing of a snapshot that differs from the others. Infinite for a single shard. Raises LookupError where nothing
    is made.
    """
    costs = [cost_of_shard(shard) for manifest in manifests for shard in manifest.shards]
    if not costs:
        raise LookupError("nothing of the kind is made yet to predict from")
    mean = sum(costs, start=Cost()).times(1 / len(costs))
    deviations = sum((cost.cpu_seconds - mean.cpu_seconds) ** 2 for cost in costs)
    error = math.sqrt(deviations / max(len(costs) - 1, 1) / len(costs))
    is_known = len(costs) > 1 and mean.cpu_seconds > 0
    return mean.times(num_shards), 2 * error / mean.cpu_seconds if is_known else math.inf


def predict_by_size(observed: Sequence[Observation], size: float, num_shards: float) -> tuple[Cost, Cost]:
    """What a partition of `size` in `num_shards` will cost, at least and at most.

    Each cost is so much a shard and so much a unit of size, neither below nothing, as fits what was observed best: a
    shard costs its start, however little it holds. Where all that was observed had as much a shard, as in a single
    observation, nothing tells the two apart: then it costs something between all by shards and all by size. Raises
    LookupError where nothing was observed.
    """
    if not observed:
        raise LookupError("nothing of the kind is made yet to predict from")
    sizes = np.array([(one.shards, one.size) for one in observed], float)
    costs = np.array([astuple(one.cost) for one in observed])
    ranges = [_fit(sizes, column, np.array([num_shards, size], float)) for column in costs.T]
    return Cost(*(low for low, _ in ranges)), Cost(*(high for _, high in ranges))


def cost_of_shard(shard: ShardManifest) -> Cost:
    """What a shard took."""
    return Cost(shard.cpu_seconds, shard.seen.get("bytes_read", 0), shard.bytes, shard.rows)


def _of_other_sizes(observed: Sequence[Observation], size: float) -> list[Observation]:
    """The last of those whose size is known and is not about the one that is made now."""
    return [one for one in observed if one.size and abs(one.size - size) > _SAME_SIZE * size][-_MOST_EARLIER:]


def _path_of_costs(folder: Path, name: str) -> Path:
    return folder / "costs" / f"{name}.json"


def _read(fields: Earlier) -> Observation:
    return Observation(fields["shards"], fields["size"], Cost(*fields["cost"]))


def _write(one: Observation) -> Earlier:
    return {"shards": one.shards, "size": one.size, "cost": astuple(one.cost)}


def _fit(sizes: np.ndarray, costs: np.ndarray, shards_and_size: np.ndarray) -> tuple[float, float]:
    """Least squares without negative coefficients: of shards and size where they can be told apart, else of each."""
    fitted = []
    for columns in ([0, 1], [1], [0]):
        solved = np.zeros(2)
        solved[columns] = np.linalg.lstsq(sizes[:, columns], costs, rcond=None)[0]
        fitted.append(solved)
    a_shard = sizes[:, 1] / np.maximum(sizes[:, 0], 1)
    if a_shard.max() > LEAST_RATIO * a_shard.min():
        feasible = [solved for solved in fitted if (solved >= 0).all()]
        best = min(feasible, key=lambda solved: float(((sizes @ solved - costs) ** 2).sum()))
        return float(best @ shards_and_size), float(best @ shards_and_size)
    by_size, by_shards = (float(solved @ shards_and_size) for solved in fitted[1:])
    low, high = sorted([by_size if sizes[:, 1].any() else by_shards, by_shards])
    middle = (low + high) / 2
    return (middle, middle) if high <= _SAME_COST * low else (low, high)

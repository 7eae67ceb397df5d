"""Say which pool training sets and cells belong to, and which pool is compared."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metaclip_dagster.reporting.sweeps.training_sets import rank_set


@dataclass(frozen=True)
class PoolVersion:
    """The pool that a training set was drawn from: sets of one pool have every field alike."""

    snapshots: tuple[str, ...]
    entries: str
    """Version of the list of entries."""
    entry_counts: str
    """Version of the counts."""

    def describe(self) -> str:
        """Its snapshots and versions, short.

        >>> PoolVersion(("2026-01", "2026-02"), "0123456789abcdef", "fedcba9876543210").describe()
        'snapshots 2026-01, 2026-02; entries 01234567; counts fedcba98'
        """
        return f"snapshots {', '.join(self.snapshots)}; entries {self.entries[:8]}; counts {self.entry_counts[:8]}"


def choose_pool(
    of_cells: Iterable[tuple[str, PoolVersion | None]], of_sets: Mapping[str, PoolVersion | None]
) -> PoolVersion | None:
    """The pool that is compared: of the most training sets with a cell; of ties, the most cells, then snapshots.

    `of_cells` are the training set and the pool of every cell that may be compared; without one, the sets decide.
    """
    claims = [*of_cells] or [*of_sets.items()]
    num_sets = Counter(pool for pool, _ in {(pool, training_set) for training_set, pool in claims})
    num_cells = Counter(pool for _, pool in claims)
    return max(num_cells, key=lambda pool: (num_sets[pool], num_cells[pool], _rank_pool(pool)), default=None)


def describe_pools(
    compared: PoolVersion | None, of_sets: Iterable[tuple[str, PoolVersion | None]]
) -> list[dict[str, Any]]:
    """Every pool with its training sets, the one that is compared first."""
    sets: dict[PoolVersion | None, set[str]] = {}
    for training_set, pool in of_sets:
        sets.setdefault(pool, set()).add(training_set)
    ordered = sorted(sets, key=lambda pool: (pool != compared, -_rank_pool(pool)[0], _describe_pool(pool)))
    return [
        {
            "number": number,
            "compared": pool == compared,
            "described": _describe_pool(pool),
            "snapshots": list(pool.snapshots) if pool else None,
            "entries": pool and pool.entries,
            "entry_counts": pool and pool.entry_counts,
            "training_sets": sorted(sets[pool], key=rank_set),
        }
        for number, pool in enumerate(ordered, start=1)
    ]


def why_apart(pool: PoolVersion | None, compared: PoolVersion | None) -> str | None:
    """Why a cell of this pool is not compared, if so."""
    return None if pool == compared else f"is of another pool ({_describe_pool(pool)})"


def write_pool_findings(pools: Sequence[Mapping[str, Any]]) -> list[str]:
    """Two sentences where sets are of several pools, as `describe_pools` gives them; else none."""
    if len(pools) <= 1:
        return []
    compared, *others = (f"{pool['described']} for t = {', '.join(pool['training_sets'])}" for pool in pools)
    from_pools = f"The training sets come from {len(pools)} pools, of which one is compared: {compared}."
    return [f"{from_pools} Kept out: {'; '.join(others)}."]


def _describe_pool(pool: PoolVersion | None) -> str:
    return pool.describe() if pool else "a pool that was not recorded"


def _rank_pool(pool: PoolVersion | None) -> tuple[int, str, str]:
    return (len(pool.snapshots), pool.entries, pool.entry_counts) if pool else (0, "", "")

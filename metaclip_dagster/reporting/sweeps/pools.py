"""Which pool the sets and cells of a sweep are of: only those of one pool stand side by side, others are named."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from metaclip_dagster.reporting.sweeps.cells import PoolVersion, set_order

Pools = Mapping[str, PoolVersion | None]  # by training set


def choose_pool(of_cells: Iterable[tuple[str, PoolVersion | None]], of_sets: Pools) -> PoolVersion | None:
    """The pool that is compared: of the most training sets with a cell; of ties, the most cells, then snapshots.

    `of_cells` are the training set and the pool of every cell that may be compared; without one, the sets decide.
    """
    cells = [*of_cells] or [*of_sets.items()]
    sets = Counter(pool for pool, _ in {(pool, training_set) for training_set, pool in cells})
    each = Counter(pool for _, pool in cells)
    return max(each, key=lambda pool: (sets[pool], each[pool], _size(pool)), default=None)


def describe_pools(compared: PoolVersion | None, of_sets: Iterable[tuple[str, PoolVersion | None]]) -> list[Any]:
    """Every pool with its training sets, the one that is compared first."""
    names: dict[PoolVersion | None, set[str]] = {}
    for training_set, pool in of_sets:
        names.setdefault(pool, set()).add(training_set)
    ordered = sorted(names, key=lambda pool: (pool != compared, *(-part for part in _size(pool)[:1]), _name(pool)))
    return [
        {
            "number": number,
            "compared": pool == compared,
            "described": _name(pool),
            "snapshots": list(pool.snapshots) if pool else None,
            "entries": pool and pool.entries,
            "entry_counts": pool and pool.entry_counts,
            "training_sets": sorted(names[pool], key=set_order),
        }
        for number, pool in enumerate(ordered, start=1)
    ]


def why_apart(pool: PoolVersion | None, compared: PoolVersion | None) -> str | None:
    """Why a cell of this pool is not compared, if so."""
    return None if pool == compared else f"is of another pool ({_name(pool)})"


def pool_findings(pools: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence where sets are of several pools."""
    if len(pools) <= 1:
        return []
    compared, *others = (f"{pool['described']} for t = {', '.join(pool['training_sets'])}" for pool in pools)
    from_pools = f"The training sets come from {len(pools)} pools, of which one is compared: {compared}."
    return [f"{from_pools} Kept out: {'; '.join(others)}."]


def _name(pool: PoolVersion | None) -> str:
    return pool.describe() if pool else "a pool that was not recorded"


def _size(pool: PoolVersion | None) -> tuple[int, str, str]:
    return (len(pool.snapshots), pool.entries, pool.entry_counts) if pool else (0, "", "")

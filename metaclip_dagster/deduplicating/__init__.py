"""Say which pairs of a pool are left out: repeats, and what is taken down."""

from metaclip_dagster.deduplicating.exclusions import (
    DUPLICATE,
    exclude,
    find_duplicates,
    find_takedowns,
    gather_exclusions,
    pair_ids,
    scatter_pairs,
)

__all__ = [
    "DUPLICATE",
    "exclude",
    "find_duplicates",
    "find_takedowns",
    "gather_exclusions",
    "pair_ids",
    "scatter_pairs",
]

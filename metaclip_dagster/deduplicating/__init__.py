"""Find the pairs that a pool leaves out, copies and what is taken down: MATCHES -> EXCLUSIONS."""

from metaclip_dagster.deduplicating.exclusions import (
    DUPLICATE,
    exclude,
    find_duplicates,
    find_takedowns,
    gather_exclusions,
    pair_ids,
    scatter_pairs,
)

"""Read from the lake how many pairs match each entry, in the pool and in a subset."""

import pyarrow as pa

from metaclip_dagster.counting import build_distribution
from metaclip_dagster.reporting.cards.counts import count_subset
from resources.lake.resource import Lake


def read_distribution(lake: Lake, t: str) -> pa.Table:
    """The DISTRIBUTION of the pool and D(t); raises FileNotFoundError for what is not made yet."""
    entries = lake.read("entries")
    subset_counts = count_subset(lake.stream("subsets", [t])(), entries.num_rows)
    return build_distribution(entries, lake.read("entry_counts"), subset_counts)

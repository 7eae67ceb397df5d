"""Choose the entries that a data card shows: totals, sources, powers of ten, extremes and examples."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.reporting.cards.distribution import Counts, Distribution, Rows, group_rows
from metaclip_dagster.reporting.html.paper import ENTRIES_BY_SOURCE

NUM_LISTED = 20
NUM_EXAMPLES = 5


def describe_entries(distribution: Distribution, entries: pa.Table) -> dict[str, Any]:
    """The parts of a card that are about entries; ties go to the lower entry_id, so that the choice is no accident."""
    before, after = distribution.before, distribution.after
    flattened = np.flatnonzero(distribution.head)
    flattened = flattened[np.lexsort((-before[flattened].astype(np.float64), after[flattened] / before[flattened]))]
    return {
        "entries": {**distribution.totals(), "unmatchable": _count_unmatchable(entries["unmatchable"])},
        "sources": _describe_sources(distribution, entries["source"]),
        "groups": _describe_groups(distribution),
        "top_before": distribution.describe(_find_most(before)),
        "top_after": distribution.describe(_find_most(after)),
        "flattened": distribution.describe(flattened[:NUM_LISTED]),
        "rarest": distribution.describe(_find_rarest(before, after)),
    }


def _find_most(counts: Counts) -> Rows:
    # The complement turns an unsigned order around, so that a stable sort leaves ties as they were.
    order = np.argsort(~counts, kind="stable")[:NUM_LISTED]
    return order[counts[order] > 0]


def _find_rarest(before: Counts, after: Counts) -> Rows:
    rows = np.flatnonzero(after)
    rows = rows[np.argsort(before[rows], kind="stable")]
    # All that are as rare as the last one that would be listed, so that of many ties a few are drawn from all over.
    num_as_rare = np.searchsorted(before[rows], before[rows[:NUM_LISTED]][-1:], side="right").sum()
    return _pick_spread(rows[:num_as_rare], NUM_LISTED)


def _pick_spread(rows: Rows, num: int) -> Rows:
    """At most `num` of the rows, at equal distances: a sample that any run draws alike."""
    if len(rows) <= num:
        return rows
    return rows[((np.arange(num) + 0.5) * len(rows) / num).astype(np.int64)]


def _count_unmatchable(reasons: pa.ChunkedArray) -> dict[str, int]:
    counts = pc.value_counts(reasons.drop_null()).to_pylist()
    return {row["values"]: row["counts"] for row in sorted(counts, key=lambda row: (-row["counts"], row["values"]))}


def _describe_sources(distribution: Distribution, column: pa.ChunkedArray) -> list[dict[str, Any]]:
    rows = group_rows(column)
    names = sorted(rows, key=lambda name: ([*ENTRIES_BY_SOURCE, name].index(name), -len(rows[name]), name))
    return [
        {"source": name, **distribution.totals(rows[name]), "paper_entries": ENTRIES_BY_SOURCE.get(name)}
        for name in names
    ]


def _describe_groups(distribution: Distribution) -> list[dict[str, Any]]:
    """Entries by the power of ten of their count, none first (the paper's Table 13 groups around its t)."""
    powers = np.uint64(10) ** np.arange(20, dtype=np.uint64)
    decade = np.searchsorted(powers, distribution.before, side="right")
    groups = []
    for power in np.unique(decade).tolist():
        rows = np.flatnonzero(decade == power)
        ascending = rows[np.argsort(distribution.before[rows], kind="stable")]
        groups.append(
            {
                "at_least": 10 ** (power - 1) if power else 0,
                "below": 10**power,
                **distribution.totals(rows),
                "examples": distribution.describe(_pick_spread(ascending, NUM_EXAMPLES)),
            }
        )
    return groups

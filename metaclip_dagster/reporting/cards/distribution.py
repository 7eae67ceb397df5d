"""Entries by their counts in the pool and in the subset: head and tail, groups, extremes and examples."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.reporting.html.numbers import share
from metaclip_dagster.reporting.html.paper import ENTRIES_BY_SOURCE

Counts = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]

NUM_LISTED = 20
NUM_EXAMPLES = 5


@dataclass(frozen=True)
class Distribution:
    """Each entry in the order of ENTRY_COUNTS: its matches before and after, and whether it is in the head."""

    table: pa.Table
    before: Counts
    after: Counts
    head: npt.NDArray[np.bool_]

    @classmethod
    def build(
        cls, entries: pa.Table, entry_counts: pa.Table, subset_counts: Counts, thresholds: Mapping[str, float]
    ) -> "Distribution":
        """Join the tables by position; raises ValueError where they cannot be of one pool."""
        before = entry_counts["entry_count"].to_numpy()
        ids = np.arange(len(before))
        same = all(np.array_equal(table["entry_id"].to_numpy(), ids) for table in (entries, entry_counts))
        if not same or len(subset_counts) != len(before):
            raise ValueError(
                f"{entries.num_rows} entries, {len(before)} entry counts and {len(subset_counts)} subset counts are "
                "not the same entries in the same order; count again with these entries"
            )
        wrong = np.flatnonzero(subset_counts > before)
        if len(wrong):
            raise ValueError(
                f"entry {wrong[0]} has {subset_counts[wrong[0]]} pairs in the subset, {before[wrong[0]]} in the pool: "
                "the two are not of one pool; make entry_counts again, then subsets"
            )
        of_language = entry_counts["language"].combine_chunks().dictionary_encode()
        names = of_language.dictionary.to_pylist()
        missing = sorted(set(names) - set(thresholds))
        if missing:
            raise ValueError(f"no t for {', '.join(missing)}; thresholds must name every language of the entries")
        own = np.array([thresholds[name] for name in names], np.float64)[of_language.indices.to_numpy()]
        return cls(entry_counts, before, subset_counts, before > own)

    @property
    def num_matches(self) -> tuple[int, int]:
        """Matches before and after."""
        return int(self.before.sum()), int(self.after.sum())

    def totals(self, rows: Rows | slice = slice(None)) -> dict[str, Any]:
        """Entries, matches and what the head has of both, among these rows."""
        before, after, head = self.before[rows], self.after[rows], self.head[rows]
        matches_before, matches_after = int(before.sum()), int(after.sum())
        head_before, head_after = int(before[head].sum()), int(after[head].sum())
        return {
            "entries": len(before),
            "entries_matched": int(np.count_nonzero(before)),
            "entries_head": int(np.count_nonzero(head)),
            "matches_before": matches_before,
            "matches_after": matches_after,
            "head_before": share(head_before, matches_before),
            "head_after": share(head_after, matches_after),
        }

    def by_language(self) -> dict[str, dict[str, Any]]:
        """The totals of every language that has entries."""
        return {name: self.totals(rows) for name, rows in _grouped(self.table["language"]).items()}

    def describe(self, rows: Rows) -> list[dict[str, Any]]:
        """These entries with their counts, in this order."""
        words = self.table.select(["entry_id", "entry", "language"]).take(pa.array(rows)).to_pylist()
        counts = zip(self.before[rows].tolist(), self.after[rows].tolist(), strict=True)
        return [
            {**word, "before": before, "after": after, "kept": share(after, before)}
            for word, (before, after) in zip(words, counts, strict=True)
        ]


def describe_entries(distribution: Distribution, entries: pa.Table) -> dict[str, Any]:
    """The parts of a card that are about entries; ties go to the lower entry_id, so that the choice is no accident."""
    before, after = distribution.before, distribution.after
    flattened = np.flatnonzero(distribution.head)
    flattened = flattened[np.lexsort((-before[flattened].astype(np.float64), after[flattened] / before[flattened]))]
    return {
        "entries": {**distribution.totals(), "unmatchable": _unmatchable(entries["unmatchable"])},
        "sources": _sources(distribution, entries["source"]),
        "groups": _groups(distribution),
        "top_before": distribution.describe(_most(before)),
        "top_after": distribution.describe(_most(after)),
        "flattened": distribution.describe(flattened[:NUM_LISTED]),
        "rarest": distribution.describe(_rarest(before, after)),
    }


def _grouped(column: pa.ChunkedArray) -> dict[str, Rows]:
    encoded = column.combine_chunks().dictionary_encode()
    indices = encoded.indices.to_numpy()
    order = np.argsort(indices, kind="stable")
    names = encoded.dictionary.to_pylist()
    parts = np.split(order, np.searchsorted(indices[order], np.arange(1, len(names))))
    return dict(sorted(zip(names, parts, strict=False)))


def _most(counts: Counts) -> Rows:
    # The complement turns an unsigned order around, so that a stable sort leaves ties as they were.
    order = np.argsort(~counts, kind="stable")[:NUM_LISTED]
    return order[counts[order] > 0]


def _rarest(before: Counts, after: Counts) -> Rows:
    kept = np.flatnonzero(after)
    kept = kept[np.argsort(before[kept], kind="stable")]
    as_rare = np.searchsorted(before[kept], before[kept[:NUM_LISTED]][-1:], side="right")
    return _spread(kept[: as_rare.sum()], NUM_LISTED)


def _spread(rows: Rows, num: int) -> Rows:
    """At most `num` of the rows, at equal distances: a sample that any run draws alike."""
    if len(rows) <= num:
        return rows
    return rows[((np.arange(num) + 0.5) * len(rows) / num).astype(np.int64)]


def _unmatchable(reasons: pa.ChunkedArray) -> dict[str, int]:
    counted = pc.value_counts(reasons.drop_null()).to_pylist()
    return {found["values"]: found["counts"] for found in sorted(counted, key=lambda f: (-f["counts"], f["values"]))}


def _sources(distribution: Distribution, column: pa.ChunkedArray) -> list[dict[str, Any]]:
    rows = _grouped(column)
    names = sorted(rows, key=lambda name: ([*ENTRIES_BY_SOURCE, name].index(name), -len(rows[name]), name))
    return [
        {"source": name, **distribution.totals(rows[name]), "paper_entries": ENTRIES_BY_SOURCE.get(name)}
        for name in names
    ]


def _groups(distribution: Distribution) -> list[dict[str, Any]]:
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
                "examples": distribution.describe(_spread(ascending, NUM_EXAMPLES)),
            }
        )
    return groups

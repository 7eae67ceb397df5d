"""Set side by side how often pairs match each entry before and after balancing, in head and tail."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip_dagster.reporting.html.numbers import share

Counts = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Distribution:
    """Each entry in the order of ENTRY_COUNTS: its matches before and after, and whether it is in the head.

    The head is by the counts that the pool is balanced to, which may be other than its own; what nothing matches is in
    no head.
    """

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
        t_of_entry = np.array([thresholds[name] for name in names], np.float64)[of_language.indices.to_numpy()]
        head = (entry_counts["balanced_to"].to_numpy() > t_of_entry) & (before > 0)
        return cls(entry_counts, before, subset_counts, head)

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

    def describe(self, rows: Rows) -> list[dict[str, Any]]:
        """These entries with their counts, in this order."""
        words = self.table.select(["entry_id", "entry", "language"]).take(pa.array(rows)).to_pylist()
        counts = zip(self.before[rows].tolist(), self.after[rows].tolist(), strict=True)
        return [
            {**word, "before": before, "after": after, "kept": share(after, before)}
            for word, (before, after) in zip(words, counts, strict=True)
        ]


def group_rows(column: pa.ChunkedArray) -> dict[str, Rows]:
    """The rows in which each value of a text column stands, in order; the values sorted."""
    encoded = column.combine_chunks().dictionary_encode()
    indices = encoded.indices.to_numpy()
    order = np.argsort(indices, kind="stable")
    names = encoded.dictionary.to_pylist()
    parts = np.split(order, np.searchsorted(indices[order], np.arange(1, len(names))))
    return dict(sorted(zip(names, parts, strict=False)))

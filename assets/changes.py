"""What changed against the build before, whose files still lie in the lake, for the metadata of what replaced it."""

from typing import Any

import pyarrow.dataset as ds

from assets.shown import table
from metaclip_dagster.comparing import compare_counts, compare_entries, compare_subsets
from resources.lake.resource import WHOLE, Lake


def build_before(lake: Lake, name: str, partition: str = WHOLE) -> ds.Dataset | None:
    """The partition as it is now: ask before it is made anew, compare afterwards. None where it was never made."""
    return lake.dataset(name, [partition]) if lake.finished(name, [partition]) else None


def changed_entries(lake: Lake, before: ds.Dataset | None) -> dict[str, Any]:
    """Entries added, removed and moved since `before`, as numbers and samples; nothing if it is the same build."""
    after = lake.dataset("entries")
    return compare_entries(before.to_table(), after.to_table()) if before and before.files != after.files else {}


def show_changed_entries(changes: dict[str, Any]) -> dict[str, Any]:
    """The same for the UI."""
    if not changes:
        return {}
    columns = ["language", "source", "added", "removed", "moved"]
    rows = [[row[name] for name in columns] for row in changes["by_source"]]
    sampled = ["change", "language", "entry", "source_before", "rank_before", "source", "rank"]
    samples = [[row[name] for name in sampled] for row in changes["samples"]]
    numbers = {f"changed/{name}": changes[name] for name in ("added", "removed", "moved")}
    return {**numbers, "changes": table(columns, rows), "changes_sampled": table(sampled, samples)}


def changed_counts(lake: Lake, before: ds.Dataset | None) -> dict[str, Any]:
    """Entries whose count is another than in `before`, for the UI: how many, and the largest moves."""
    after, columns = lake.dataset("entry_counts"), ["language", "entry", "entry_count"]
    if before is None or before.files == after.files:
        return {}
    found = compare_counts(before.to_table(columns=columns), after.to_table(columns=columns))
    rows = [[row[name] for name in ("entry", "language", "before", "after")] for row in found["largest"]]
    return {"changed/counts": found["changed"], "largest_moves": table(["entry", "language", "before", "after"], rows)}


def changed_subset(lake: Lake, partition: str, before: ds.Dataset | None) -> dict[str, Any]:
    """Pairs that joined and left D(t) since `before`, for the UI; of a large subset estimates, named so."""
    after = lake.dataset("subsets", [partition])
    if before is None or before.files == after.files:
        return {}
    num_pairs = max(before.count_rows(), after.count_rows())
    found = compare_subsets(*(_ids(subset) for subset in (before, after)), num_pairs=num_pairs)
    named = "changed" if found["share"] == 1 else f"changed (estimated from one pair in {round(1 / found['share'])})"
    return {f"{named}/{what}": found[what] for what in ("joined", "left", "stayed")}


def _ids(subset: ds.Dataset) -> Any:
    return subset.to_batches(columns=["pair_id"], batch_readahead=1, fragment_readahead=1)

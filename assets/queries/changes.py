"""Compare a partition with the build before it, whose files are still in the lake."""

from typing import Any

import pyarrow.dataset as ds

from metaclip_dagster.comparing import compare_counts, compare_entries, compare_subsets
from resources.lake.resource import WHOLE, Lake


def build_before(lake: Lake, name: str, partition: str = WHOLE) -> ds.Dataset | None:
    """The partition as it is now: ask before it is made anew, compare afterwards. None where it was never made."""
    return lake.dataset(name, [partition]) if lake.finished(name, [partition]) else None


def compare_entries_to(before: ds.Dataset | None, lake: Lake) -> dict[str, Any]:
    """Entries added, removed and moved since `before`, as numbers and samples; nothing if it is the same build."""
    after = lake.dataset("entries")
    return compare_entries(before.to_table(), after.to_table()) if before and before.files != after.files else {}


def compare_counts_to(before: ds.Dataset | None, lake: Lake) -> dict[str, Any]:
    """How many entries have another count than in `before`, and the largest moves; nothing if it is the same build."""
    after, columns = lake.dataset("entry_counts"), ["language", "entry", "entry_count"]
    if before is None or before.files == after.files:
        return {}
    return compare_counts(before.to_table(columns=columns), after.to_table(columns=columns))


def compare_subset_to(before: ds.Dataset | None, lake: Lake, t: str) -> dict[str, Any]:
    """Pairs that joined and left D(t) since `before`, by what the UI names them; of a large subset estimates."""
    after = lake.dataset("subsets", [t])
    if before is None or before.files == after.files:
        return {}
    num_pairs = max(before.count_rows(), after.count_rows())
    changes = compare_subsets(_read_ids(before), _read_ids(after), num_pairs=num_pairs)
    share = changes["share"]
    prefix = "changed" if share == 1 else f"changed (estimated from one pair in {round(1 / share)})"
    return {f"{prefix}/{what}": changes[what] for what in ("joined", "left", "stayed")}


def _read_ids(subset: ds.Dataset) -> Any:
    return subset.to_batches(columns=["pair_id"], batch_readahead=1, fragment_readahead=1)

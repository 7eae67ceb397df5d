"""Counts are what a loop counts, and add up."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.measure import peak_mb
from metaclip_dagster.counting import MOST_ENTRIES, count_entries, merge_counts
from metaclip_dagster.schemas import ENTRY_COUNTS, SNAPSHOT_COUNTS
from tests.metaclip_dagster.tables import count_naively, entries_of, matches_of, zipf_pool

rows = st.lists(st.sets(st.integers(0, 5), min_size=1).map(sorted), max_size=20)


def count(pools: dict[str, list[pa.RecordBatch]], num_entries: int = 6) -> pa.Table:
    counted = [count_entries(batches, snapshot=key, seen=Counter()) for key, batches in pools.items()]
    batches = [batch for table in counted for batch in table.to_batches()]
    return merge_counts(batches, entries=entries_of([f"e{i}" for i in range(num_entries)]))


@settings(max_examples=15)
@given(rows, rows)
def test_counts_equal_a_loop_and_add_up_over_snapshots(first: list[list[int]], second: list[list[int]]) -> None:
    pools = {
        "S-01": [matches_of(dict(enumerate(first)))],
        "S-02": [matches_of({i: row}) for i, row in enumerate(second)],
    }
    table = count(pools)
    assert table.schema == ENTRY_COUNTS
    naive = {key: Counter(entry for row in of for entry in row) for key, of in (("S-01", first), ("S-02", second))}
    for entry, row in enumerate(table.to_pylist()):
        assert row["entry_count"] == sum(counts[entry] for counts in naive.values())
        of_snapshot = {part["snapshot"]: part["entry_count"] for part in row["snapshot_counts"]}
        assert of_snapshot == {key: counts[entry] for key, counts in naive.items() if counts[entry]}


def test_a_large_pool_counts_as_a_loop_does() -> None:
    pool, seen = zipf_pool(20_000, 300), Counter[str]()
    counted = count_entries([pool[i : i + 999] for i in range(0, pool.num_rows, 999)], snapshot="S", seen=seen)
    assert counted.schema == SNAPSHOT_COUNTS
    merged = merge_counts(counted.to_batches(), entries=entries_of([f"e{i}" for i in range(300)]))
    assert merged["entry_count"] == count_naively(pool, 300)["entry_count"]
    assert seen["pairs"] == 20_000
    assert seen["matches"] == sum(merged["entry_count"].to_pylist())


def test_matches_of_another_list_of_entries_are_refused() -> None:
    with pytest.raises(ValueError, match="entry 6 was counted, but there are 6 entries"):
        count({"S": [matches_of({1: [6]})]})


@pytest.mark.parametrize("entry_id", [MOST_ENTRIES, 2**32 - 1])
def test_an_entry_that_no_list_can_have_is_refused(entry_id: int) -> None:
    with pytest.raises(ValueError, match=f"S: entry {entry_id} cannot be"):
        count_entries([matches_of({1: [0, entry_id]})], snapshot="S", seen=Counter())


def test_a_far_entry_takes_no_memory_for_those_before_it() -> None:
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # the peak is counted from here
    before = peak_mb()
    counted = count_entries([matches_of({1: [7, MOST_ENTRIES - 1]})], snapshot="S", seen=Counter())
    assert counted["entry_id"].to_pylist() == [7, MOST_ENTRIES - 1]
    assert counted["entry_count"].to_pylist() == [1, 1]
    assert peak_mb() - before < 64

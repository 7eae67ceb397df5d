"""What changed between two builds is what a person would find who lays both lists side by side."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip_dagster import comparing
from metaclip_dagster.comparing import compare_counts, compare_entries, compare_subsets
from metaclip_dagster.schemas import ENTRIES, ENTRY_COUNTS

Entry = tuple[str, str]

named = st.tuples(st.sampled_from(["en", "de"]), st.sampled_from(["a", "b", "c", "d", "Gift"]))
lists = st.lists(named, unique=True, max_size=8)


def entries_of(rows: Sequence[Entry]) -> pa.Table:
    ids = pa.array(range(len(rows)), pa.uint32())
    languages, words = [language for language, _ in rows], [word for _, word in rows]
    sources = ["own" if word < "c" else "titles" for word in words]
    return pa.table([ids, words, languages, sources, ids, pa.nulls(len(rows), pa.string())], schema=ENTRIES)


def counts_of(rows: dict[Entry, int]) -> pa.Table:
    languages, words = [language for language, _ in rows], [word for _, word in rows]
    counts = list(rows.values())
    return pa.table([range(len(rows)), words, languages, counts, counts, [[]] * len(rows)], schema=ENTRY_COUNTS)


def ids(pairs: Sequence[int]) -> list[pa.RecordBatch]:
    return [pa.record_batch([pa.array(pairs[at : at + 3], pa.uint64())], ["pair_id"]) for at in range(0, len(pairs), 3)]


@settings(max_examples=20)
@given(lists, lists)
def test_entries_are_added_removed_moved_or_as_they_were(before: list[Entry], after: list[Entry]) -> None:
    changes = compare_entries(entries_of(before), entries_of(after))
    moved = {entry for entry in set(before) & set(after) if before.index(entry) != after.index(entry)}
    expected = {"added": set(after) - set(before), "removed": set(before) - set(after), "moved": moved}
    for change, entries in expected.items():
        assert changes[change] == sum(row[change] for row in changes["by_source"]) == len(entries)
        sampled = [(row["language"], row["entry"]) for row in changes["samples"] if row["change"] == change]
        assert set(sampled) == entries


def test_a_change_counts_for_its_language_and_source() -> None:
    changes = compare_entries(entries_of([("en", "a"), ("en", "d")]), entries_of([("en", "a"), ("de", "b")]))
    assert changes["by_source"] == [
        {"language": "de", "source": "own", "added": 1, "removed": 0, "moved": 0},
        {"language": "en", "source": "titles", "added": 0, "removed": 1, "moved": 0},
    ]


@settings(max_examples=20)
@given(st.dictionaries(named, st.integers(0, 9)), st.dictionaries(named, st.integers(0, 9)))
def test_the_largest_moves_of_counts_come_first_and_all_are_counted(
    before: dict[Entry, int], after: dict[Entry, int]
) -> None:
    changes = compare_counts(counts_of(before), counts_of(after))
    moves = {entry: after.get(entry, 0) - before.get(entry, 0) for entry in {*before, *after}}
    assert changes["changed"] == sum(move != 0 for move in moves.values())
    sizes = [abs(row["after"] - row["before"]) for row in changes["largest"]]
    assert sizes == sorted(filter(None, map(abs, moves.values())), reverse=True)[:20]
    assert all(moves[row["language"], row["entry"]] == row["after"] - row["before"] for row in changes["largest"])


@settings(max_examples=20)
@given(st.sets(st.integers(0, 2**64 - 1), max_size=20), st.sets(st.integers(0, 2**64 - 1), max_size=20))
def test_pairs_join_leave_or_stay(before: set[int], after: set[int]) -> None:
    changes = compare_subsets(ids(sorted(before)), ids(sorted(after)), num_pairs=20)
    expected = {"joined": len(after - before), "left": len(before - after), "stayed": len(before & after), "share": 1}
    assert changes == expected


def test_of_a_large_subset_a_sample_tells_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(5)
    pairs = random.integers(0, 2**64, 200_000, np.uint64, endpoint=False)
    before, after = pairs[:150_000], pairs[10_000:]
    monkeypatch.setattr(comparing, "MOST_PAIRS", 20_000)
    changes = compare_subsets(*(
        [pa.record_batch([pa.array(some)], ["pair_id"])] for some in (before, after)
    ), num_pairs=190_000)  # fmt: skip
    assert changes["share"] == 0.1
    for what, exactly in (("joined", 50_000), ("left", 10_000), ("stayed", 140_000)):
        assert changes[what] == pytest.approx(exactly, rel=0.06)

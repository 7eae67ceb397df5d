"""A comparison says of every entry on which side it has the greater share."""

import json
import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaclip_dagster.counting import (
    COMPARISON,
    FEWEST_MATCHES,
    compare_shares,
    describe_comparison,
)
from metaclip_dagster.counting.published import PUBLISHED
from metaclip_dagster.reporting.comparisons.page import plot_shares_of_both, render_comparison

Counts = dict[tuple[str, str], int]
counts = st.dictionaries(
    st.tuples(st.sampled_from(["en", "de"]), st.sampled_from("abcde")), st.integers(0, 2**40), min_size=1
)


def table_of(counted: Counts) -> pa.Table:
    rows = [{"language": of, "entry": entry, "num_pairs": num} for (of, entry), num in counted.items()]
    return pa.Table.from_pylist(rows, PUBLISHED)


def compare(here: Counts, there: Counts) -> pa.Table:
    return compare_shares(table_of(here), table_of(there), names=("the pool", "there.json"))


def english(**counted: int) -> Counts:
    return {("en", entry): num for entry, num in counted.items()}


def render(comparison: pa.Table) -> str:
    distribution = {"fewest_matches": FEWEST_MATCHES, **describe_comparison(comparison)}
    report: dict[str, Any] = {
        **{"here": "the pool", "there": "there.json", "table": "x.parquet", "equal": False, "other_parsers": False},
        **{"distribution": distribution, "facts": {}, "entries": None, "pairs": None, "scores": [], "provenance": []},
    }
    json.dumps(report, allow_nan=False)
    return render_comparison(report, plot_shares_of_both(comparison))


def test_each_verdict_is_by_the_shares_of_all_matches() -> None:
    here = english(alike=300, equal=100, lost=0, never=0, own=199, rich=400, poor=1)
    there = english(alike=2990, equal=500, lost=3, never=0, rich=990, poor=500, theirs=17)
    comparison = compare(here, there)
    assert comparison.schema == COMPARISON
    rows = {row.pop("entry"): row for row in comparison.to_pylist()}
    assert {entry: row["verdict"] for entry, row in rows.items()} == {
        "alike": "alike",
        "equal": "alike",
        "lost": "absent here",
        "never": "absent in both",
        "own": "absent there",
        "poor": "poorer",
        "rich": "richer",
        "theirs": "absent here",
    }
    assert rows["equal"]["log2_ratio"] == 0
    assert (rows["theirs"]["here"], rows["lost"]["here"], rows["own"]["there"]) == (None, 0, None)
    assert [rows[entry]["log2_ratio"] for entry in ("lost", "own", "never")] == [None] * 3


@given(counts, counts)
def test_shares_add_up_and_every_entry_of_a_language_that_both_have_stands_once(here: Counts, there: Counts) -> None:
    both = {of for of, _ in here} & {of for of, _ in there}
    sums = [sum(num for (of, _), num in side.items() if of in both) for side in (here, there)]
    if not all(sums):
        with pytest.raises(ValueError, match=r"the pool and there\.json: in the languages that both have"):
            compare(here, there)
        return
    comparison = compare(here, there)
    rows = comparison.to_pylist()
    assert [(row["language"], row["entry"]) for row in rows] == sorted(of for of in {*here, *there} if of[0] in both)
    for row in rows:
        key = row["language"], row["entry"]
        shares = [here.get(key, 0) / sums[0], there.get(key, 0) / sums[1]]
        assert [row["share_here"], row["share_there"]] == pytest.approx(shares)
        if all(shares):
            assert row["log2_ratio"] == pytest.approx(math.log2(shares[0] / shares[1]))
    report = describe_comparison(comparison)
    assert [report["here"], report["there"]] == sums
    for part in ("verdicts", "languages"):
        assert sum(row["entries"] for row in report[part]) == len(rows)
        assert sum(row["share_here"] for row in report[part]) == pytest.approx(1)
    assert 0 <= report["overlap"] <= 1 + 1e-9


def test_counts_beside_themselves_are_alike_whatever_the_size_of_the_pool() -> None:
    report = describe_comparison(compare(english(a=3, b=40, c=0), english(a=3000, b=40000, c=0)))
    assert report["overlap"] == pytest.approx(1)
    assert [row["entries"] for row in report["verdicts"]] == [0, 0, 2, 0, 0, 1]


def test_a_factor_that_may_be_chance_is_not_listed() -> None:
    here, there = english(rest=10_000, few=3, gone=2), english(rest=10_000_000, few=10, gone=50_000)
    report = describe_comparison(compare(here, there))
    assert [row["entry"] for row in report["lists"]["richest"]] == ["rest"], "3 of `few` may be chance"
    assert [row["entry"] for row in report["lists"]["poorest"]] == ["gone"], "some 50 were to be expected, 2 are there"


def test_the_page_shows_hostile_entries_as_text_and_draws_where_nothing_is_common() -> None:
    hostile = "<script>alert(1)</script>"
    page = render(compare(english(a=5), {("en", hostile): 7, ("en", "evil\u202egnp"): 5}))
    assert hostile not in page
    assert "\u202e" not in page
    assert "U+202E" in page

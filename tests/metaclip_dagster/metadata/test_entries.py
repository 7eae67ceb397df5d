"""Entries are the same list for everyone: by declared precedence, then rank, within each language's budget."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from io import BytesIO
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip_dagster.comparing import compare_entries
from metaclip_dagster.matching import why_unmatchable
from metaclip_dagster.metadata import (
    build_entries,
    count_views,
    describe_entries,
    rank_synsets,
    rank_titles,
    rank_unigrams,
    read_own_entries,
    sum_counts,
)
from metaclip_dagster.reporting.lists.pages import render_entries
from metaclip_dagster.schemas import CANDIDATES, ENTRIES, NAME_COUNTS

Rows = Mapping[str, list[tuple[str, int, str]]]

FATES = ("taken", "already_there", "no_word", "beyond_cap", "beyond_budget")
MARKS = set(",.;:?!`")
words = st.sampled_from(["a", "b", "The", "the", "dog", "é", "犬"])
sources = st.dictionaries(
    st.sampled_from(["synsets", "unigrams", "titles"]),
    st.lists(st.tuples(words, st.integers(0, 3), st.sampled_from(["en", "de"])), max_size=8),
    min_size=1,
)


def candidates(rows: Iterable[tuple[str, float, str]]) -> pa.Table:
    rows = list(rows)
    columns = {
        "entry": [entry for entry, _, _ in rows],
        "language": [language for _, _, language in rows],
        "score": [float(score) for _, score, _ in rows],
        "num_occurrences": [1] * len(rows),
    }
    return pa.Table.from_pydict(columns, schema=CANDIDATES)


def ranked(*entries: str) -> pa.Table:
    return candidates((entry, -position, "en") for position, entry in enumerate(entries))


def by_language(tables: Mapping[str, pa.Table], languages: Iterable[str]) -> dict[str, dict[str, list[pa.RecordBatch]]]:
    return {language: {source: table.to_batches() for source, table in tables.items()} for language in languages}


def build(tables: Mapping[str, pa.Table], languages: Iterable[str] = ("en",), **options: Any) -> pa.Table:
    options = {"why_unmatchable": lambda entry, language: None, "dropped": Counter(), **options}
    return pa.Table.from_batches(build_entries(by_language(tables, languages), **options), ENTRIES)


def expected(rows: Rows, language: str, budget: int, caps: Mapping[str, int]) -> list[tuple[str, str, int]]:
    """The list as a person would write it: walk down the sources, take what is new until cap or budget is full."""
    chosen: list[tuple[str, str, int]] = []
    for source, ranked in rows.items():
        added = 0
        of_language = [row for row in sorted(ranked, key=lambda row: (-row[1], row[0])) if row[2] == language]
        for rank, (entry, _, _) in enumerate(of_language):
            new = entry not in [entry for entry, _, _ in chosen]
            if new and added < caps.get(source, budget) and len(chosen) < budget:
                chosen.append((entry, source, rank))
                added += 1
    return chosen


@settings(max_examples=150)
@given(sources, st.integers(0, 12), st.integers(0, 3))
def test_each_language_fills_its_budget_by_precedence_then_rank_up_to_each_cap(
    rows: Rows, budget: int, cap: int
) -> None:
    caps = {min(rows): cap}
    tables = {source: candidates(ranked) for source, ranked in rows.items()}
    entries = build(tables, ["de", "en"], budget=budget, caps=caps)
    wanted = [(*row, language) for language in ("de", "en") for row in expected(rows, language, budget, caps)]
    got = zip(*(entries[name].to_pylist() for name in ("entry", "source", "rank", "language")), strict=True)
    assert list(got) == wanted
    assert entries["entry_id"].to_pylist() == list(range(len(wanted)))


@settings(max_examples=50)
@given(sources, st.randoms())
def test_the_order_of_rows_changes_nothing(rows: Rows, random: Any) -> None:
    shuffled = {source: random.sample(ranked, len(ranked)) for source, ranked in rows.items()}
    first, second = (build({s: candidates(r) for s, r in some.items()}, ["en", "de"]) for some in (rows, shuffled))
    assert first.equals(second)


@settings(max_examples=100)
@given(sources, st.integers(0, 12), st.integers(0, 3))
def test_every_candidate_is_taken_or_accounted_for(rows: Rows, budget: int, cap: int) -> None:
    tables, dropped = {source: candidates(num_candidates) for source, num_candidates in rows.items()}, Counter[str]()
    limits: dict[str, Any] = {"budget": budget, "caps": {max(rows): cap}}
    entries = build(tables, ["en", "de"], dropped=dropped, **limits)
    descriptions = describe_entries(by_language(tables, ["en", "de"]), entries, **limits)
    for language in descriptions:
        for source in language["sources"]:
            num_candidates = sum(its == language["language"] for _, _, its in rows[source["source"]])
            assert sum(source[fate] for fate in FATES) == source["candidates"] == num_candidates
            cut = source["beyond_cap"] + source["beyond_budget"]
            assert len(source["next"]) == min(cut, 20)
        assert language["missing"] == budget - language["entries"]
    assert sum(language["entries"] for language in descriptions) == entries.num_rows
    in_all = Counter(
        {fate: sum(s[fate] for language in descriptions for s in language["sources"]) for fate in FATES[1:]}
    )
    assert in_all == dropped


def test_marks_and_symbols_alone_are_refused_whatever_their_source() -> None:
    marks = ["!!!", "™", "&", "❤", "\u094d", "\u200f"]
    views = count_views((("en", title, 9) for title in [*marks, "Dog"]), dropped=Counter(), seen=Counter())
    unigrams = {"language": ["en"] * 7, "name": [*marks, "dog"], "num_occurrences": [9] * 7}
    own_list, dropped = "\n".join([*marks, "cat"]).encode(), Counter[str]()
    ranked_by_source: dict[str, Iterable[pa.RecordBatch]] = {
        "own": read_own_entries(BytesIO(own_list), name="list.txt", dropped=dropped),
        "synsets": rank_synsets([*marks, "hound"], dropped=dropped),
        "unigrams": rank_unigrams([pa.RecordBatch.from_pydict(unigrams, schema=NAME_COUNTS)], min_count=1),
        "titles": rank_titles(sum_counts(views), pages=[], min_views=1, in_dump_only=False, dropped=dropped),
    }
    for source, batches in ranked_by_source.items():
        tables = {source: pa.Table.from_batches(batches)}
        entries = build(tables, why_unmatchable=why_unmatchable)
        assert (entries.num_rows, entries["unmatchable"].to_pylist()) == (1, [None]), source
        [description] = describe_entries(by_language(tables, ["en"]), entries, budget=9)
        assert description["sources"][0]["no_word"] == len(marks)


def test_a_source_tells_its_first_and_last_taken_and_the_next_twenty() -> None:
    tables = {"a": candidates((f"word {n:02d}", 100 - n, "en") for n in range(40))}
    [description] = describe_entries(by_language(tables, ["en"]), build(tables, budget=10), budget=10)
    [source] = description["sources"]
    assert source["first"] == {"entry": "word 00", "score": 100.0}
    assert source["last"] == {"entry": "word 09", "score": 91.0}
    assert [row["entry"] for row in source["next"]] == [f"word {n}" for n in range(10, 30)]


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="budget=-1"):
        build({"synsets": ranked("dog")}, budget=-1)
    with pytest.raises(ValueError, match="numbers of 0 or more"):
        build({"synsets": ranked("dog")}, caps={"synsets": -1})
    with pytest.raises(ValueError, match="caps on sources that are there"):
        build({"synsets": ranked("dog")}, caps={"synset": 1})
    with pytest.raises(ValueError, match="name a source"):
        build({})


def test_unmatchable_entries_keep_their_place_and_say_why() -> None:
    tables = {"titles": ranked("dog", "U.S.", "Yahoo!")}
    entries = build(tables, why_unmatchable=lambda entry, language: "a mark" if MARKS & set(entry) else None)
    assert entries["unmatchable"].to_pylist() == [None, "a mark", "a mark"]
    [description] = describe_entries(by_language(tables, ["en"]), entries, budget=3)
    assert description["sources"][0]["unmatchable"] == {"a mark": 2}


def test_one_language_is_read_after_the_other_and_one_source_after_the_other() -> None:
    read: list[tuple[str, str]] = []

    def rows(language: str, source: str) -> Iterable[pa.RecordBatch]:
        read.append((language, source))
        yield from candidates((f"{language} {n}", n, language) for n in range(70_000)).to_batches()

    languages = {language: {source: rows(language, source) for source in "ab"} for language in ("en", "de")}
    batches = build_entries(languages, budget=70_000, why_unmatchable=lambda entry, language: None, dropped=Counter())
    assert next(batches)["language"][0].as_py() == "en"
    assert read == [("en", "a")]


PROGRAM = r"""
import io; from collections import Counter; import pyarrow as pa; from metaclip_dagster.metadata import *
from metaclip_dagster.schemas import CANDIDATES
names = {f'word {n * 7919 % 1000} of {n % 13}' for n in range(2000)}
columns = [[*names], ['en'] * len(names), [len(n) * 1.0 for n in names], [1] * len(names)]
own = read_own_entries(io.BytesIO('\n'.join(sorted(names)).encode()), name='a.txt', dropped=Counter())
tables, options = {'own': own, 's': [pa.record_batch(columns, schema=CANDIDATES)]}, {'caps': {'own': 900}}
for batch in build_entries({'en': tables}, **options, why_unmatchable=lambda e, l: None, dropped=Counter()):
    print(batch.to_pydict())
"""


def test_ids_are_the_same_across_processes_and_hash_seeds() -> None:
    run = partial(subprocess.run, [sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True)
    first, second = (run(env={**os.environ, "PYTHONHASHSEED": seed}).stdout for seed in ("1", "2"))
    assert first == second
    assert len(first) > 10_000


def test_the_page_of_entries_escapes_what_lists_brought_and_stands_beside_the_paper() -> None:
    hostile = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "evil\u202egnp.exe"]
    tables = {"own:<b>.txt": ranked(*hostile, "dog"), "wikipedia_titles": ranked("cat")}
    entries = build(tables, budget=2, why_unmatchable=lambda entry, language: "<i>" if "<" in entry else None)
    descriptions = describe_entries(by_language(tables, ["en"]), entries, budget=2)
    changes = compare_entries(build({"wikipedia_titles": ranked("cat", *hostile)}), entries)
    page = render_entries({"budget": 2, "caps": {}, "languages": descriptions, "changes": changes})
    assert "0 added, 2 removed, 2 moved" in " ".join(page.split())
    assert "<script" not in page
    assert "<img" not in page
    assert "<i>" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;alert(1)" in page
    for number in ("86,654", "251,465", "100,646", "61,235", "500,000"):
        assert number in page

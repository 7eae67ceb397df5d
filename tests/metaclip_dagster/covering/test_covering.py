"""Coverage tells of every entry whether the texts have it, or why not; and no word of theirs in no entry is missed."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip_dagster.covering import cover_pairs, describe_coverage, merge_coverage, rank_words
from metaclip_dagster.covering import coverage as covering
from metaclip_dagster.covering.folding import build_searches, loosen_text
from metaclip_dagster.matching import build_matcher, match_entries, why_unmatchable
from metaclip_dagster.reporting.lists.pages import render_coverage
from tests.metaclip_dagster import tables
from tests.metaclip_dagster.tables import pairs_of

Told = dict[str, Any]

pieces = st.sampled_from(["dog", "Dog", "hot", "hot-dog", "(dog)", "U.S.", "x", "犬", ","])
texts_of = st.lists(st.lists(pieces, min_size=1, max_size=4).map(" ".join), min_size=1, max_size=6)
entries_of = st.lists(st.lists(pieces, min_size=1, max_size=2).map(" ".join), min_size=1, max_size=6, unique=True)


def table_of(entries: Sequence[str], languages: Sequence[str] | None = None) -> pa.Table:
    return tables.entries_of(entries, languages or "en", [why_unmatchable(entry) for entry in entries])


def identify(texts: list[str]) -> tuple[list[str], list[float]]:
    """What begins with a bang is German."""
    return ["de" if text.startswith("!") else "en" for text in texts], [1.0] * len(texts)


def parts_of(entries: pa.Table, shards: Iterable[Sequence[str]], seen: Counter[str]) -> list[pa.RecordBatch]:
    searches = build_searches(entries, build_matcher)
    return [
        batch
        for texts in shards
        for batch in cover_pairs([pairs_of(texts)], searches=searches, identify=identify, seen=seen)
    ]


def cover(entries: pa.Table, *shards: Sequence[str], top: int = 100) -> Told:
    seen = Counter[str]()
    parts = parts_of(entries, shards, seen)
    coverage = merge_coverage(parts, entries=entries)
    return {"table": coverage, **describe_coverage(coverage, rank_words(parts, top=top), seen)}


def why(described: Told) -> dict[str, str | None]:
    return dict(zip(described["table"]["entry"].to_pylist(), described["table"]["why"].to_pylist(), strict=True))


def near(described: Told) -> dict[str, int]:
    return dict(zip(described["table"]["entry"].to_pylist(), described["table"]["num_near"].to_pylist(), strict=True))


@settings(max_examples=25)
@given(entries_of, st.lists(texts_of, min_size=1, max_size=3))
def test_an_entry_is_found_as_often_as_matching_finds_it_and_else_one_reason_is_given(
    entries: list[str], shards: list[list[str]]
) -> None:
    table = table_of(entries)
    described = cover(table, *shards)
    matched = Counter[int]()
    for texts in shards:
        matches = match_entries([pairs_of(texts)], matcher=build_matcher(table), identify=identify, dropped=Counter())
        matched.update(entry for batch in matches for ids in batch["entry_ids"].to_pylist() for entry in ids)
    assert described["table"]["num_pairs"].to_pylist() == [matched[row] for row in range(len(entries))]
    texts = [text for shard in shards for text in shard]
    for row, (entry, reason) in enumerate(why(described).items()):
        if matched[row]:
            assert reason is None
        elif why_unmatchable(entry):
            assert reason == "unmatchable"
        elif any(f" {entry.lower()} " in f" {text.lower().replace(',', ' , ')} " for text in texts):
            assert reason == "case"
        else:
            has = loosen_text(entry) and any(f" {loosen_text(entry)} " in f" {loosen_text(text)} " for text in texts)
            assert reason == ("punctuation" if has else "rare")


@settings(max_examples=15)
@given(entries_of, texts_of, st.integers(1, 5))
def test_how_texts_are_cut_into_shards_changes_nothing(entries: list[str], texts: list[str], size: int) -> None:
    table = table_of(entries)
    described, again = (
        cover(table, *(texts[start : start + step] for start in range(0, len(texts), step))) for step in (size, 99)
    )
    assert described == again


@settings(max_examples=15)
@given(entries_of, texts_of)
def test_every_word_of_a_text_is_in_an_entry_or_counted(entries: list[str], texts: list[str]) -> None:
    [english] = cover(table_of(entries), texts)["languages"]
    entry_words = {word for entry in entries for word in entry.replace(".", " . ").split()}
    counted = Counter(word for text in texts for word in {*text.replace(".", " . ").split()} - entry_words - {",", "."})
    assert {row["word"]: row["num_pairs"] for row in english["words"]} == counted


def test_each_reason_is_what_it_says() -> None:
    texts = ["a HOT DOG", "the rock-n-roll of (jazz)", "made in the U.S. of A", "cats"]
    described = cover(table_of(["cats", "hot dog", "jazz", "rock n roll", "U.S.", "zebra"]), texts)
    assert why(described) == {
        "cats": None,
        "hot dog": "case",
        "jazz": "punctuation",
        "rock n roll": "punctuation",
        "U.S.": "unmatchable",
        "zebra": "rare",
    }
    assert near(described) == {"cats": 0, "hot dog": 1, "jazz": 1, "rock n roll": 1, "U.S.": 1, "zebra": 0}
    [its] = described["languages"]
    assert (its["pairs"], its["matched"], its["entries"], its["found"]) == (4, 1, 6, 1)
    assert its["unmatchable"] == {"a mark inside a word": 1}
    assert its["examples"]["case"] == [{"entry": "hot dog", "source": "own", "num_near": 1}]


def test_texts_are_searched_for_the_entries_of_their_language_alone() -> None:
    described = cover(table_of(["Hund", "dog"], ["de", "en"]), ["! Hund dog", "Hund dog", "dog"])
    assert described["table"]["num_pairs"].to_pylist() == [1, 2]
    assert [(its["language"], its["pairs"], its["matched"]) for its in described["languages"]] == [
        ("de", 1, 1),
        ("en", 2, 2),
    ]
    assert [its["words"] for its in described["languages"]] == [
        [{"word": "dog", "num_pairs": 1}],
        [{"word": "Hund", "num_pairs": 1}],
    ]


def test_a_text_without_spaces_is_parted_by_a_dictionary() -> None:
    entries, seen = table_of(["กิน", "นก"], ["th", "th"]), Counter[str]()
    searches = build_searches(entries, build_matcher)
    thai = cover_pairs([pairs_of(["แมวกินปลา"])], searches=searches, identify=lambda texts: (["th"], [1.0]), seen=seen)
    parts = list(thai)
    assert merge_coverage(parts, entries=entries)["why"].to_pylist() == [None, "rare"]
    assert sorted(rank_words(parts, top=9)["word"].to_pylist()) == sorted(["แมว", "ปลา"])


def test_a_language_in_which_nothing_matches_is_told_with_its_reasons() -> None:
    described = cover(table_of(["Hund", "dog"], ["de", "en"]), ["dog"])
    german = described["languages"][0]
    assert (german["pairs"], german["matched"], german["found"], german["why"]["rare"]) == (0, 0, 0, 1)
    assert (described["pairs"], described["matched"]) == (1, 1)


def test_words_that_outgrow_python_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"word{n % 7} other{n % 5} dog" for n in range(60)]
    whole = cover(table_of(["dog"]), texts)
    monkeypatch.setattr(covering, "_MAX_WORDS", 2)
    monkeypatch.setattr(covering, "ROWS", 3)
    assert cover(table_of(["dog"]), texts) == whole


def test_the_most_frequent_words_come_first_and_only_so_many() -> None:
    [its] = cover(table_of(["dog"]), ["b a c", "c a", "c"], top=2)["languages"]
    assert its["words"] == [{"word": "c", "num_pairs": 3}, {"word": "a", "num_pairs": 2}]


def test_vowels_that_are_combining_marks_stay_with_their_letters() -> None:
    assert loosen_text("“กินข้าว” — हिन्दी!") == "กินข้าว हिन्दी"


def test_the_page_of_coverage_escapes_texts_and_entries() -> None:
    hostile = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "evil\u202egnp.exe"]
    described = cover(table_of([*hostile, "<b>DOG</b>"]), [*hostile, "<b>dog</b>", "<i>cat</i>", "<i onload=x>"])
    del described["table"]
    page = render_coverage({**described, "shards": {"SAMPLE-2026-01": [1, 2]}, "share": 0.5, "seed": 0, "top": 9})
    for bad in ("<script", "<img", "<b>", "<i>", "<i ", "\u202e"):
        assert bad not in page.replace('<i class="', "").replace("</bdi>", "").replace("<bdi>", "")
    assert "&lt;i&gt;cat&lt;/i&gt;" in page
    assert "1 of 2" in page

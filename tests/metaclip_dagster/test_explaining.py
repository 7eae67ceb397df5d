"""Laws of explaining: the numbers are balancing's own, and a hostile text ends as a short harmless one."""

import hashlib
import math

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from metaclip_dagster.balancing import build_draw, draw_pairs, keep_probability
from metaclip_dagster.explaining import (
    FACTS,
    MAX_SHOWN,
    QuestionError,
    Table,
    explain_draw,
    find_entries,
    holds_all,
    pairs_with,
    read_question,
    render_text,
)
from metaclip_dagster.matching import build_matcher
from metaclip_dagster.words.spacing import why_unmatchable
from tests.metaclip_dagster.tables import count_naively, counts_of, entries_of, matches_of, zipf_pool

POOL = zipf_pool(300, 60)
COUNTS = count_naively(POOL, 60)
HOSTILE = ["<script>alert(1)</script>", "\x1b[31mred\x1b[0m\x07\x00", "evil\u202egnp", "a\nb\r\x9b2Jc", "x" * 1_000_000]
words = st.text(alphabet="ab ,.!\n", min_size=0, max_size=8)


@pytest.mark.parametrize("seed", [0, 7])
def test_the_least_coin_is_admitted_at_to_the_last_bit_and_decides_at_every_t(seed: int) -> None:
    thresholds = {"2": 2.0, "20": 20.0, "inf": math.inf}
    expected = draw_pairs(POOL, build_draw(COUNTS), seed)
    for row, expects in zip(POOL.to_pylist(), expected.tolist(), strict=True):
        counts = COUNTS.take(row["entry_ids"])
        drawing = explain_draw(row["pair_id"], counts, thresholds, seed=seed)
        assert drawing.admitted_at == drawing.coins[0].drawn == expects
        assert [coin.drawn for coin in drawing.coins] == sorted(coin.u * coin.balanced_to for coin in drawing.coins)
        assert sorted(coin.entry for coin in drawing.coins) == sorted(counts["entry"].to_pylist())
        assert drawing.decision == {rung: expects < t for rung, t in thresholds.items()}
        of = counts["entry_count"].to_numpy().astype(np.float64)
        assert drawing.probability == {rung: keep_probability(of, t) for rung, t in thresholds.items()}


def test_counts_that_are_older_than_a_match_are_named() -> None:
    with pytest.raises(ValueError, match="no pair that matches 'e1'"):
        explain_draw(1, counts_of([3, 0]), {"inf": math.inf}, seed=0)


@given(st.lists(words, max_size=6, unique=True), words)
def test_the_entries_found_in_one_text_are_those_that_matching_finds(entries: list[str], text: str) -> None:
    table = entries_of(entries or ["a"])
    [engine] = build_matcher(table).engines.values()
    _, ids = engine.match(pa.array([text], pa.string()))
    expected = [("en", table["entry"][int(i)].as_py()) for i in ids]
    assert list(find_entries(text, table.to_batches())) == expected


@given(st.lists(words, max_size=6, unique=True), words)
def test_a_text_holds_all_of_some_entries_when_each_is_found_in_it(entries: list[str], text: str) -> None:
    table = entries_of(entries or ["a"])
    in_text = {entry for _, entry in find_entries(text, table.to_batches())}
    matchable = [entry for entry in table["entry"].to_pylist() if why_unmatchable(entry) is None]
    for entry in matchable:
        assert holds_all(text, [entry]) == (entry in in_text)
    assert holds_all(text, matchable) == (in_text == set(matchable))


@given(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=4, unique=True), max_size=8), st.integers(0, 9))
def test_the_pairs_with_an_entry_are_those_of_a_loop_in_any_slice(lists: list[list[int]], start: int) -> None:
    batch = matches_of(dict(enumerate(lists))).slice(start)
    for entry_id in range(7):
        expected = [row["pair_id"] for row in batch.to_pylist() if entry_id in row["entry_ids"]]
        assert pairs_with(batch, entry_id).to_pylist() == expected


def test_a_question_is_a_pair_an_image_or_a_url_with_or_without_its_text() -> None:
    url = "http://h.example/a b.png"
    address = b"http://h.example/a%20b.png"
    assert read_question(str(2**64 - 1)) == ("pair_id", 2**64 - 1)
    assert read_question("00" * 12) == ("image_id", bytes(12))
    assert read_question(f" {url}#top\n") == ("image_id", hashlib.sha224(address).digest()[:12])
    assert read_question(url, " a\n cat ") == ("pair_id", xxhash.xxh3_64_intdigest(address + b"\na cat"))


@pytest.mark.parametrize(
    "asked", ["", "cat", "cat.png", str(2**64), "-1", "ab" * 11, "data:image/png;base64,AA", "ftp://h/a"]
)
def test_what_is_no_question_is_told_what_is_one(asked: str) -> None:
    with pytest.raises(QuestionError, match=r"no pair_id .*, no image_id .* URL"):
        read_question(asked)


def test_a_text_goes_with_a_url_alone() -> None:
    with pytest.raises(QuestionError, match="leave the text out"):
        read_question("12", "a cat")


def test_a_hostile_question_is_harmless_in_its_own_error() -> None:
    for asked in HOSTILE:
        with pytest.raises(QuestionError) as error:
            read_question(asked)
        assert not set(str(error.value)) & set("\x1b\x07\x00\x9b\u202e\n\r")
        assert len(str(error.value)) < 600


@pytest.mark.parametrize("headings", [FACTS, ("text", "again")])
def test_hostile_texts_end_as_one_short_harmless_line_each(headings: tuple[str, ...]) -> None:
    table = Table.build(HOSTILE[1], headings, [(text, text) for text in HOSTILE])
    lines = render_text([table]).split("\n")
    assert len(lines) == 1 + len(HOSTILE) + (headings != FACTS)
    assert not set("".join(lines)) & set("\x1b\x07\x00\x9b\u202e\r")
    assert all(len(cell) <= MAX_SHOWN for row in table.rows for cell in row if isinstance(cell, str))
    assert table.rows[2][0] == "evil⟨U+202E⟩gnp"


def test_numbers_stand_to_the_right_and_apart() -> None:
    table = Table.build("t", ("entry", "count", "u"), [("a", 1_234_567, 0.5), ("bcd", 2, 0.25)])
    assert render_text([table]) == "t\n  entry      count     u\n  a      1,234,567   0.5\n  bcd            2  0.25"

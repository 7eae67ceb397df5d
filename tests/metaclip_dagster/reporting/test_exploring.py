"""Bins of t: sums of them are what the pool says at every stop, and entries come out of the page as they were."""

import base64
import itertools
import json
import math
import zlib
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaclip_dagster.balancing import build_draw, draw_pairs, prepare_thresholds
from metaclip_dagster.reporting.exploring.binning import Bins, choose_shown, choose_stops, join_entries, sum_tails
from metaclip_dagster.reporting.exploring.entries import pack_entries
from metaclip_dagster.schemas import ADMISSIONS, ENTRY_COUNTS, MATCHES

LANGUAGES = {"en": range(40), "de": range(40, 60)}


def make_pool(seed: int, num_pairs: int = 3000) -> tuple[pa.Table, pa.Table, pa.Table]:
    """MATCHES, ADMISSIONS and ENTRY_COUNTS of a pool in two languages, few of whose entries have most matches."""
    draw = np.random.default_rng(seed)
    rows = []
    for pair_id in range(num_pairs):
        language = "de" if pair_id % 4 == 0 else "en"
        ids = list(LANGUAGES[language])
        popular = 1 / np.arange(1, len(ids) + 1) ** 1.4
        entries = draw.choice(ids, size=draw.integers(1, 4), replace=False, p=popular / popular.sum())
        image = (pair_id // 2).to_bytes(12, "big")
        rows.append([pair_id, image, language, 1.0, sorted(entries.tolist())])
    matches = pa.table([pa.array(c, f.type) for c, f in zip(zip(*rows, strict=True), MATCHES, strict=True)], MATCHES)
    num = np.bincount(matches["entry_ids"].combine_chunks().flatten(), minlength=60)
    language_of = [name for name, ids in LANGUAGES.items() for _ in ids]
    columns = [range(60), [f"entry {i}" for i in range(60)], language_of, num, num, [[]] * 60]
    counts = pa.table([pa.array(c, f.type) for c, f in zip(columns, ENTRY_COUNTS, strict=True)], ENTRY_COUNTS)
    [batch] = matches.to_batches()
    admitted_at = pa.array(draw_pairs(batch, build_draw(counts), 0))
    admissions = pa.table([*(matches[name] for name in ADMISSIONS.names[:3]), admitted_at], ADMISSIONS)
    return matches, admissions, counts


def bin_pool(
    matches: pa.Table, admissions: pa.Table, counts: pa.Table, rungs: list[float], most: int
) -> tuple[Bins, list[float]]:
    stops = choose_stops(int(counts["balanced_to"].to_numpy().max()), rungs, most)
    held_to = [*map(prepare_thresholds(counts), stops)]
    thresholds = {name: np.array([at[name] for at in held_to]) for name in LANGUAGES}
    bins = Bins.build(
        thresholds,
        at_rungs=[stops.index(t) for t in rungs],
        num_entries=len(counts),
        shown=choose_shown(counts["entry_count"].to_numpy(), 9),
    )
    half = len(admissions) // 2
    for number, part in enumerate((slice(0, half), slice(half, None))):
        of_part = admissions[part]
        bins.add(join_entries(matches.to_batches(), of_part.to_batches()), f"A/{number}")
    return bins, stops


@pytest.mark.parametrize("seed", range(3))
def test_sums_of_bins_are_what_the_pool_says_at_every_stop(seed: int) -> None:
    matches, admissions, counts = make_pool(seed)
    bins, stops = bin_pool(matches, admissions, counts, [20.0, 100.0, math.inf], most=70)
    languages, admitted_at = admissions["language"].to_numpy(), admissions["admitted_at"].to_numpy()
    entry_ids, number = matches["entry_ids"].to_pylist(), counts["entry_count"].to_numpy()
    for stop, t in enumerate(stops):
        held_to = prepare_thresholds(counts)(t)
        is_kept = admitted_at < np.array([held_to[name] for name in languages])
        kept_of = np.zeros(60, int)
        for pair in np.flatnonzero(is_kept):
            kept_of[entry_ids[pair]] += 1
        for name, ids in LANGUAGES.items():
            until = slice(0, stop + 1)
            assert bins.pairs[name][until].sum() == (is_kept & (languages == name)).sum()
            assert bins.matches[name][until].sum() == kept_of[ids].sum()
            tail = [i for i in ids if 0 < number[i] <= held_to[name]]
            entries, of_tail = (column[until].sum() for column in sum_tails(counts, name, bins.thresholds[name]))
            assert (entries, of_tail) == (len(tail), number[tail].sum())
            # The tail is kept whole, so that the head after balancing is what is left of all matches.
            assert kept_of[tail].sum() == of_tail
        assert (bins.first <= stop).sum() == (kept_of > 0).sum()
        assert bins.of_shown[:, : stop + 1].sum(axis=1).tolist() == kept_of[bins.shown].tolist()
        if stop in bins.at_rungs:
            assert bins.of_entry[:, : bins.at_rungs.index(stop) + 1].sum(axis=1).tolist() == kept_of.tolist()


def test_examples_are_the_first_pairs_of_an_entry_and_those_of_the_least_id_whatever_the_shards() -> None:
    matches, admissions, counts = make_pool(5)
    bins, _ = bin_pool(matches, admissions, counts, [20.0, math.inf], most=70)
    at, ids = admissions["admitted_at"].to_numpy(), admissions["pair_id"].to_numpy()
    for entry in bins.shown.tolist():
        pairs = [i for i, entries in enumerate(matches["entry_ids"].to_pylist()) if entry in entries]
        expected = {*sorted(pairs, key=lambda i: (at[i], ids[i]))[:2], *sorted(pairs)[:2]}
        rows = [row for row in bins.examples.to_pylist() if row["entry"] == entry]
        assert {row["pair_id"] for row in rows} == expected
        assert all(row["shard"] == f"A/{int(row['pair_id'] >= 1500)}" for row in rows)


@given(st.integers(1, 10**9), st.sets(st.floats(0.5, 1e9), max_size=4), st.integers(2, 1024))
def test_stops_ascend_from_1_to_inf_over_all_rungs_at_no_more_than_equal_ratios(
    largest: int, rungs: set[float], most: int
) -> None:
    stops = choose_stops(largest, rungs, most)
    assert stops == sorted({*stops})
    assert {1.0, float(largest), math.inf} | rungs <= {*stops}
    assert len(stops) <= max(most, 2) + len(rungs) + 1
    ratio = largest ** (1 / (most - 1))
    below = [t for t in stops if t <= largest]
    # Both ends are rounded, so a step is up to half of the ratio longer, and half of one.
    assert all(b - a <= max(1, (ratio - 1) * a + (ratio + 1) / 2 + 1e-6 * b) for a, b in itertools.pairwise(below))


def unpack(text: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(text)))


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=6)),
        unique=True, max_size=30,
    ),
    st.integers(0, 9),
)  # fmt: skip
def test_every_entry_comes_out_of_the_page_with_its_count(words: list[tuple[str, str]], seed: int) -> None:
    number = np.random.default_rng(seed).integers(0, 9, len(words))
    columns = [range(len(words)), [w for _, w in words], [n for n, _ in words], number, number, [[]] * len(words)]
    counts = pa.table([pa.array(c, f.type) for c, f in zip(columns, ENTRY_COUNTS, strict=True)], ENTRY_COUNTS)
    of_entry = np.column_stack([number // 2, number - number // 2])
    packed = unpack(pack_entries(counts, of_entry, {"a": [3.0], "b": [5.0]}).text)
    texts, before = [], ""
    for shared, rest in zip(packed["shared"], packed["words"].split("\n") if words else [], strict=True):
        # As a browser counts: a character beyond the BMP is two.
        before = before.encode("utf-16-le")[: 2 * shared].decode("utf-16-le") + rest
        texts.append(before)
    languages = [name for name, num in packed["languages"] for _ in range(num)]
    assert sorted(zip(languages, texts, packed["count"], strict=True)) == sorted(
        (name, word, int(n)) for (name, word), n in zip(words, number, strict=True)
    )
    head = [n // 2 for name, n in zip(languages, packed["count"], strict=True) if n > (3 if name == "a" else 5)]
    assert packed["kept"] == [head]


def test_of_more_entries_than_a_page_holds_the_most_frequent_are_listed() -> None:
    _, _, counts = make_pool(1, 500)
    entries = pack_entries(counts, np.zeros((60, 1), int), {name: [] for name in LANGUAGES}, most_bytes=180)
    packed, ascending = unpack(entries.text), sorted(counts["entry_count"].to_pylist())
    assert len(entries.text) <= 180
    assert 10 < entries.num_listed < 60
    assert sorted(packed["count"]) == ascending[-entries.num_listed :]
    assert entries.most_unlisted == ascending[-entries.num_listed - 1]

"""Laws of balancing (Xu et al. 2023, sections 3.4 and A.2)."""

import math
from collections.abc import Mapping, Sequence
from itertools import chain, pairwise

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip_dagster.balancing import (
    admit,
    build_draw,
    count_sizes,
    draw_pairs,
    find_thresholds,
    keep_probability,
    language_thresholds,
    parse_threshold,
    select_pairs,
    uniform,
)
from metaclip_dagster.schemas import ADMISSIONS, PAIRS, SUBSETS
from tests.metaclip_dagster.tables import count_naively, counts_of, image_of, matches_of, zipf_pool

NUM_PAIRS, NUM_ENTRIES = 40_000, 500
POOL = zipf_pool(NUM_PAIRS, NUM_ENTRIES)
COUNTS = count_naively(POOL, NUM_ENTRIES)
COUNT = COUNTS["entry_count"].to_numpy().astype(np.float64)


def draw_pool(seed: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return draw_pairs(POOL, build_draw(COUNTS), seed)


@pytest.mark.parametrize("t", [2.0, 20.0, 300.0, 5_000.0, 20_000.0])
def test_the_size_of_a_subset_is_that_of_the_coins(t: float) -> None:
    probabilities = np.array([keep_probability(COUNT[entries], t) for entries in POOL["entry_ids"].to_pylist()])
    deviation = math.sqrt((probabilities * (1 - probabilities)).sum())
    for seed in range(3):
        size = int((draw_pool(seed) < t).sum())
        assert abs(size - probabilities.sum()) <= 4 * deviation, (size, probabilities.sum(), deviation)


@pytest.mark.parametrize("t", [5.0, 20.0, 100.0])
def test_the_tail_is_kept_whole(t: float) -> None:
    is_in = draw_pool(0) < t
    for is_kept, entries in zip(is_in, POOL["entry_ids"].to_pylist(), strict=True):
        assert is_kept or COUNT[entries].min() > t


def test_a_head_entrys_own_coins_keep_t_pairs_in_the_mean() -> None:
    head, t, draw = int(COUNT.argmax()), 200.0, build_draw(COUNTS)
    pairs = POOL["pair_id"].to_numpy()[[head in entries for entries in POOL["entry_ids"].to_pylist()]]
    sizes = [
        int((uniform(pairs, np.full(len(pairs), draw.entry_key[head]), seed) * COUNT[head] < t).sum())
        for seed in range(100)
    ]
    assert abs(np.mean(sizes) - t) < 4 * math.sqrt(t / 100)
    assert np.var(sizes) == pytest.approx(t * (1 - t / COUNT[head]), rel=0.6)


def test_subsets_are_nested_in_t_and_inf_is_the_pool() -> None:
    drawn, rungs = draw_pool(0), [1.0, 2.0, 20.0, 1e3, COUNT.max(), math.inf]
    subsets = [set(np.flatnonzero(drawn < t)) for t in rungs]
    assert all(smaller <= larger for smaller, larger in pairwise(subsets))
    assert len(subsets[-1]) == len(subsets[-2]) == POOL.num_rows


def test_the_draw_does_not_depend_on_batches_and_order() -> None:
    draw = build_draw(COUNTS)
    whole = pa.Table.from_batches(admit([POOL], draw=draw, seed=1))
    order = np.random.default_rng(1).permutation(POOL.num_rows)
    shuffled = POOL.take(pa.array(order))
    parts = pa.Table.from_batches(
        admit([shuffled[i : i + 777] for i in range(0, POOL.num_rows, 777)], draw=draw, seed=1)
    )
    assert parts.schema == ADMISSIONS
    assert parts.sort_by("pair_id") == whole.sort_by("pair_id")


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 2**64 - 1), st.sets(st.integers(0, 29), min_size=1)), min_size=1),
    st.lists(st.integers(0, 2**50), min_size=30, max_size=30),
    st.integers(0, 5),
)
def test_the_draw_of_a_pair_is_the_least_of_its_entries_bit_for_bit(
    rows: list[tuple[int, set[int]]], counts: list[int], start: int
) -> None:
    draw = build_draw(counts_of(counts))
    pool = pa.concat_batches([matches_of({pair: sorted(entries)}) for pair, entries in rows])[start:]
    naive = []
    for pair, entries in rows[start:]:
        of = np.array(sorted(entries))
        naive.append(min(uniform(np.full(len(of), pair, np.uint64), draw.entry_key[of], 3) * draw.entry_count[of]))
    assert draw_pairs(pool, draw, 3).tolist() == naive


def test_a_match_of_an_entry_that_was_not_counted_is_refused() -> None:
    draw = build_draw(counts_of([5, 5]))
    with pytest.raises(IndexError, match="was not counted"):
        draw_pairs(matches_of({1: [0, 1], 2: [0, 2]}), draw, 0)


def test_a_changed_list_of_entries_redraws_no_entry_that_stays() -> None:
    draw = build_draw(COUNTS)
    longer = pa.concat_tables([counts_of([7]).set_column(1, "entry", pa.array(["new"])), COUNTS])
    moved = build_draw(longer)
    assert np.array_equal(moved.entry_key[1:], draw.entry_key)


def mix(x: int) -> int:
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
    return x ^ x >> 31


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers())
def test_a_draw_is_splitmix_of_the_pair_the_entry_and_the_seed(pair: int, entry: int, seed: int) -> None:
    start = xxhash.xxh3_64_intdigest(f"seed {seed}".encode())
    drawn = (mix((mix(pair ^ start) + entry) % 2**64) >> 11) / 2**53
    assert uniform(np.array([pair], np.uint64), np.array([entry], np.uint64), seed).tolist() == [drawn]


def test_seeds_and_entries_give_independent_uniform_draws() -> None:
    pairs = np.arange(100_000, dtype=np.uint64)
    draws = [uniform(pairs, np.full(len(pairs), key, np.uint64), seed) for key, seed in [(1, 0), (2, 0), (1, 1)]]
    for drawn in draws:
        counted, _ = np.histogram(drawn, 100, (0, 1))
        assert ((counted - 1000) ** 2 / 1000).sum() < 99 + 5 * math.sqrt(2 * 99)
    for i, j in [(0, 1), (0, 2), (1, 2)]:
        assert abs(np.corrcoef(draws[i], draws[j])[0, 1]) < 5 / math.sqrt(len(pairs))


@given(st.integers(1, 2**53))
def test_u_times_a_count_stays_below_the_count(count: int) -> None:
    largest = float(np.uint64(2**64 - 1) >> np.uint64(11)) * 2.0**-53
    assert largest < 1
    assert largest * count < count


def test_probabilities_of_huge_counts_are_not_lost() -> None:
    assert keep_probability(np.array([1e10]), 20_000.0) == pytest.approx(2e-6, rel=1e-9)
    assert keep_probability(np.array([1e12, 1e12]), 20_000.0) == pytest.approx(4e-8, rel=1e-6)
    assert keep_probability(np.array([0.5, 1e10]), 1.0) == 1.0


def test_two_coins_of_one_half_keep_three_quarters() -> None:
    assert keep_probability(np.array([2.0, 2.0]), 1.0) == 0.75


ADMITTED = pa.Table.from_batches(admit([POOL], draw=build_draw(COUNTS), seed=0))


@pytest.mark.parametrize("num_pairs", [1, 17, 20_000, NUM_PAIRS])
def test_one_call_gives_the_t_for_exactly_n_pairs(num_pairs: int) -> None:
    drawn = np.sort(ADMITTED["admitted_at"].to_numpy())
    [t] = find_thresholds([num_pairs], ADMITTED.to_batches(), COUNTS)
    assert (drawn < t).sum() == num_pairs
    assert t <= (drawn[num_pairs] if num_pairs < NUM_PAIRS else math.inf)
    assert count_sizes(ADMITTED.to_batches(max_chunksize=999), [{"en": t}, {"en": math.inf}]) == [num_pairs, NUM_PAIRS]


def test_one_sort_gives_the_t_of_every_quantile() -> None:
    drawn, shares = ADMITTED["admitted_at"].to_numpy(), [0.9, 0.25, 0.5]
    thresholds = find_thresholds([round(share * NUM_PAIRS) for share in shares], ADMITTED.to_batches(), COUNTS)
    assert [np.mean(drawn < t) for t in thresholds] == pytest.approx(shares, abs=1 / NUM_PAIRS)
    assert thresholds == [np.nextafter(np.quantile(drawn, share, method="inverted_cdf"), np.inf) for share in shares]


@given(
    st.lists(st.tuples(st.sampled_from(["en", "xx"]), st.integers(0, 9))),
    st.lists(st.tuples(*[st.integers(0, 10)] * 2)),
)
def test_sizes_are_what_a_loop_counts_at_any_t_in_any_order(
    rows: list[tuple[str, int]], rungs: list[tuple[int, int]]
) -> None:
    columns = {"pair_id": range(len(rows)), "image_id": [image_of(0)] * len(rows)}
    drawn_columns = {"language": [language for language, _ in rows], "admitted_at": [float(drawn) for _, drawn in rows]}
    batch = pa.RecordBatch.from_pydict({**columns, **drawn_columns}, schema=ADMISSIONS)
    held_to = [dict(zip(("en", "xx"), map(float, rung), strict=True)) for rung in rungs]
    naive = [sum(drawn < of_language[language] for language, drawn in rows) for of_language in held_to]
    assert count_sizes([batch[:3], batch[3:]], held_to) == naive


@pytest.mark.parametrize("num_pairs", [0, -1, NUM_PAIRS + 1])
def test_a_size_that_no_t_gives_is_refused(num_pairs: int) -> None:
    with pytest.raises(ValueError, match="pool of 40,000 pairs"):
        find_thresholds([num_pairs], ADMITTED.to_batches(), COUNTS)


def test_the_t_for_n_pairs_holds_every_language_to_its_own() -> None:
    counts = counts_of([1, 99, 10, 20], ["en", "en", "xx", "xx"])
    english, other = matches_of({pair: [0] for pair in range(5)}), matches_of({10: [2], 11: [3]}, "xx")
    admitted = list(admit([english, other], draw=build_draw(counts), seed=0))
    [t] = find_thresholds([6], admitted, counts)
    assert count_sizes(admitted, [language_thresholds(counts, t)])[0] >= 6
    below = float(np.nextafter(t, 0))
    assert count_sizes(admitted, [language_thresholds(counts, below)])[0] < 6


@pytest.mark.parametrize("text", ["0", "-1", "nan", "", "twenty", "20.0", "2e4", "020", "Infinity", "1_000", "-inf"])
def test_a_threshold_that_is_no_positive_number_in_its_one_spelling_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"t (must be|has one spelling)"):
        parse_threshold(text)


@given(st.floats(min_value=1e-300, allow_nan=False))
def test_every_positive_float_has_a_spelling_that_reads_back(t: float) -> None:
    text = str(int(t)) if t < 2**53 and t == int(t) else repr(t)
    assert parse_threshold(text) == t


counts_strategy = st.lists(st.integers(0, 50), min_size=1, max_size=12)
languages_strategy = st.dictionaries(st.sampled_from(["de", "xx", "zz"]), counts_strategy)


def counts_by_language(counts: Mapping[str, Sequence[int]]) -> pa.Table:
    listed = [*chain.from_iterable(counts.values())]
    return counts_of(listed, [name for name, of_language in counts.items() for _ in of_language])


def share_of_tail(counts: Sequence[int], t: float) -> float:
    return sum(count for count in counts if count <= t) / sum(counts)


@given(counts_strategy.filter(any), languages_strategy, st.lists(st.floats(0.5, 60), min_size=2, max_size=6))
def test_subsets_are_nested_in_all_languages_at_once_and_no_language_is_dropped(
    english: list[int], others: dict[str, list[int]], rungs: list[float]
) -> None:
    table, rungs = counts_by_language({"en": english, **others}), [*sorted(rungs), math.inf]
    thresholds = [language_thresholds(table, t) for t in rungs]
    assert [of_language["en"] for of_language in thresholds] == rungs
    for smaller, larger in pairwise(thresholds):
        assert smaller.keys() == larger.keys() == {"en", *others}
        assert all(t <= larger[name] for name, t in smaller.items())
    for name, counts in others.items():
        assert thresholds[0][name] >= min([count for count in counts if count], default=1)


@given(counts_strategy.filter(any), languages_strategy, st.floats(0.5, 60))
def test_a_languages_tail_has_at_most_the_share_of_english_and_as_near_as_a_count_allows(
    english: list[int], others: dict[str, list[int]], t: float
) -> None:
    thresholds, share = language_thresholds(counts_by_language({"en": english, **others}), t), share_of_tail(english, t)
    for name, counts in others.items():
        distinct = sorted({count for count in counts if count}) or [1]  # without a match there is no pair
        allowed = [count for count in distinct if any(counts) and share_of_tail(counts, count) <= share]
        assert thresholds[name] == max(allowed, default=distinct[0])


def test_equal_counts_and_a_small_share_do_not_drop_a_language() -> None:
    table = counts_of([1, 99, 10, 10, 10, 0, 0, 0], ["en"] * 2 + ["xx"] * 5 + ["zz"])
    assert language_thresholds(table, 50.0) == {"en": 50.0, "xx": 10.0, "zz": 1.0}


def test_a_finite_t_without_an_english_match_is_an_error_and_inf_is_not() -> None:
    table = counts_of([0, 5], ["en", "xx"])
    with pytest.raises(ValueError, match="the pool has none"):
        language_thresholds(table, 20.0)
    assert language_thresholds(table, math.inf) == {"en": math.inf, "xx": math.inf}


def pairs_of(ids: list[int]) -> pa.RecordBatch:
    columns = {
        "pair_id": ids,
        "image_id": [image_of(i) for i in ids],
        "url": [f"http://x.example/{i}.png" for i in ids],
        "text": [f"text {i}" for i in ids],
        "text_source": ["alt"] * len(ids),
        "page_url": ["http://x.example/"] * len(ids),
        "warc": ["a.warc.gz"] * len(ids),
        "offset": [0] * len(ids),
        "pool_address": [f"https://theirs.invalid/0.tar/{i}-9.png" for i in ids],
        "crawled_at": [None] * len(ids),
        "page_signals": [[]] * len(ids),
        "license": ["CC-BY-4.0"] * len(ids),
        "license_evidence": [f"rel=license https://licences.example/{i}" for i in ids],
    }
    return pa.RecordBatch.from_pydict(columns, schema=PAIRS)


def test_a_subset_joins_what_the_three_tables_know_of_a_pair() -> None:
    pairs = [pairs_of([5, 1]), pairs_of([9, 7]), pairs_of([3])]
    matches = [matches_of({1: [0, 2], 9: [1]}), matches_of({3: [2]})]
    admitted = {"pair_id": [1, 9, 3], "image_id": [image_of(i) for i in (1, 9, 3)], "language": ["en"] * 3}
    admissions = [pa.RecordBatch.from_pydict({**admitted, "admitted_at": [1.5, 30.0, 19.9]}, schema=ADMISSIONS)]
    subset = pa.Table.from_batches(
        select_pairs(pairs, matches, admissions, thresholds={"en": 20.0}, snapshot="S"), SUBSETS
    ).to_pylist()
    assert [row["pair_id"] for row in subset] == [1, 3]
    assert subset[0] == {
        "snapshot": "S",
        "pair_id": 1,
        "image_id": image_of(1).hex(),
        "language": "en",
        "url": "http://x.example/1.png",
        "text": "text 1",
        "page_url": "http://x.example/",
        "entry_ids": [0, 2],
        "admitted_at": 1.5,
        "t": 20.0,
        "pool_address": "https://theirs.invalid/0.tar/1-9.png",
        "license": "CC-BY-4.0",
        "license_evidence": "rel=license https://licences.example/1",
    }
    nothing = list(select_pairs(pairs, matches, admissions, thresholds={"en": 1.0}, snapshot="S"))
    assert sum(batch.num_rows for batch in nothing) == 0


def test_tables_of_different_shards_are_not_joined() -> None:
    admissions = [next(admit([matches_of({1: [0], 2: [0]})], draw=build_draw(counts_of([2])), seed=0))]
    with pytest.raises(ValueError, match="disagree"):
        list(
            select_pairs(
                [pairs_of([2, 1])], [matches_of({1: [0], 2: [0]})], admissions, thresholds={"en": 99.0}, snapshot="S"
            )
        )


def test_an_empty_pool_is_admitted_as_nothing() -> None:
    assert list(admit([POOL[:0]], draw=build_draw(COUNTS), seed=0)) == []

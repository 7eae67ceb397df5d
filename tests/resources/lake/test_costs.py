"""Costs of what is made tell what others will cost: linear in their size, exact where all are alike."""

import math
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.lake.costs import (
    Cost,
    Observation,
    cost_of,
    keep_earlier,
    observe,
    predict_by_shard,
    predict_by_size,
    read_costs,
    write_costs,
)
from resources.lake.tables import PartitionManifest, ShardManifest, TableStore

seconds = st.lists(st.floats(0.01, 1e4), min_size=1, max_size=20)


def partition(*cpu_seconds: float, rows: int = 10, read: int = 0) -> PartitionManifest:
    shards = (
        ShardManifest(str(k), "", "", rows, 5, "", seen={"bytes_read": read}, cpu_seconds=cpu)
        for k, cpu in enumerate(cpu_seconds)
    )
    return PartitionManifest("pairs", "S", "", 0, tuple(shards))


@given(seconds, seconds, st.integers(1, 1000))
def test_twice_the_shards_cost_twice_as_much_and_are_as_sure(one: list[float], two: list[float], shards: int) -> None:
    manifests = [partition(*one), partition(*two)]
    once, off = predict_by_shard(manifests, shards)
    twice, as_off = predict_by_shard(manifests, 2 * shards)
    assert twice.cpu_seconds == pytest.approx(once.times(2).cpu_seconds)
    assert off == as_off


@given(seconds)
def test_as_many_shards_as_are_made_cost_what_they_cost(spent: list[float]) -> None:
    manifest = partition(*spent, read=7)
    expected, _ = predict_by_shard([manifest], len(spent))
    assert expected.cpu_seconds == pytest.approx(cost_of(manifest).cpu_seconds)
    assert (expected.rows, expected.bytes_read) == pytest.approx((10 * len(spent), 7 * len(spent)))


def test_equal_shards_leave_no_doubt_and_a_single_one_leaves_all() -> None:
    assert predict_by_shard([partition(2.0, 2.0), partition(2.0)], 5) == (Cost(10.0, 0, 25, 50), 0.0)
    assert predict_by_shard([partition(2.0)], 5)[1] == math.inf


def test_the_doubt_is_twice_the_standard_error_of_the_mean() -> None:
    _, off = predict_by_shard([partition(1.0, 3.0)], 9)
    assert off == pytest.approx(2 * math.sqrt(2 / 2) / 2)


A_SHARD, A_ROW = 0.056, 0.43e-6
"""CPU seconds of a bucket of the search for duplicates, and of a row in it."""


def build(size: float, shards: int = 256, a_shard: float = A_SHARD, a_row: float = A_ROW) -> Observation:
    """What a stage takes that is linear in its shards and its input."""
    return Observation(shards, size, Cost(cpu_seconds=a_shard * shards + a_row * size, rows=size))


@given(st.floats(0, 100), st.floats(0, 100), st.floats(1, 1e6), st.integers(1, 50))
def test_what_costs_so_much_a_shard_and_a_row_is_predicted_exactly_from_two_sizes(
    a_shard: float, a_row: float, rows: float, shards: int
) -> None:
    others = [build(size, num, a_shard, a_row) for num, size in ((4, 100.0), (4, 700.0), (9, 300.0))]
    low, high = predict_by_size(others, rows, shards)
    assert low == high
    assert low.cpu_seconds == pytest.approx(a_shard * shards + a_row * rows, rel=1e-5, abs=1e-6)


@given(st.floats(0.01, 100), st.floats(1e-9, 1), st.integers(1, 300), st.floats(1, 1e9), st.floats(1.2, 1000))
def test_one_observation_gives_a_range_that_holds_the_truth(
    a_shard: float, a_row: float, shards: int, size: float, times: float
) -> None:
    low, high = predict_by_size([build(size, shards, a_shard, a_row)], size * times, shards)
    truth = build(size * times, shards, a_shard, a_row).cost.cpu_seconds
    assert low.cpu_seconds <= truth * (1 + 1e-9)
    assert truth <= high.cpu_seconds * (1 + 1e-9)


def test_rounding_decides_nothing_where_two_explanations_fit_alike() -> None:
    for cpu_seconds in (14.42, 14.43):
        low, high = predict_by_size([Observation(256, 50_130, Cost(cpu_seconds))], 6_015_600, 256)
        assert (low.cpu_seconds, high.cpu_seconds) == pytest.approx((cpu_seconds, 120 * cpu_seconds))


@pytest.mark.parametrize("noise", [-0.02, 0.02])
def test_a_hundredth_and_a_quarter_predict_the_whole_within_a_tenth(noise: float) -> None:
    pool = 6_000_000
    for a_shard, a_row in ((A_SHARD, A_ROW), (A_SHARD, 100 * A_ROW), (0.0, A_ROW), (A_SHARD, 0.0)):
        hundredth, quarter, whole = (build(share * pool, 256, a_shard, a_row) for share in (0.01, 0.25, 1))
        noisy = replace(quarter, cost=quarter.cost.times(1 + noise))
        low, high = predict_by_size([hundredth, noisy], pool, 256)
        assert low == high
        assert low.cpu_seconds == pytest.approx(whole.cost.cpu_seconds, rel=0.1)


def test_a_hundredth_of_equal_archives_predicts_the_whole_within_a_quarter() -> None:
    draw = random.Random(1)
    spent = [draw.gauss(40, 8) for _ in range(9000)]  # an archive's start, and its records
    expected, off = predict_by_shard([partition(*spent[::100])], len(spent))
    assert expected.cpu_seconds == pytest.approx(sum(spent), rel=0.25)
    assert abs(expected.cpu_seconds / sum(spent) - 1) < 2 * off


def test_earlier_builds_are_kept_as_long_as_they_tell_more(tmp_path: Path) -> None:
    manifest = replace(partition(1.0, 1.0), size=100.0, inputs={"stage": "s 1"})
    assert keep_earlier(manifest, "s 1", 105) == ()  # about as large: the new build stands for both
    assert keep_earlier(manifest, "s 2", 900) == ()  # other code
    assert keep_earlier(None, "s 1", 900) == ()
    larger = replace(manifest, size=900.0, earlier=keep_earlier(manifest, "s 1", 900))
    store = TableStore(str(tmp_path), "pairs", "S")
    store.finish(larger)
    stored = store.manifest()
    assert stored
    assert observe(stored, 0) == [Observation(2, size, cost_of(manifest)) for size in (100.0, 900.0)]


def test_what_a_report_took_is_kept_by_the_size_of_its_pool(tmp_path: Path) -> None:
    assert read_costs(tmp_path, "card") == []
    for observed in (build(100), build(500), build(510)):
        write_costs(tmp_path, "card", observed)
    assert read_costs(tmp_path, "card") == [build(100), build(510)]


@given(st.lists(st.tuples(st.integers(0, 10**6), seconds), min_size=1, max_size=4), st.integers(0, 10**6))
def test_no_cost_is_negative_and_twice_the_size_in_twice_the_shards_costs_twice(
    builds: list[tuple[int, list[float]]], size: int
) -> None:
    others = [Observation(len(spent), float(rows), cost_of(partition(*spent))) for rows, spent in builds]
    once, twice = predict_by_size(others, size, 3), predict_by_size(others, 2 * size, 6)
    for one, two in zip(once, twice, strict=True):
        assert one.cpu_seconds >= 0
        assert two.cpu_seconds == pytest.approx(2 * one.cpu_seconds)


def test_of_nothing_nothing_is_predicted() -> None:
    for predict in (lambda: predict_by_shard([], 1), lambda: predict_by_size([], 1, 1)):
        with pytest.raises(LookupError, match="nothing of the kind is made yet"):
            predict()

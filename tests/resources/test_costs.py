"""Costs of what is made tell what others will cost: linear in their size, exact where all are alike."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.costs import Cost, cost_of, predict_by_shard, predict_by_size
from resources.tables import PartitionManifest, ShardManifest

seconds = st.lists(st.floats(0.01, 1e4), min_size=1, max_size=20)


def partition(*cpu_seconds: float, rows: int = 10, read: int = 0) -> PartitionManifest:
    shards = (
        ShardManifest(str(k), "", "", rows, 5, "", seen={"bytes_read": read}, cpu_seconds=cpu)
        for k, cpu in enumerate(cpu_seconds)
    )
    return PartitionManifest("pairs", "S", "", 0, tuple(shards))


@given(seconds, seconds, st.integers(1, 1000))
def test_twice_the_shards_cost_twice_as_much_and_are_as_sure(one: list[float], two: list[float], shards: int) -> None:
    made = [partition(*one), partition(*two)]
    once, off = predict_by_shard(made, shards)
    twice, as_off = predict_by_shard(made, 2 * shards)
    assert twice.cpu_seconds == pytest.approx(once.times(2).cpu_seconds)
    assert off == as_off


@given(seconds)
def test_as_many_shards_as_are_made_cost_what_they_cost(spent: list[float]) -> None:
    made = partition(*spent, read=7)
    expected, _ = predict_by_shard([made], len(spent))
    assert expected.cpu_seconds == pytest.approx(cost_of(made).cpu_seconds)
    assert (expected.rows, expected.bytes_read) == pytest.approx((10 * len(spent), 7 * len(spent)))


def test_equal_shards_leave_no_doubt_and_a_single_one_leaves_all() -> None:
    assert predict_by_shard([partition(2.0, 2.0), partition(2.0)], 5) == (Cost(10.0, 0, 25, 50), 0.0)
    assert predict_by_shard([partition(2.0)], 5)[1] == math.inf


def test_the_doubt_is_twice_the_standard_error_of_the_mean() -> None:
    _, off = predict_by_shard([partition(1.0, 3.0)], 9)
    assert off == pytest.approx(2 * math.sqrt(2 / 2) / 2)


@given(st.floats(0, 100), st.floats(0, 100), st.floats(1, 1e6), st.integers(1, 50))
def test_what_costs_so_much_a_shard_and_a_row_is_predicted_exactly(
    a_shard: float, a_row: float, rows: float, shards: int
) -> None:
    def made(num_shards: int, size: float) -> tuple[float, PartitionManifest]:
        return size, partition(*[a_shard + a_row * size / num_shards] * num_shards)

    others = [made(4, 100.0), made(4, 700.0), made(9, 300.0)]
    expected = predict_by_size(others, rows, shards)
    assert expected.cpu_seconds == pytest.approx(a_shard * shards + a_row * rows, rel=1e-5, abs=1e-6)


@given(st.lists(st.tuples(st.integers(0, 10**6), seconds), min_size=1, max_size=4), st.integers(0, 10**6))
def test_no_cost_is_negative_and_twice_the_size_in_twice_the_shards_costs_twice(
    made: list[tuple[int, list[float]]], size: int
) -> None:
    others = [(float(rows), partition(*spent)) for rows, spent in made]
    once, twice = predict_by_size(others, size, 3), predict_by_size(others, 2 * size, 6)
    assert once.cpu_seconds >= 0
    assert twice.cpu_seconds == pytest.approx(2 * once.cpu_seconds)


def test_of_nothing_nothing_is_predicted() -> None:
    for predict in (lambda: predict_by_shard([], 1), lambda: predict_by_size([], 1, 1)):
        with pytest.raises(LookupError, match="nothing of the kind is made yet"):
            predict()

"""A pair stays exactly where its pool has a number of it, and that lies within the limits."""

from collections import Counter
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from metaclip_dagster.filtering import judge_columns
from metaclip_dagster.schemas import POOL_COLUMNS, SUBSETS
from metaclip_dagster.urls import bucket_images
from tests.metaclip_dagster.filtering.test_filtering import image_id

numbers = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.floats(-2, 2))
limits = st.dictionaries(st.sampled_from(["at_least", "at_most"]), st.floats(-1, 1), min_size=1)
pools = st.dictionaries(st.sampled_from(["x/00000", "y/00000"]), st.dictionaries(st.integers(0, 9), numbers))


def columns_of(pool: dict[int, dict[str, float]]) -> list[pa.RecordBatch]:
    rows = [
        {"pair_id": pair_id, "column": column, "value": value}
        for pair_id, of_pair in pool.items()
        for column, value in of_pair.items()
    ]
    return [pa.RecordBatch.from_pylist(rows, POOL_COLUMNS)]


@given(pools, st.dictionaries(st.sampled_from(["a", "b"]), limits, min_size=1))
def test_a_pair_stays_where_every_number_is_within_its_limits(
    columns: dict[str, dict[int, dict[str, float]]], of_columns: dict[str, dict[str, float]]
) -> None:
    # A pair of an even number comes from the first pool, whatever the second one says of it, and so on.
    places = {pair_id: ("x/00000", "y/00000", "crawl/00000")[pair_id % 3] for pair_id in range(10)}
    rows: dict[str, list[dict[str, Any]]] = {"x/00000": [], "y/00000": [], "crawl/00000": []}
    for pair_id, place in places.items():
        rows[place].append({"image_id": image_id(pair_id // 2), "pair_id": pair_id})
    seen = Counter[str]()
    verdicts = judge_columns(
        {place: [pa.RecordBatch.from_pylist(of_place, SUBSETS)] for place, of_place in rows.items()},
        {place: columns_of(pool) for place, pool in columns.items()},
        limits=of_columns,
        num_buckets=4,
        seen=seen,
    )

    def judge(pair_id: int) -> tuple[str, float | None] | None:
        of_pair = columns.get(places[pair_id], {}).get(pair_id, {})
        for column, bounds in of_columns.items():
            if column not in of_pair:
                return f"missing_{column}", None
            if not bounds.get("at_least", -9) <= of_pair[column] <= bounds.get("at_most", 9):
                return f"filtered_{column}", of_pair[column]
        return None

    expected = {pair_id: verdict for pair_id in range(10) if (verdict := judge(pair_id))}
    assert {row["pair_id"]: (row["reason"], row["measured"]) for row in verdicts.to_pylist()} == expected
    assert verdicts["bucket"].to_pylist() == sorted(bucket_images(verdicts["image_id"].to_pylist(), 4))
    assert seen.pop("pairs") == 10
    assert +seen == Counter(reason for reason, _ in expected.values())

"""Near images found in buckets, and cut into any number of bands, are those that comparing each with each finds."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metaclip_dagster.filtering import find_near_images, judge_images, scatter_looks
from metaclip_dagster.filtering.bands import choose_num_bands, find_nearest, find_nearest_earlier
from metaclip_dagster.filtering.hashes import Looks
from metaclip_dagster.schemas import IMAGE_LOOKS, IMAGE_SCORES, IMAGE_VERDICTS
from metaclip_dagster.urls import bucket_images

NUM_BUCKETS, NUM_RINGS = 3, 2


def draw_looks(seed: int, num: int, *, spread: int) -> Looks:
    """Images of which half are copies of a few, some with bits flipped and colours moved, and a tenth look the same."""
    random = np.random.default_rng(seed)
    looks = random.integers(0, 2**60, (num, 2), np.uint64)
    copied = random.random(num) < 0.5
    looks[copied] = looks[random.integers(0, max(1, num // 10), num)][copied]
    for _ in range(spread):
        looks[:, 0] ^= np.where(copied, np.uint64(1) << random.integers(0, 64, num, np.uint64), np.uint64(0))
    looks[:, 1] ^= np.where(copied, random.integers(0, 4, num, np.uint64) << np.uint64(20), np.uint64(0))
    looks[random.random(num) < 0.1] = (1 << 63, 7)
    return looks


def compare_all(looks: Looks, others: Looks, distance: int) -> np.ndarray:
    """Whether each image is near each of the others."""
    bits = np.bitwise_count(looks[:, None, 0] ^ others[None, :, 0])
    are_near: np.ndarray = bits <= distance
    for shift in np.arange(0, 60, 5, dtype=np.uint64):
        colours, other_colours = (((of[:, 1] >> shift) & np.uint64(31)).astype(int) for of in (looks, others))
        are_near &= np.abs(colours[:, None] - other_colours[None, :]) <= 2
    return are_near


def first_near(are_near: np.ndarray) -> list[int]:
    nearest: list[int] = np.where(are_near.any(axis=1), are_near.argmax(axis=1), -1).tolist()
    return nearest


seeds, sizes = st.integers(0, 2**32), st.integers(1, 150)


@given(seeds, sizes, st.integers(0, 12), st.integers(0, 3), st.integers(0, 5))
@settings(max_examples=60)
def test_any_number_of_bands_finds_what_comparing_each_with_each_finds(
    seed: int, num: int, distance: int, more_bands: int, spread: int
) -> None:
    looks, others = draw_looks(seed, num, spread=spread), draw_looks(seed, num // 2, spread=distance)
    earlier = np.tri(num, k=-1, dtype=bool)
    expected = first_near(compare_all(looks, looks, distance) & earlier)
    num_bands = distance + 1 + more_bands
    assert find_nearest_earlier(looks, distance, num_bands=num_bands).tolist() == expected
    if num > 1:
        assert find_nearest(looks, others, distance).tolist() == first_near(compare_all(looks, others, distance))


def score(looks: Looks, rings: np.ndarray, ids: list[str]) -> dict[str, dict[str, list[pa.RecordBatch]]]:
    """IMAGE_SCORES by the store's bucket and the ring."""
    buckets = bucket_images(ids, NUM_BUCKETS)
    rows = [
        {"image_id": image, "sha256": "", "phash": phash, "colours": colours, "scores": []}
        for image, (phash, colours) in zip(ids, looks.tolist(), strict=True)
    ]
    return {
        str(bucket): {
            str(ring): [
                pa.RecordBatch.from_pylist(
                    [row for at, row in enumerate(rows) if (buckets[at], rings[at]) == (bucket, ring)], IMAGE_SCORES
                )
            ]
            for ring in range(NUM_RINGS)
        }
        for bucket in range(NUM_BUCKETS)
    }


@given(seeds, sizes, st.integers(0, 7), st.integers(1, 4), st.integers(0, 3))
@example(1, 150, 6, 4, 2)
@settings(max_examples=25, deadline=None)
def test_verdicts_by_way_of_buckets_are_those_of_comparing_each_with_each(
    seed: int, num: int, distance: int, num_parts: int, more_bands: int
) -> None:
    random = np.random.default_rng(seed)
    looks, rings = draw_looks(seed, num, spread=distance // 2), random.integers(0, NUM_RINGS, num)
    ids = [f"{int(number):08x}{at:016x}" for at, number in enumerate(random.integers(0, 2**32, num))]
    scores = score(looks, rings, ids)
    rules: dict[str, Any] = {"filters": {}, "leakage_distance": None, "remove_leakage": False}
    cut: dict[str, Any] = {"near_duplicate_distance": distance, "num_bands": distance + 1 + more_bands}
    scattered = pa.Table.from_batches(scatter_looks(scores, [], num_parts=num_parts, **cut, **rules), IMAGE_LOOKS)
    near = pa.concat_tables(
        find_near_images(
            scattered.filter(pc.field("bucket") == bucket).to_batches(),
            band=bucket // num_parts,
            num_buckets=NUM_BUCKETS,
            **cut,
        )
        for bucket in range((distance + 1) * num_parts)
    )
    verdicts = pa.concat_tables(
        judge_images(
            of_rings,
            [],
            near.filter(pc.field("bucket") == int(bucket)).to_batches(),
            near_duplicate_distance=distance,
            num_buckets=NUM_BUCKETS,
            seen=Counter(),
            **rules,
        )
        for bucket, of_rings in scores.items()
    )
    order = sorted(range(num), key=lambda at: (rings[at], ids[at]))
    ordered = looks[order]
    nearest = first_near(compare_all(ordered, ordered, distance) & np.tri(num, k=-1, dtype=bool))
    expected = [
        {
            "bucket": int(bucket_images([ids[order[at]]], NUM_BUCKETS)[0]),
            "image_id": ids[order[at]],
            "reason": "near_duplicate",
            "measured": float((int(ordered[at, 0]) ^ int(ordered[other, 0])).bit_count()),
            "near": ids[order[other]],
            "left_out": True,
        }
        for at, other in enumerate(nearest)
        if other >= 0
    ]
    expected.sort(key=lambda row: (row["bucket"], row["image_id"]))
    assert verdicts == pa.Table.from_pylist(expected, IMAGE_VERDICTS)


@pytest.mark.parametrize("distance", [0, 3, 6, 15])
def test_more_images_are_cut_into_no_fewer_bands_and_always_into_more_than_may_differ(distance: int) -> None:
    numbers = [choose_num_bands(10**power, distance) for power in range(10)]
    assert numbers == sorted(numbers)
    assert numbers[0] > distance

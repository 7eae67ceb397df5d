"""A training set is its subset minus the failed images, tar by tar."""

import json
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip_dagster.schemas import IMAGE_TEXTS, IMAGES, SUBSETS, TRAINING_SETS
from metaclip_dagster.sharding import build_training_set, scatter_texts, webdataset_samples

Subset = dict[int, int]
"""pair -> its image; images from 100 up could not be fetched."""

subsets = st.dictionaries(st.integers(0, 40), st.integers(90, 110), min_size=1)


def image_id(image: int) -> str:
    return f"{image * 2654435761 % 2**32:08x}{image:016x}"


def subset_of(pairs: Subset) -> list[pa.RecordBatch]:
    rows = [
        {
            "snapshot": "S-01",
            "pair_id": pair,
            "image_id": image_id(image),
            "language": "en",
            "url": f"http://a.example/{image}",
            "text": f"text {pair}",
            "page_url": "http://a.example/",
            "license": "CC0-1.0" if pair % 2 else None,
            "license_evidence": "rel=license x" if pair % 2 else None,
            "entry_ids": [pair % 3],
            "admitted_at": float(pair),
            "t": 50.0,
        }
        for pair, image in pairs.items()
    ]
    return list(pa.Table.from_pylist(rows, SUBSETS).to_batches())


def images_of(images: set[int]) -> list[pa.RecordBatch]:
    rows = [
        {
            "image_id": image_id(image),
            "url": f"http://a.example/{image}",
            **({"reason": "not_found"} if image >= 100 else {"tar": f"00000/{image % 2:05d}.tar"}),
        }
        for image in images
    ]
    return list(pa.Table.from_pylist(rows, IMAGES).to_batches())


def webdataset_of(
    rows: list[dict[str, Any]], pairs: Subset, tars: dict[str, list[tuple[str, bytes]]]
) -> list[dict[str, Any]]:
    training_set = pa.Table.from_pylist(rows, TRAINING_SETS).to_batches()
    return list(webdataset_samples(training_set, subset_of(pairs), lambda tar: tars[tar]))


def build(
    pairs: Subset, num_buckets: int = 3, together: int = 1
) -> tuple[list[dict[str, Any]], Counter[str], Counter[str]]:
    scattered = pa.Table.from_batches(
        scatter_texts({"00000": subset_of(pairs)}, num_buckets=num_buckets), IMAGE_TEXTS
    ).to_pylist()
    dropped: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    rows = []
    for first in range(0, num_buckets, together):
        buckets = range(first, first + together)
        texts = pa.Table.from_pylist([row for row in scattered if row["bucket"] in buckets], IMAGE_TEXTS)
        images = images_of(set(pairs.values()))
        rows += build_training_set(texts.to_batches(), images * 2, dropped=dropped, seen=seen).to_pylist()
    return rows, dropped, seen


@settings(max_examples=30)
@given(subsets)
def test_a_training_set_is_its_subset_minus_the_failed_images_and_both_are_counted(pairs: Subset) -> None:
    rows, dropped, seen = build(pairs)
    in_set = {(row["image_id"], text["pair_id"]) for row in rows for text in row["texts"]}
    assert in_set == {(image_id(image), pair) for pair, image in pairs.items() if image < 100}
    assert (seen["pairs"], dropped["not_found"]) == (len(in_set), len(pairs) - len(in_set))
    assert seen["images"] == len(rows) == len({row["image_id"] for row in rows})
    assert seen["failed_images"] == len({image for image in pairs.values() if image >= 100})


@settings(max_examples=20)
@given(subsets, st.integers(1, 5), st.integers(1, 5))
def test_buckets_change_which_shard_holds_a_row_and_nothing_else(
    pairs: Subset, num_buckets: int, together: int
) -> None:
    (whole, *counted), (recut, *counted_recut) = build(pairs, 1), build(pairs, num_buckets, together)
    assert sorted(whole, key=lambda row: row["image_id"]) == sorted(recut, key=lambda row: row["image_id"])
    assert counted == counted_recut


def test_rows_of_one_tar_stand_together_in_the_order_of_the_tar() -> None:
    rows, _, _ = build({pair: 90 + pair % 10 for pair in range(30)}, 1)
    places = [(row["tar"], row["image_id"]) for row in rows]
    assert places == sorted(places)
    assert len({tar for tar, _ in places}) == 2


def test_of_two_tars_that_rings_name_the_later_one_is_read() -> None:
    """Numbers ascend for ever: the later tar took the place of one that was lost."""
    texts = pa.Table.from_batches(scatter_texts({"00000": subset_of({1: 90})}, num_buckets=1)).to_batches()
    lost, later = ({**images_of({90})[0].to_pylist()[0], "tar": f"00000/{n:05d}.tar"} for n in (9, 10))
    for rows in ([lost, later], [later, lost]):
        images = pa.Table.from_pylist(rows, IMAGES).to_batches()
        assert build_training_set(texts, images, dropped=Counter(), seen=Counter())["tar"].to_pylist() == [later["tar"]]


def test_an_image_of_which_an_honoured_signal_stands_is_left_out_and_counted_by_it() -> None:
    said = {0: [], 1: ["c2pa_training_mining", "x_robots_tag_image"], 2: ["x_robots_tag_image"]}
    rows = [
        row | {"opt_outs": [{"signal": name, "value": "no"} for name in said[number]]}
        for number in said
        for batch in images_of({number})
        for row in batch.to_pylist()
    ]
    [texts] = scatter_texts({"0": subset_of({number: number for number in said})}, num_buckets=1)
    for honoured, left_out in (
        ([], {}),
        (["c2pa_training_mining"], {"c2pa_training_mining": 1}),
        (["x_robots_tag_image", "c2pa_training_mining"], {"x_robots_tag_image": 2}),
    ):
        dropped, seen = Counter[str](), Counter[str]()
        images = pa.Table.from_pylist(rows, IMAGES).to_batches()
        built = build_training_set([texts], images, opt_outs=honoured, dropped=dropped, seen=seen)
        assert (built.num_rows, dropped) == (3 - sum(left_out.values()), left_out)
        assert seen["opted_out_images"] == sum(left_out.values())
    older = [batch.drop_columns(["opt_outs"]) for batch in images]
    assert build_training_set([texts], older, opt_outs=honoured, dropped=dropped, seen=seen).num_rows == 3


def test_an_image_that_no_ring_asked_for_is_an_error_that_names_the_way_out() -> None:
    texts = pa.Table.from_batches(scatter_texts({"00000": subset_of({1: 90, 2: 91})}, num_buckets=1)).to_batches()
    with pytest.raises(ValueError, match=r"1 images .*a\.example/91.*materialize images"):
        build_training_set(texts, images_of({90}), dropped=Counter(), seen=Counter())


def test_a_plain_webdataset_holds_each_image_once_with_its_texts() -> None:
    rows, _, _ = build({1: 90, 2: 90, 3: 91, 4: 105}, 1)
    tars = {f"00000/{n:05d}.tar": [(f"{image_id(image)}.webp", b"image")] for n, image in ((0, 90), (1, 91))}
    samples = {sample["__key__"]: sample for sample in webdataset_of(rows, {1: 90, 2: 90, 3: 91, 4: 105}, tars)}
    assert set(samples) == {image_id(90), image_id(91)}
    first = samples[image_id(90)]
    assert (first["jpg"], first["txt"]) == (b"image", "text 1")
    described = json.loads(first["json"])
    assert (described["url"], described["format"]) == ("http://a.example/90", "webp")
    # Half of all pair_ids are above 2**63, where other readers round or overflow.
    assert [(text["pair_id"], text["page_url"], text["license"]) for text in described["texts"]] == [
        ("1", "http://a.example/", "CC0-1.0"),
        ("2", "http://a.example/", None),
    ]


def test_an_address_that_was_made_up_is_none() -> None:
    rows, _, _ = build({1: 90}, 1)
    [subset] = subset_of({1: 90})
    url = subset.schema.get_field_index("url")
    subset = subset.set_column(url, "url", pa.array(["https://my-pool.invalid/00000.tar/512-9.jpg"]))
    tars = {"00000/00000.tar": [(f"{image_id(90)}.jpg", b"image")]}
    training_set = pa.Table.from_pylist(rows, TRAINING_SETS).to_batches()
    [sample] = webdataset_samples(training_set, [subset], lambda tar: tars[tar])
    assert json.loads(sample["json"])["url"] is None


def test_what_an_image_came_with_stands_under_the_names_of_img2dataset() -> None:
    rows, _, _ = build({1: 90}, 1)
    columns = {"tar": "00000/00000.tar", "image_id": image_id(90), "width": 32, "height": 48, "sha256": "stored"}
    came = {"fetched_width": 200, "fetched_height": 300, "fetched_sha256": "came"}
    training_set = pa.Table.from_pylist(rows, TRAINING_SETS).to_batches()
    for known, original in ((columns | came, (200, 300, "came")), (columns, (None, None, None))):
        [sample] = webdataset_samples(
            training_set,
            subset_of({1: 90}),
            lambda _: [(f"{image_id(90)}.jpg", b"image")],
            images=[pa.RecordBatch.from_pylist([known], pa.schema([IMAGES.field(name) for name in known]))] * 2,
        )
        described = json.loads(sample["json"])
        assert len(described["texts"]) == 1, "two rings name the image"
        assert (described["width"], described["height"]) == (32, 48)
        assert tuple(map(described.get, ("original_width", "original_height", "sha256"))) == original


def test_a_subset_that_was_made_anew_since_is_an_error() -> None:
    rows, _, _ = build({1: 90, 2: 91}, 1)
    with pytest.raises(ValueError, match=r"1 pairs of the training set are not in the subset.*training_sets"):
        webdataset_of(rows, {1: 90}, {})


def test_a_tar_that_lacks_an_image_of_the_set_is_an_error() -> None:
    rows, _, _ = build({1: 90}, 1)
    with pytest.raises(ValueError, match=r"00000/00000\.tar: 1 images"):
        webdataset_of(rows, {1: 90}, {"00000/00000.tar": []})

"""Columns of every type that holds texts are read, images in a table are read where they lie, no other is guessed."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.pools.images import open_pool_images
from tests.image_hosts import picture
from tests.resources.pools.test_pools import pairs_of, pool_of

URLS = ["https://h.org/1.jpg", "https://h.org/2.jpg"]
TEXTS = ["a dog", "caf\u00e9"]
LISTS = [["a dog", "a black dog"], ["caf\u00e9"]]
HF_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def pairs_of_table(folder: Path, **columns: Any) -> tuple[list[tuple[str, str]], dict[str, int]]:
    pq.write_table(pa.table(columns), folder / "a.parquet", row_group_size=1)
    pairs, dropped = pairs_of(pool_of(folder, files="a.parquet"))
    return [*zip(pairs["url"].to_pylist(), pairs["text"].to_pylist(), strict=True)], dropped


@pytest.mark.parametrize(
    "type_",
    [
        pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(),
        pa.dictionary(pa.int32(), pa.string()), pa.dictionary(pa.int32(), pa.binary()),
    ],
)  # fmt: skip
def test_texts_of_every_type_are_read(type_: pa.DataType, tmp_path: Path) -> None:
    columns = [pa.array([text.encode() for text in texts], pa.binary()).cast(pa.string()) for texts in (URLS, TEXTS)]
    if pa.types.is_dictionary(type_):
        columns = [column.cast(type_.value_type).dictionary_encode() for column in columns]
    else:
        columns = [column.cast(type_) for column in columns]
    assert pairs_of_table(tmp_path, url=columns[0], text=columns[1])[0] == [*zip(URLS, TEXTS, strict=True)]


@pytest.mark.parametrize("list_", [pa.list_, pa.large_list])
@pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.binary()])
def test_a_list_of_captions_gives_a_pair_each(list_: Any, type_: pa.DataType, tmp_path: Path) -> None:
    captions = pa.array([[text.encode() for text in texts] for texts in LISTS], list_(pa.binary())).cast(list_(type_))
    expected = [(url, text) for url, texts in zip(URLS, LISTS, strict=True) for text in texts]
    assert pairs_of_table(tmp_path, url=URLS, caption=captions)[0] == expected


def test_a_list_without_captions_and_a_null_in_one_are_no_texts(tmp_path: Path) -> None:
    pairs, dropped = pairs_of_table(
        tmp_path, url=[*URLS, "https://h.org/3.jpg"], caption=[[], None, ["a dog", None, ""]]
    )
    assert (pairs, dropped) == ([("https://h.org/3.jpg", "a dog")], {"no_text": 2})


def test_bytes_in_a_list_that_are_no_utf8_cost_no_other(tmp_path: Path) -> None:
    texts = pa.array([[b"a dog", b"caf\xe9"], [b"a cat"]], pa.list_(pa.binary()))
    pairs, _ = pairs_of_table(tmp_path, url=URLS, text=texts)
    assert [text for _, text in pairs] == ["a dog", "caf\ufffd", "a cat"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"url": URLS, "text": [1, 2]}, r"a\.parquet: column text is of type int64, .* for text in pools\.json"),
        ({"url": [URLS], "text": ["x"]}, r"a\.parquet: column url is of type list<.*string>"),
        ({"url": URLS, "text": [[[1]], []]}, r"a\.parquet: column text is of type list<"),
        ({"url": URLS, "text": [{"en": "x"}, None]}, r"a\.parquet: column text is of type struct<"),
        ({"image": URLS, "text": TEXTS}, r"a\.parquet: no column for url among image, text"),
    ],
)
def test_a_column_that_holds_no_texts_is_refused_by_name_and_type(
    columns: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        pairs_of_table(tmp_path, **columns)


def images_of(layout: str, images: list[bytes | None]) -> dict[str, Any]:
    """As Hugging Face's datasets and img2dataset write them; these have URLs too."""
    texts = [f"dog {number}" for number in range(len(images))]
    if layout == "datasets":
        rows = [{"bytes": image, "path": None} for image in images]
        return {"picture": pa.array(rows, HF_IMAGE), "text": texts}
    urls = [f"https://h.org/{number}.jpg" for number in range(len(images))]
    return {"url": urls, "jpg": pa.array(images, pa.binary()), "txt": texts}


@pytest.mark.parametrize("layout", ["datasets", "img2dataset"])
def test_images_in_a_table_are_read_where_they_lie(layout: str, tmp_path: Path) -> None:
    """Whatever row groups they lie in; where a row has none, its URL is all that is known."""
    images: list[bytes | None] = [picture(number) for number in range(7)]
    images[4] = None
    pq.write_table(pa.table(images_of(layout, images)), tmp_path / "a 0.parquet", row_group_size=3)
    crawl = pool_of(tmp_path, files="*.parquet")
    pairs, dropped = pairs_of(crawl)
    addresses = pairs["pool_address"].to_pylist()
    if layout == "datasets":
        assert dropped == {"no_url": 1}
        assert pairs["url"].to_pylist() == addresses
        assert all(address.startswith("https://theirs.invalid/a%200.parquet/") for address in addresses)
    else:
        assert pairs["url"].to_pylist() == [f"https://h.org/{number}.jpg" for number in range(7)]
        assert addresses.pop(4) is None
    files = {"theirs": crawl.pool("pool-theirs").image_files()}
    answers = dict(open_pool_images(files, None)(addresses[::-1]))
    assert [answers[address] for address in addresses] == [image for image in images if image]
    assert set(dict(open_pool_images(files, None, max_bytes=9)(addresses)).values()) == {"too_large"}
    name, _, last = addresses[0].rpartition("/")
    others = [f"{name}/{last.replace('0-', '99-')}", f"{name}/{last.replace('0-', 'x-')}", f"{name}/0-1.image"]
    others += [f"{name}/0{last}", f"{name}/{last.replace('.image', '.jpg')}"]  # one place has one address
    assert set(dict(open_pool_images(files, None)(others)).values()) == {"not_found"}


def test_a_table_that_breaks_after_it_was_listed_costs_its_own_images(tmp_path: Path) -> None:
    images: list[bytes | None] = [picture(number) for number in range(3)]
    pq.write_table(pa.table(images_of("datasets", images)), tmp_path / "a.parquet", row_group_size=1)
    crawl = pool_of(tmp_path, files="*.parquet")
    addresses = pairs_of(crawl)[0]["pool_address"].to_pylist()
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    data[4:60] = b"\xff" * 56
    (tmp_path / "a.parquet").write_bytes(data)
    answers = dict(open_pool_images({"theirs": crawl.pool("pool-theirs").image_files()}, None)(addresses))
    assert answers[addresses[0]] == "corrupt"
    assert answers.keys() == {*addresses}


def test_a_tables_page_and_own_names_in_any_case_are_read(tmp_path: Path) -> None:
    table = {"Image_URL": URLS, "Caption": TEXTS, "PAGE_URL": ["https://h.org/p", None]}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    pairs, _ = pairs_of(pool_of(tmp_path, files="a.parquet"))
    assert pairs["page_url"].to_pylist() == ["https://h.org/p", ""]
    assert json.dumps(pairs["url"].to_pylist()) == json.dumps(URLS)

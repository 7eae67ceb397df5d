"""Samples of tars and folders are those that webdataset reads, each image under the address that it came from."""

import io
import json
import os
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from webdataset.tariterators import group_by_keys, tar_file_expander

from metaclip_dagster.deduplicating.takedowns import build_takedowns, flag_taken_down
from metaclip_dagster.imaging import gather_images
from metaclip_dagster.schemas import IMAGE_TEXTS
from metaclip_dagster.urls import image_id_of
from resources.images.store import ImageStore
from resources.pools.images import Answer, open_pool_images
from tests.image_hosts import picture
from tests.metaclip_dagster.training_sets import write_tar
from tests.resources.pools.test_pools import pairs_of, pool_of

Members = list[tuple[str, bytes]]
MADE_UP = "https://theirs.invalid/"


def img2dataset(numbers: range = range(3), *, folder: str = "") -> Members:
    """As img2dataset 1.47 writes them: image, caption, and a JSON with the row that it was made of."""
    members: Members = []
    for number in numbers:
        key = f"{folder}{number:09d}"
        row = {"url": f"https://photos.example/{number}.jpg", "caption": f"A dog, {number}", "key": key, "width": 64}
        members += [
            (f"{key}.jpg", picture(number)),
            (f"{key}.json", json.dumps({**row, "status": "success", "exif": "{}"}, indent=4).encode()),
            (f"{key}.txt", f"A dog, {number}".encode()),
        ]
    return members


def pictures_of(crawl: Any, pairs: pa.Table) -> list[Answer]:
    addresses = pairs["pool_address"].to_pylist()
    fetched = dict(open_pool_images({"theirs": crawl.pool("pool-theirs").image_files()}, None)(addresses))
    return [fetched[address] for address in addresses]


APPLE_DOUBLE = b"\0\5\x16\7\0\2\0\0Mac OS X"
TARS: dict[str, Members] = {
    "img2dataset": img2dataset(),
    "below a folder": img2dataset(folder="./00000/"),
    "AppleDouble files of macOS": [
        (f"{mark}{number}.{kind}", APPLE_DOUBLE if mark else data)
        for number in range(4)
        for kind, data in (("jpg", picture(number)), ("txt", b"a dog"))
        for mark in ("._", "")
    ],
    "files of no sample between": [
        ("0.jpg", picture(0)), ("README", b"x"), (".DS_Store", b"x"), ("__index__", b"x"), ("0.txt", b"a dog"),
    ],
    "upper case": [("0.JPG", picture(0)), ("0.TXT", b"a dog")],
    "dots in folders and keys of one letter": [
        ("a.b/0.jpg", picture(0)), ("a.b/0.txt", b"a dog"), ("a.c/0.jpg", picture(1)), ("a.c/0.txt", b"a cat"),
    ],
    "other members": [("0.cls", b"1"), ("0.jpg", picture(0)), ("0.pyd", b"never loaded"), ("0.txt", b"a dog")],
    "a caption a line": [("0.jpg", picture(0)), ("0.txt", b"a red bird\na bird that is red\n\nbird")],
    "several captions": [("0.caption.txt", b"a bird"), ("0.jpg", picture(0)), ("0.txt", b"a red bird")],
}  # fmt: skip


@pytest.mark.parametrize("layout", [*TARS])
def test_a_tar_gives_the_samples_that_webdataset_reads(layout: str, tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", TARS[layout])
    crawl = pool_of(tmp_path, files="0.tar")
    pairs, dropped = pairs_of(crawl)
    with (tmp_path / "0.tar").open("rb") as stream:
        samples = [*group_by_keys(tar_file_expander([{"url": "0.tar", "stream": stream}]))]
    expected = Counter(
        (sample["jpg"], line)
        for sample in samples
        for kind in sample
        if kind.endswith("txt")
        for line in sample[kind].decode().splitlines()
        if line
    )
    assert Counter(zip(pictures_of(crawl, pairs), pairs["text"].to_pylist(), strict=True)) == expected
    assert not dropped


def test_what_zip_tools_of_macos_leave_in_a_tar_parts_no_sample(tmp_path: Path) -> None:
    members = [("0.jpg", picture(0)), ("__MACOSX/0.jpg", APPLE_DOUBLE), ("a/__MACOSX/0.x", b""), ("0.txt", b"a dog")]
    write_tar(tmp_path / "0.tar", members)
    assert pairs_of(pool_of(tmp_path, files="0.tar"))[0]["text"].to_pylist() == ["a dog"]


@pytest.fixture(params=["tar", "folder"])
def crawl(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Both of img2dataset's outputs that hold images as files."""
    if request.param == "tar":
        write_tar(tmp_path / "00000.tar", img2dataset())
        return pool_of(tmp_path, files="*.tar")
    (tmp_path / "00000").mkdir()
    for name, data in img2dataset():
        (tmp_path / "00000" / name).write_bytes(data)
    (tmp_path / "00000.parquet").write_bytes(b"its own table, beside the folder")
    return pool_of(tmp_path, files="0*/")


def test_an_images_known_origin_is_its_address_and_its_bytes_come_from_the_pool(crawl: Any) -> None:
    pairs, dropped = pairs_of(crawl)
    urls = [f"https://photos.example/{number}.jpg" for number in range(3)]
    assert pairs["url"].to_pylist() == urls
    assert pairs["image_id"].to_pylist() == [image_id_of(url) for url in urls], "that of the crawl's own pairs"
    assert pairs["warc"].to_pylist()[0].startswith("00000")
    assert pictures_of(crawl, pairs) == [picture(number) for number in range(3)]
    assert not dropped


@pytest.mark.parametrize(("kind", "value"), [("url", "https://photos.example/1.jpg"), ("domain", "photos.example")])
def test_a_takedown_by_url_or_domain_takes_a_pools_image(kind: str, value: str, crawl: Any) -> None:
    [rows] = pairs_of(crawl)[0].slice(1, 1).to_batches()
    assert flag_taken_down(rows, build_takedowns([("list.csv:2", kind, value)])).to_pylist() == [True]


def test_the_store_has_a_pools_image_by_its_origin(crawl: Any, tmp_path: Path) -> None:
    """A pair of the crawl with the same URL gets its image from the pool, wherever its row stands."""
    pairs = pairs_of(crawl)[0].to_pylist()
    rows = [
        {"bucket": 0, "image_id": pair["image_id"].hex(), "admitted_at": 0.0, "language": "en", "url": pair["url"],
         "pool_address": address}
        for pair in pairs for address in (None, pair["pool_address"], None)
    ]  # fmt: skip
    texts = pa.RecordBatch.from_pylist(rows, IMAGE_TEXTS)
    fetch = open_pool_images({"theirs": crawl.pool("pool-theirs").image_files()}, None)
    seen: Counter[str] = Counter()
    options: dict[str, Any] = {"bucket": 0, "thresholds_below": {}, "dropped": Counter(), "seen": seen}
    store = ImageStore(tmp_path / "images")
    images = pa.Table.from_batches(gather_images([texts], store=store, fetch=fetch, **options)).to_pylist()
    assert {row["url"] for row in images} == {pair["url"] for pair in pairs}
    assert all(row["tar"] for row in images)
    assert seen["fetched"] == 3


@pytest.mark.parametrize("origin", [None, "", "photo.jpg", "s3://bucket/a.jpg", "data:image/png;base64,AA", 7])
def test_an_image_without_an_origin_on_the_web_has_the_pools_address(origin: object, tmp_path: Path) -> None:
    sample = [("0.jpg", picture(0)), ("0.json", json.dumps({"url": origin, "caption": "a dog"}).encode())]
    write_tar(tmp_path / "0.tar", sample)
    pairs, dropped = pairs_of(pool_of(tmp_path, files="0.tar"))
    [address] = pairs["pool_address"].to_pylist()
    assert pairs["url"].to_pylist() == [address]
    assert address.startswith(f"{MADE_UP}0.tar/")
    assert not dropped


def test_a_json_may_name_the_page_and_hold_several_captions(tmp_path: Path) -> None:
    row = {"URL": "https://h.org/a.jpg", "page_url": "https://h.org/page", "caption": ["a dog", "a black dog", 3]}
    write_tar(tmp_path / "0.tar", [("0.jpg", picture(0)), ("0.json", json.dumps(row).encode()), ("0.txt", b"not read")])
    pairs, _ = pairs_of(pool_of(tmp_path, files="0.tar"))
    assert pairs.select(["url", "text", "page_url"]).to_pylist() == [
        {"url": "https://h.org/a.jpg", "text": text, "page_url": "https://h.org/page"}
        for text in ("a dog", "a black dog")
    ]


@pytest.mark.parametrize("text", ["caption.txt", "prompt"])
def test_a_pool_may_choose_one_of_several_texts(text: str, tmp_path: Path) -> None:
    row = json.dumps({"caption": "of the JSON", "prompt": "chosen"}).encode()
    write_tar(
        tmp_path / "0.tar",
        [("0.caption.txt", b"chosen"), ("0.jpg", picture(0)), ("0.json", row), ("0.txt", b"another")],
    )
    assert pairs_of(pool_of(tmp_path, files="0.tar", text=text))[0]["text"].to_pylist() == ["chosen"]


def sparse_tar(path: Path) -> None:
    """A member of the old GNU format whose bytes are fewer than its size, another sample behind it."""
    info = tarfile.TarInfo("0.jpg")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 512
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"00000000000\0" + b"00000001000\0"  # 512 bytes, of no offset
    header[483:495] = b"00000100000\0"  # of a file of 32 KiB
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    rest = io.BytesIO()
    with tarfile.open(fileobj=rest, mode="w") as tar:
        for name, data in [("0.txt", b"a dog"), ("1.jpg", picture(1)), ("1.txt", b"a cat")]:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    path.write_bytes(bytes(header) + b"x" * 512 + rest.getvalue())


def test_a_sparse_member_has_a_reason_of_its_own(tmp_path: Path) -> None:
    sparse_tar(tmp_path / "0.tar")
    crawl = pool_of(tmp_path, files="0.tar")
    pairs, dropped = pairs_of(crawl)
    assert pictures_of(crawl, pairs) == [picture(1)]
    assert dropped == {"sparse": 1}


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("0.json", b"{"), ("0.txt", b"a dog")], "bad_json"),
        ([("0.json", b"[" * 500_000), ("0.txt", b"a dog")], "bad_json"),
        ([("0.json", b'{"url": ' + b" " * (1 << 20) + b"1}"), ("0.txt", b"a dog")], "too_large"),
        ([("0.txt", b"a dog\n" * 200_000)], "too_large"),
    ],
)
def test_what_says_where_an_image_came_from_is_read_or_its_sample_is_counted(
    members: Members, reason: str, tmp_path: Path
) -> None:
    """Else a takedown would miss an image of whose origin nothing is known."""
    write_tar(tmp_path / "0.tar", [("0.jpg", picture(0)), *members])
    pairs, dropped = pairs_of(pool_of(tmp_path, files="0.tar"))
    assert (pairs.num_rows, dropped) == (0, {reason: 1})


def test_an_image_has_a_thousand_texts_and_the_others_are_counted(tmp_path: Path) -> None:
    lines = "".join(f"dog {number}\n" for number in range(1500))
    write_tar(tmp_path / "0.tar", [("0.jpg", picture(0)), ("0.txt", lines.encode())])
    pairs, dropped = pairs_of(pool_of(tmp_path, files="0.tar"))
    assert (pairs.num_rows, dropped) == (1000, {"too_many_texts": 500})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.jpg").write_bytes(picture(9))
    folder = tmp_path / "00000"
    folder.mkdir()
    (folder / "a b#1.JPG").write_bytes(picture(0))
    (folder / "a b#1.txt").write_bytes(b"a dog")
    return folder


def test_a_link_in_a_folder_is_not_followed(folder: Path) -> None:
    (folder / "l.jpg").symlink_to("../secret.jpg")
    (folder / "l.txt").write_bytes(b"a secret")
    crawl = pool_of(folder.parent, files="00000/")
    pairs, dropped = pairs_of(crawl)
    assert pictures_of(crawl, pairs) == [picture(0)]
    assert dropped == {"link": 1}


def test_only_files_of_the_folder_are_read_and_only_as_they_were(folder: Path) -> None:
    crawl = pool_of(folder.parent, files="00000/")
    [good] = pairs_of(crawl)[0]["pool_address"].to_pylist()
    (folder / "l.JPG").symlink_to("../secret.jpg")
    size, stem = len(picture(0)), good.rpartition("/")[2].rpartition("-")[0]
    linked = good.replace(stem, "l").replace(f"-{size}", f"-{len(picture(9))}")
    bad = [good.replace(stem, "..%2Fsecret"), good.replace(f"-{size}", f"-{size - 1}"), linked, good.replace(stem, "0")]
    answers = dict(open_pool_images({"theirs": crawl.pool("pool-theirs").image_files()}, None)([good, *bad]))
    assert answers.pop(good) == picture(0)
    assert set(answers.values()) == {"not_found"}


def test_a_folder_is_read_again_when_one_of_its_files_changes(folder: Path) -> None:
    def version() -> str:
        crawl = pool_of(folder.parent, files="00000/")
        [shard] = crawl.shards("pool-theirs", crawl.files("pool-theirs", "wat")[1]).values()
        return str(shard["rows"].version)

    before = version()
    assert version() == before
    os.utime(folder / "a b#1.txt", (1, 1))
    assert version() != before

"""Folders for other tools say themselves what they hold."""

import csv
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import wids
from PIL import Image
from webdataset.writer import TarWriter

from resources.files.exports import clear_made_up_addresses, keep_licenses, write_attribution, write_webdataset


def samples(number: int) -> Iterator[dict[str, Any]]:
    return ({"__key__": f"{image:04d}", "webp": b"image", "txt": "text"} for image in range(number))


def count_images(path: Path) -> int:
    with tarfile.open(path) as tar:
        return sum(name.endswith(".webp") for name in tar.getnames())


@pytest.mark.parametrize("number", [0, 1, 3, 4, 7])
def test_sizes_are_those_of_the_tars_however_large_the_images_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    write = TarWriter.write
    monkeypatch.setattr(TarWriter, "write", lambda tar, sample: write(tar, sample) * 2_000_000)  # 2 GB an image
    assert write_webdataset(samples(number), tmp_path, images_per_tar=3) == number
    sizes = json.loads((tmp_path / "sizes.json").read_text("utf-8"))
    assert sizes == {path.name: count_images(path) for path in tmp_path.glob("*.tar")}
    assert sorted(sizes.values(), reverse=True) == [3] * (number // 3) + [number % 3] * (number % 3 > 0 or not number)


def test_wids_reads_the_index_and_its_sums_are_those_of_the_tars(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    write_webdataset(({"__key__": f"{n:04d}", "txt": str(n)} for n in range(7)), tmp_path / "set", images_per_tar=3)
    index = json.loads((tmp_path / "set" / "index.json").read_text("utf-8"))
    for tar in index["shardlist"]:
        content = (tmp_path / "set" / tar["url"]).read_bytes()
        assert (tar["filesize"], tar["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    read = wids.ShardListDataset(str(tmp_path / "set" / "index.json"), keep=True, cache_dir=str(tmp_path / "cache"))
    assert [row[".txt"] for row in read] == [str(n) for n in range(7)]


def test_hugging_face_reads_every_image_of_a_set_of_several_formats(tmp_path: Path) -> None:
    import datasets

    def encoded(image_format: str) -> bytes:
        file = io.BytesIO()
        Image.new("RGB", (4, 3)).save(file, image_format)
        return file.getvalue()

    (tmp_path / "set").mkdir()
    formats = ["PNG", "JPEG", "WEBP"] * 4
    samples = ({"__key__": f"{n:04d}", "jpg": encoded(f), "txt": str(n)} for n, f in enumerate(formats))
    write_webdataset(samples, tmp_path / "set", images_per_tar=5)
    files = sorted(map(str, (tmp_path / "set").glob("*.tar")))
    loaded = datasets.load_dataset("webdataset", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert [row["jpg"].size for row in loaded] == [(4, 3)] * len(formats)


def test_addresses_that_were_made_up_are_null_and_counted(tmp_path: Path) -> None:
    urls = ["https://pool.invalid/0.tar/512-9.jpg", "https://a.example/x.invalid/", "https://invalid.example/"]
    pq.write_table(pa.table({"pair_id": [1, 2, 3], "url": urls}), tmp_path / "0.parquet")
    assert clear_made_up_addresses(tmp_path / "0.parquet") == 1
    assert pq.read_table(tmp_path / "0.parquet")["url"].to_pylist() == [None, *urls[1:]]
    assert clear_made_up_addresses(tmp_path / "0.parquet") == 0


@pytest.mark.parametrize("images_per_tar", [0, -1])
def test_a_tar_of_no_image_is_refused(tmp_path: Path, images_per_tar: int) -> None:
    with pytest.raises(ValueError, match="a tar holds at least one image"):
        write_webdataset(samples(1), tmp_path, images_per_tar=images_per_tar)


LICENSES = ["CC-BY-4.0", None, "CC-BY-SA-4.0", "MIT", "CC-BY-NC-4.0", "CC0-1.0"]


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["cc-by*"], ["CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0"]),
        (["CC-BY-[0-9].0", "mit"], ["CC-BY-4.0", "MIT"]),
        (["*"], [name for name in LICENSES if name]),
        (["CC-BY"], []),
        (["(.*)+", "["], []),
    ],
)
def test_a_pattern_keeps_the_licences_that_it_fits_and_no_pair_without_one(
    tmp_path: Path, patterns: list[str], names: list[str]
) -> None:
    path = tmp_path / "0.parquet"
    pq.write_table(pa.table({"pair_id": range(6), "license": pa.array(LICENSES, pa.string())}), path)
    assert keep_licenses(path, patterns) == len(names)
    assert pq.read_table(path)["license"].to_pylist() == names


def test_an_attribution_file_names_each_licensed_image_and_holds_no_formula(tmp_path: Path) -> None:
    rows = [
        ('http://a.example/1,"2".png', "http://a.example/", "MIT", "rel=license x"),
        ('http://a.example/1,"2".png', "http://a.example/", "MIT", "rel=license x"),
        ("http://a.example/2.png", "http://a.example/", None, None),
        (None, "=cmd()", "CC-BY-4.0", "-x\ny"),
        ("@x", "+1", "CC0-1.0", "\tx"),
    ]
    names = ("url", "page_url", "license", "license_evidence")
    table = pa.table(dict(zip(names, map(pa.array, zip(*rows, strict=True)), strict=True)))
    assert write_attribution(table.to_batches(max_chunksize=1), tmp_path / "ATTRIBUTION.csv") == 3
    with (tmp_path / "ATTRIBUTION.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            list(names),
            list(rows[0]),
            ["", "'=cmd()", "CC-BY-4.0", "'-x\ny"],
            ["'@x", "'+1", "CC0-1.0", "'\tx"],
        ]


def test_parquet_files_load_with_an_attribution_file_beside_them(tmp_path: Path) -> None:
    import datasets

    table = pa.table({"url": ["u"], "page_url": ["p"], "license": ["MIT"], "license_evidence": ["e"], "n": [1]})
    (tmp_path / "set").mkdir()
    pq.write_table(table, tmp_path / "set" / "00000.parquet")
    write_attribution(table.to_batches(), tmp_path / "set" / "ATTRIBUTION.csv")
    loaded = datasets.load_dataset(str(tmp_path / "set"), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.column_names == table.column_names

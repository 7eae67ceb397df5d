"""Write Parquet files and WebDataset for other tools, into folders or an object store, whole or not there."""

import codecs
import csv
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from fnmatch import translate
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from resources.files.local import create
from resources.files.object_store import connect, create_object


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder that appears under its name when the block has ended well. Raises FileExistsError if it is there."""
    if folder.exists():
        raise FileExistsError(f"{folder} is there already; name a folder that is not")
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    partial.rename(folder)


def clear_made_up_addresses(path: Path) -> int:
    """Null for every `url` of a Parquet file that was made up for an image without one. Returns how many there were."""
    table = pq.read_table(path)
    # Nothing answers at .invalid (RFC 6761).
    made_up = pc.match_substring_regex(table["url"], r"^https?://[^/]*\.invalid/")
    if num_made_up := pc.sum(made_up).as_py():
        urls = pc.if_else(made_up, pa.scalar(None, pa.string()), table["url"])
        pq.write_table(table.set_column(table.column_names.index("url"), "url", urls), path, compression="zstd")
    return num_made_up or 0


def keep_licenses(path: Path, patterns: Sequence[str]) -> int:
    """Leave of a Parquet file the rows whose `license` fits one of the patterns, as `CC-BY*`. Returns how many.

    Case makes no difference, and a row without a licence fits none.
    """
    table = pq.read_table(path)
    fits = re.compile("|".join(map(translate, patterns)), re.IGNORECASE)
    allowed = [name for name in pc.unique(table["license"]).to_pylist() if name and fits.match(name)]
    licensed = table.filter(pc.is_in(table["license"], pa.array(allowed, pa.string())))
    pq.write_table(licensed, path, compression="zstd")
    return int(licensed.num_rows)


ATTRIBUTION = ("url", "page_url", "license", "license_evidence")
"""The columns of an attribution file."""


def write_attribution(batches: Iterable[pa.RecordBatch], path: Path) -> int:
    """Write a CSV that says of each image with a licence where it was found, and where its licence is named.

    `batches` are of SUBSETS, or have at least its columns ATTRIBUTION. Returns the number of rows; rows that follow on
    their like, of one image with several texts, are one. A cell that spreadsheets would take for a formula begins with
    a quote mark.
    """
    num_rows, last = 0, None
    with create(path) as file:
        rows = csv.writer(codecs.getwriter("utf-8")(file))
        rows.writerow(ATTRIBUTION)
        for batch in batches:
            licensed = batch.select(list(ATTRIBUTION)).filter(pc.is_valid(batch["license"]))
            for row in zip(*(column.to_pylist() for column in licensed.columns), strict=True):
                if row != last:
                    rows.writerow(_FORMULA.sub("'", cell or "") for cell in row)
                    num_rows, last = num_rows + 1, row
    return num_rows


_FORMULA = re.compile(r"^(?=[=+\-@\t\r])")


@contextmanager
def new_place(place: Path | str) -> Iterator[Path | str]:
    """A new folder, as `new_folder` gives it, or a URL below which nothing is yet. Raises FileExistsError else.

    Below a URL the lists are written last: without these, nobody takes what a killed export left for a set.
    """
    if isinstance(place, Path) or "://" not in place:
        with new_folder(Path(place)) as partial:
            yield partial
        return
    filesystem, root = connect(place, {})
    if filesystem.find(root, maxdepth=1):
        raise FileExistsError(f"{place} is not empty; name another, or delete what a killed export left there")
    yield place


def write_webdataset(samples: Iterable[Mapping[str, Any]], place: Path | str, *, images_per_tar: int) -> int:
    """Write samples as 00000.tar and on into a folder or below a URL, and then two lists of the tars.

    sizes.json has the samples of each, where open_clip reads them; index.json, which wids reads, also their bytes and
    SHA-256. Every tar but the last has `images_per_tar`, of whatever size. Returns the number of samples. Raises
    ValueError for less than one a tar.
    """
    from webdataset import TarWriter  # noqa: PLC0415  # it imports torch

    if images_per_tar < 1:
        raise ValueError(f"a tar holds at least one image, not {images_per_tar}")
    create = create_in(place)
    shards: list[dict[str, Any]] = []
    following = iter(samples)
    sample = next(following, None)
    while sample is not None or not shards:  # a set of nothing is one tar of nothing
        name = f"{len(shards):05d}.tar"
        with create(name) as file:
            counted = _Counted(file)
            with TarWriter(counted, mtime=0) as tar:
                num_samples = 0
                while sample is not None and num_samples < images_per_tar:
                    tar.write(sample)
                    num_samples += 1
                    sample = next(following, None)
        digest = counted.sha256.hexdigest()
        shards.append({"url": name, "nsamples": num_samples, "filesize": counted.size, "sha256": digest})
    name = str(place).rstrip("/").rsplit("/", 1)[-1].removesuffix(".partial")
    index = {"__kind__": "wids-shard-index-v1", "wids_version": 1, "name": name, "shardlist": shards}
    for file_name, content in (("sizes.json", {it["url"]: it["nsamples"] for it in shards}), ("index.json", index)):
        with create(file_name) as file:
            file.write(json.dumps(content, indent=1).encode())
    return sum(it["nsamples"] for it in shards)


def create_in(place: Path | str) -> Callable[[str], AbstractContextManager[BinaryIO]]:
    """What opens a new file of a name in a folder, which is made, or below a URL."""
    if isinstance(place, Path):
        place.mkdir(exist_ok=True)
        return lambda name: (place / name).open("wb")
    filesystem, root = connect(place, {})
    return lambda name: create_object(filesystem, f"{root}/{name}")


class _Counted:
    """Passes on what is written, and knows its bytes and their digest."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size, self.sha256 = 0, hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.size += len(content)
        self.sha256.update(content)
        return self._file.write(content)

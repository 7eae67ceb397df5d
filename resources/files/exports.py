"""Write Parquet files and WebDataset into folders for other tools, each whole or not there."""

import codecs
import csv
import hashlib
import json
import math
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import translate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from resources.files.local import create


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


def write_webdataset(samples: Iterable[Mapping[str, Any]], folder: Path, *, images_per_tar: int) -> int:
    """Write samples as 00000.tar and on, with two lists of the tars beside them. Returns the number of samples.

    sizes.json has the samples of each, where open_clip reads them; index.json, which wids reads, also their bytes and
    SHA-256. Every tar but the last has `images_per_tar`, of whatever size. Raises ValueError for less than one.
    """
    from webdataset import ShardWriter  # noqa: PLC0415  # it imports torch

    if images_per_tar < 1:
        raise ValueError(f"a tar holds at least one image, not {images_per_tar}")
    written, pattern = 0, str(folder / "%05d.tar")
    with ShardWriter(pattern, maxcount=images_per_tar, maxsize=math.inf, verbose=0, mtime=0) as tars:
        for sample in samples:
            tars.write(sample)
            written += 1
    names = sorted(path.name for path in folder.glob("*.tar"))
    sizes = [min(images_per_tar, written - at * images_per_tar) for at in range(len(names))]
    num_samples = dict(zip(names, sizes, strict=True))
    (folder / "sizes.json").write_text(json.dumps(num_samples, indent=1), encoding="utf-8")
    index: dict[str, Any] = {
        "__kind__": "wids-shard-index-v1",
        "wids_version": 1,
        "name": folder.name.removesuffix(".partial"),
    }
    index["shardlist"] = [_describe_tar(folder / name, num) for name, num in num_samples.items()]
    (folder / "index.json").write_text(json.dumps(index, indent=1), encoding="utf-8")
    return written


def _describe_tar(path: Path, num_samples: int) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"url": path.name, "nsamples": num_samples, "filesize": path.stat().st_size, "sha256": digest}

"""Read images by address out of the files of sets that others made."""

import errno
import re
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, BinaryIO, cast
from urllib.parse import unquote

import fsspec
import pyarrow as pa

from resources.pools.parquet import read_images

Headers = tuple[tuple[str, str], ...]
Answer = bytes | str | tuple[bytes | str, Headers] | tuple[bytes | str, Headers, float]
"""An image's bytes, or in a word why there are none; with those headers of the response that speak of its use.

Of what was asked for on the web it says the seconds, too.
"""
Fetch = Callable[[Sequence[str]], Iterator[tuple[str, Answer]]]
"""Answers each of the URLs once, in any order."""

SPEAKING = ("x-robots-tag", "tdm-reservation", "content-usage")
"""The headers that may say how a response is to be used, in lower case."""


def join_headers(answer: bytes | str, headers: Iterable[tuple[str, str]]) -> Answer:
    """The answer, together with those of the response's headers that speak of its use, if it has any."""
    speaking = find_speaking(headers)
    return (answer, speaking) if speaking else answer


def find_speaking(headers: Iterable[tuple[str, str]]) -> Headers:
    """Those of the response's headers that speak of its use."""
    return tuple((name, value) for name, value in headers if name.lower() in SPEAKING)


def open_pool_images(
    files: Mapping[str, Mapping[str, str]], elsewhere: Fetch | None, max_bytes: int = 20 << 20
) -> Fetch:
    """A fetch that reads the images of other pools where they lie, and asks `elsewhere` for all others.

    `files` are each pool's by name. Reasons: `not_found`, `too_large`, `corrupt`.
    """
    return partial(_fetch, files, elsewhere, max_bytes)


Asked = tuple[str, int, str]
"""Where in the file, which size, and the address."""

_ROW = re.compile(r"0|[1-9][0-9]{0,14}")
_ADDRESS = re.compile(r"https://([a-z0-9-]+)\.invalid/([^/]+)/([^/]+)-(\d{1,15})\.(\w+)", re.ASCII)


def _fetch(
    files: Mapping[str, Mapping[str, str]], elsewhere: Fetch | None, max_bytes: int, urls: Sequence[str]
) -> Iterator[tuple[str, Answer]]:
    here: defaultdict[str, list[Asked]] = defaultdict(list)
    others = []
    for url in urls:
        parts = _ADDRESS.fullmatch(url)
        if parts is None:
            others.append(url)
        elif path := files.get(parts[1], {}).get(parts[2]):
            here[path].append((parts[3], int(parts[4]), url))
        else:
            yield url, "not_found"
    for path, asked in here.items():
        filesystem, inside = fsspec.core.url_to_fs(path)
        if path.endswith(".parquet"):
            yield from _read_table(filesystem, inside, path, asked, max_bytes)
            continue
        read = _read_file if path.endswith("/") else _read_member
        for where, size, url in sorted(asked, key=lambda one: (len(one[0]), one[0])):  # numbers in their order
            yield url, "too_large" if size > max_bytes else read(filesystem, inside, where, size, url)
    if elsewhere is None:
        yield from ((url, "not_found") for url in others)
    elif others:
        yield from elsewhere(others)


def _read_member(filesystem: Any, path: str, where: str, size: int, _: str) -> bytes | str:
    """The bytes of a tar's member, if one begins there and is as long: one request, for no more than its header too."""
    offset = int(where) if re.fullmatch(r"[0-9]{1,15}", where) else 0
    if offset < tarfile.BLOCKSIZE or not size:
        return "not_found"
    try:
        data = filesystem.cat_file(path, start=offset - tarfile.BLOCKSIZE, end=offset + size)
        header = tarfile.TarInfo.frombuf(data[: tarfile.BLOCKSIZE], "utf-8", "replace")
    except tarfile.HeaderError:
        return "not_found"
    except OSError as error:
        if error.errno != errno.EINVAL:  # what s3fs makes of a place beyond the end
            raise
        return "not_found"
    member = bytes(data[tarfile.BLOCKSIZE :])
    return member if header.isfile() and header.size == size == len(member) else "not_found"


def _read_file(filesystem: Any, folder: str, where: str, size: int, url: str) -> bytes | str:
    """The bytes of a file of the folder, if it lies in it and is as long."""
    name = f"{unquote(where)}.{url.rpartition('.')[2]}"
    if "/" in name or "\\" in name or "\0" in name:
        return "not_found"
    try:
        info = filesystem.info(f"{folder.rstrip('/')}/{name}")
        if info["type"] != "file" or info.get("islink") or info["size"] != size:
            return "not_found"
        return bytes(filesystem.cat_file(info["name"], start=0, end=size)) or "not_found"
    except FileNotFoundError:
        return "not_found"


def _read_table(
    filesystem: Any, inside: str, path: str, asked: Sequence[Asked], max_bytes: int
) -> Iterator[tuple[str, bytes | str]]:
    """The images of the rows that are asked for, if the file has the size that it had when they were listed."""
    actual = filesystem.size(inside) if filesystem.exists(inside) else None
    # Pages may name such addresses, too: a row has one spelling, or two would be one image.
    rows = {
        url: int(where)
        for where, size, url in asked
        if size == actual and _ROW.fullmatch(where) and url.endswith(".image")
    }
    yield from ((url, "not_found") for _, _, url in asked if url not in rows)
    if not rows:
        return
    try:
        with filesystem.open(inside, "rb") as file:
            for url, answer in read_images(
                cast(BinaryIO, file), path, [(row, url) for url, row in rows.items()], max_bytes
            ):
                del rows[url]
                yield url, answer
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        yield from ((url, "corrupt") for url in rows)

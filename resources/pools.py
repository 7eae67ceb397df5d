"""Sets of images and texts that others made, as pools beside the crawl's snapshots. Imports no Dagster.

A pool is a name and files: tables of URL and text (Parquet, TSV, CSV), or WebDataset tars that bring the images along.
"""

import codecs
import csv
import errno
import io
import json
import re
import tarfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, groupby
from typing import Any, BinaryIO, cast
from urllib.parse import quote

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from resources.archives import archive_version
from resources.engines import Deferred

Row = tuple[str | None, str | None, str | None, int]
"""URL, text, the URL of a page or of the image's origin, and which row of the file it is."""

Fetch = Callable[[Sequence[str]], Iterator[tuple[str, bytes | str]]]


@dataclass(frozen=True)
class Pool:
    """Where a pool's rows are."""

    name: str
    files: tuple[str, ...]
    columns: tuple[str, ...] = ()
    """Of TSV and CSV files without a header."""
    url: str = ""
    text: str = ""
    """A column, or in a WebDataset `txt` or a key of `json`; found by the field's usual names if not given."""
    page: str = ""

    def paths(self) -> dict[str, str]:
        """The pool's files by number."""
        return {f"{number:05d}": path for number, path in enumerate(self._paths())}

    def shard(self, path: str) -> dict[str, Any]:
        """How one of the files is read, and its name."""
        rows = Deferred(read_rows, (self, path), declared=f"{_READING} {path} {self} {archive_version(path)}")
        return {"rows": rows, "name": path.rsplit("/", 1)[-1]}

    def tars(self) -> dict[str, str]:
        """The tars among the pool's files, by their names as the addresses of images have them."""
        return {_quoted_name(path): path for path in self._paths() if path.endswith(".tar")}

    def _paths(self) -> list[str]:
        found = []
        for pattern in self.files:
            filesystem, path = fsspec.core.url_to_fs(pattern)
            listed = sorted(filesystem.glob(path)) if "*" in path else [path] * filesystem.exists(path)
            if not listed:
                raise FileNotFoundError(f"pool {self.name}: no file is {pattern}; mend its line in pools.json")
            found += [filesystem.unstrip_protocol(one) for one in listed]
        names = Counter(path.rsplit("/", 1)[-1] for path in found)
        if twice := [name for name, times in names.items() if times > 1]:
            raise ValueError(
                f"pool {self.name}: two files are named {min(twice)}; a file's name tells its images apart"
            )
        return found


def read_pools(path: str) -> dict[str, Pool]:
    """The pools that a JSON file names, by partition key: `{"cc12m": {"files": "cc12m.tsv", "columns": [...]}}`.

    Relative paths are relative to the file. No file, no pools. Raises ValueError naming what is wrong with it.
    """
    filesystem, place = fsspec.core.url_to_fs(path)
    if not path or not filesystem.exists(place):
        return {}
    try:
        told = json.loads(filesystem.cat_file(place))
        return {f"pool-{name}": _pool(name, settings, path) for name, settings in told.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: {error}; see docs/operations.md, Other pools") from None


def read_rows(pool: Pool, path: str) -> Iterator[Row | str]:
    """Every row of one of the pool's files, or why it is none: `too_large` for a line, `corrupt`.

    Raises ValueError naming the file where it cannot be read.
    """
    kind = path.removesuffix(".gz").rsplit(".", 1)[-1]
    try:
        with fsspec.open(path, "rb", compression="gzip" if path.endswith(".gz") else None).open() as file:
            yield from _READERS[kind](pool, cast(BinaryIO, file), path)
    except (OSError, EOFError, zlib.error, tarfile.TarError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(f"{path}: unreadable ({type(error).__name__}: {error}); fetch it again") from error


def open_pool_images(
    tars: Mapping[str, Mapping[str, str]], elsewhere: Fetch | None, max_bytes: int = 20 << 20
) -> Fetch:
    """A fetch that reads the images of WebDataset pools where they lie, and asks `elsewhere` for all others.

    `tars` are each pool's tars by name. Reasons: `not_found`, `too_large`.
    """
    return partial(_fetch, tars, elsewhere, max_bytes)


_READING = 2  # its version, to be raised where other rows come of the same file
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,60}")
_URLS = ("url", "URL", "image_url")
_TEXTS = ("text", "TEXT", "caption", "CAPTION", "txt")
_PAGES = ("page_url", "PAGE_URL", "original_url")
_IMAGES = {"jpg", "jpeg", "png", "webp"}
_KINDS = _IMAGES | {"txt", "json"}
_MAX_TEXT = 1 << 20
_MAX_ROW_GROUP = 4 << 30
# `.invalid` is reserved: no resolver will ever answer for it, so such an address is read here or nowhere.
_PLACE = re.compile(r"https://([a-z0-9-]+)\.invalid/([^/]+)/(\d{1,15})-(\d{1,12})\.\w+")


def _pool(name: str, settings: Any, path: str) -> Pool:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no pool's name: lower-case letters, digits and hyphens")
    if not isinstance(settings, dict) or settings.keys() - {"files", "columns", "url", "text", "page"}:
        raise ValueError(f"pool {name} has settings other than files, columns, url, text and page: {settings!r:.100}")
    files = [settings["files"]] if isinstance(settings.get("files"), str) else settings.get("files")
    if not files or not all(isinstance(file, str) for file in files):
        raise ValueError(f"pool {name} names no files")
    columns = settings.get("columns", [])
    if not isinstance(columns, list) or not all(isinstance(column, str) for column in columns):
        raise ValueError(f"pool {name}: columns is a list of names, not {columns!r:.100}")
    for file in files:
        if file.removesuffix(".gz").rsplit(".", 1)[-1] not in _READERS or file.endswith((".tar.gz", ".parquet.gz")):
            raise ValueError(f"pool {name}: {file} is none of .parquet, .tsv, .csv (these two also .gz) and .tar")
    folder = path.rsplit("/", 1)[0]
    placed = [file if "://" in file or file.startswith("/") else f"{folder}/{file}" for file in files]
    rest = {key: settings[key] for key in ("url", "text", "page") if key in settings}
    return Pool(name, tuple(placed), tuple(columns), **rest)


def _read_parquet(pool: Pool, file: BinaryIO, path: str) -> Iterator[Row]:
    parquet = pq.ParquetFile(file)
    columns = _choose(pool, parquet.schema_arrow.names, path)
    for number in range(parquet.num_row_groups):
        group = parquet.metadata.row_group(number)
        sizes = {
            group.column(i).path_in_schema: group.column(i).total_uncompressed_size for i in range(group.num_columns)
        }
        if sum(sizes.get(column, 0) for column in columns if column) > _MAX_ROW_GROUP:
            raise ValueError(
                f"{path}: row group {number} claims more than {_MAX_ROW_GROUP:,} bytes; write smaller ones"
            )
    row = 0
    for batch in parquet.iter_batches(8192, columns=[column for column in columns if column]):
        lists = [_values(batch[column]) if column else [None] * batch.num_rows for column in columns]
        for url, text, page in zip(*lists, strict=True):
            yield url, text, page, row
            row += 1


def _values(column: Any) -> list[Any]:
    """A column's values; what is no UTF-8 in a text is replaced."""
    try:
        return cast(list[Any], column.to_pylist())
    except UnicodeDecodeError:
        found = column.cast(pa.string()).cast(pa.binary()).to_pylist()
        return [value if value is None else value.decode("utf-8", "replace") for value in found]


def _read_tsv(pool: Pool, file: BinaryIO, path: str) -> Iterator[Row | str]:
    lines = ("too_large" if line is None else line.split("\t") for line in _lines(file))  # a quote is a character
    return _choose_fields(pool, lines, path)


def _read_csv(pool: Pool, file: BinaryIO, path: str) -> Iterator[Row | str]:
    return _choose_fields(pool, _split_csv(_lines(file)), path)


def _lines(file: BinaryIO) -> Iterator[str | None]:
    """A file's lines without their ends, None for one that is longer than a text may be.

    A carriage return within is white space of a text: not all who write TSV and CSV quote it.
    """
    with io.BufferedReader(cast(io.RawIOBase, file)) as buffered:  # s3fs's own `readline` knows no bound
        while line := buffered.readline(_MAX_TEXT):
            if line.endswith(b"\n") or len(line) < _MAX_TEXT:
                yield line.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace").rstrip("\r\n").replace("\r", " ")
                continue
            while line and not line.endswith(b"\n"):
                line = buffered.readline(_MAX_TEXT)
            yield None


def _split_csv(lines: Iterator[str | None]) -> Iterator[list[str] | str]:
    """The fields of every record, or why it has none: one that does not parse costs its own lines alone."""
    csv.field_size_limit(_MAX_TEXT)  # of the process; its own limit would refuse a long text
    held: list[str | None] = []  # lines of the record at hand

    def feed(again: Sequence[str | None]) -> Iterator[str]:
        size = 0
        for line in chain(again, lines):
            size = (size if held else 0) + len(line or "")
            held.append(line)
            if line is None or size > _MAX_TEXT:
                raise csv.Error
            yield f"{line}\n"
        if held:
            raise csv.Error

    again: Sequence[str | None] = ()
    while True:
        try:
            for fields in csv.reader(feed(again), strict=True):
                held.clear()
                yield fields
            return
        except csv.Error:
            # A record that began on any but the last of these would end there too: they stand alone or not at all.
            alone = held[:-1] or held[:]
            again = held[len(alone) :]
            held.clear()
            yield from map(_split_line, alone)


def _split_line(line: str | None) -> list[str] | str:
    try:
        return "too_large" if line is None else next(csv.reader([line], strict=True))
    except csv.Error:
        return "corrupt"


def _choose_fields(pool: Pool, records: Iterator[list[str] | str], path: str) -> Iterator[Row | str]:
    names = list(pool.columns) or next((fields for fields in records if not isinstance(fields, str)), [])
    chosen = [names.index(column) if column else None for column in _choose(pool, names, path)]
    for number, fields in enumerate(records):
        if isinstance(fields, str):
            yield fields
        else:
            url, words, page = (fields[at] if at is not None and at < len(fields) else None for at in chosen)
            yield url, words, page, number


def _read_tar(pool: Pool, file: BinaryIO, path: str) -> Iterator[Row]:
    name = _quoted_name(path)
    with tarfile.open(fileobj=file, mode="r:") as tar:
        for number, (_, group) in enumerate(groupby(_members(tar), key=lambda member: _split(member.name)[0])):
            parts = {kind: member for member in group if (kind := _split(member.name)[1]) in _KINDS}
            image = next((part for kind, part in parts.items() if kind in _IMAGES), None)
            told: dict[str, bytes] = {kind: _small(tar, parts[kind]) for kind in ("txt", "json") if kind in parts}
            fields = _fields(told)
            wanted = [pool.text] if pool.text else _TEXTS
            text = next((fields[key] for key in wanted if fields.get(key)), None)
            page = next((fields[key] for key in [pool.page or pool.url, *_URLS] if fields.get(key)), None)
            place = f"{image.offset_data}-{image.size}.{_split(image.name)[1]}" if image else None
            yield f"https://{pool.name}.invalid/{name}/{place}" if place else None, text, page, number


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The files in a tar; raises tarfile.ReadError where the module would take a broken or cut header for the end."""
    for member in tar:
        tar.members = []  # type: ignore[attr-defined]  # it would keep all of them
        if member.isfile():
            yield member
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"neither a member nor the end of a tar at byte {tar.offset:,}")


_READERS: Mapping[str, Callable[[Pool, BinaryIO, str], Iterator[Row | str]]] = {
    "parquet": _read_parquet,
    "tsv": _read_tsv,
    "csv": _read_csv,
    "tar": _read_tar,
}


def _choose(pool: Pool, names: Sequence[str], path: str) -> tuple[str, str, str | None]:
    found = []
    for told, usual, what in ((pool.url, _URLS, "url"), (pool.text, _TEXTS, "text"), (pool.page, _PAGES, "page")):
        column = told or next((name for name in usual if name in names), None)
        if (column is None and what != "page") or (column is not None and column not in names):
            raise ValueError(f"{path}: no column for {what} among {', '.join(names)[:200]}; name it in pools.json")
        if column is not None and names.count(column) > 1:
            raise ValueError(f"{path}: several columns are named {column}; name another for {what} in pools.json")
        found.append(column)
    return cast(tuple[str, str, str | None], tuple(found))


def _quoted_name(path: str) -> str:
    return quote(path.rsplit("/", 1)[-1])


def _split(name: str) -> tuple[str, str]:
    """A member's key and kind, as WebDataset has them: what stands before and after the first point of its name."""
    folder, slash, base = name.rpartition("/")
    key, _, kind = base.partition(".")
    return folder + slash + key, kind.lower()


def _small(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    opened = tar.extractfile(member) if member.size <= _MAX_TEXT else None
    return opened.read() if opened else b""


def _fields(told: Mapping[str, bytes]) -> dict[str, str]:
    try:
        fields = json.loads(told.get("json", b"{}"))
    except (ValueError, RecursionError):
        fields = {}
    words = {key: value for key, value in fields.items() if isinstance(value, str)} if isinstance(fields, dict) else {}
    return words | ({"txt": told["txt"].decode("utf-8", "replace")} if "txt" in told else {})


def _fetch(
    tars: Mapping[str, Mapping[str, str]], elsewhere: Fetch | None, max_bytes: int, urls: Sequence[str]
) -> Iterator[tuple[str, bytes | str]]:
    here: defaultdict[str, list[tuple[int, int, str]]] = defaultdict(list)
    others = []
    for url in urls:
        place = _PLACE.fullmatch(url)
        if place is None:
            others.append(url)
        elif path := tars.get(place[1], {}).get(place[2]):
            here[path].append((int(place[3]), int(place[4]), url))
        else:
            yield url, "not_found"
    for path, places in here.items():
        filesystem, inside = fsspec.core.url_to_fs(path)
        for offset, size, url in sorted(places):
            yield url, "too_large" if size > max_bytes else _read_member(filesystem, inside, offset, size)
    if elsewhere is None:
        yield from ((url, "not_found") for url in others)
    elif others:
        yield from elsewhere(others)


def _read_member(filesystem: Any, path: str, offset: int, size: int) -> bytes | str:
    """The bytes of a tar's member, if one begins there and is as long: one request, for no more than its header too."""
    if offset < tarfile.BLOCKSIZE or not size:
        return "not_found"
    try:
        found = filesystem.cat_file(path, start=offset - tarfile.BLOCKSIZE, end=offset + size)
        header = tarfile.TarInfo.frombuf(found[: tarfile.BLOCKSIZE], "utf-8", "replace")
    except tarfile.HeaderError:
        return "not_found"
    except OSError as error:
        if error.errno != errno.EINVAL:  # what s3fs makes of a place beyond the end
            raise
        return "not_found"
    data = bytes(found[tarfile.BLOCKSIZE :])
    return data if header.isfile() and header.size == size == len(data) else "not_found"

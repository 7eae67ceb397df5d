"""Read the sets that pools.json names: find the files of each, and the rows in each file."""

import json
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, cast

import fsspec
import pyarrow as pa

from resources.deferred import Deferred
from resources.files.digests import combine
from resources.pools.lines import read_csv, read_tsv
from resources.pools.parquet import read_parquet
from resources.pools.rows import Names, Row, quoted_name
from resources.pools.samples import read_folder, read_tar
from resources.web.archives import archive_version


@dataclass(frozen=True)
class PairSet:
    """A set that others made, a partition `pool-<name>` beside the crawl's snapshots.

    Its files are tables of URL and text (Parquet, TSV, CSV), or samples that bring their images along (WebDataset tars,
    folders of files, Parquet with a column of images).
    """

    name: str
    files: tuple[str, ...]
    columns: tuple[str, ...] = ()
    """Of TSV and CSV files without a header."""
    names: Names = field(default_factory=Names)
    """Columns; of samples, keys of `json`, for the text also a kind of member such as `caption.txt`."""

    def __str__(self) -> str:
        """As fingerprints have it: no word of it may change."""
        names = f"Names(url={self.names.url!r}, text={self.names.text!r}, page={self.names.page!r})"
        return f"Pool(name={self.name!r}, files={self.files!r}, columns={self.columns!r}, names={names})"

    def paths(self) -> dict[str, str]:
        """The pool's files by number."""
        return {f"{number:05d}": path for number, path in enumerate(self._paths())}

    def shard(self, path: str) -> dict[str, Any]:
        """How one of the files is read, and its name; without the columns of numbers, which change no pair."""
        return replace(self, names=self.names._replace(numbers=()))._shard(path, "")

    def number_shard(self, path: str) -> dict[str, Any]:
        """How one of the files is read with its columns of numbers, and its name."""
        return self._shard(path, f" {self.names.numbers!r}")

    def _shard(self, path: str, numbers: str) -> dict[str, Any]:
        declared = f"{_READING} {path} {self} {file_version(path)}{numbers}"
        return {
            "rows": Deferred(read_rows, (self, path), declared=declared),
            "name": path.rstrip("/").rsplit("/", 1)[-1],
        }

    def image_files(self) -> dict[str, str]:
        """The pool's files that may hold images, by their names as the addresses of images have them."""
        return {quoted_name(path): path for path in self._paths() if path.endswith((".tar", ".parquet", "/"))}

    def _paths(self) -> list[str]:
        paths = []
        for pattern in self.files:
            filesystem, path = fsspec.core.url_to_fs(pattern)
            path = path.rstrip("/")
            matches = sorted(filesystem.glob(path)) if "*" in path else [path] * filesystem.exists(path)
            slash = "/" if pattern.endswith("/") else ""
            matches = [one for one in matches if not slash or filesystem.isdir(one)]
            if not matches:
                raise FileNotFoundError(f"pool {self.name}: no file is {pattern}; mend its line in pools.json")
            paths += [filesystem.unstrip_protocol(one).rstrip("/") + slash for one in matches]
        names = Counter(quoted_name(path) for path in paths)
        if repeated := [name for name, times in names.items() if times > 1]:
            raise ValueError(
                f"pool {self.name}: two files are named {min(repeated)}; a file's name tells its images apart"
            )
        return paths


def read_pools(path: str) -> dict[str, PairSet]:
    """The pools that a JSON file names, by partition key: `{"cc12m": {"files": "cc12m.tsv", "columns": [...]}}`.

    Relative paths are relative to the file. No file, no pools. Raises ValueError naming what is wrong with it.
    """
    filesystem, inside = fsspec.core.url_to_fs(path)
    if not path or not filesystem.exists(inside):
        return {}
    try:
        pools = json.loads(filesystem.cat_file(inside))
        return {f"pool-{name}": _check_settings(name, settings, path) for name, settings in pools.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: {error}; see docs/operations/sources.md, Other pools") from None


def read_rows(pair_set: PairSet, path: str) -> Iterator[Row | str]:
    """Every row of one of the set's files, or the reason why it is none: see the readers of each kind.

    Raises ValueError naming the file where it cannot be read.
    """
    try:
        if path.endswith("/"):
            filesystem, inside = fsspec.core.url_to_fs(path)
            yield from read_folder(filesystem, inside, pair_set.names, pair_set.name)
            return
        with fsspec.open(path, "rb", compression="gzip" if path.endswith(".gz") else None).open() as unpacked:
            file = cast(BinaryIO, unpacked)
            match _kind(path):
                case "parquet":
                    yield from read_parquet(file, path, pair_set.names, pair_set.name)
                case "tar":
                    yield from read_tar(file, path, pair_set.names, pair_set.name)
                case "tsv":
                    yield from read_tsv(file, path, pair_set.names, pair_set.columns)
                case _:
                    yield from read_csv(file, path, pair_set.names, pair_set.columns)
    except (OSError, EOFError, zlib.error, tarfile.TarError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(f"{path}: unreadable ({type(error).__name__}: {error}); fetch it again") from error


def file_version(path: str) -> str:
    """What changes when the file does; of a folder, when one of its files does."""
    if not path.endswith("/"):
        return str(archive_version(path))
    filesystem, inside = fsspec.core.url_to_fs(path)
    files = filesystem.ls(inside, detail=True)
    return combine(sorted(f"{f['name']} {f['size']} {f.get('ETag') or f.get('mtime') or ''}" for f in files))


_READING = 3  # its version, to be raised where other rows come of the same file
_NAME = re.compile(r"(?!xn--)[a-z0-9][a-z0-9-]{0,60}")
_KINDS = ("parquet", "tsv", "csv", "tar")


def _kind(path: str) -> str:
    return path.removesuffix(".gz").rsplit(".", 1)[-1]


def _check_settings(name: str, settings: Any, path: str) -> PairSet:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no pool's name: lower-case letters, digits and hyphens")
    if not isinstance(settings, dict) or settings.keys() - {"files", "columns", *Names._fields}:
        known = "files, columns, url, text, page, digest and numbers"
        raise ValueError(f"pool {name} has settings other than {known}: {settings!r:.100}")
    files = [settings["files"]] if isinstance(settings.get("files"), str) else settings.get("files")
    if not files or not all(isinstance(file, str) for file in files):
        raise ValueError(f"pool {name} names no files")
    columns = settings.get("columns", [])
    if not isinstance(columns, list) or not all(isinstance(column, str) for column in columns):
        raise ValueError(f"pool {name}: columns is a list of names, not {columns!r:.100}")
    for file in files:
        if not file.endswith("/") and (_kind(file) not in _KINDS or file.endswith((".tar.gz", ".parquet.gz"))):
            raise ValueError(
                f"pool {name}: {file} is none of .parquet, .tsv, .csv (these two also .gz), .tar and a folder, "
                "whose name ends with /"
            )
    numbers = settings.get("numbers", [])
    if not isinstance(numbers, list) or not all(isinstance(it, str) and it for it in numbers):
        raise ValueError(f"pool {name}: numbers is a list of columns' names, not {numbers!r:.100}")
    names = {key: settings.get(key, "") for key in ("url", "text", "page", "digest")}
    for key, value in names.items():
        if not isinstance(value, str):
            raise ValueError(f"pool {name}: {key} is one name, not {value!r:.100}")
    folder = path.rsplit("/", 1)[0]
    urls = [file if "://" in file or file.startswith("/") else f"{folder}/{file}" for file in files]
    return PairSet(name, tuple(urls), tuple(columns), Names(**names, numbers=tuple(dict.fromkeys(numbers))))

"""Read the digests that a set's tables list of their images."""

import csv
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import fsspec
import pyarrow.parquet as pq

from resources.deferred import Deferred
from resources.pools.reading import PairSet, file_version, read_rows
from resources.pools.rows import MAX_TEXT, Row


def find_digests(pair_set: PairSet, path: str) -> str | None:
    """The column of one of the set's files that holds digests, as pools.json names it, else `sha256` or `md5`.

    None where there is none, and for samples: they bring their images along. Reads the table's head alone.
    Raises ValueError where pools.json names one that is not there.
    """
    named, available = pair_set.names.digest, _list_columns(pair_set, path)
    if named and available and named not in available:
        raise ValueError(f"{path}: no column {named} among {', '.join(available)[:200]}; mend digest in pools.json")
    return next((name for name in ([named] if named else _USUAL) if name in available), None)


def list_digests(pair_set: PairSet) -> dict[str, dict[str, Deferred]]:
    """The rows of each of the set's tables that has digests, by its number, to be read as `read_digests` does."""
    paths = pair_set.paths()
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as asking:
        columns = dict(zip(paths, asking.map(partial(find_digests, pair_set), paths.values()), strict=True))
    tables = {}
    for number, path in paths.items():
        if column := columns[number]:
            version = f"digests 1 {column} {path} {pair_set} {file_version(path)}"
            tables[number] = {"rows": Deferred(read_digests, (pair_set, path, column), declared=version)}
    return tables


def read_digests(pair_set: PairSet, path: str, column: str) -> Iterator[Row | str]:
    """The rows of one of the set's tables, of which each has the digest for its text."""
    return read_rows(replace(pair_set, names=pair_set.names._replace(text=column, numbers=())), path)


_ASKED_AT_ONCE = 16
_USUAL = ("sha256", "SHA256", "md5", "MD5")


def _list_columns(pair_set: PairSet, path: str) -> Sequence[str]:
    if path.endswith(("/", ".tar")):
        return ()
    if path.endswith(".parquet"):
        with fsspec.open(path, "rb") as file:
            return list(pq.read_schema(file).names)
    if pair_set.columns:
        return pair_set.columns
    compression = "gzip" if path.endswith(".gz") else None
    with fsspec.open(path, "rt", compression=compression, encoding="utf-8-sig", errors="replace") as file:
        line = file.readline(MAX_TEXT).rstrip("\r\n")
    return line.split("\t") if ".tsv" in path else next(csv.reader([line]), [])

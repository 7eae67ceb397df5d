"""Read a user's list or table of entries (plain text, CSV, TSV, JSON, Parquet) as a stream of labels."""

import codecs
import csv
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from metaclip_dagster.words.languages import identification_code, list_names

_MOST = 1 << 24  # bytes of one line: no list has such an entry
_MOST_OF_ARRAY = 1 << 30  # bytes of a JSON array, which is held whole
_BREAK = re.compile(r"(?<![ \t])[ \t]*[\t\r\n][ \t\r\n]*")


class Label(NamedTuple):
    """What may become an entry, with its language where the file says it, and why it may not where the file says so."""

    text: str
    language: str | None = None
    is_synonym: bool = False
    why_not: str | None = None


OBSOLETE, NO_TERM = "obsolete", "no_term"


def language_of(tag: str | None) -> str | None:
    """The language of a tag, as language identification names it; None where there is no tag.

    >>> language_of("en-GB"), language_of("zh_Hant"), language_of("nb"), language_of("")
    ('en', 'zh', 'no', None)
    """
    return (identification_code(tag.strip()) or list_names(tag)[0]) if tag else None


def unwrap(text: str) -> str:
    r"""The name of a term in one line: a line end or tab is one blank, with the blanks around it.

    >>> unwrap("guide\n      dog")
    'guide dog'
    """
    return _BREAK.sub(" ", text)


def read_lines(file: BinaryIO) -> Iterator[Label]:
    """One entry a line, in UTF-8."""
    yield from (Label(line.rstrip("\r\n")) for line in decode_lines(file))


def read_csv(file: BinaryIO) -> Iterator[Label]:
    """The column `entry`, and `language` where there is one, of a table whose first line names its columns."""
    rows = csv.reader(decode_lines(file), strict=True)
    try:
        yield from _read_columns(rows)
    except csv.Error as error:
        raise ValueError(f"{error}, line {rows.line_num}; quote fields that hold ',' or quotes") from error


def read_tsv(file: BinaryIO) -> Iterator[Label]:
    """The column `entry`, and `language` where there is one, of a table with tabs between columns; quotes are text."""
    yield from _read_columns(line.rstrip("\r\n").split("\t") for line in decode_lines(file))


def read_json(file: BinaryIO) -> Iterator[Label]:
    """Strings or objects with an `entry` and maybe a `language`, as one JSON array of at most 1 GiB or as JSON lines.

    Raises ValueError naming line and column of what is no JSON.
    """
    for value in _json_values(file):
        if isinstance(value, str):
            yield Label(value)
        elif (
            isinstance(value, dict)
            and isinstance(value.get("entry"), str)
            and isinstance(value.get("language") or "", str)
        ):
            yield Label(value["entry"], language_of(value.get("language")))
        else:
            text = orjson.dumps(value)[:60].decode("utf-8", "replace")
            raise ValueError(f"{text} is neither a string nor an object with an 'entry'")


def read_parquet(file: BinaryIO) -> Iterator[Label]:
    """The column `entry`, and `language` where there is one, of a Parquet file."""
    try:
        with pq.ParquetFile(file, pre_buffer=False) as parquet:
            names = _choose_columns(parquet.schema_arrow.names)
            for batch in parquet.iter_batches(columns=names, use_threads=False):
                columns = [batch[name].cast(pa.string()).to_pylist() for name in names]
                for text, *tags in zip(*columns, strict=True):
                    yield Label(text or "", language_of(tags[0]) if tags else None)
    except OSError as error:
        if type(error) is not OSError or error.errno is not None:
            raise  # of the disk or the network, which may pass
        raise ValueError(f"{error}; the file is damaged, copy it again") from error  # so Arrow tells of broken pages


def decode_lines(file: BinaryIO) -> Iterator[str]:
    """A file's lines with their ends, each a line feed, a return or both; a mark of byte order is left out.

    Bytes that are no UTF-8 become lone surrogates, so that they cost their own line alone. Raises ValueError for a line
    of more than 16 MiB.
    """
    number = 0
    while line := file.readline(_MOST):
        number += 1
        if len(line) == _MOST:
            raise ValueError(f"line {number} is longer than {_MOST:,} bytes; is this a text file?")
        line = line if number > 1 else line.removeprefix(codecs.BOM_UTF8)
        yield from (
            each.decode("utf-8", "surrogateescape") for each in line.splitlines(keepends=True)
        )  # at a bare \r too


def _read_columns(rows: Iterator[list[str]]) -> Iterator[Label]:
    columns = next(rows, [])
    indices = [columns.index(name) for name in _choose_columns(columns)]
    for row in rows:
        text, *tags = [row[i] if i < len(row) else "" for i in indices]
        yield Label(text, language_of(tags[0]) if tags else None)


def _choose_columns(columns: list[str]) -> list[str]:
    if "entry" not in columns:
        raise ValueError(
            f"no column is named 'entry', only {', '.join(columns)[:200] or 'none'}; rename the one with the entries"
        )
    return ["entry", "language"] if "language" in columns else ["entry"]


def _json_values(file: BinaryIO) -> Iterator[Any]:
    """The values of an array, which is held whole, or of lines, one at a time."""
    is_array = file.read(1024).removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"[")
    file.seek(0)
    if not is_array:
        yield from (_load_json(line, f", line {at}") for at, line in enumerate(decode_lines(file), 1) if line.strip())
        return
    array = file.read(_MOST_OF_ARRAY + 1).removeprefix(codecs.BOM_UTF8)
    if len(array) > _MOST_OF_ARRAY:
        raise ValueError(f"an array of more than {_MOST_OF_ARRAY:,} bytes; save it as JSON lines, a value a line")
    yield from _load_json(array, "; was the file cut?")


def _load_json(text: str | bytes, hint: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"no JSON, {error}{hint}") from None

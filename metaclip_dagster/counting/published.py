"""Read counts of entries that somebody published: MetaCLIP's JSON or Parquet -> PublishedCounts."""

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from metaclip_dagster.schemas import named

_BROKEN = (ValueError, RecursionError, EOFError, OSError, zlib.error, pa.ArrowException)
_LAYOUTS = (
    "counts are a JSON object of entry and count, one such object a language, or Parquet with the columns entry, "
    "before or entry_count, and language where there are several"
)
PUBLISHED = pa.schema({"language": pa.string(), "entry": pa.string(), "num_pairs": pa.uint64()})


@dataclass(frozen=True)
class PublishedCounts:
    """How many pairs of somebody's pool match each entry of their list."""

    name: str
    """The file or folder, for messages."""
    table: pa.Table
    """PUBLISHED; an entry stands once in a language."""


class _Object(list[tuple[str, Any]]):
    """A JSON object as its pairs, so that a name that stands twice is seen."""


@named("counting:read_published")
def read_published(
    files: Mapping[str, BinaryIO], *, name: str, languages: Sequence[str] = ("en",), column: str = "before"
) -> PublishedCounts:
    """Read files of counts by their names, each JSON or Parquet, plain or gzipped, as their bytes tell.

    What names no language, by an object, a column or as entry_counts.de.json does, is in the first of `languages`.
    Of Parquet `column` is read, or else entry_count. Memory is that of the files' entries, some 200 bytes each.

    Raises:
        ValueError: a file is of another format, or a count is no whole number from 0 to 2**63 - 1, or stands twice, or
            all together are 2**63 or more; it names the file, the entry and the way out.

    """
    tables = []
    for file_name, file in files.items():
        try:
            with file:
                content = file.read()
            content = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
            read = _read_parquet(content, column) if content.startswith(b"PAR1") else _read_json(content)
            language = _language_of(file_name, languages)
            tables += [_check_counts(of or language, entries, counts) for of, entries, counts in read]
        except _BROKEN as error:
            raise ValueError(f"{file_name}: cannot be read as counts of entries: {error}; {_LAYOUTS}") from error
    table = pa.concat_tables([PUBLISHED.empty_table(), *tables])
    repeated = table.group_by(["language", "entry"]).aggregate([([], "count_all")])
    repeated = repeated.filter(pc.greater(repeated["count_all"], 1))
    if repeated.num_rows:
        row = repeated.slice(0, 1).to_pylist()[0]
        raise ValueError(
            f"{name}: the entry {row['entry']!r} ({row['language']}) has {row['count_all']} counts; leave one of them"
        )
    if np.sum(table["num_pairs"].to_numpy(), dtype=np.float64) >= 2.0**63:
        raise ValueError(f"{name}: its counts are 2**63 or more together, which no pool has; is it a file of counts?")
    return PublishedCounts(name, table)


def _language_of(file_name: str, languages: Sequence[str]) -> str:
    """The language that a name like entry_counts.de.json tells, where it is one of these, or the first of them."""
    infix = re.search(r"\.([a-z]{2,3})\.(?:json|parquet)(?:\.gz)?$", file_name)
    return infix[1] if infix and infix[1] in languages else languages[0]


def _read_json(content: bytes) -> Iterator[tuple[str, list[str], list[Any]]]:
    document = json.loads(content, object_pairs_hook=_Object)
    if not isinstance(document, _Object):
        raise ValueError(f"it holds no JSON object, but a {type(document).__name__}")
    has_languages = bool(document) and all(isinstance(of, _Object) for _, of in document)
    for language, counts in document if has_languages else [("", document)]:
        yield language, [entry for entry, _ in counts], [count for _, count in counts]


def _read_parquet(content: bytes, column: str) -> Iterator[tuple[str, list[str], list[Any]]]:
    file = pq.ParquetFile(pa.BufferReader(content))
    names = file.schema_arrow.names
    counts = next((name for name in (column, "entry_count") if name in names), None)
    if "entry" not in names or counts is None:
        raise ValueError(f"it has the columns {', '.join(names)}")
    table = file.read(columns=["entry", counts, *(["language"] if "language" in names else [])])
    unnamed = pa.repeat("", table.num_rows)
    language_of = pc.fill_null(table["language"].cast(pa.string()), "") if "language" in names else unnamed
    for language in pc.unique(language_of).to_pylist():
        rows = table.filter(pc.equal(language_of, language))
        yield language, rows["entry"].to_pylist(), rows[counts].to_pylist()


def _check_counts(language: str, entries: list[str], counts: list[Any]) -> pa.Table:
    for entry, count in zip(entries, counts, strict=True):
        is_whole = type(count) is int or (isinstance(count, float) and count.is_integer())  # True is no count
        if not (isinstance(entry, str) and is_whole and 0 <= count < 2**63):
            raise ValueError(
                f"the entry {entry!r:.200} has the count {count!r:.80}, and a count is a whole number "
                "from 0 to 2**63 - 1"
            )
    columns = [pa.repeat(pa.scalar(language), len(entries)), pa.array(entries, pa.string())]
    return pa.table([*columns, pa.array(map(int, counts), pa.uint64())], PUBLISHED)

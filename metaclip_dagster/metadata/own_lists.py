"""Read a user's own list of entries, plain text or CSV, as candidates in the list's order."""

import codecs
import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO

import pyarrow as pa

from metaclip_dagster.schemas import CANDIDATES, writes

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_ROWS = 65_536


@writes(CANDIDATES)
def read_own_entries(file: BinaryIO, *, language: str = "en", dropped: Counter[str]) -> Iterator[pa.RecordBatch]:
    """Candidates of a UTF-8 file: one entry a line, or a CSV whose first line names a column `entry`.

    They rank as they stand. Blanks around an entry go. Empty lines, repeats, control characters (tabs too) and bytes
    that are no UTF-8 are dropped, each counted. Raises ValueError for broken CSV and for a file without any entry.
    """
    name = getattr(file, "name", "the list")
    found: dict[str, int] = {}
    try:
        for text in _entries(_lines(file)):
            entry = text.strip(" \r")
            if reason := _why_not(entry):
                dropped[reason] += 1
            elif entry in found:
                dropped["repeated"] += 1
                found[entry] += 1
            else:
                found[entry] = 1
    except csv.Error as error:
        raise ValueError(
            f"{name}: no readable CSV after {len(found)} entries: {error}; quote fields that hold commas"
        ) from error
    if not found:
        raise ValueError(f"{name}: holds no entry; write one a line in UTF-8, or a CSV with a column named entry")
    columns = {
        "entry": list(found),
        "language": [language] * len(found),
        "score": [float(-position) for position in range(len(found))],
        "num_occurrences": list(found.values()),
    }
    yield from pa.Table.from_pydict(columns, schema=CANDIDATES).to_batches(max_chunksize=_ROWS)


def _lines(file: BinaryIO) -> Iterator[str]:
    # Undecodable bytes become lone surrogates, as they would come from elsewhere, and fall with their line alone.
    for position, line in enumerate(file):
        yield (line if position else line.removeprefix(codecs.BOM_UTF8)).decode("utf-8", "surrogateescape")


def _entries(lines: Iterator[str]) -> Iterable[str]:
    first = next(lines, "")
    columns = next(csv.reader([first]), [])
    if "entry" in columns:
        return (row.get("entry") or "" for row in csv.DictReader(lines, columns, strict=True))
    return (line.removesuffix("\n") for line in chain([first], lines))


def _why_not(entry: str) -> str | None:
    if not entry:
        return "empty"
    if _SURROGATE.search(entry):
        return "not_unicode"
    return "control_character" if _CONTROL.search(entry) else None

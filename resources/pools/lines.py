"""Read TSV and CSV of sets that others made, so that a broken line costs only itself."""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import BinaryIO, cast

from resources.pools.rows import MAX_TEXT, Names, Row


def read_tsv(file: BinaryIO, path: str, names: Names, columns: Sequence[str] = ()) -> Iterator[Row | str]:
    """A row a line, or why a line is none: `too_large`, `extra_fields`. A quote is a character like any other."""
    lines = ("too_large" if line is None else line.split("\t") for line in _lines(file))
    return _find_fields(lines, path, names, columns)


def read_csv(file: BinaryIO, path: str, names: Names, columns: Sequence[str] = ()) -> Iterator[Row | str]:
    """A row a record, or why a line is none: `too_large`, `corrupt`, `extra_fields`: a comma that no quotes hold."""
    return _find_fields(_split_csv(_lines(file)), path, names, columns)


def _lines(file: BinaryIO) -> Iterator[str | None]:
    """A file's lines without their ends, None for one that is longer than a text may be.

    A carriage return within is white space of a text: not all who write TSV and CSV quote it.
    """
    with io.BufferedReader(cast(io.RawIOBase, file)) as buffered:  # s3fs's own `readline` knows no bound
        while line := buffered.readline(MAX_TEXT):
            if line.endswith(b"\n") or len(line) < MAX_TEXT:
                yield line.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace").rstrip("\r\n").replace("\r", " ")
                continue
            while line and not line.endswith(b"\n"):
                line = buffered.readline(MAX_TEXT)
            yield None


def _split_csv(lines: Iterator[str | None]) -> Iterator[list[str] | str]:
    """The fields of every record, or why it has none: one that does not parse costs its own lines alone."""
    csv.field_size_limit(MAX_TEXT)  # of the process; its own limit would refuse a long text
    record: list[str | None] = []  # lines of the record at hand

    def feed(again: Sequence[str | None]) -> Iterator[str]:
        size = 0
        for line in chain(again, lines):
            size = (size if record else 0) + len(line or "")
            record.append(line)
            if line is None or size > MAX_TEXT:
                raise csv.Error
            yield f"{line}\n"
        if record:
            raise csv.Error

    again: Sequence[str | None] = ()
    while True:
        try:
            for fields in csv.reader(feed(again), strict=True):
                record.clear()
                yield fields
            return
        except csv.Error:
            # A record that began on any but the last of these would end there too: they stand alone or not at all.
            alone = record[:-1] or record[:]
            again = record[len(alone) :]
            record.clear()
            yield from map(_split_line, alone)


def _split_line(line: str | None) -> list[str] | str:
    try:
        return "too_large" if line is None else next(csv.reader([line], strict=True))
    except csv.Error:
        return "corrupt"


def _find_fields(
    records: Iterator[list[str] | str], path: str, names: Names, columns: Sequence[str]
) -> Iterator[Row | str]:
    header = list(columns) or next((fields for fields in records if not isinstance(fields, str)), [])
    chosen = [header.index(name) if name else None for name in names.find_columns(header, path)]
    numbers = [(column, header.index(column)) for column in names.check_numbers(header, path)]
    for number, fields in enumerate(records):
        if isinstance(fields, str):
            yield fields
        elif any(fields[len(header) :]):  # where they were parted wrongly, none can be told from its neighbour
            yield "extra_fields"
        else:
            url, text, page = (fields[at] if at is not None and at < len(fields) else None for at in chosen)
            of_row = {column: fields[at] if at < len(fields) else None for column, at in numbers}
            yield Row(url, [text] if text else [], page, number, numbers=of_row)

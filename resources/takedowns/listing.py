"""Read the list of takedowns that somebody keeps: a CSV file of kind, value, reason and, if need be, request."""

import csv
import re
from pathlib import Path
from typing import NamedTuple

MOST_CHARACTERS = 100_000  # of a line, and within a field's own limit, which csv keeps for the whole process
HEADER = ["kind", "value", "reason"]
HEADER_WITH_REQUESTS = [*HEADER, "request"]


class ListedLine(NamedTuple):
    """One line of the list; `request` is the id of the request that it belongs to, empty where it belongs to none."""

    where: str
    kind: str
    value: str
    request: str


def read_list(path: str) -> list[tuple[str, str, str]]:
    """File and line, kind and value of all that is listed; nothing where there is no file.

    Raises ValueError as `read_lines` does.
    """
    return [line[:3] for line in read_lines(path)]


def read_lines(path: str) -> list[ListedLine]:
    """All lines of the list, with or without a column of requests; none where there is no file.

    Raises ValueError naming the line that has not as many fields as the header, or whose request is no id, or the file
    that has no line at all.
    """
    if not Path(path).exists():
        return []
    entries, header = [], HEADER
    for number, line in enumerate(read_text(path).split("\n"), 1):
        where = f"{path}:{number}"
        row = split_line(line, where)
        if number == 1:
            if row not in (HEADER, HEADER_WITH_REQUESTS):
                names = ",".join(HEADER)
                raise ValueError(f"{where}: the first line must be {names}, or {names},request")
            header = row
        elif row:
            if len(row) != len(header):
                raise ValueError(
                    f"{where}: {len(row)} fields, not {len(header)}; a comma needs quotes around its field"
                )
            kind, value, _, request = (field.strip() for field in (*row, "")[:4])
            if request:
                check_id(request, where)
            entries.append(ListedLine(where, kind, value, request))
    return entries


def check_id(request: str, where: str) -> None:
    """Raise ValueError if a request's id, which names files too, is none."""
    if not _ID.fullmatch(request) or _TIME.fullmatch(request):
        raise ValueError(
            f"{where}: {request[:100]!r} is no id of a request: up to 64 of A-Z, a-z, 0-9, '.', '_' and '-', the first "
            "a letter or digit, and no time as in 2026-11-30T101500Z, by which reports are named"
        )


def read_text(path: str) -> str:
    """A text file that somebody saved, with a mark of its encoding or without. Raises ValueError for another one."""
    content = Path(path).read_bytes()
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: {error}; save it in UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def split_line(line: str, where: str, delimiter: str = ",") -> list[str]:
    """The fields of one line; none goes on in the next, or a quote too many would take lines along unseen."""
    if len(line) > MOST_CHARACTERS:
        raise ValueError(f"{where}: longer than {MOST_CHARACTERS:,} characters")
    try:
        return next(csv.reader([line], strict=True, delimiter=delimiter), [])
    except csv.Error as error:
        raise ValueError(f"{where}: {error}; is there a quote too many, or one too few?") from None


_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d{6}Z")

"""Read what somebody asks to have taken down, a CSV file as spreadsheets save it, and add it to the list."""

import csv
import fcntl
import io
import os
import re
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from resources.files.local import create
from resources.takedowns.listing import HEADER, HEADER_WITH_REQUESTS, read_lines, read_text, split_line

REASON_CHARACTERS = 1000


class RequestedLine(NamedTuple):
    """One line of a request: file and line, kind, value and reason, without the blanks around them."""

    where: str
    kind: str
    value: str
    reason: str


@dataclass(frozen=True)
class Added:
    """What became of a request's lines."""

    request: str
    lines: int
    """Lines that were added to the list."""
    already: int
    """Lines that the list had for this request before."""
    elsewhere: int
    """Lines that were added though another line, of another request or of none, names the same."""


def read_request(path: str) -> tuple[list[RequestedLine], list[str]]:
    """The lines of a request, each once, and a message for each line that is none.

    Fields are parted by commas, semicolons or tabs, whichever the header has; columns beyond it are to be empty. Raises
    ValueError for a file without a header, or with no line below it.
    """
    texts = read_text(path).split("\n")
    first = next((number for number, text in enumerate(texts) if text.strip() and text[:4].lower() != "sep="), 0)
    delimiter = _find_delimiter(texts[first], f"{path}:{first + 1}")
    lines: dict[RequestedLine, RequestedLine] = {}
    problems = []
    for number, text in enumerate(texts[first + 1 :], first + 2):
        where = f"{path}:{number}"
        try:
            row = [field.strip(_BLANKS) for field in split_line(text, where, delimiter)]
            if any(row):
                line = _read_line(row, where)
                lines.setdefault(line._replace(where="", reason=""), line)
        except ValueError as error:
            problems.append(str(error))
    if not lines and not problems:
        raise ValueError(f"{path}: no line below the header")
    return list(lines.values()), problems


def add_request(path: Path, lines: Collection[RequestedLine], request: str = "", used: Collection[str] = ()) -> Added:
    """Add the lines to the list under the request's id, by default a new one of today that nobody has used.

    The list is replaced whole, with a column of requests if it had none; it is made where it is not there. What the
    request has listed already is left out. Raises ValueError for a list that has a bad line.
    """
    path = path.resolve()
    with _lock(path.parent):
        listed = read_lines(str(path))
        request = request or _number_request({*used, *(line.request for line in listed)})
        of_request = {(line.kind, line.value) for line in listed if line.request == request}
        anywhere = {(line.kind, line.value) for line in listed}
        added = [line for line in lines if (line.kind, line.value) not in of_request]
        if added:
            rows = [(line.kind, line.value, line.reason, request) for line in added]
            _replace(path, _render_list(path) + _render_rows(rows))
    elsewhere = sum((line.kind, line.value) in anywhere for line in added)
    return Added(request, len(added), len(lines) - len(added), elsewhere)


def _find_delimiter(header: str, where: str) -> str:
    for delimiter in ",;\t":
        names = [name.strip(_BLANKS).lower() for name in split_line(header, where, delimiter)]
        while names and not names[-1]:
            names.pop()
        if names in (HEADER, HEADER[:2]):
            return delimiter
    raise ValueError(f"{where}: the first line must be {','.join(HEADER[:2])} or {','.join(HEADER)}")


def _read_line(row: list[str], where: str) -> RequestedLine:
    if any(row[len(HEADER) :]) or len(row) < 2:
        raise ValueError(f"{where}: {len(row)} fields, not 2 or 3; a comma needs quotes around its field")
    kind, value, reason = (*row, "")[: len(HEADER)]
    if len(reason) > REASON_CHARACTERS:
        raise ValueError(f"{where}: a reason of more than {REASON_CHARACTERS:,} characters")
    # Whoever opens the list in a spreadsheet must not run a stranger's formula.
    return RequestedLine(
        where, kind.lower(), value, f"'{reason}" if reason.startswith(("=", "+", "-", "@")) else reason
    )


def _number_request(used: Collection[str]) -> str:
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    numbers = (re.fullmatch(rf"{day}-(\d{{1,9}})", request) for request in used)
    return f"{day}-{max((int(match[1]) for match in numbers if match), default=0) + 1}"


def _render_list(path: Path) -> str:
    """The list as it is, with a column of requests."""
    names = ",".join(HEADER_WITH_REQUESTS)
    texts = read_text(str(path)).rstrip("\n").split("\n") if path.exists() else [names]
    if split_line(texts[0], str(path)) != HEADER:
        return "\n".join([*texts, ""])
    return "\n".join([names, *(f"{text}," if split_line(text, str(path)) else text for text in texts[1:]), ""])


def _render_rows(rows: Collection[tuple[str, ...]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue()


def _replace(path: Path, text: str) -> None:
    """Replace the list by this text, to be read by whom it was; the lock's holder is its only writer."""
    partial = path.with_name(f".{path.name}.tmp")
    partial.touch()
    if path.exists():
        partial.chmod(stat.S_IMODE(path.stat().st_mode))
    with create(path, partial=partial) as file:
        file.write(text.encode())


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


_BLANKS = " \t\r\v\f\u00a0\u200b\u200e\u200f\u2060\ufeff"
"""What mail programs and spreadsheets leave around what was pasted."""

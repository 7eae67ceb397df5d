"""Read the list of takedowns that somebody keeps: a CSV file of kind, value and reason."""

import csv
from pathlib import Path

MOST_CHARACTERS = 100_000  # of a line, and within a field's own limit, which csv keeps for the whole process
HEADER = ["kind", "value", "reason"]


def read_list(path: str) -> list[tuple[str, str, str]]:
    """File and line, kind and value of all that is listed; nothing where there is no file.

    Raises ValueError naming the line that is not one of kind, value and reason, or the file that has no line at all.
    """
    if not Path(path).exists():
        return []
    entries = []
    try:
        lines = Path(path).read_text("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: {error}; save it in UTF-8") from None
    for number, line in enumerate(lines, 1):
        where = f"{path}:{number}"
        row = _split(line, where)
        if number == 1 and row != HEADER:
            raise ValueError(f"{where}: the first line must be {','.join(HEADER)}")
        if row and len(row) != len(HEADER):
            raise ValueError(f"{where}: {len(row)} fields, not {len(HEADER)}; a comma needs quotes around its field")
        if row and number > 1:
            entries.append((where, row[0].strip(), row[1].strip()))
    return entries


def _split(line: str, where: str) -> list[str]:
    """The fields of one line; none goes on in the next, or a quote too many would take lines along unseen."""
    if len(line) > MOST_CHARACTERS:
        raise ValueError(f"{where}: longer than {MOST_CHARACTERS:,} characters")
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error as error:
        raise ValueError(f"{where}: {error}; is there a quote too many, or one too few?") from None

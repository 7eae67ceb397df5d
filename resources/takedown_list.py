"""The list of takedowns, as somebody keeps it: a CSV file. Imports no Dagster: workers read it."""

import csv
from pathlib import Path

HEADER = ["kind", "value", "reason"]


def read_list(path: str) -> list[tuple[str, str, str]]:
    """File and line, kind and value of all that is listed; nothing where there is no file.

    Raises ValueError naming the line that is not one of kind, value and reason.
    """
    if not Path(path).exists():
        return []
    found = []
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file)
        if next(lines, HEADER) != HEADER:
            raise ValueError(f"{path}:1: the first line must be {','.join(HEADER)}")
        for row in lines:
            where = f"{path}:{lines.line_num}"
            if row and len(row) != len(HEADER):
                raise ValueError(
                    f"{where}: {len(row)} fields, not {len(HEADER)}; a comma needs quotes around its field"
                )
            if row:
                found.append((where, row[0].strip(), row[1].strip()))
    return found

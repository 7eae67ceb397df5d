"""Keep the numbers that a pool's own files have of its pairs, such as others' CLIP scores: rows -> POOL_COLUMNS."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa

from metaclip_dagster.parsing.pairs import PoolRow, parse_rows
from metaclip_dagster.schemas import POOL_COLUMNS, writes
from metaclip_dagster.urls import URL_NORMALISATION


@writes(POOL_COLUMNS, name="parsing:read_pool_columns", version=1 + URL_NORMALISATION)
def read_pool_columns(rows: Iterable[PoolRow | str], *, name: str, dropped: Counter[str]) -> Iterator[pa.RecordBatch]:
    """Every number that a pool's file has of a pair that `parse_rows` makes of it.

    Rows are as there, and have a mapping of columns to values behind the pool_address. Of a pair that stands twice the
    first row counts, as for PAIRS. `dropped` counts pairs by what their value is instead: `missing_<column>` for null,
    NaN and empty texts, `no_number_<column>` for other texts and what is infinite. `name` is the file's.
    """
    numbers: dict[int, Mapping[str, object]] = {}

    def note_numbers() -> Iterator[PoolRow | str]:
        for row in rows:
            if not isinstance(row, str):
                numbers[row[3]] = row[5]
            yield row

    for batch in parse_rows(note_numbers(), name=name, dropped=Counter()):
        places = batch["offset"].to_pylist()
        values = []
        for pair_id, place in zip(batch["pair_id"].to_pylist(), places, strict=True):
            for column, value in numbers[place].items():
                number = _read_number(value)
                if isinstance(number, str):
                    dropped[f"{number}_{column}"] += 1
                else:
                    values.append({"pair_id": pair_id, "column": column, "value": number})
        yield pa.RecordBatch.from_pylist(values, POOL_COLUMNS)
        for place in [it for it in numbers if it < places[-1]]:
            del numbers[place]


def _read_number(value: object) -> float | str:
    """The number, or why there is none.

    >>> [_read_number(value) for value in (3, " 0.25", "", None, float("nan"), "1_0", "-inf", True, [1.0])]
    [3.0, 0.25, 'missing', 'missing', 'missing', 'no_number', 'no_number', 'no_number', 'no_number']
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return "missing"
    if isinstance(value, bool | list | dict) or (isinstance(value, str) and "_" in value):
        return "no_number"
    try:
        number = float(value)  # type: ignore[arg-type]  # what else a file may hold is refused here
    except (TypeError, ValueError, OverflowError):
        return "no_number"
    return "missing" if math.isnan(number) else number if math.isfinite(number) else "no_number"

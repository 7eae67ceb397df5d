"""Say which version of this program a table comes of: its parsers are never mixed, and older ones lack columns."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from metaclip_dagster.parsing import parse_rows, parse_warc, parse_wat
from metaclip_dagster.schemas import ENTRY_COUNTS, SUBSETS
from resources.deferred import stage_version
from resources.lake.resource import WHOLE, Lake

PARSERS: dict[str, Callable[..., Any]] = {"wat": parse_wat, "warc": parse_warc, "pool": parse_rows}
NUMBERS = "numbers"
"""Where POOL_COLUMNS of a pool have the names of its columns."""
_PARSED_BY = "parsed by"
_SCHEMAS = {"entry_counts": ENTRY_COUNTS, "subsets": SUBSETS}
# Each is made of those before it.
_BELOW_PAIRS = ("pairs", "matches", "exclusions", "entry_counts", "admissions", "subsets")


def record_parsers(lake: Lake, table: str, partitions: Iterable[str]) -> dict[str, str]:
    """For the manifest of what is made of these partitions: which parsers they come of, for `why_outdated`."""
    versions = (_parsers_of(table, lake.manifest(table, partition).inputs) for partition in partitions)
    return {_PARSED_BY: ", ".join(sorted({*versions}))}


def why_outdated(lake: Lake, table: str, partitions: Iterable[str]) -> str | None:
    """Which of the finished partitions come of pages that another version parsed, and the way out; None if none."""
    today = {stage_version(parser) for parser in PARSERS.values()}
    versions = {key: _parsers_of(table, lake.manifest(table, key).inputs) for key in lake.finished(table, partitions)}
    others = {key: version for key, version in versions.items() if not {*version.split(", ")} <= today}
    if not others:
        return None
    at = _BELOW_PAIRS.index(table)
    first = "" if table == "pairs" else "pairs (if they are of that version too), then everything down to "
    below = f", then {', '.join(_BELOW_PAIRS[at + 1 :])}" if table != "subsets" else ""
    return (
        f"{table} of {', '.join(others)} was made from pages that another version of this program parsed "
        f"({', '.join(sorted({*others.values()}))}; today's are {', '.join(sorted(today))}): ids may be others "
        f"there, and opt-outs and licences missing. Materialize {first}{table} of {', '.join(others)} again{below}"
    )


def check_columns(lake: Lake, table: str, partition: str = WHOLE) -> None:
    """Raise ValueError if a finished partition of ENTRY_COUNTS or SUBSETS lacks columns, as those of older versions do.

    For who reads columns outside a run of stages, which would make the partition again.
    """
    if not lake.manifest(table, partition).shards:
        return
    columns = lake.dataset(table, [partition]).schema.names
    if missing := [name for name in _SCHEMAS[table].names if name not in columns]:
        raise ValueError(
            f"{table}{'' if partition == WHOLE else f' of {partition}'} has no column {', '.join(missing)}: an older "
            f"version of this program made it. Materialize {', '.join(_BELOW_PAIRS)} again, in this order"
        )


def _parsers_of(table: str, inputs: Mapping[str, str]) -> str:
    """The versions, of PAIRS the stage's own; tables older than this record have none."""
    return inputs["stage"] if table == "pairs" else inputs.get(_PARSED_BY, "a version that was not written down")

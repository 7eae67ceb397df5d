"""Print what one snapshot of Common Crawl, and a hundred, would take, from rows of RESULTS.md and of a whole curation.

python -m benchmarks.scale [--dollars N]

--dollars  of an hour of one core; every other assumption stands below, and in docs/scale.md
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.__main__ import RESULTS

NUM_WATS, PACKED_MB_A_WAT = 90_000, 200
RAW_OF_PACKED = 4.5
"""Raw bytes of a packed one; the sample's WATs have 4.4 to 4.6."""
PAIRS = 3e9
"""Pairs of a snapshot; all are held to match, so that what follows is rather too much."""
MATCHES_A_PAIR = 7.8
"""Of 500,000 entries in the first day's texts; the sample's have 3.5."""
DOLLARS_A_CORE_HOUR, DOLLARS_A_GB_MONTH = 0.02, 0.023
SNAPSHOTS = (1, 100)

RAW_GB = NUM_WATS * PACKED_MB_A_WAT / 1e3 * RAW_OF_PACKED
SECONDS = {"s/GB raw": RAW_GB, "us/text": PAIRS * 1e-6, "us/pair": PAIRS * 1e-6}
"""How many seconds of one core a snapshot takes for each of a row's unit."""


@dataclass(frozen=True)
class Step:
    """What is done to every pair once, and the row that says how fast: a benchmark's name and the row's own."""

    name: str
    benchmark: str
    row: str


FIRST_DAY = "first day"
"""One curation of 120 WATs, 5.94 million pairs and 500,000 entries, from a host on the loopback, November 2026."""
FIRST_DAY_ROWS = {
    "count_entries, the stage": (13.0, "M matches/s"),
    "admit, the stage": (8.0, "M matches/s"),
    "pairs, stored": (67.6, "bytes/row"),
    "matches, stored": (46.6, "bytes/row"),
    "subsets, stored": (97.0, "bytes/row"),
}
"""With Parquet and exclusions, which the kernels' rows in RESULTS.md leave out, and the URLs and texts of pages."""


@dataclass(frozen=True)
class Serial:
    """What rows of stages leave out: seconds for so many units, of each snapshot or whatever there is."""

    name: str
    where: str
    value: float
    unit: str
    units: float
    each_snapshot: bool


SERIAL = (
    Serial("a data card, and the check of strays", "the run's own process, one core", 2.1e-6, "s/pair", PAIRS, True),
    Serial("find duplicates: start of its 256 buckets", "workers", 0.09, "s/bucket", 256, False),
    Serial("images: start of 4,096 buckets, for each t", "workers", 0.014, "s/bucket", 4096, False),
    Serial("training_sets: start of 4,096 buckets, for each set", "workers", 0.048, "s/bucket", 4096, False),
)
"""Measured on the first day, too."""

STEPS = (
    Step("parse WATs", "parsing", "parsing WAT of Common Crawl's link density"),
    Step("match entries, identify languages", "matching", "match_entries, language identification in it"),
    Step("find duplicates, a bucket at a time", "deduplicating", "deduplicating, CPU time"),
    Step("count matches", FIRST_DAY, "count_entries, the stage"),
    Step("admit, for every t at once", FIRST_DAY, "admit, the stage"),
    Step("select one subset", "scaling", "select_pairs, CPU time"),
)
TABLES = tuple(
    Step(name, FIRST_DAY if f"{name}, stored" in FIRST_DAY_ROWS else "scaling", f"{name}, stored")
    for name in ("pairs", "matches", "places", "admissions", "subsets")
)


def main() -> None:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dollars", type=float, default=DOLLARS_A_CORE_HOUR)
    print(tell(read_results(RESULTS), parser.parse_args().dollars))


def read_results(path: Path) -> dict[tuple[str, str], tuple[float, str]]:
    """Value and unit of each row that a step may need, by its benchmark and name, those of the first day among them."""
    results = {(FIRST_DAY, name): value for name, value in FIRST_DAY_ROWS.items()}
    read = {step.benchmark for step in (*STEPS, *TABLES)}
    for section in path.read_text("utf-8").split("\n## ")[1:]:
        benchmark, *lines = section.split("\n")
        if benchmark not in read:
            continue
        for line in lines:
            cells = [cell.strip() for cell in line.strip("| ").split("|")]
            if line.startswith("| ") and len(cells) >= 3 and cells[1] not in ("value", "---:"):
                results[benchmark, cells[0]] = float(cells[1].replace(",", "")), cells[2]
    return results


def tell(rows: Mapping[tuple[str, str], tuple[float, str]], dollars: float = DOLLARS_A_CORE_HOUR) -> str:
    """Core-hours and money by step, bytes and money by table; a step without a row is told as not measured.

    Raises ValueError for a row in a unit that cannot be scaled.
    """
    heads = [f"{num} snapshot{'s' if num > 1 else ''}" for num in SNAPSHOTS]
    lines = [
        _line("step", "row", "measured", *(f"{head}, {of}" for head in heads for of in ("core-hours", "$"))),
        _line(*["---"] * 2, *["---:"] * (1 + 2 * len(SNAPSHOTS))),
    ]
    total = 0.0
    for step in STEPS:
        value, unit = rows.get((step.benchmark, step.row), (0.0, ""))
        hours = _seconds(step, value, unit) / 3600 if unit else 0.0
        total += hours
        numbers = [number for num in SNAPSHOTS for number in (f"{num * hours:,.1f}", f"{num * hours * dollars:,.2f}")]
        named = f"{step.benchmark}: {step.row}"
        lines.append(_line(step.name, named, *([f"{value:g} {unit}", *numbers] if unit else ["not measured"])))
    sums = [number for num in SNAPSHOTS for number in (f"{num * total:,.0f}", f"{num * total * dollars:,.2f}")]
    lines += [_line("all of it", "", "", *sums), ""]
    lines += [
        _line("table", "row", "measured", *(f"{head}, {of}" for head in heads for of in ("GB", "$ a month"))),
        _line(*["---"] * 2, *["---:"] * (1 + 2 * len(SNAPSHOTS))),
    ]
    for table in TABLES:
        value, unit = rows.get((table.benchmark, table.row), (0.0, ""))
        size = value * PAIRS / 1e9
        numbers = [
            number for num in SNAPSHOTS for number in (f"{num * size:,.0f}", f"{num * size * DOLLARS_A_GB_MONTH:,.0f}")
        ]
        named = f"{table.benchmark}: {table.row}"
        lines.append(_line(table.name, named, *([f"{value:g} {unit}", *numbers] if unit else ["not measured"])))
    return "\n".join([*lines, "", *_tell_serial()])


def _tell_serial() -> list[str]:
    heads = [f"{num} snapshot{'s' if num > 1 else ''}, hours" for num in SNAPSHOTS]
    rows = [
        _line("beside the rows above", "where", "measured", *heads),
        _line("---", "---", *["---:"] * (1 + len(SNAPSHOTS))),
    ]
    for work in SERIAL:
        hours = work.value * work.units / 3600
        numbers = [f"{hours * (num if work.each_snapshot else 1):,.2f}" for num in SNAPSHOTS]
        rows.append(_line(work.name, work.where, f"{work.value:g} {work.unit}", *numbers))
    return rows


def _seconds(step: Step, value: float, unit: str) -> float:
    if unit == "M matches/s":
        return PAIRS * MATCHES_A_PAIR / (value * 1e6)
    if unit not in SECONDS:
        raise ValueError(f"{step.benchmark}: {step.row} is in {unit}; known are M matches/s, {', '.join(SECONDS)}")
    return value * SECONDS[unit]


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()

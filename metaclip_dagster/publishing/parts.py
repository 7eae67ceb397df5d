"""Describe one t of a dataset as it lies in the folder: its data card, its files, its licences, a row."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

MAX_EXAMPLE = 100


@dataclass(frozen=True)
class DataFile:
    """A file of the folder, by its path in it."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Part:
    """D(t) as a config of the dataset."""

    card: Mapping[str, Any]
    """As `metaclip_dagster.reporting.cards` has it."""
    files: Sequence[DataFile]
    """Its Parquet files, in order."""
    beside: Sequence[DataFile]
    """Files of each entry's pairs before and after balancing, and of the licences that pages name."""
    licenses: Mapping[str, int]
    """Pairs by the licence that the page names, `none` where it names none."""
    crawled: tuple[str, str] | None
    """First and last day on which pages of the pool were crawled, ISO 8601; None where the archives do not say."""
    software: str
    """What wrote it, with its version."""
    example: Mapping[str, Any]
    """A row, empty where there is none."""

    @property
    def t(self) -> str:
        """The threshold, as the deployment spells it."""
        return str(self.card["t"])

    @property
    def config(self) -> str:
        """Its name among the dataset's configs, which is also that of its folder."""
        return name_config(self.t)

    @property
    def pairs(self) -> int:
        """Rows of all files."""
        return int(self.card["pairs"]["subset"])

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files)

    @property
    def languages(self) -> dict[str, int]:
        """Pairs of the part by language, the most first."""
        return {row["language"]: row["subset"] for row in self.card["languages"] if row["subset"]}

    @property
    def opt_outs(self) -> Mapping[str, Any]:
        """The data card's section on signals against the use of matched pairs; nothing `matched` without one."""
        return {"matched": 0, **self.card.get("opt_outs", {})}

    @property
    def left_out(self) -> dict[str, int]:
        """Pairs that match an entry and are not in the pool, by reason."""
        stages = {stage["stage"]: stage["dropped"] for stage in self.card["stages"]}
        return dict(stages.get("admissions", {}))


def name_config(t: str) -> str:
    """The config of D(t).

    >>> name_config("20"), name_config("inf")
    ('t20', 'tinf')
    """
    return f"t{t}"


def count_licenses(batches: Iterable[pa.RecordBatch]) -> dict[str, int]:
    """Pairs of SUBSETS by their licence, the most first; `none` where a page names none."""
    counts: Counter[str] = Counter()
    for batch in batches:
        for row in pc.value_counts(batch["license"]).to_pylist():
            counts[row["values"] or "none"] += row["counts"]
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def find_period(batches: Iterable[pa.RecordBatch]) -> tuple[str, str] | None:
    """First and last day of PAIRS's `crawled_at`; None where no row has one."""
    bounds = [pc.min_max(batch["crawled_at"]).as_py() for batch in batches]
    days = [bound[end].date().isoformat() for bound in bounds for end in ("min", "max") if bound[end]]
    return (min(days), max(days)) if days else None


def find_example(batches: Iterable[pa.RecordBatch]) -> dict[str, Any]:
    """A row of SUBSETS with an address and a short text, of the first batch that has one; empty where none has.

    It is one with a licence, if there is any, and of these the one whose text has the most entries.
    """
    for batch in batches:
        short = pc.and_kleene(pc.is_valid(batch["url"]), pc.less_equal(pc.utf8_length(batch["text"]), MAX_EXAMPLE))
        if rows := batch.filter(short).to_pylist():
            return max(rows, key=lambda row: (row["license"] is not None, len(row["entry_ids"])))
    return {}


def find_period_of(parts: Sequence[Part]) -> tuple[str, str] | None:
    """First and last day of all parts; None where none has any."""
    periods = [part.crawled for part in parts if part.crawled]
    return (min(first for first, _ in periods), max(last for _, last in periods)) if periods else None

"""Explain why a pair is kept and at which t: what balancing drew for it, number by number."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.balancing import build_draw, keep_probability, uniform
from metaclip_dagster.reporting.html.text import reveal
from metaclip_dagster.urls import image_id_of, normalise_url, pair_id_of
from metaclip_dagster.words.spacing import build_finder, why_unmatchable_in_the_paper

Value = str | int | float
MAX_SHOWN = 500
FACTS = ("what", "value")
"""Headings of a table of one thing's facts; text leaves them out."""


class QuestionError(ValueError):
    """The question cannot be answered; the message says why and the way out."""


@dataclass(frozen=True)
class Coin:
    """One entry of a pair and what was drawn for both: heads at every t above `drawn`, which is u x balanced_to."""

    entry: str
    entry_count: int
    balanced_to: int
    u: float
    drawn: float


@dataclass(frozen=True)
class Drawing:
    """All coins of a pair, the least drawn first; `probability` and `decision` are by rung."""

    coins: list[Coin]
    admitted_at: float
    probability: dict[str, float]
    """P(the pair is in D(t)), before anything was drawn."""
    decision: dict[str, bool]
    """Whether the pair is in D(t)."""


@dataclass(frozen=True)
class Table:
    """A part of an answer. Every string in it is harmless and short: texts of a crawl reach terminals through this."""

    title: str
    headings: tuple[str, ...]
    rows: list[tuple[Value, ...]]

    @classmethod
    def build(cls, title: str, headings: Sequence[str], rows: Iterable[Sequence[Value]]) -> "Table":
        """Write out what could hide, reorder or steer, and cut each cell to MAX_SHOWN characters."""
        harmless = [
            tuple(reveal(value, MAX_SHOWN) if isinstance(value, str) else value for value in row) for row in rows
        ]
        return cls(reveal(title, MAX_SHOWN), tuple(headings), harmless)


def explain_draw(pair_id: int, entry_counts: pa.Table, thresholds: Mapping[str, float], *, seed: int) -> Drawing:
    """What `admit` drew for a pair, from the ENTRY_COUNTS rows of its entries and its language's t at every rung.

    `admitted_at` is ADMISSIONS' own, to the last bit. Raises ValueError if an entry has no count: the counts are then
    older than the match.
    """
    counts, words = entry_counts["entry_count"].to_pylist(), entry_counts["entry"].to_pylist()
    if not all(counts):
        raise ValueError(f"the pool has no pair that matches {words[counts.index(0)]!r}: count the entries again")
    draw = build_draw(entry_counts)
    u = uniform(np.full(len(counts), pair_id, np.uint64), draw.entry_key, seed)
    drawn = u * draw.entry_count
    coins = sorted(
        map(Coin, words, counts, entry_counts["balanced_to"].to_pylist(), u.tolist(), drawn.tolist()),
        key=lambda coin: coin.drawn,
    )
    admitted_at = coins[0].drawn
    return Drawing(
        coins,
        admitted_at,
        {rung: keep_probability(draw.entry_count, t) for rung, t in thresholds.items()},
        {rung: admitted_at < t for rung, t in thresholds.items()},
    )


def read_question(question: str, text: str | None = None) -> tuple[str, int | bytes]:
    """The column of PAIRS and the value in it that are asked for by a URL, a pair_id or an image_id.

    A URL is spelled as `parsing` spells it; with its text it names one pair. Raises QuestionError for anything else.

    >>> read_question("18446744073709551615")
    ('pair_id', 18446744073709551615)
    """
    question = question.strip()
    if re.fullmatch(r"[0-9]{1,20}", question) and int(question) < 2**64:
        column_value: tuple[str, int | bytes] = ("pair_id", int(question))
    elif re.fullmatch(r"[0-9a-fA-F]{24}", question):
        column_value = ("image_id", bytes.fromhex(question))
    else:
        url, reason = normalise_url(question, "")
        if url is None:
            raise QuestionError(
                f"{reveal(question)!r} is no pair_id (a number below 2**64), no image_id (24 hexadecimal digits) and "
                f"no URL of an image ({reason}); give one of these, the URL with http:// or https://"
            )
        if text is not None:
            return "pair_id", pair_id_of(url, " ".join(text.split()))
        return "image_id", image_id_of(url)
    if text is not None:
        raise QuestionError("a text goes with a URL; a pair_id names one text already: leave the text out")
    return column_value


def find_entries(
    text: str, entries: Iterable[pa.RecordBatch], *, clause_marks: bool = True
) -> Iterator[tuple[str, str]]:
    """Language and entry of every row of ENTRIES that is in the text, by a look at each: for one text, not for many."""
    finders: dict[str, Callable[[str], bool]] = {}
    for batch in entries:
        possible = batch.filter(pc.is_null(batch["unmatchable"]))
        for language, entry in zip(possible["language"].to_pylist(), possible["entry"].to_pylist(), strict=True):
            if language not in finders:
                finders[language] = build_finder(text, language, clause_marks=clause_marks)
            if finders[language](entry) and why_unmatchable_in_the_paper(entry, language) is None:
                yield language, entry


def holds_all(text: str, entries: Iterable[str], language: str = "en", *, clause_marks: bool = True) -> bool:
    """Whether each of these entries of a language is in the text: of those it matches each is, of others rarely one."""
    return all(map(build_finder(text, language, clause_marks=clause_marks), entries))


def pairs_with(batch: pa.RecordBatch, entry_id: int) -> pa.UInt64Array:
    """The pair_id of every row whose entry_ids, which are unique in a row, hold the entry."""
    lists = batch["entry_ids"]
    is_it = pc.equal(pc.list_flatten(lists), pa.scalar(entry_id, pa.uint32()))
    return batch["pair_id"].take(pc.list_parent_indices(lists).filter(is_it))


def render_text(tables: Iterable[Table]) -> str:
    """The answer for a terminal or a log: columns side by side, numbers to the right."""
    return "\n\n".join("\n".join([table.title, *_align(table)]) for table in tables)


def align_columns(rows: Sequence[Sequence[str]], to_right: Sequence[bool]) -> list[str]:
    """Each row as a line with its cells below those of the row above, in the columns named to the right of them.

    >>> align_columns([["t", "pairs"], ["20", "7"]], [False, True])
    ['t   pairs', '20      7']
    """
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(len(to_right))]
    return [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, to_right, strict=True)
        ).rstrip()
        for row in rows
    ]


def show_number(value: float) -> str:
    """Enough digits to tell values apart, whatever their size.

    >>> show_number(1234.5678), show_number(0.00012345678), show_number(float("inf"))
    ('1234.568', '0.0001234568', 'inf')
    """
    return f"{value:.7g}"


def _align(table: Table) -> list[str]:
    rows = [[_show_value(value) for value in row] for row in table.rows]
    lines = [list(table.headings), *rows] if table.headings != FACTS else rows
    numeric = [all(isinstance(row[i], int | float) for row in table.rows) for i in range(len(table.headings))]
    return [f"  {line}" for line in align_columns(lines, numeric)]


def _show_value(value: Value) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return show_number(value) if isinstance(value, float) else value

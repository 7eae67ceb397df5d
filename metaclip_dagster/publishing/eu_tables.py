"""Build the paragraphs and the table of one answer in the EU's summary."""

from collections.abc import Mapping
from typing import Any

from metaclip_dagster.reporting.html.numbers import share

Answer = dict[str, Any]
"""{answer: paragraphs, table: None or {headings, words, rows, code}}, as JSON."""


def say(*paragraphs: str) -> Answer:
    """An answer of these paragraphs; empty ones are left out."""
    return {"answer": [text for text in paragraphs if text]}


def tabulate(headings: list[str], rows: list[list[Any]], *, words: int = 1, code: bool = False) -> Answer:
    """A table whose first `words` columns are text, with `code` the first of them of a crawl."""
    return {"headings": headings, "words": words, "rows": rows, "code": code}


def list_counts(name: str, unit: str, counts: Mapping[str, int]) -> Answer:
    """A table of counts with their shares, the largest first."""
    total = sum(counts.values())
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rows = [[value, num, share(num, total)] for value, num in ranked]
    return tabulate([name, unit, "Share"], rows)

"""The page's sections about entries: groups, extremes and where the entries come from."""

from collections.abc import Mapping, Sequence
from typing import Any

from metaclip_dagster.reporting.cards import prose
from metaclip_dagster.reporting.html import paper
from metaclip_dagster.reporting.html.markup import Html, bars, data, element, joined, key, table
from metaclip_dagster.reporting.html.numbers import number, percent

Part = Mapping[str, Any]  # of a card, whose shape `describe_subset` fixes


def groups(card: Part) -> Html:
    """Entries by the power of ten of their count, with examples."""
    sides = [(f"matches_{when}", max(card["entries"][f"matches_{when}"], 1)) for when in ("before", "after")]
    shares = [[group[name] / total for name, total in sides] for group in card["groups"]]
    widest = max([share for both in shares for share in both], default=0) or 1
    rows = [
        [
            _range(group),
            _examples(group["examples"]),
            number(group["entries"]),
            number(group["matches_before"]),
            number(group["matches_after"]),
            bars(before / widest, after / widest),
        ]
        for group, (before, after) in zip(card["groups"], shares, strict=True)
    ]
    told = element("p", prose.GROUPS, " Bars: share of all matches, ", key("before"), ", ", key("after"), ".")
    words = ["Matches in the pool", "Some of them, with matches before → after"]
    return joined([told, table([*words, "Entries", "Matches before", "After", ""], rows, words=2)])


def top(card: Part) -> Html:
    """The entries with most matches, before and after."""
    lists = [
        element("div", element("h3", f"{when.capitalize()} balancing"), _listed(card[f"top_{when}"], when))
        for when in ("before", "after")
    ]
    return joined([element("p", prose.TOP), element("div", *lists, class_="pair")])


def extremes(card: Part) -> Html:
    """The entries that balancing thinned most, and the rarest that it kept."""
    lists = [
        element("div", element("h3", name), element("p", says, class_="note"), _listed(card[part]))
        for part, (name, says) in prose.EXTREMES.items()
    ]
    return element("div", *lists, class_="pair")


def metadata(card: Part) -> Html:
    """Entries by source beside the paper's, and those without a match."""
    entries = card["entries"]
    rows = [
        [
            data(row["source"].replace("_", " ")),
            number(row["entries"]),
            percent(row["entries"] / max(entries["entries"], 1)),
            number(row["entries_matched"]),
            percent(row["matches_before"] / max(entries["matches_before"], 1)),
            percent(row["matches_after"] / max(entries["matches_after"], 1)),
            number(row["paper_entries"]),
            percent(None if row["paper_entries"] is None else row["paper_entries"] / paper.PAPER_ENTRIES),
        ]
        for row in card["sources"]
    ]
    measures = ["Entries", "Share", "With a match", "Matches before", "Matches after", "Paper: entries", "Paper: share"]
    parts = [
        table(["Source", *measures], rows),
        element("p", paper.SOURCES_NOTE, class_="note"),
        element("p", prose.unmatched(entries)),
    ]
    if entries["unmatchable"]:
        reasons = [[data(reason), number(n)] for reason, n in entries["unmatchable"].items()]
        parts += [element("h3", "Entries that no text can contain"), table(["Why", "Entries"], reasons)]
    return joined(parts)


def _range(group: Part) -> str:
    low, high = group["at_least"], group["below"] - 1
    return number(low) if low == high else f"{number(low)} to {number(high)}"


def _examples(rows: Sequence[Part]) -> Html:
    counts = [f"{number(row['before'])} → {number(row['after'])}" if row["before"] else "" for row in rows]
    told = [element("span", _entry(row), element("small", n)) for row, n in zip(rows, counts, strict=True)]
    return element("div", *told, class_="examples wide")


def _entry(row: Part) -> Html:
    return element("span", data(row["entry"]), class_="entry")


def _listed(rows: Sequence[Part], by: str | None = None) -> Html:
    if not rows:
        return element("p", "None.", class_="note")
    cells: list[list[object]] = [
        [_entry(row), number(row["before"]), number(row["after"]), percent(row["kept"])] for row in rows
    ]
    if by is None:
        return table(["Entry", "Before", "After", "Kept"], cells)
    widest = max(row[by] for row in rows)
    for cell, row in zip(cells, rows, strict=True):
        cell.append(bars(row["before"] / widest if by == "before" else None, row["after"] / widest))
    return table(["Entry", "Before", "After", "Kept", ""], cells)

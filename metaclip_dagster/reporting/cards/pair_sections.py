"""The page's sections about pairs: what each stage left, languages and snapshots, and how to get them again."""

from collections.abc import Mapping
from typing import Any

from metaclip_dagster.reporting.cards import prose
from metaclip_dagster.reporting.html.markup import Html, bars, data, element, joined, table
from metaclip_dagster.reporting.html.numbers import number, percent

Part = Mapping[str, Any]  # of a card, whose shape `describe_subset` fixes

MAX_ROWS = 60


def retention(card: Part) -> Html:
    """What each stage was given, gave and left behind."""
    stages = card["stages"]
    if not stages:
        return element("p", "No stage was reported.", class_="note")
    first = max(stages[0]["rows_in"], 1)
    rows = [
        [
            data(stage["stage"]),
            _reasons(stage),
            number(stage["rows_in"]),
            number(stage["rows"]),
            percent(stage["kept"]),
            percent(stage["rows"] / first),
            bars(stage["rows"] / first, None),
        ]
        for stage in stages
    ]
    headings = ["Stage", "Left behind, and why", "Rows in", "Rows out", "Kept", "Of the first", ""]
    return joined(
        [
            element("p", prose.RETENTION),
            table(headings, rows, words=2),
            *(_seen(stage) for stage in stages if stage["seen"]),
        ]
    )


def languages(card: Part) -> Html:
    """Pairs by language, each with its own t, by snapshot, and how sure the languages are."""
    of_languages = [
        [
            data(row["language"]),
            row["t"] or "–",
            number(row.get("entries", 0)),
            *_pairs(row),
            *(percent(None if row.get(head) is None else 1 - row[head]) for head in ("head_before", "head_after")),
        ]
        for row in card["languages"][:MAX_ROWS]
    ]
    of_snapshots = [[data(row["snapshot"]), *_pairs(row)] for row in card["snapshots"]]
    more = len(card["languages"]) - MAX_ROWS
    numbers = ["Pairs in the pool", "Pairs in the subset", "Kept"]
    return joined(
        [
            table(["Language", "Its t", "Entries", *numbers, "Tail before", "Tail after"], of_languages),
            element("p", f"{number(more)} more languages are in the JSON.", class_="note") if more > 0 else "",
            element("h3", "By snapshot"),
            table(["Snapshot", *numbers], of_snapshots),
            element("h3", "How sure language identification was"),
            _scores(card["language_scores"]),
        ]
    )


def reproduce(card: Part) -> Html:
    """How to make the same subset again, and what this one was made of."""
    rows = [[data(name), data(value)] for name, value in card["provenance"].items()]
    made = table(["What made this subset", ""], rows, words=2) if rows else ""
    return joined([prose.reproduce(card["command"]), made])


def _reasons(stage: Part) -> Html:
    told = [joined([data(reason.replace("_", " ")), f" {number(n)}"]) for reason, n in stage["dropped"].items()]
    if stage["unaccounted"]:
        told.append(joined([f"no reason given {number(stage['unaccounted'])}"]))
    apart = [joined([", " if i else "", reason]) for i, reason in enumerate(told)]
    return element("div", *(apart or [Html("–")]), class_="wide")


def _seen(stage: Part) -> Html:
    numbers = stage["seen"]
    rows: list[list[object]] = [[data(name), number(n)] for name, n in [*numbers.items()][:MAX_ROWS]]
    rest = [*numbers.values()][MAX_ROWS:]
    if rest:
        rows.append([f"{number(len(rest))} more", number(sum(rest))])
    return element("details", element("summary", "Seen by ", data(stage["stage"])), table(["What", "Number"], rows))


def _pairs(row: Part) -> list[str]:
    return [number(row["pool"]), number(row["subset"]), percent(row["kept"])]


def _scores(scores: Part) -> Html:
    counts = scores["counts"]
    if not scores["pairs"]:
        return element("p", "No score was reported.", class_="note")
    tallest, num = max(counts), len(counts)
    columns = [
        element(
            "i",
            class_="unsure" if i < num // 2 else None,
            style=f"height:{100 * n / tallest:.2f}%",
            title=f"{i / num:.2f} to {(i + 1) / num:.2f}: {number(n)} pairs",
        )
        for i, n in enumerate(counts)
    ]
    label = "Pairs by language score, from 0 to 1"
    marks = [element("span", mark) for mark in ("0, a guess", "0.5", "1, sure")]
    return joined(
        [
            element("p", prose.leak(scores)),
            element("div", *columns, class_="columns", role="img", aria_label=label),
            element("div", *marks, class_="scale", aria_hidden="true"),
        ]
    )

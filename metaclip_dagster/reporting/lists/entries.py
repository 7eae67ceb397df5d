"""The list of entries as one page: what became of each source, where it was cut, and what changed."""

from collections.abc import Mapping, Sequence
from typing import Any

from metaclip_dagster.reporting.html.layout import page
from metaclip_dagster.reporting.html.markup import Html, data, element, joined, table
from metaclip_dagster.reporting.html.numbers import compact, number, percent, share
from metaclip_dagster.reporting.html.paper import PAPER_SOURCES, SOURCES_NOTE

Part = Mapping[str, Any]  # of what `describe_entries` and `compare_entries` tell

FATES = {
    "candidates": "Candidates",
    "taken": "Taken",
    "already_there": "Already there",
    "beyond_cap": "Beyond its cap",
    "beyond_budget": "Beyond the budget",
}


def render_entries(report: Part) -> str:
    """The page of {budget, caps, languages, changes}: `describe_entries`' list, and `compare_entries`' answer or {}."""
    languages, changes = report["languages"], report["changes"]
    taken = sum(language["entries"] for language in languages)
    missing = sum(language["missing"] for language in languages)
    lead = (
        "The entries that texts are searched for, which the paper calls the metadata. Sources are taken in declared "
        "order, each by its own score, until a language's budget is full; an entry that several sources name belongs "
        "to the first."
    )
    sections = [
        ("sources", "What became of each source", joined(map(_sources, languages))),
        ("paper", "Beside the paper", _paper(languages)),
        ("cut", "Where each source was cut", joined(map(_cut, languages))),
        ("unmatchable", "Entries that no text can contain", _unmatchable(languages)),
        ("changes", "What changed against the build before", _changes(changes)),
    ]
    tiles = [
        ("Entries", compact(taken), f"in {len(languages)} language{'s' * (len(languages) != 1)}"),
        ("Budget a language", compact(report["budget"]), f"{compact(missing)} not filled" if missing else "filled"),
        (
            "No text can contain",
            compact(sum(_num_unmatchable(language) for language in languages)),
            "they keep their place",
        ),
    ]
    return page(
        kind="Report · entries",
        title=f"{number(taken)} entries",
        lead=element("p", lead, class_="lead"),
        tiles=tiles,
        sections=sections,
    )


def _num_unmatchable(language: Part) -> int:
    return sum(sum(source["unmatchable"].values()) for source in language["sources"])


def _name(source: Part) -> Html:
    return data(source["source"].replace("_", " "))


def _sources(language: Part) -> Html:
    rows = [
        [
            _name(source),
            *(number(source[fate]) for fate in FATES),
            percent(share(source["taken"], language["entries"])),
            number(sum(source["unmatchable"].values())),
        ]
        for source in language["sources"]
    ]
    told = f"{number(language['entries'])} entries"
    if language["missing"]:
        told += f"; {number(language['missing'])} more would have filled the budget"
    heading = element("h3", "Language ", data(language["language"]))
    return joined(
        [heading, element("p", f"{told}."), table(["Source", *FATES.values(), "Share", "No text can hold"], rows)]
    )


def _paper(languages: Sequence[Part]) -> Html:
    ours = {source["source"]: source["taken"] for language in languages[:1] for source in language["sources"]}
    entries, theirs = sum(ours.values()), sum(PAPER_SOURCES.values())
    names = [*PAPER_SOURCES, *(name for name in ours if name not in PAPER_SOURCES)]
    rows = [
        [
            data(name.replace("_", " ")),
            number(ours.get(name)),
            percent(share(ours.get(name, 0), entries)),
            number(PAPER_SOURCES.get(name)),
            percent(share(PAPER_SOURCES[name], theirs) if name in PAPER_SOURCES else None),
        ]
        for name in names
    ]
    rows.append(["all", number(entries), "", number(theirs), ""])
    note = f"Ours are the entries of the first language. {SOURCES_NOTE}"
    return joined([table(["Source", "Ours", "Share", "Paper", "Share"], rows), element("p", note, class_="note")])


def _cut(language: Part) -> Html:
    rows = [
        [
            _name(source),
            _ranked([source["first"]] if source["first"] else []),
            _ranked([source["last"]] if source["last"] else []),
            _ranked(source["next"]),
        ]
        for source in language["sources"]
    ]
    heading = element("h3", "Language ", data(language["language"]))
    return joined([heading, table(["Source", "First taken", "Last taken", "Next, not taken"], rows, words=4)])


def _ranked(candidates: Sequence[Part]) -> Html:
    told = [
        element("span", data(row["entry"]), element("small", f" {row['score']:,.6g}"), class_="entry")
        for row in candidates
    ]
    return element("div", *told, class_="examples wide") if told else element("span", "–")


def _unmatchable(languages: Sequence[Part]) -> Html:
    rows = [
        [data(language["language"]), _name(source), data(reason), number(num)]
        for language in languages
        for source in language["sources"]
        for reason, num in source["unmatchable"].items()
    ]
    told = "They keep their place, so that the list does not depend on how texts are searched, and are never found."
    return joined([element("p", told), table(["Language", "Source", "Why", "Entries"], rows, words=3)])


def _changes(changes: Part) -> Html:
    if not changes:
        return element("p", "Nothing, or there is no build before this one.")
    kinds = ["added", "removed", "moved"]
    told = ", ".join(f"{number(changes[kind])} {kind}" for kind in kinds)
    rows = [[data(row["language"]), _name(row), *(number(row[kind]) for kind in kinds)] for row in changes["by_source"]]
    samples = [
        [row["change"], data(row["language"]), data(row["entry"]), _place(row, "_before"), _place(row, "")]
        for row in changes["samples"]
    ]
    return joined(
        [
            element("p", f"{told}; {number(changes['before'])} entries before, {number(changes['after'])} now. "),
            table(["Language", "Source", "Added", "Removed", "Moved"], rows, words=2),
            element("h3", "Some of them"),
            table(["Change", "Language", "Entry", "Before", "Now"], samples, words=5),
        ]
    )


def _place(row: Part, when: str) -> Html:
    if row[f"rank{when}"] is None:
        return element("span", "–")
    return element(
        "span", data(row[f"source{when}" if when else "source"].replace("_", " ")), f" {number(row[f'rank{when}'])}"
    )

"""Coverage of a pool by the entries as one page: shares, why entries match nothing, words that are in none."""

from collections.abc import Mapping
from typing import Any

from metaclip_dagster.reporting.html.layout import page
from metaclip_dagster.reporting.html.markup import Html, data, element, joined, table
from metaclip_dagster.reporting.html.numbers import compact, number, percent, share

Part = Mapping[str, Any]  # of what `describe_coverage` tells

MOST_WORDS = 100
REASONS = {
    "unmatchable": ("Unmatchable", "No text can ever contain them: matching sets marks apart."),
    "case": ("Other case", "Texts have them in another case only: write the entry as texts do, or add the other form."),
    "punctuation": (
        "Marks",
        "Texts have them only beside quotes, brackets, hyphens or the like, from which matching does not part words.",
    ),
    "rare": ("In no text", "However they are read, no text that was looked at has them."),
}


def render_coverage(report: Part) -> str:
    """The page of `describe_coverage`' answer with `shards`, how many of how many were read by snapshot."""
    languages = report["languages"]
    entries = sum(its["entries"] for its in languages)
    found = sum(its["found"] for its in languages)
    of_languages = sum(its["pairs"] for its in languages)
    read, there = (sum(shards[i] for shards in report["shards"].values()) for i in (0, 1))
    lead = (
        "What the texts of the pairs hold of the entries, before anything is downloaded. An entry is in a text as "
        "whole words and in the same case; only texts in its language are searched. A pair that stands in several "
        "shards counts in each."
    )
    tiles = [
        (
            "Pairs that match",
            percent(share(report["matched"], report["pairs"])),
            f"{compact(report['matched'])} of {compact(report['pairs'])}",
        ),
        (
            "In a language of the entries",
            percent(share(of_languages, report["pairs"])),
            f"{compact(of_languages)} pairs",
        ),
        ("Entries found", percent(share(found, entries)), f"{compact(found)} of {compact(entries)}"),
        ("Shards read", f"{read:,} of {there:,}", f"snapshots: {len(report['shards'])}"),
    ]
    sections = [
        ("languages", "By language", _languages(languages)),
        ("why", "Why entries match nothing", joined(map(_examples, languages))),
        ("words", "Words that are in no entry", joined(map(_words, languages))),
    ]
    title = f"{number(entries)} entries against {number(report['pairs'])} pairs"
    return page(
        kind="Report · coverage", title=title, lead=element("p", lead, class_="lead"), tiles=tiles, sections=sections
    )


def _languages(languages: list[Part]) -> Html:
    rows = [
        [
            data(its["language"]),
            number(its["pairs"]),
            number(its["matched"]),
            percent(share(its["matched"], its["pairs"])),
            number(its["entries"]),
            number(its["found"]),
            percent(share(its["found"], its["entries"])),
            *(number(its["why"][why]) for why in REASONS),
        ]
        for its in languages
    ]
    headings = ["Language", "Pairs", "Matching", "Share", "Entries", "Found", "Share"]
    return table([*headings, *(name for name, _ in REASONS.values())], rows)


def _examples(its: Part) -> Html:
    parts = [element("h3", "Language ", data(its["language"]))]
    for why, (name, says) in REASONS.items():
        examples = its["examples"][why]
        parts.append(element("p", element("strong", name), f": {number(its['why'][why])} entries. {says}"))
        if why == "unmatchable" and its["unmatchable"]:
            parts.append(
                table(["Why", "Entries"], [[data(reason), number(num)] for reason, num in its["unmatchable"].items()])
            )
        if examples:
            rows = [
                [data(row["entry"]), data(row["source"].replace("_", " ")), number(row["num_near"])] for row in examples
            ]
            parts.append(table(["Entry", "Source", "Pairs that are near"], rows, words=2))
    return joined(parts)


def _words(its: Part) -> Html:
    rows = [[data(found["word"]), number(found["num_pairs"])] for found in its["words"][:MOST_WORDS]]
    return joined([element("h3", "Language ", data(its["language"])), table(["Word", "Pairs"], rows)])

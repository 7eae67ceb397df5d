"""The data card as one page that needs nothing else: no script, nothing loaded, crawl text only ever as text."""

from collections.abc import Mapping
from typing import Any

from metaclip_dagster.reporting.cards import entry_sections, pair_sections, prose
from metaclip_dagster.reporting.html.layout import figure, page
from metaclip_dagster.reporting.html.markup import Html, element, joined, key
from metaclip_dagster.reporting.html.numbers import compact, number, percent

Part = Mapping[str, Any]  # of a card, whose shape `describe_subset` fixes


def render_card(card: Part, plots: Mapping[str, bytes]) -> str:
    """The page of one card. `plots` are PNG by name (`counts`, `shares`, `sizes`), shown where they belong."""
    sections = [
        ("distribution", "Before and after balancing", _distribution(card, plots)),
        ("groups", "Entries by number of matches", entry_sections.groups(card)),
        ("top", "The most frequent entries", entry_sections.top(card)),
        ("extremes", "What balancing did to single entries", entry_sections.extremes(card)),
        ("retention", "From the crawl to the subset", pair_sections.retention(card)),
        ("languages", "Languages and snapshots", pair_sections.languages(card)),
        ("metadata", "The metadata", entry_sections.metadata(card)),
        ("method", "Method", prose.method()),
        ("reproduce", "How to reproduce", pair_sections.reproduce(card)),
        ("use", "Rights and limits", prose.rights()),
    ]
    return page(
        kind="Data card · MetaCLIP balancing",
        title=f"Image–text pairs balanced at t = {card['t']}",
        lead=element("p", prose.lead(card), class_="lead"),
        tiles=_tiles(card),
        sections=sections,
    )


def _tiles(card: Part) -> list[tuple[str, str, str]]:
    pairs, matches, entries = card["pairs"], card["matches"], card["entries"]
    arrow = "before → after balancing"
    return [
        ("Pairs kept", compact(pairs["subset"]), f"{percent(pairs['kept'])} of {compact(pairs['pool'])} in the pool"),
        (
            "Entries with a match",
            compact(entries["entries_matched"]),
            f"of {compact(entries['entries'])}; {compact(entries['entries_head'])} above t",
        ),
        ("Matches held by the head", f"{percent(entries['head_before'])} → {percent(entries['head_after'])}", arrow),
        (
            "Matches a pair",
            f"{number(matches['per_pair_pool'])} → {number(matches['per_pair_subset'])}",
            f"mean, {arrow}",
        ),
    ]


def _distribution(card: Part, plots: Mapping[str, bytes]) -> Html:
    told = element("p", prose.head_and_tail(card))
    stacks = [_stack(card["entries"][f"head_{when}"], when) for when in ("before", "after")]
    figures = [_figure(name, plots[name], card["t"]) for name in sorted(plots, key=_place)]
    return joined([told, *stacks, *figures, element("p", prose.PAPER_HEAD, class_="note")])


def _stack(head: float | None, when: str) -> Html:
    name = element("strong", f"Matches {when} balancing")
    if head is None:
        return element("p", name, element("span", "none"), class_="share")
    told = element("span", key(when, "head"), f" {percent(head)}, ", key("rest", "tail"), f" {percent(1 - head)}")
    bar = element("i", class_=when, style=f"width:{100 * head:.2f}%")
    return joined([element("p", name, told, class_="share"), element("div", bar, class_="stack", aria_hidden="true")])


def _place(name: str) -> tuple[int, str]:
    known = [*prose.CAPTIONS]
    return (known.index(name) if name in known else len(known), name)


def _figure(name: str, png: bytes, t: str) -> Html:
    caption = prose.CAPTIONS.get(name, name)
    return figure(png, caption, alt=f"{caption} t = {t}.")

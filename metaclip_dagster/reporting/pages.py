"""The data card as one page that needs nothing else: no script, nothing loaded, crawl text only ever as text."""

import base64
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from metaclip_dagster.reporting import entry_sections, pair_sections, prose
from metaclip_dagster.reporting.markup import Html, compact, element, joined, key, number, percent

Part = Mapping[str, Any]  # of a card, whose shape `describe_subset` fixes

# Belt and braces: were some text ever taken for markup, it could still load and run nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def render_card(card: Part, plots: Mapping[str, bytes]) -> str:
    """The page of one card. `plots` are PNG by name (`counts`, `shares`, `sizes`), shown where they belong."""
    title = f"Image–text pairs balanced at t = {card['t']}"
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
    kind, lead = (
        element("p", "Data card · MetaCLIP balancing", class_="kind"),
        element("p", prose.lead(card), class_="lead"),
    )
    main = element(
        "main",
        element("header", kind, element("h1", title), lead),
        element("nav", *(element("a", name, href=f"#{id_}") for id_, name, _ in sections), aria_label="Contents"),
        _tiles(card),
        *(element("section", element("h2", name), content, id=id_) for id_, name, content in sections),
        element("footer", "Every number here is also in the JSON beside this page, where texts stand in full."),
    )
    style = files("metaclip_dagster.reporting").joinpath("page.css").read_text(encoding="utf-8")
    head = element(
        "head",
        Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        element("title", title),
        element("style", Html(style)),
    )
    return f"<!doctype html>\n{element('html', head, element('body', main), lang='en')}\n"


def _tiles(card: Part) -> Html:
    pairs, matches, entries = card["pairs"], card["matches"], card["entries"]
    arrow = "before → after balancing"
    tiles = [
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
    drawn = [element("li", element("span", a), element("strong", b), element("span", c)) for a, b, c in tiles]
    return element("ul", *drawn, class_="tiles")


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
    source = f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
    image = element("img", src=source, alt=f"{caption} t = {t}.", width=900, height=500)
    return element("figure", image, element("figcaption", caption))

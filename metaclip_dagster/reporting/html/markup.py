"""HTML in which data can only ever be text: every string is escaped unless it was built here."""

import html
from collections.abc import Iterable, Sequence

from metaclip_dagster.reporting.html.text import MAX_SHOWN, visible


class Html(str):
    """Markup that `element` built; any other string is data."""

    __slots__ = ()


def element(tag: str, *children: object, **attributes: object) -> Html:
    """One element; children that are not Html become text. `class_` is class, and `aria_label` is aria-label.

    >>> element("p", "1 < 2", element("b", "!"), class_="note")
    '<p class="note">1 &lt; 2<b>!</b></p>'
    """
    named = ((name.rstrip("_").replace("_", "-"), value) for name, value in attributes.items() if value is not None)
    opening = "".join(f' {name}="{_escaped(value)}"' for name, value in named)
    return Html(f"<{tag}{opening}>" if tag == "img" else f"<{tag}{opening}>{joined(children)}</{tag}>")


def joined(children: Iterable[object]) -> Html:
    """Several nodes as one."""
    return Html("".join(child if isinstance(child, Html) else _escaped(child) for child in children))


def data(text: object, most: int = MAX_SHOWN) -> Html:
    """A string of the crawl, of entries or of manifests: visible, cut, and apart from the direction of what is around.

    >>> data("<i> ")
    '<bdi>&lt;i&gt; </bdi>'
    """
    return element("bdi", visible(str(text), most))


def table(headings: Sequence[object], rows: Iterable[Iterable[object]], *, words: int = 1) -> Html:
    """A table that scrolls sideways where it is too wide; the first `words` columns are words, the others numbers."""
    sides = [None if i < words else "n" for i in range(len(headings))]

    def row(tag: str, cells: Iterable[object], **scope: str) -> Html:
        return element("tr", *(element(tag, cell, class_=n, **scope) for cell, n in zip(cells, sides, strict=True)))

    head, body = row("th", headings, scope="col"), [row("td", cells) for cells in rows]
    whole = element("table", element("thead", head), element("tbody", *body))
    return element("div", whole, class_="scroll", tabindex=0)


def key(colour: str, name: str | None = None) -> Html:
    """A square of the colour that stands for a name."""
    return joined([element("span", class_=f"key {colour}"), name or colour])


def bars(before: float | None, after: float | None) -> Html:
    """Two shares of 0 to 1 as two thin bars, one above the other; what is nothing has none."""
    shares = ((before, "before"), (after, "after"))
    drawn = [element("i", class_=f"bar {name}", style=f"width:{100 * share:.2f}%") for share, name in shares if share]
    return element("div", *drawn, class_="bars", aria_hidden="true")


def _escaped(value: object) -> str:
    return html.escape(str(value), quote=True)

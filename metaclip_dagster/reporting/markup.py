"""HTML in which data can only ever be text: every string is escaped unless it was built here."""

import html
import unicodedata
from collections.abc import Iterable, Sequence

MAX_SHOWN = 200
_JOINERS = "\u200c\u200d"  # Persian, Indic scripts and emoji are spelled with these; they move nothing else


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


def visible(text: str, most: int = MAX_SHOWN) -> str:
    r"""Cut the text to `most` characters, those that could hide or reorder others written out.

    >>> visible("a\x1b[31mb\u202ec")
    'a⟨U+001B⟩[31mb⟨U+202E⟩c'
    """
    shown = "".join(map(_visible_character, text[:most]))
    return shown if len(text) <= most >= len(shown) else shown[: most - 1] + "…"


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


def number(value: float | None, digits: int = 3) -> str:
    """A count with its thousands apart, a mean with few digits, or a dash.

    >>> number(1234567), number(3.51234), number(None)
    ('1,234,567', '3.51', '–')
    """
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"


def compact(value: int) -> str:
    """A count for a tile: whole below ten millions, then rounded.

    >>> compact(1234567), compact(400_100_000)
    ('1,234,567', '400M')
    """
    if value < 10_000_000:
        return f"{value:,}"
    size, unit = (1e9, "B") if value >= 1e9 else (1e6, "M")
    return f"{value / size:.3g}{unit}"


def percent(share: float | None) -> str:
    """A share with one decimal, small ones with two digits; only all reads 100% and only nothing 0%.

    >>> percent(0.54), percent(0.00321), percent(0.9999), percent(0.0), percent(None)
    ('54.0%', '0.32%', '>99.9%', '0%', '–')
    """
    if share is None:
        return "–"
    if share in (0, 1):
        return f"{100 * share:.0f}%"
    if share > 0.9995:
        return ">99.9%"
    if share < 1e-5:
        return "<0.001%"
    return f"{100 * share:.1f}%" if share >= 0.01 else f"{100 * share:.2g}%"


def duration(seconds: float) -> str:
    """Seconds as people read them.

    >>> duration(12.34), duration(300), duration(7200)
    ('12.3 s', '5.0 min', '2.0 h')
    """
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def _visible_character(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
        return character
    return f"⟨U+{ord(character):04X}⟩"


def _escaped(value: object) -> str:
    return html.escape(str(value), quote=True)

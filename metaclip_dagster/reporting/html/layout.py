"""The frame of every page: no script, nothing loaded, sections with a contents line, tiles and figures."""

import base64
from collections.abc import Sequence
from importlib.resources import files

from metaclip_dagster.reporting.html.markup import Html, element

# Belt and braces: were some text ever taken for markup, it could still load and run nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(
    *,
    kind: str,
    title: str,
    lead: Html,
    tiles: Sequence[tuple[str, str, str]],
    sections: Sequence[tuple[str, str, Html]],
) -> str:
    """A whole page. A tile is (what, the number, more of it), a section (id, heading, content)."""
    drawn = [element("li", element("span", a), element("strong", b), element("span", c)) for a, b, c in tiles]
    main = element(
        "main",
        element("header", element("p", kind, class_="kind"), element("h1", title), lead),
        element("nav", *(element("a", name, href=f"#{id_}") for id_, name, _ in sections), aria_label="Contents"),
        element("ul", *drawn, class_="tiles"),
        *(element("section", element("h2", name), content, id=id_) for id_, name, content in sections),
        element("footer", "Every number here is also in the JSON beside this page, where texts stand in full."),
    )
    style = files("metaclip_dagster.reporting.html").joinpath("page.css").read_text(encoding="utf-8")
    head = element(
        "head",
        Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        element("title", title),
        element("style", Html(style)),
    )
    return f"<!doctype html>\n{element('html', head, element('body', main), lang='en')}\n"


def figure(png: bytes, caption: object, *, alt: str, height: int = 500) -> Html:
    """A plot of 900 pixels by `height` with its caption, inside the page itself."""
    source = f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
    image = element("img", src=source, alt=alt, width=900, height=height)
    return element("figure", image, element("figcaption", caption))

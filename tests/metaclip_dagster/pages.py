"""What a report's page and its JSON may hold, whatever names and texts they were made of."""

import json
from typing import Any, NoReturn

from selectolax.lexbor import LexborHTMLParser

ATTRIBUTES = {"id", "class", "href", "style", "alt", "src", "width", "height", "title", "role", "tabindex", "scope"}
ATTRIBUTES |= {"aria-label", "aria-hidden", "charset", "name", "content", "http-equiv", "lang", "loading"}


def strict(text: str) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def parse_harmless(page: str) -> LexborHTMLParser:
    """The page, which loads, runs and leads to nothing."""
    tree = LexborHTMLParser(page)
    assert not tree.css("script, iframe, object, embed, link, form, base")
    for node in tree.css("*"):
        attributes = node.attributes
        assert set(attributes) <= ATTRIBUTES
        source = attributes.get("src") or "data:image/png;base64,"
        assert source.startswith(("data:image/png;base64,", "data:image/jpeg;base64,"))
        assert (attributes.get("href") or "#").startswith("#")
        assert set(attributes.get("style") or "") <= set("width:height.%0123456789")
    return tree

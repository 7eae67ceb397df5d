"""Read HTML as browsers do: the <img> elements and <base> of a page, and character references."""

import re
from collections.abc import Mapping, Sequence
from html import unescape
from html.entities import html5, name2codepoint
from typing import NamedTuple, NoReturn
from xml.parsers.expat import ExpatError, ParserCreate

from selectolax.lexbor import LexborHTMLParser

from metaclip_dagster.parsing.responses import Markup


class Elements(NamedTuple):
    """The attributes of each `<img>`, and the href of the first `<base>` that has one."""

    images: Sequence[Mapping[str, str | None]]
    base: str | None


def find_elements(page: Markup) -> Elements:
    """The images of a page and its base. XHTML that is not well-formed, which browsers refuse, is read as HTML."""
    return (_read_xml(page.text) if page.is_xml else None) or _read_html(page.text)


def decode_references(value: str) -> str:
    """An attribute's value with its character references decoded once, as browsers do (WHATWG HTML, 13.2.5.72).

    A name without a semicolon stays where "=" or a letter or digit follows: in `?a=1&copy=2` there is no copyright
    sign. In text there would be one, and `html.unescape` knows the rules of text only.

    >>> decode_references("/a?b=1&amp;copy=2&copy=3 caf&eacute &#233;")
    '/a?b=1&copy=2&copy=3 café é'
    """
    return _REFERENCE.sub(_decode_reference, value) if "&" in value else value


def _read_html(text: str) -> Elements:
    tree = LexborHTMLParser(text)
    images = [node.attributes for node in tree.tags("img")]
    bases = (base.attributes["href"] for base in tree.tags("base") if "href" in base.attributes)
    return Elements(images, next(bases, None) if images else None)


def _read_xml(text: str) -> Elements | None:
    """What an XML parser sees: `<script src="x"/>` is closed, and no image lies in CDATA. None: not well-formed."""
    images: list[Mapping[str, str | None]] = []
    bases: list[str] = []

    def see_element(name: str, attributes: dict[str, str]) -> None:
        namespace, _, local_name = name.rpartition(" ")
        if namespace not in ("", "http://www.w3.org/1999/xhtml"):
            return
        if local_name == "img":
            images.append(attributes)
        elif local_name == "base" and "href" in attributes:
            bases.append(attributes["href"])

    parser = ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = see_element
    parser.specified_attributes = True  # a DTD may give each element a default as large as the page
    parser.EntityDeclHandler = _refuse_entity
    try:
        parser.Parse(_NAMED.sub(_name_by_number, text), True)  # its parameters have no names
    except ExpatError:
        return None
    return Elements(images, next(iter(bases), None))


_NAMED = re.compile("&([A-Za-z][A-Za-z0-9]*);")


def _name_by_number(reference: re.Match[str]) -> str:
    """HTML's names stand in a DTD that is not at hand; those of XML itself are the parser's."""
    number = None if reference[1] in {"amp", "lt", "gt", "quot", "apos"} else name2codepoint.get(reference[1])
    return f"&#{number};" if number else reference[0]


def _refuse_entity(*_: object) -> NoReturn:
    raise ExpatError("entities of a page's own may unfold without end")


_REFERENCE = re.compile(
    "&(?:#(?P<decimal>[0-9]+);?|#x(?P<hexadecimal>[0-9a-f]+);?|(?P<name>[a-z][a-z0-9]*+(?:;|(?!=))))",
    re.IGNORECASE | re.ASCII,
)
_MAX_DIGITS = 7  # more of them, leading zeros left aside, number no character


def _decode_reference(reference: re.Match[str]) -> str:
    if name := reference["name"]:
        return html5.get(name, reference[0])
    digits = (reference["decimal"] or reference["hexadecimal"]).lstrip("0")
    number = int(digits or "0", 10 if reference["decimal"] else 16) if len(digits) <= _MAX_DIGITS else 0
    return unescape(f"&#{number};") or chr(number)  # the library drops controls, which the standard only calls errors

"""Read HTML as browsers do: a page's images and <base>, and what says how they may be used; character references."""

import re
from collections.abc import Iterator, Mapping, Sequence
from html import unescape
from html.entities import html5, name2codepoint
from typing import NamedTuple, NoReturn
from xml.parsers.expat import ExpatError, ParserCreate

from selectolax.lexbor import LexborHTMLParser, LexborNode

from metaclip_dagster.parsing.licenses import (
    MAX_LICENSE_LINKS,
    LinkOrImage,
    is_creative_commons,
    is_license_rel,
    shorten_text,
)
from metaclip_dagster.parsing.responses import Markup

Attributes = Mapping[str, str | None]


class Elements(NamedTuple):
    """The attributes of each `<img>`; of a page without any, nothing else is read.

    `base` is the href of the first `<base>` that has one, `metas` are names with their contents, `license_urls` where
    links of rel=license lead, `items` what `choose_license` needs, and `scripts` the page's JSON-LD.
    """

    images: Sequence[Attributes]
    base: str | None = None
    metas: Sequence[tuple[str, str]] = ()
    license_urls: Sequence[str] = ()
    items: Sequence[LinkOrImage] = ()
    scripts: Sequence[str] = ()


def find_elements(page: Markup) -> Elements:
    """The elements of a page. XHTML that is not well-formed, which browsers refuse, is read as HTML."""
    return (_read_xml(page.text) if page.is_xml else None) or _read_html(page.text)


def decode_references(value: str) -> str:
    """An attribute's value with its character references decoded once, as browsers do (WHATWG HTML, 13.2.5.72).

    A name without a semicolon stays where "=" or a letter or digit follows: in `?a=1&copy=2` there is no copyright
    sign. In text there would be one, and `html.unescape` knows the rules of text only.

    >>> decode_references("/a?b=1&amp;copy=2&copy=3 caf&eacute &#233;")
    '/a?b=1&copy=2&copy=3 café é'
    """
    return _REFERENCE.sub(_decode_reference, value) if "&" in value else value


# All else than images that is read of a page, in one walk through its tree.
_SELECTED = (
    'base[href], meta[name][content], a[rel*="license" i][href], link[rel*="license" i][href], '
    'a[href*="creativecommons.org" i], script[type="application/ld+json" i]'
)


def _read_html(text: str) -> Elements:
    tree = LexborHTMLParser(text)
    images = [node.attributes for node in tree.tags("img")]
    if not images:
        return Elements(images)
    nodes = {node.mem_id: node for node in tree.css(_SELECTED)}.values()  # each once, whatever it was selected for
    elements = _sort_elements(images, [(node.tag or "", node.attributes) for node in nodes])
    links = {node.mem_id: node for node in nodes if node.tag == "a" and _leads_to_license(node)}
    return elements._replace(
        items=list(_list_items(tree, links)) if 0 < len(links) <= MAX_LICENSE_LINKS else (),
        scripts=[node.text(deep=True) for node in nodes if node.tag == "script"],
    )


def _leads_to_license(link: LexborNode) -> bool:
    return is_creative_commons(link.attributes.get("href") or "")


def _list_items(tree: LexborHTMLParser, license_links: Mapping[int, LexborNode]) -> Iterator[LinkOrImage]:
    """Links and images in their order; a link to a licence comes behind the images in it, as in a WAT.

    One inside of another comes at once: the images of all would be counted again for each.
    """
    num_images, waiting = 0, LinkOrImage("")
    for node in tree.css("img[src], a[href]"):
        url = node.attributes["src" if node.tag == "img" else "href"] or ""
        if node.tag == "img":
            yield LinkOrImage(url, is_image=True)
            if num_images:
                num_images -= 1
                if not num_images:
                    yield waiting
            continue
        is_license = node.mem_id in license_links
        link = LinkOrImage(url, shorten_text(node.text(deep=True)) if is_license else "")
        if is_license and not num_images and (num_images := len(node.css("img[src]"))):
            waiting = link
        else:
            yield link


def _sort_elements(images: Sequence[Attributes], others: Sequence[tuple[str, Attributes]]) -> Elements:
    """The images, and of the other elements the base, the metas and where links of rel=license lead."""
    bases = (attributes["href"] for name, attributes in others if name == "base")
    metas = [(a["name"] or "", a["content"] or "") for name, a in others if name == "meta"]
    links = (a for name, a in others if name in {"a", "link"} and is_license_rel(a.get("rel") or ""))
    return Elements(images, next(bases, None), metas, [link["href"] or "" for link in links])


def _read_xml(text: str) -> Elements | None:
    """What an XML parser sees: `<script src="x"/>` is closed, and no image lies in CDATA. None: not well-formed."""
    images: list[Attributes] = []
    others: list[tuple[str, Attributes]] = []
    items: list[LinkOrImage] = []
    scripts: list[str] = []
    opened: list[tuple[str, str, list[str]]] = []  # links and JSON-LD that are not closed yet, with their texts

    def see_element(name: str, attributes: dict[str, str]) -> None:
        if (html_name := _drop_namespace(name)) == "img":
            images.append(attributes)
            if "src" in attributes:
                items.append(LinkOrImage(attributes["src"], is_image=True))
        elif attributes.keys() >= _READ.get(html_name, _NOTHING):
            others.append((html_name, attributes))
        if html_name == "a" or (html_name == "script" and attributes.get("type", "").lower() == "application/ld+json"):
            opened.append((name, attributes.get("href", ""), []))

    def see_end(name: str) -> None:
        if not opened or opened[-1][0] != name:
            return
        _, url, texts = opened.pop()
        if _drop_namespace(name) == "script":
            scripts.append("".join(texts))
        elif url:
            items.append(LinkOrImage(url, shorten_text("".join(texts)) if is_creative_commons(url) else ""))

    def see_text(text: str) -> None:
        if opened:
            opened[-1][2].append(text)

    parser = ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.EndElementHandler = see_element, see_end
    parser.CharacterDataHandler = see_text
    parser.buffer_text = True
    parser.specified_attributes = True  # a DTD may give each element a default as large as the page
    parser.EntityDeclHandler = _refuse_entity
    try:
        parser.Parse(_NAMED.sub(_name_by_number, text), True)  # its parameters have no names
    except ExpatError:
        return None
    has_links = any(is_creative_commons(item.url) for item in items if not item.is_image)
    elements = _sort_elements(images, others) if images else Elements(images)
    return elements._replace(items=items if has_links else (), scripts=scripts) if images else elements


# The elements that count if they have these attributes.
_READ = {
    "base": frozenset(("href",)),
    "link": frozenset(("href",)),
    "a": frozenset(("href",)),
    "meta": frozenset(("name", "content")),
}
_NOTHING = frozenset(("\0",))  # which no element has


def _drop_namespace(name: str) -> str:
    """The name of an element of XHTML; empty for one of another kind."""
    namespace, _, local_name = name.rpartition(" ")
    return local_name if namespace in ("", "http://www.w3.org/1999/xhtml") else ""


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

"""Name the licence of a page's images by SPDX, by what its links and its JSON-LD say; None where they leave doubt."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import orjson

from metaclip_dagster.signals import shorten_value


class LinkOrImage(NamedTuple):
    """A link of a page with its text, or an image, by its URL as the page writes it."""

    url: str
    text: str = ""
    is_image: bool = False


Named = tuple[str | None, str | None]
"""A licence's SPDX identifier and its evidence, or twice None."""

NO_LICENSE: Named = (None, None)

MAX_LICENSE_LINKS = 20
"""A page with more links to licences is a list of something, and names no licence by them."""


def identify_license(url: str) -> str | None:
    """The SPDX identifier of the licence that a URL leads to; None for all but Creative Commons and a few others.

    Ports to a jurisdiction that SPDX does not list count as the licence that they port.

    >>> identify_license("http://creativecommons.org/licenses/by-sa/3.0/de/deed.en"), identify_license("/license")
    ('CC-BY-SA-3.0-DE', None)
    """
    url = url[:_MAX_URL].strip()
    if match := _CREATIVE_COMMONS.fullmatch(url):
        kind, version = match["kind"].lower(), match["version"]
        if match["family"].lower() == "publicdomain":
            return _PUBLIC_DOMAIN.get((kind, version))
        plain = f"CC-{_KINDS[kind]}-{version}" if kind in _KINDS else ""
        ported = f"{plain}-{(match['port'] or '').upper()}"
        return ported if ported in _PORTED else plain if plain and version in _VERSIONS else None
    return _OTHERS.get(re.sub(r"^(?:https?:)?//(?:www\.)?|(?:\.html|\.txt|\.php|/)$", "", url.lower()))


def choose_license(license_urls: Iterable[str], items: Sequence[LinkOrImage]) -> Named:
    """The licence of a page's images: of its rel=license links, else of its plain links to Creative Commons.

    `items` are all links and images in the page's order, a link behind the images in it; needed only where one of the
    links `is_creative_commons`. Where links of the same strength disagree, or one leads to an unknown licence, there is
    none. Plain links count if one of them stands at the page's end, with no image and few links behind it, and says
    itself which licence it leads to, or the page shows a badge of Creative Commons. So a text about licences gives
    none, nor does a photo's caption in an article.
    """
    if strong := sorted(set(license_urls)):
        return _agree(strong, "rel=license")
    has_badge = any(item.is_image and _BADGE.match(item.url) for item in items)
    urls, num_links, num_license_links, says_so = set[str](), 0, 0, False
    for item in reversed(items):
        if item.is_image:
            num_links += 0 if _BADGE.match(item.url) else _MAX_LINKS_BEHIND + 1
            continue
        if is_creative_commons(item.url):
            urls.add(item.url)
            is_named = has_badge or _NAMES.search(item.text)
            says_so = says_so or bool(is_named and num_links <= _MAX_LINKS_BEHIND)
            num_license_links += 1
        num_links += 1
    return _agree(sorted(urls), "link") if says_so and num_license_links <= MAX_LICENSE_LINKS else NO_LICENSE


def read_image_licenses(scripts: Iterable[str]) -> dict[str, Named]:
    """The licence of each image that JSON-LD names as schema.org's ImageObject, by its URL as it is written there.

    `acquireLicensePage` is none. An image with two licences has none, and one with an unknown one too: what the page
    says at large is not said of it. What is no JSON, or too large, says nothing.
    """
    licenses: dict[str, set[str]] = {}
    for node in _walk(scripts):
        if _IMAGE_OBJECTS.isdisjoint(_strings(node.get("@type"))):
            continue
        if named := set(_strings(node.get("license"))):
            for url in (*_strings(node.get("contentUrl")), *_strings(node.get("url"))):
                licenses.setdefault(url, set()).update(named)
    return {url: _agree(sorted(named), "schema.org") for url, named in licenses.items()}


def is_license_rel(rel: str) -> bool:
    """Whether a link's `rel` says that it leads to the licence of what the page shows."""
    return "license" in rel.lower().split()


def is_creative_commons(url: str) -> bool:
    """Whether a URL leads to a licence of Creative Commons, or to its public domain marks."""
    return bool(_CREATIVE_COMMONS_BEGIN.match(url))


def shorten_text(text: str) -> str:
    """A link's text as a WAT has it: in one line of 128 characters at most."""
    return " ".join(text[:2000].split())[:128]


_MAX_URL = 500  # of a licence; the longest known has 70 characters
_MAX_LINKS_BEHIND = 10  # of a page's own foot
_MAX_SCRIPT, _MAX_SCRIPTS, _MAX_NODES, _MAX_VALUES = 1 << 20, 20, 20_000, 10

_CREATIVE_COMMONS_BEGIN = re.compile(
    r"(?:https?:)?//(?:www\.)?creativecommons\.org/(?:licenses|publicdomain)/", re.IGNORECASE | re.ASCII
)
_CREATIVE_COMMONS = re.compile(
    r"(?:https?:)?//(?:www\.)?creativecommons\.org/(?P<family>licenses|publicdomain)/(?P<kind>[a-z-]{2,8})"
    r"/(?P<version>[0-9]\.[0-9])(?:/(?P<port>[a-z]{2,3}|scotland))?(?:/(?:deed|legalcode)(?:\.[\w-]{1,12})?)?/?"
    r"(?:[?#].*)?",
    re.IGNORECASE | re.DOTALL | re.ASCII,
)
_KINDS = {kind.lower(): kind for kind in ("BY", "BY-SA", "BY-NC", "BY-ND", "BY-NC-SA", "BY-NC-ND")}
_KINDS |= {"by-nd-nc": "BY-NC-ND"}  # as version 1.0 spells it
_VERSIONS = ("1.0", "2.0", "2.5", "3.0", "4.0")
# SPDX License List 3.27
_PORTED = frozenset(
    f"CC-{kind}-{version}-{port}"
    for kind, version, ports in (
        ("BY", "2.5", "AU"),
        ("BY", "3.0", "AT AU DE IGO NL US"),
        ("BY-NC", "3.0", "DE"),
        ("BY-NC-ND", "3.0", "DE IGO"),
        ("BY-NC-SA", "2.0", "DE FR UK"),
        ("BY-NC-SA", "3.0", "DE IGO"),
        ("BY-ND", "3.0", "DE"),
        ("BY-SA", "2.0", "UK"),
        ("BY-SA", "2.1", "JP"),
        ("BY-SA", "3.0", "AT DE IGO"),
    )
    for port in ports.split()
)
_PUBLIC_DOMAIN = {("zero", "1.0"): "CC0-1.0", ("mark", "1.0"): "CC-PDM-1.0"}
_OTHERS = {
    "apache.org/licenses/license-2.0": "Apache-2.0",
    "opensource.org/license/apache-2-0": "Apache-2.0",
    "opensource.org/licenses/apache-2.0": "Apache-2.0",
    "opensource.org/license/mit": "MIT",
    "opensource.org/licenses/mit": "MIT",
    "opensource.org/licenses/mit-license": "MIT",
}
_BADGE = re.compile(
    r"(?:https?:)?//(?:(?:www\.)?licensebuttons\.net|(?:i|mirrors|licensebuttons)\.creativecommons\.org)/",
    re.IGNORECASE | re.ASCII,
)
_NAMES = re.compile(
    r"\bcc\b|\bcc0\b|creative ?commons|\bby-(?:nc|nd|sa)\b|\battribution\b|public domain", re.IGNORECASE | re.ASCII
)
_IMAGE_OBJECTS = frozenset(
    ("ImageObject", "schema:ImageObject", "http://schema.org/ImageObject", "https://schema.org/ImageObject")
)


def _agree(urls: Sequence[str], evidence: str) -> Named:
    """The licence that all URLs lead to, with the first of them for evidence."""
    licenses = {identify_license(url) for url in urls}
    license_id = licenses.pop() if len(licenses) == 1 else None
    return (license_id, f"{evidence} {shorten_value(urls[0])}") if license_id else NO_LICENSE


def _walk(scripts: Iterable[str]) -> Iterator[dict[str, object]]:
    """Every object in these scripts' JSON, up to a number of them, however deep."""
    num_nodes = 0
    for _, script in zip(range(_MAX_SCRIPTS), scripts, strict=False):
        if "license" not in script and "\\u" not in script:
            continue  # most name none, and parsing all of them would be felt
        try:
            waiting = [orjson.loads(script if len(script) <= _MAX_SCRIPT else b"")]
        except ValueError:
            continue
        while waiting and num_nodes < _MAX_NODES:
            node = waiting.pop()
            num_nodes += 1
            if isinstance(node, dict):
                yield node
                waiting.extend(value for value in node.values() if isinstance(value, dict | list))
            elif isinstance(node, list):
                waiting.extend(value for value in node[:_MAX_NODES] if isinstance(value, dict | list))


def _strings(value: object) -> Iterator[str]:
    """The text in a property of JSON-LD, which may be one, an object with an address, or a list of them."""
    for one in value[:_MAX_VALUES] if isinstance(value, list) else [value]:
        text = (one.get("@id") or one.get("url")) if isinstance(one, dict) else one
        if text and isinstance(text, str):
            yield text

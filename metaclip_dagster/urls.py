"""An image's URL as the page spells it -> the one that browsers ask for, and the ids that hang on it."""

import hashlib
import re
from functools import lru_cache
from urllib.parse import quote, urljoin, urlsplit

import xxhash

# Image ids hang on what `normalise_url` does: a change to it is a new number, with which all pairs are made anew.
URL_NORMALISATION = 2


def normalise_url(url: str, base: str) -> tuple[str, None] | tuple[None, str]:
    r"""The URL, absolute and http or https, with None; or None with the reason why it cannot be an image's.

    Version 2, a modest part of the WHATWG URL standard: C0 controls and blanks around it go, and NUL, tabs and
    newlines inside; `\\` is `/`, in the base too; the base resolves what is relative; the fragment goes, for it never
    reaches the server, an empty query stays; scheme and host are in lower case; an empty path is `/`; in path and query
    whatever is no printable ASCII is percent-encoded as UTF-8. Host names stay in their own script; default ports, dot
    segments of absolute URLs and existing escapes stay.

    >>> normalise_url(" ../a b.png#top", "http://H.org/x/y/")
    ('http://h.org/x/a%20b.png', None)
    >>> normalise_url("data:image/png;base64,AAAA", "http://h.org/")
    (None, 'data_url')
    """
    if _NORMAL.fullmatch(url):
        return url, None
    if len(url) <= _MAX_CHARACTERS and _SIMPLE_PATH.fullmatch(url) and (prefixes := _find_prefixes(base)):
        return prefixes[url[0] == "/"] + url, None
    url = url.strip(_C0_AND_BLANK)
    if url[:5].lower() == "data:":
        return None, "data_url"
    if not url or len(url) > _MAX_CHARACTERS:
        return None, "long_url" if url else "no_url"
    url, _, _ = url.translate(_DELETED_OR_REPLACED).partition("#")
    try:
        resolved = _join(base, url)
        return (resolved, None) if _NORMAL.fullmatch(resolved) else _normalise_resolved(resolved)
    except ValueError:  # urllib's word for a broken IPv6 address or port
        return None, "bad_url"


def image_id_of(url: str) -> bytes:
    """The 12 bytes that stand for the image of a normal URL."""
    return hashlib.sha224(url.encode()).digest()[:12]


def pair_id_of(url: str, text: str) -> int:
    """The number below 2**64 that stands for a normal URL with a cleaned text."""
    return xxhash.xxh3_64_intdigest(f"{url}\n{text}".encode())


# Nearly every URL is in one of two forms that need no more than a look: normal already, or a path without "." or "//".
_NORMAL = re.compile(r"https?://[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::[0-9]{1,4})?/[!-\"$-\[\]-~]{0,4096}")
_SIMPLE_PATH = re.compile(r"/?[\w-][\w.%~+-]*+(?:/[\w-][\w.%~+-]*+)*+(?:\?[\w.%~+&=/-]++)?", re.ASCII)
_PARTS = re.compile(r"(https?)://(?:([^/?#]*)@)?([^/?#@]+)([^#]*)", re.IGNORECASE)
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\x00-\x20\"#%/:<>?@\[\\\]^`{|}\x7f\ud800-\udfff]+)(?::[0-9]*)?")
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
_C0_AND_BLANK = "".join(map(chr, range(0x21)))
_DELETED_OR_REPLACED = dict.fromkeys(map(ord, "\0\t\n\r")) | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
_MAX_CHARACTERS = 8192


@lru_cache(maxsize=16)
def _find_prefixes(base: str) -> tuple[str, str] | None:
    """What a simple path goes behind: the base's folder, or its host if the path begins with "/"; None: ask urljoin."""
    path, _, _ = base.partition("?")
    if not _NORMAL.fullmatch(base) or "/." in path or "//" in path[8:]:
        return None
    return path[: path.rindex("/") + 1], path[: path.index("/", 8)]


def _join(base: str, url: str) -> str:
    """The URL, which has neither fragment nor NUL, resolved as browsers do it."""
    (path, mark, query), (base, *base_query) = (told.partition("?") for told in (url, base))
    if path.endswith(";"):
        path += "\0"  # or urljoin would take an empty parameter or query for none
    if mark and not query:
        query = "\0"
    joined = urljoin(base.replace("\\", "/") + "".join(base_query), path.replace("\\", "/") + mark + query)
    return joined.replace(";\0", ";").replace("?\0", "?")


def _normalise_resolved(url: str) -> tuple[str, None] | tuple[None, str]:
    parts = _PARTS.match(url)
    if not parts:
        return None, "bad_url" if url[:5].lower() in {"http:", "https"} else "other_scheme"
    scheme, user, host, rest = parts.groups()
    if not _HOST.fullmatch(host) or (urlsplit(url).port or 0) > 65535:  # urlsplit checks IPv6 addresses too
        return None, "bad_url"
    user = f"{quote(user, safe=_PRINTABLE)}@" if user else ""
    path = quote(rest if rest.startswith("/") else f"/{rest}", safe=_PRINTABLE)
    return f"{scheme.lower()}://{user}{host.lower()}{path}", None

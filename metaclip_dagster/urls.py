"""Normalise URLs as browsers do, and make the ids of images and pairs from them."""

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache

import ada_url
import numpy as np
import numpy.typing as npt
import xxhash

# Image ids hang on what `normalise_url` does: a change to it is a new number, with which all pairs are made anew.
URL_NORMALISATION = 3


def normalise_url(url: str, base: str) -> tuple[str, None] | tuple[None, str]:
    r"""The URL, absolute and http or https, with None; or None with the reason why it cannot be an image's.

    Version 3: the `href` that the URL parser of the WHATWG URL standard makes of `url` against `base`, as ada-url 4
    implements it, up to its first `#`: the fragment never reaches the server. So scheme and host are in lower case, the
    host in ASCII (IDN as punycode, IPv4 in dotted decimal), default ports and dot segments are gone, `\\` is `/`, tabs
    and newlines are gone, and what the standard escapes in path and query is percent-encoded, as UTF-8 whatever the
    page's encoding. `//` in a path, an empty query, existing escapes, and a user and password stay. A lone surrogate
    is U+FFFD first. A base that is no URL spoils relative URLs only.

    Reasons: `data_url`; `other_scheme`; `no_url` for nothing but blanks; `long_url` for more than 8,192 characters as
    spelled or as normalised; `bad_url` for what is no URL, or is relative to a base that is none.

    >>> normalise_url(" ../a b.png#top", "http://H.org/x/y/")
    ('http://h.org/x/a%20b.png', None)
    >>> normalise_url("data:image/png;base64,AAAA", "http://h.org/")
    (None, 'data_url')
    """
    if len(url) <= _MAX_CHARACTERS and (match := _SIMPLE.fullmatch(url)):
        if match.lastindex:
            if not ("/." in url or "/%2" in url):  # else there may be a dot segment
                return url, None
        elif prefix := read_base(base)[1 + (url[0] == "/")]:
            normal = prefix + url
            return (normal, None) if len(normal) <= _MAX_CHARACTERS else (None, "long_url")
    url = url.strip(_C0_AND_BLANK)
    if url[:5].lower() == "data:":
        return None, "data_url"
    if not url or len(url) > _MAX_CHARACTERS:
        return None, "long_url" if url else "no_url"
    href = _parse(url, read_base(base)[0])
    if not href.startswith(("http://", "https://")):
        return None, "data_url" if href.startswith("data:") else "other_scheme" if href else "bad_url"
    normal, _, _ = href.partition("#")
    return (normal, None) if len(normal) <= _MAX_CHARACTERS else (None, "long_url")


@lru_cache(maxsize=16)
def read_base(base: str) -> tuple[str, str, str]:
    """A base's href, its folder, and its host with nothing behind; the last two are empty if it is not http(s).

    >>> read_base("http://H.example/a/b?c")
    ('http://h.example/a/b?c', 'http://h.example/a/', 'http://h.example')
    """
    match = _SIMPLE.fullmatch(base)
    is_normal = match and match.lastindex and "/." not in base and "/%2" not in base
    href = base if is_normal else _parse(base, _NO_BASE)
    if not href.startswith(("http://", "https://")):
        return href or _NO_BASE, "", ""
    path = href.partition("#")[0].partition("?")[0]
    return href, path[: path.rindex("/") + 1], path[: path.index("/", 8)]


def normalise_host(host: str) -> str:
    """The host as normal URLs spell it; what they cannot have as a host stays as it is.

    >>> normalise_host("B\u00fccher.example"), normalise_host("h.example:80")
    ('xn--bcher-kva.example', 'h.example:80')
    """
    if _PLAIN_HOST.fullmatch(host):
        return host
    href = _parse(f"http://{host}/", _NO_BASE) if _HOST.fullmatch(host) else ""
    return href[len("http://") : -1] or host


def split_host(url: str) -> tuple[str, str]:
    """The host of a normal URL, with a port that is not its scheme's own, and what follows it.

    >>> split_host("https://user@h.example:8080/a?b")
    ('h.example:8080', '/a?b')
    """
    authority, slash, path = url.partition("//")[2].partition("/")
    return authority.rpartition("@")[2], slash + path


def image_id_of(url: str) -> bytes:
    """The 12 bytes that stand for the image of a normal URL."""
    return hash_url(url.encode())


def hash_url(url: bytes) -> bytes:
    """What `image_id_of` makes of a normal URL in UTF-8."""
    return hashlib.sha224(url).digest()[:12]


def bucket_images(image_ids: Iterable[str], num_buckets: int) -> npt.NDArray[np.uint32]:
    """The image store's bucket of each image, by the first 8 of the hexadecimal digits of its id.

    >>> bucket_images(["0000000a" + "0" * 16, "ffffffff" + "0" * 16], 8).tolist()
    [2, 7]
    """
    return np.array([int(image_id[:8], 16) for image_id in image_ids], np.uint32) % np.uint32(num_buckets)


def pair_id_of(url: str, text: str) -> int:
    """The number below 2**64 that stands for a normal URL with a cleaned text."""
    return hash_pair(f"{url}\n{text}".encode())


def hash_pair(url_and_text: bytes) -> int:
    """What `pair_id_of` makes of a normal URL, a newline and a cleaned text, in UTF-8."""
    return xxhash.xxh3_64_intdigest(url_and_text)


# Nearly every URL is in one of two forms for which the parser, ten times slower, need not be asked: group 1, normal
# already but for dot segments (the last label of a name is no number, nothing is punycode, a default port or to be
# escaped); or a path that goes behind the base's folder or host as it is.
_NAME = r"(?:(?!xn--)[a-z0-9_-]++\.)*+(?!xn--)[a-z][a-z0-9_-]*+"
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_NORMAL = (
    rf"https?://(?:{_NAME}|{_BYTE}(?:\.{_BYTE}){{3}})(?::(?!0|80/|443/)[0-9]{{1,4}})?"
    r"/[!$-;=@-\[\]_a-z|~]*+(?:\?[!$-&(-;=?-~]*+)?"
)
_SIMPLE = re.compile(rf"({_NORMAL})|/?[\w-][\w.%~+-]*+(?:/[\w-][\w.%~+-]*+)*+(?:\?[\w.%~+&=/-]++)?", re.ASCII)
_PLAIN_HOST = re.compile(_NAME, re.ASCII)
_HOST = re.compile(r"\[[^\]]*\]|[^/?#@:\\]+")
_C0_AND_BLANK = "".join(map(chr, range(0x21)))
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
_MAX_CHARACTERS = 8192
_NO_BASE = "about:blank"  # nothing but whole URLs, and fragments, can be resolved against it


def _parse(url: str, base: str) -> str:
    """The URL's href against a base, which is an href itself; empty where it has none."""
    try:
        href: str = ada_url.join_url(base, url if url.isascii() else url.translate(_SURROGATES))
    except ValueError:
        return ""
    return href

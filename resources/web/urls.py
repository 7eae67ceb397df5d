"""Resolve a URL as browsers do (the WHATWG URL standard), before it is asked for."""

import re

import ada_url

_NO_BASE = "about:blank"
_RAW_BYTES = re.compile("[\udc80-\udcff]")  # what is no UTF-8 in a header, as it is decoded


def resolve_url(url: str, base: str = _NO_BASE) -> str:
    """The URL against a base, without its fragment. Raises ValueError where there is none.

    >>> resolve_url("//CDN.example/a b//c?#top", "http://h.example/")
    'http://cdn.example/a%20b//c?'
    """
    escaped = _RAW_BYTES.sub(lambda byte: f"%{ord(byte[0]) - 0xDC00:02X}", url)
    href: str = ada_url.join_url(base, escaped)
    return href.partition("#")[0]

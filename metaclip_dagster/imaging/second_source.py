"""Say where an image that is gone may still be had: an archive's address, made of its URL and when it was crawled."""

import re
from datetime import datetime
from urllib.parse import quote

_FIELD = re.compile(r"\{(url|url_quoted|timestamp)\}")


def check_pattern(pattern: str) -> str:
    """The pattern, if it is one or empty; raises ValueError that says what one looks like.

    >>> check_pattern("https://archive.example/web/{timestamp}id_/{url}")
    'https://archive.example/web/{timestamp}id_/{url}'
    """
    rest = _FIELD.sub("", pattern)
    is_address = re.match(r"https?://[^/{}]+/", pattern) and re.search(r"\{url(_quoted)?\}", pattern)
    if pattern and (not is_address or "{" in rest or "}" in rest):
        raise ValueError(
            f"{pattern!r} is no address of a second source: give http(s)://host/ with {{url}} or {{url_quoted}} in it, "
            "and {timestamp}, if at all, for when the page was crawled"
        )
    return pattern


def needs_times(pattern: str) -> bool:
    """Whether an address depends on when the image's page was crawled."""
    return "{timestamp}" in pattern


def fill_pattern(pattern: str, url: str, crawled_at: datetime | None) -> str | None:
    """Where the image of this URL is asked for again; None where that depends on a time which nobody knows.

    >>> fill_pattern("https://a.example/{timestamp}/{url_quoted}", "http://h/?a", datetime(2026, 1, 2, 3, 4, 5))
    'https://a.example/20260102030405/http%3A%2F%2Fh%2F%3Fa'
    """
    if needs_times(pattern) and crawled_at is None:
        return None
    timestamp = crawled_at.strftime("%Y%m%d%H%M%S") if crawled_at else ""
    parts = {"url": url, "url_quoted": quote(url, safe=""), "timestamp": timestamp}
    return _FIELD.sub(lambda match: parts[match[1]], pattern)

"""Read from a WAT's JSON what the page says of its use: the signals against it, and the licence of its images."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from metaclip_dagster.parsing.licenses import (
    NO_LICENSE,
    LinkOrImage,
    Named,
    choose_license,
    is_creative_commons,
    is_license_rel,
    shorten_text,
)
from metaclip_dagster.parsing.responses import drop_nul
from metaclip_dagster.signals import HEADERS, merge_signals, read_header_signals, read_meta_signals

Fields = Mapping[str, object]
Decode = Callable[[str], str]


def read_date(value: object) -> datetime | None:
    """The second that a WARC-Date names, in UTC and without a zone; None where it names none.

    >>> read_date("2024-05-19T06:20:00.5Z"), read_date("yesterday")
    (datetime.datetime(2024, 5, 19, 6, 20), None)
    """
    if isinstance(value, str) and (match := _DATE.fullmatch(value.strip()[:40])):
        try:
            return datetime.fromisoformat(match[1])
        except ValueError:
            pass
    return None


def read_wat_signals(head: Fields, headers: Fields, decode: Decode) -> list[dict[str, str]]:
    """The signals of the metas in an HTML's Head, and of the HTTP headers; a repeated header is a list."""
    metas = [
        (_text(meta.get("name"), decode), _text(meta.get("content"), decode))
        for meta in _list_objects(head.get("Metas"))
        if "name" in meta and "content" in meta
    ]
    lines = [
        (name, drop_nul(value))
        for name, values in headers.items()
        if name.lower() in HEADERS
        for value in (values if isinstance(values, list) else (values,))
        if isinstance(value, str)
    ]
    return merge_signals(read_meta_signals(metas), read_header_signals(lines, "page")) if metas or lines else []


def read_wat_license(
    head: Fields, anchors: Sequence[Fields], list_links: Callable[[], object], decode: Decode
) -> Named:
    """The licence that an HTML's links say is that of the page's images: those in its Head, and its `A@/href`.

    `list_links` gives all of its links and images, where it matters what stands behind a link.
    """
    links = [*_list_objects(head.get("Link")), *anchors]
    strong = [_text(link.get("url"), decode) for link in links if is_license_rel(_text(link.get("rel"), decode))]
    items: list[LinkOrImage] = []
    if not strong and any(is_creative_commons(_text(anchor.get("url"), str)) for anchor in anchors):
        for link in _list_objects(list_links()):
            url = _text(link.get("url"), decode)
            if link.get("path") == "A@/href":
                is_license = is_creative_commons(url)  # of others the text is not read
                items.append(LinkOrImage(url, shorten_text(_text(link.get("text"), decode)) if is_license else ""))
            elif link.get("path") == "IMG@/src":
                items.append(LinkOrImage(url, is_image=True))
    return choose_license(strong, items) if strong or items else NO_LICENSE


_DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,9})?Z")


def _list_objects(values: object) -> list[Fields]:
    return [value for value in values if isinstance(value, dict) and value] if isinstance(values, list) else []


def _text(value: object, decode: Decode) -> str:
    return drop_nul(decode(value)) if isinstance(value, str) else ""

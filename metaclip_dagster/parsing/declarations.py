"""Read from a WAT's JSON what the page says of its use: the signals against it, and the licence of its images."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from metaclip_dagster.parsing.licenses import (
    LinkOrImage,
    Named,
    choose_license,
    is_creative_commons,
    is_license_rel,
    shorten_text,
)
from metaclip_dagster.parsing.responses import drop_nul
from metaclip_dagster.signals import merge_signals, read_header_signals, read_meta_signals

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
        for value in (values if isinstance(values, list) else (values,))
        if isinstance(value, str)
    ]
    return merge_signals(read_meta_signals(metas), read_header_signals(lines, "page"))


def leads_to_license(links: object, decode: Decode) -> bool:
    """Whether a plain link leads to Creative Commons, so that what stands behind it in the page counts."""
    urls = (_text(link.get("url"), decode) for link in _list_objects(links) if link.get("path") == "A@/href")
    return any(map(is_creative_commons, urls))


def read_wat_license(head: Fields, links: object, decode: Decode) -> Named:
    """The licence that an HTML's links, in its Head and elsewhere, say is that of the page's images."""
    anchors = [link for link in _list_objects(links) if link.get("path") == "A@/href"]
    strong = [
        _text(link.get("url"), decode)
        for link in (*_list_objects(head.get("Link")), *anchors)
        if is_license_rel(_text(link.get("rel"), decode))
    ]
    items: list[LinkOrImage] = []
    if not strong and leads_to_license(links, decode):
        for link in _list_objects(links):
            url = _text(link.get("url"), decode)
            if link.get("path") == "A@/href":
                items.append(LinkOrImage(url, shorten_text(_text(link.get("text"), decode))))
            elif link.get("path") == "IMG@/src":
                items.append(LinkOrImage(url, is_image=True))
    return choose_license(strong, items)


_DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,9})?Z")


def _list_objects(values: object) -> Iterator[Fields]:
    return (value for value in values if isinstance(value, dict) and value) if isinstance(values, list) else iter(())


def _text(value: object, decode: Decode) -> str:
    return drop_nul(decode(value)) if isinstance(value, str) else ""

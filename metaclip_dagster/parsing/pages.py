"""Read the page in a WAT or WARC record: its URL, its images and the texts that it has of them."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from metaclip_dagster.parsing.declarations import read_date, read_wat_license, read_wat_signals
from metaclip_dagster.parsing.elements import decode_references, find_elements
from metaclip_dagster.parsing.licenses import NO_LICENSE, Named, choose_license, read_image_licenses
from metaclip_dagster.parsing.records import BrokenRecordError, Record
from metaclip_dagster.parsing.responses import is_too_complex, read_markup
from metaclip_dagster.signals import merge_signals, read_header_signals, read_meta_signals

# Where an image's text is looked for, the first one first. A WAT carries the first two only.
TEXT_SOURCES = ("alt", "title", "data-image-title")


EXPECTED = "expected"
"""Stands among the types of records that an archive has if one of them is of the kind that was looked for."""


class Page(NamedTuple):
    """A page with images: src, and texts in the order of TEXT_SOURCES, as they were found; they may be any object.

    `warc` and `offset` say where its WARC record lies; None where the archive does not. `pool_address` is of a pool's
    row alone. `signals` are what the page says against this use, as a table holds them. `license` is what it says of
    all its images, `image_licenses` what it says of some, by their URLs as it writes them.
    `has_references`: a WAT's attributes stand as the page wrote them, with character references.
    """

    url: str
    base: object
    images: Sequence[tuple[object, Sequence[object]]]
    warc: str | None
    offset: int | None
    pool_address: str | None = None
    crawled_at: datetime | None = None
    signals: Sequence[Mapping[str, str]] = ()
    license: Named = NO_LICENSE
    image_licenses: Mapping[str, Named] = MappingProxyType({})
    has_references: bool = False


def is_wat_record(record: Record) -> bool:
    """Whether the record describes, in JSON, a record of a WARC."""
    if b"\r\nWARC-Type: metadata\r\n" in record.head and b"\r\nContent-Type: application/json\r\n" in record.head:
        return True  # as every writer spells it, found without reading the other headers
    return record.headers.get("warc-type") == "metadata" and "json" in record.headers.get("content-type", "").lower()


def is_warc_record(record: Record) -> bool:
    """Whether the record is one that crawlers write to a WARC as they fetch."""
    return record.headers.get("warc-type") in {"request", "resource", "response", "revisit"}


def read_wat_page(record: Record) -> Page | None:
    """The page that a WAT record describes; None where it shows no image.

    A record that names no image is not parsed, so a fault in it goes unseen; it costs no pair.

    Raises:
        BrokenRecordError: `bad_json`, `no_envelope`, `no_page_url`, or `too_complex`: it would fill the memory.

    """
    if not record.holds(b'"IMG@') or not is_wat_record(record):
        return None
    if any(is_too_complex(record.data, opening, record.begin_block, record.end) for opening in (b"{", b"[")):
        raise BrokenRecordError("too_complex")
    content = _load_json(record)
    envelope = descend(content, "Envelope")
    if not envelope:
        raise BrokenRecordError("no_envelope")
    links = list_links(envelope)
    images: list[tuple[object, Sequence[object]]] = [
        (link.get("url"), (link.get("alt"), link.get("title"))) for link in links if read_path(link) == "IMG@/src"
    ]
    if not images:
        return None
    page = describe_page(content, record, lambda: links)
    if page.has_references:
        images = [(decode(url), tuple(map(decode, texts))) for url, texts in images]
    return page._replace(images=images)


def describe_page(content: object, record: Record, list_all: Callable[[], list[Any]] | None = None) -> Page:
    """What a WAT record's JSON says of its page at large, without the images.

    Links that say nothing of licences may be missing in the JSON: where they matter, `list_all` gives all of them, or
    the record is read whole.

    Raises:
        BrokenRecordError: `no_page_url`.

    """
    envelope = descend(content, "Envelope")
    response = descend(envelope, *_RESPONSE)
    head = descend(response, "HTML-Metadata", "Head")
    container, headers = descend(content, "Container"), descend(envelope, "WARC-Header-Metadata")
    warc, offset = container.get("Filename"), container.get("Offset")
    base = head.get("Base")
    has_references = _has_references(warc, headers, record)
    decode_text: Callable[[str], str] = decode_references if has_references else str
    anchors = [link for link in list_links(envelope) if read_path(link) == "A@/href"]

    def load_links() -> list[Any]:
        return list_links(descend(_load_json(record), "Envelope"))

    return Page(
        _read_page_url(headers, record),
        decode(base) if has_references else base,
        (),
        warc if isinstance(warc, str) and warc.isprintable() else None,
        int(offset) if isinstance(offset, str) and _DIGITS.fullmatch(offset) else None,
        crawled_at=read_date(_find_header(headers, "WARC-Date")),
        signals=read_wat_signals(head, descend(response, "Headers"), decode_text),
        license=read_wat_license(head, anchors, list_all or load_links, decode_text),
        has_references=has_references,
    )


def read_warc_page(record: Record, *, name: str, max_bytes: int) -> Page | None:
    """The page in a response or resource record of the WARC `name`; None where it is no HTML or shows no image.

    Raises:
        BrokenRecordError: `no_page_url`, `segmented`, or what `read_markup` raises.

    """
    kind = record.headers.get("warc-type")
    if kind == "continuation":
        raise BrokenRecordError("segmented")  # the rest of a page whose beginning stands elsewhere
    if kind not in {"response", "resource"}:
        return None
    markup = read_markup(record, max_bytes=max_bytes)
    if markup is None:
        return None
    elements = find_elements(markup)
    if not elements.images:
        return None
    return Page(
        _read_page_url({}, record),
        elements.base,
        [(img.get("src"), [img.get(source) for source in TEXT_SOURCES]) for img in elements.images],
        name,
        record.offset,
        crawled_at=read_date(record.headers.get("warc-date")),
        signals=merge_signals(read_meta_signals(elements.metas), read_header_signals(markup.headers, "page")),
        license=choose_license(elements.license_urls, elements.items),
        image_licenses=read_image_licenses(elements.scripts),
    )


def descend(value: object, *keys: str) -> dict[str, object]:
    """The object under these keys; an empty one where a key is absent or its value anything else."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def list_links(envelope: Mapping[str, object]) -> list[Any]:
    """What stands under Links in a record's Envelope, which is any JSON."""
    links = descend(envelope, *_RESPONSE, "HTML-Metadata").get("Links")
    return links if isinstance(links, list) else []


def read_path(link: object) -> object:
    """Of which element and attribute a link is."""
    return link.get("path") if isinstance(link, dict) else None


def decode(value: object) -> object:
    """An attribute's value with its character references decoded; anything but a text stays as it is."""
    return decode_references(value) if isinstance(value, str) else value


_RESPONSE = ("Payload-Metadata", "HTTP-Response-Metadata")
_DIGITS = re.compile("[0-9]{1,18}")
# No server takes longer ones, and a page's URL is repeated with each of its images.
_MAX_URL_CHARACTERS = 8192


def _load_json(record: Record) -> object:
    try:
        return orjson.loads(record.view)
    except orjson.JSONDecodeError:
        pass
    try:  # bad UTF-8 and lone surrogates, which the standard library takes, or really broken
        return json.loads(record.block.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as fault:
        raise BrokenRecordError("bad_json") from fault


# Common Crawl's extractor decoded no character references before CC-MAIN-2019-26, which began in June 2019.
_CRAWL = re.compile(r"CC-MAIN-(?:(?P<week>[0-9]{4}-[0-9]{2})(?![0-9])|(?P<day>[0-9]{8})[0-9]{6}-)")


def _has_references(warc: object, headers: dict[str, object], record: Record) -> bool:
    """Whether a WAT's attributes are as the page wrote them, by the crawl in its WARC's name or else by date."""
    by_crawl = _read_age(warc) if isinstance(warc, str) else None
    if by_crawl is not None:
        return by_crawl
    date = headers.get("WARC-Date") or record.headers.get("warc-date")
    return isinstance(date, str) and date[:4].isdigit() and date < "2019-06"


@lru_cache(maxsize=16)
def _read_age(warc: str) -> bool | None:
    crawl = _CRAWL.search(warc)
    if not crawl:
        return None
    return crawl["week"] < "2019-26" if crawl["week"] else crawl["day"] < "20190601"


def _find_header(headers: dict[str, object], name: str) -> object:
    """A header as a WAT tells it, in whatever case; the first, where it is a list, as repeated ones are since 2024."""
    value = headers.get(name) or next((value for key, value in headers.items() if key.lower() == name.lower()), None)
    return next(iter(value), None) if isinstance(value, list) else value


def _read_page_url(headers: dict[str, object], record: Record) -> str:
    """The page's URL as a WAT tells it, else the record's own."""
    target = _find_header(headers, "WARC-Target-URI")
    url = target if isinstance(target, str) else record.headers.get("warc-target-uri", "")
    url = url.strip().removeprefix("<").removesuffix(">")
    if not 0 < len(url) <= _MAX_URL_CHARACTERS:
        raise BrokenRecordError("no_page_url")
    return url

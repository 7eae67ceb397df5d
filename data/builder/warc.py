"""Pages and images -> WARC records and files, in Common Crawl's shape."""

import base64
import gzip
import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from data.builder.draws import draw
from data.builder.pages import Page, render
from data.builder.statements import PAGE_HEADERS, Answer

_PROFILE = "http://netpreserve.org/warc/1.0/revisit/identical-payload-digest"
_FIRST_ID = uuid.UUID("6d657461-636c-4970-8000-000000000000").int
_CONTENT_TYPES = {
    "warcinfo": "application/warc-fields",
    "request": "application/http; msgtype=request",
    "response": "application/http; msgtype=response",
    "revisit": "application/http; msgtype=response",
    "metadata": "application/warc-fields",
}

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Record:
    """One WARC record: its headers in order, Content-Length included, and its block."""

    headers: Headers
    block: bytes

    def header(self) -> bytes:
        """The header block with the blank line after it."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers)
        return f"WARC/1.0\r\n{lines}\r\n".encode()

    def __getitem__(self, name: str) -> str:
        return dict(self.headers)[name]

    def to_bytes(self) -> bytes:
        """The whole record, uncompressed."""
        return self.header() + self.block + b"\r\n\r\n"


def digest(content: bytes) -> str:
    """sha1 as WARC writes it."""
    return "sha1:" + base64.b32encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode()


def record_id(*key: object) -> str:
    """A record's id: one prefix for all, so that a record which names three others packs small."""
    number = int.from_bytes(hashlib.sha256("|".join(map(str, key)).encode()).digest()[:6], "big")
    return f"<urn:uuid:{uuid.UUID(int=_FIRST_ID + number)}>"


def compress(records: Iterable[Record]) -> list[bytes]:
    """One gzip member a record, without a time stamp, so that any record can be read from its offset."""
    return [gzip.compress(record.to_bytes(), 9, mtime=0) for record in records]


def warcinfo(file_name: str, snapshot: str, date: str) -> Record:
    """A file's first record, which says that this is no release of Common Crawl."""
    lines = {
        "isPartOf": snapshot,
        "publisher": "the metaclip_dagster sample",
        "description": "A made-up crawl of made-up sites about emoji drawings; not a Common Crawl release",
        "software": "python -m data.builder",
        "format": "WARC File Format 1.0",
    }
    block = "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode()
    return _record("warcinfo", date, record_id("warcinfo", file_name), block, (("WARC-Filename", file_name),))


def page_records(page: Page, date: str, info: Record) -> list[Record]:
    """Request, response and metadata of one page."""
    answer = Answer(page.url, render(page), content_type=f"text/html; charset={page.charset}")
    return fetch_records(answer, date=date, info=info, headers=PAGE_HEADERS.get(page.host, ()))


def fetch_records(answer: Answer, *, date: str, info: Record, headers: Headers = ()) -> list[Record]:
    """Request, response and metadata of anything that a site sent; its header names are in the site's own case."""
    url, body, content_type = answer.url, answer.body, answer.content_type
    host, slash, rest = url.partition("://")[2].partition("/")
    path = slash + rest
    request_id, response_id, metadata_id = (record_id(kind, url, date) for kind in ("request", "response", "metadata"))
    request = (
        f"GET {path} HTTP/1.1\r\nUser-Agent: SampleBot/1.0\r\nAccept: text/html,*/*;q=0.8\r\n"
        f"Accept-Encoding: gzip\r\nHost: {host}\r\nConnection: Keep-Alive\r\n\r\n"
    ).encode()
    cookies = "Set-Cookie: seen=1\r\nSet-Cookie: tone=3\r\n" if draw("cookies", host) < 0.2 else ""
    name = "content-type" if draw("case", host) < 0.3 else "Content-Type"
    location = (("Location", answer.location),) if answer.location else ()
    more = "".join(f"{name}: {value}\r\n" for name, value in (*headers, *location))
    response = (
        f"HTTP/1.1 {answer.status}\r\nServer: sample\r\n{name}: {content_type}\r\n{cookies}{more}"
        f"X-Crawler-Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    metadata = f"fetchTimeMs: {20 + int(draw('fetch', url, date) * 400)}\r\n\r\n".encode()
    target = (("WARC-Warcinfo-ID", info["WARC-Record-ID"]), ("WARC-Target-URI", url))
    digests = (
        ("WARC-Concurrent-To", request_id),
        ("WARC-Payload-Digest", digest(body)),
        ("WARC-Block-Digest", digest(response)),
        ("WARC-Identified-Payload-Type", content_type.partition(";")[0]),
    )
    return [
        _record("request", date, request_id, request, target),
        _record("response", date, response_id, response, (*target, *digests)),
        _record("metadata", date, metadata_id, metadata, (*target, ("WARC-Concurrent-To", response_id))),
    ]


def image_records(urls: list[str], image: bytes, date: str, serial: int) -> list[Record]:
    """A response for an image's first URL and a revisit for each other; ids count up, so that git packs them small."""
    block = f"HTTP/1.1 200 OK\r\nContent-Type: image/webp\r\nContent-Length: {len(image)}\r\n\r\n".encode()
    first, *others = urls
    headers = (("WARC-Payload-Digest", digest(image)), ("WARC-Date", date))
    same = (("WARC-Profile", _PROFILE), ("WARC-Refers-To-Target-URI", first), ("WARC-Refers-To-Date", date))
    records = [_image_record("response", serial, first, block + image, headers)]
    for number, url in enumerate(others, start=serial + 1):
        records.append(_image_record("revisit", number, url, block, (*headers, *same)))
    return records


def _image_record(kind: str, serial: int, url: str, block: bytes, extra: Headers) -> Record:
    """An image's record; no block digest, which nobody could compress."""
    headers = (
        ("WARC-Type", kind),
        *extra,
        ("Content-Type", _CONTENT_TYPES[kind]),
        ("Content-Length", str(len(block))),
        ("WARC-Record-ID", f"<urn:uuid:{uuid.UUID(int=_FIRST_ID + serial)}>"),
        ("WARC-Target-URI", url),
    )
    return Record(headers, block)


def _record(kind: str, date: str, identifier: str, block: bytes, extra: Headers) -> Record:
    headers = (
        ("WARC-Type", kind),
        ("WARC-Date", date),
        ("WARC-Record-ID", identifier),
        ("Content-Length", str(len(block))),
        ("Content-Type", _CONTENT_TYPES[kind]),
        *extra,
    )
    return Record(headers, block)

"""Small WAT and WARC archives for tests, made from plain Python values."""

import gzip
import html
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import BytesIO, RawIOBase
from typing import Any

import pyarrow as pa

from metaclip_dagster.parsing import parse_warc, parse_wat
from metaclip_dagster.schemas import PAIRS

Image = Mapping[str, Any]
Rows = list[dict[str, Any]]


class Trickle(RawIOBase):
    """A stream that cannot be sought and gives few bytes at a time, as a socket does."""

    def __init__(self, data: bytes, num_bytes: int = 7) -> None:
        self._rest = BytesIO(data)
        self._num_bytes = num_bytes

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        return self._rest.read(min(size, self._num_bytes) if size >= 0 else self._num_bytes)


def record(kind: str, block: bytes, *, length: int | None = None, **headers: str) -> bytes:
    """A plain WARC record; `length` lies about its length; underscores in the names of headers are hyphens."""
    lines = [f"WARC-Type: {kind}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    lines.append(f"Content-Length: {len(block) if length is None else length}")
    return b"WARC/1.0\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n" + block + b"\r\n\r\n"


def member(plain: bytes) -> bytes:
    return gzip.compress(plain, 6, mtime=0)


def members(*plain: bytes) -> bytes:
    return b"".join(map(member, plain))


def content(
    page: str, images: Sequence[Any], *, base: Any = None, offset: Any = "0", warc: str = "crawl.warc.gz"
) -> dict[str, Any]:
    """The JSON of a WAT record in the layout of ia-web-commons."""
    head: dict[str, Any] = {"Title": "page"} if base is None else {"Title": "page", "Base": base}
    links = [{"path": "IMG@/src", **image} if isinstance(image, Mapping) else image for image in images]
    page_metadata = {"Head": head, "Links": [{"path": "A@/href", "url": "/", "text": "up"}, *links]}
    return {
        "Container": {"Filename": warc, "Compressed": True, "Offset": offset},
        "Envelope": {
            "Format": "WARC/1.0",
            "WARC-Header-Metadata": {"WARC-Type": "response", "WARC-Target-URI": page},
            "Payload-Metadata": {"HTTP-Response-Metadata": {"HTML-Metadata": page_metadata}},
        },
    }


def wat_record(described: Any, *, length: int | None = None, **headers: str) -> bytes:
    """The WAT record that holds this JSON; bytes go in as they are."""
    block = described if isinstance(described, bytes) else json.dumps(described).encode()
    about = {"WARC_Target_URI": "http://record.example/", "Content_Type": "application/json", **headers}
    return record("metadata", block, length=length, **about)


def response(body: bytes, *http_headers: str, page: str = "http://h.example/p/a.html", **headers: str) -> bytes:
    """The WARC record of an HTTP response."""
    head = "\r\n".join(["HTTP/1.1 200 OK", *(http_headers or ("Content-Type: text/html; charset=utf-8",))])
    block = head.encode("latin-1") + b"\r\n\r\n" + body
    about = {"WARC_Target_URI": page, "Content_Type": "application/http; msgtype=response", **headers}
    return record("response", block, length=None, **about)


def page_source(images: Iterable[Image], *, base: str | None = None) -> bytes:
    """HTML, in UTF-8, with these images."""
    tags = [
        "<img " + " ".join(f'{name}="{html.escape(value)}"' for name, value in image.items()) + ">" for image in images
    ]
    start = "" if base is None else f'<base href="{html.escape(base)}">'
    return f"<!DOCTYPE html><html><head>{start}</head><body>{''.join(tags)}</body></html>".encode()


def wat_rows(archive: bytes, dropped: Counter[str] | None = None, **options: Any) -> Rows:
    return _rows(parse_wat, archive, dropped, **options)


def warc_rows(archive: bytes, dropped: Counter[str] | None = None, **options: Any) -> Rows:
    return _rows(parse_warc, archive, dropped, **options)


def _rows(
    parse: Callable[..., Iterator[pa.RecordBatch]], archive: bytes, dropped: Counter[str] | None, **options: Any
) -> Rows:
    dropped = Counter() if dropped is None else dropped
    batches: list[pa.RecordBatch] = []
    try:
        batches.extend(parse(BytesIO(archive), **{"name": "file.gz", "dropped": dropped, **options}))
    except EOFError:  # it was cut: what it has was given before
        assert dropped["truncated"]
    assert all(batch.schema.equals(PAIRS) for batch in batches)
    assert all(0 < batch.num_rows <= 8192 for batch in batches)
    return [row for batch in batches for row in batch.to_pylist()]

"""WARC records -> the WAT that tells of them: ia-web-commons' field layout, written from the bytes alone.

It shares no code with the project's own parser, which is checked against it.
"""

import json
import zlib
from html.parser import HTMLParser
from typing import Any

from data.builder.warc import Record, digest, record_id


def wat_records(warc_name: str, wat_name: str, records: list[Record], members: list[bytes], date: str) -> list[Record]:
    """A warcinfo, then one metadata record for each record of the WARC file, with its offset there."""
    info = (
        f"Software-Info: data.builder (in the field layout of ia-web-commons)\r\nExtracted-Date: {date}\r\n"
        "format: WARC File Format 1.0\r\n"
    ).encode()
    metadata = [_record("warcinfo", date, record_id("warcinfo", wat_name), info, (("WARC-Filename", wat_name),))]
    offset = 0
    for record, member in zip(records, members, strict=True):
        envelope = {"Container": _container(warc_name, offset, record, member), "Envelope": _envelope(record)}
        block = json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()
        headers = dict(record.headers)
        target = (
            ("WARC-Target-URI", headers.get("WARC-Target-URI", warc_name)),
            ("WARC-Refers-To", headers["WARC-Record-ID"]),
        )
        metadata.append(_record("metadata", date, record_id("wat", wat_name, offset), block, target))
        offset += len(member)
    return metadata


def _container(name: str, offset: int, record: Record, member: bytes) -> dict[str, Any]:
    inflated = record.to_bytes()
    return {
        "Filename": name,
        "Compressed": True,
        "Offset": str(offset),
        "Gzip-Metadata": {
            "Deflate-Length": str(len(member)),
            "Header-Length": "10",
            "Footer-Length": "8",
            "Inflated-CRC": str(zlib.crc32(inflated)),
            "Inflated-Length": str(len(inflated)),
        },
    }


def _envelope(record: Record) -> dict[str, Any]:
    return {
        "Payload-Metadata": {
            "Actual-Content-Type": record["Content-Type"],
            **_payload(record),
            "Actual-Content-Length": str(len(record.block)),
            "Trailing-Slop-Length": "4",
            "Block-Digest": digest(record.block),
        },
        "Format": "WARC/1.0",
        "WARC-Header-Length": str(len(record.header())),
        "WARC-Header-Metadata": dict(record.headers),
    }


def _payload(record: Record) -> dict[str, Any]:
    kind = record["WARC-Type"]
    if kind in ("warcinfo", "metadata"):
        fields = [line.split(": ", 1) for line in record.block.decode().split("\r\n") if line]
        if kind == "warcinfo":
            return {"WARC-Info-Metadata": dict(fields)}
        return {"WARC-Metadata-Metadata": {"Metadata-Records": [{"Name": n, "Value": v} for n, v in fields]}}
    head, _, entity = record.block.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = _headers(lines)
    common = {
        "Headers-Length": str(len(head) + 4),
        "Headers": headers,
        "Entity-Length": str(len(entity)),
        "Entity-Digest": digest(entity),
        "Entity-Trailing-Slop-Length": "0",
    }
    a, b, c = first.split(" ", 2)
    if kind == "request":
        return {"HTTP-Request-Metadata": {"Request-Message": {"Method": a, "Path": b, "Version": c}, **common}}
    response = {"Response-Message": {"Version": a, "Status": b, "Reason": c}, **common}
    content_type = next(str(value) for name, value in headers.items() if name.lower() == "content-type")
    if content_type.startswith("text/html"):
        links = _Links()
        links.feed(entity.decode(content_type.partition("charset=")[2]))
        links.close()
        response["HTML-Metadata"] = {"Head": links.head, **({"Links": links.links} if links.links else {})}
    return {"HTTP-Response-Metadata": response}


def _headers(lines: list[str]) -> dict[str, str | list[str]]:
    """HTTP headers by name; since CC-MAIN-2024-51 a header that is repeated is a list."""
    values: dict[str, list[str]] = {}
    for line in lines:
        name, value = line.split(": ", 1)
        values.setdefault(name, []).append(value)
    return {name: value if len(value) > 1 else value[0] for name, value in values.items()}


_META = ("name", "rel", "content", "http-equiv", "property")


class _Links(HTMLParser):
    """What ia-web-commons takes from a page: links as written, attributes decoded, data: addresses cut short."""

    def __init__(self) -> None:
        super().__init__()
        self.head: dict[str, Any] = {}
        self.links: list[dict[str, str]] = []
        self._in_title = False
        self._anchor: dict[str, str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in reversed(attrs)}
        if tag == "title":
            self._in_title = True
        elif tag == "base" and "href" in values:
            self.head["Base"] = values["href"]
        elif tag == "img" and "src" in values:
            link = {"path": "IMG@/src", "url": _trim(values["src"])}
            self.links.append(link | {name: values[name] for name in ("alt", "title") if name in values})
        elif tag == "a" and "href" in values:
            self._anchor = {"path": "A@/href", "url": _trim(values["href"])}
            self._anchor |= {"rel": values["rel"]} if "rel" in values else {}
        elif tag == "link" and "href" in values:
            link = {"path": "LINK@/href", "url": _trim(values["href"])}
            link |= {name: values[name] for name in ("rel", "type") if name in values}
            self.head.setdefault("Link", []).append(link)
        elif tag == "meta" and len(meta := {name: values[name] for name in _META if name in values}) > 1:
            self.head.setdefault("Metas", []).append(meta)

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        elif tag == "a" and self._anchor is not None:
            self.links.append(self._anchor)  # behind the images in it, and only where it is closed
            self._anchor = None

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.head["Title"] = (self.head.get("Title", "") + data).strip()
        elif self._anchor is not None and data.strip():
            self._anchor["text"] = data.strip()


def _trim(url: str) -> str:
    return url[: url.find(",") + 1] if url.startswith("data:") and "," in url[:128] else url


def _record(kind: str, date: str, identifier: str, block: bytes, extra: tuple[tuple[str, str], ...]) -> Record:
    headers = (
        ("WARC-Type", kind),
        ("WARC-Date", date),
        ("WARC-Record-ID", identifier),
        *extra,
        ("Content-Type", "application/json" if kind == "metadata" else "application/warc-fields"),
        ("Content-Length", str(len(block))),
    )
    return Record(headers, block)

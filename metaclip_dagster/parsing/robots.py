"""Read what hosts say to crawlers, robots.txt and tdmrep.json, out of a WARC: the table ROBOTS_TXT."""

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import IO, BinaryIO, NamedTuple

import pyarrow as pa

from metaclip_dagster.parsing.records import BrokenRecordError, Record, read_records
from metaclip_dagster.parsing.responses import drop_nul, read_message
from metaclip_dagster.schemas import ROBOTS_TXT, writes
from metaclip_dagster.urls import URL_NORMALISATION, normalise_url, split_host

KINDS = {"/robots.txt": "robots.txt", "/.well-known/tdmrep.json": "tdmrep.json"}
MAX_TEXT_BYTES = 500 << 10
"""RFC 9309, section 2.5: the least that a crawler must read."""
MAX_REDIRECTS = 5
"""RFC 9309, section 2.3.1.2."""


class _Capture(NamedTuple):
    url: str
    captured_at: datetime | None
    place: tuple[int, int] | None
    """Where in the spool its text lies; None for a redirect."""
    target: str | None

    @property
    def age(self) -> tuple[datetime, str]:
        return self.captured_at or datetime.min, self.url  # Arrow's timestamps have no zone here


@writes(ROBOTS_TXT, name="parsing:read_robots", version=URL_NORMALISATION)
def read_robots(
    archive: BinaryIO | None, *, name: str, dropped: Counter[str], seen: Counter[str], max_record_bytes: int = 64 << 20
) -> Iterator[pa.RecordBatch]:
    """The newest robots.txt and tdmrep.json of each host in a WARC of Common Crawl's robotstxt files, sorted by host.

    A redirect gives the text of where it leads, if that is in the archive too. A text is cut at the last line's end
    within its first 500 KiB; a byte order mark goes. `dropped` counts records that cannot be read (BROKEN_RECORDS),
    `http_4xx` (the host has no rules), `http_5xx`, `other_status`, `bad_url`, `not_text` (with NUL in it), `redirect`
    (where its target is not here) and `repeat` (an older text of the same host); `seen` the `records`, and texts that
    were `cut`. Memory holds one record, and of each response its URL: texts go through a file. No archive,
    None, gives no rows.

    Raises:
        ValueError: no record can be read; the message names the file, the likely cause and the way out.
        EOFError: the archive ends inside a record, after all that can be read was given: it is not whole.

    """
    if archive is None:
        return
    num_cut = dropped["truncated"]
    records = read_records(archive, name=name, dropped=dropped, max_record_bytes=max_record_bytes)
    with tempfile.TemporaryFile() as spool:
        captures = [*_read_captures(records, spool, dropped=dropped, seen=seen, max_bytes=max_record_bytes)]
        yield from _batch_rows(_choose_texts(captures, dropped), spool)
    if dropped["truncated"] > num_cut:
        raise EOFError(f"{name}: ends inside a record, so it was cut; read it again, or fetch it again")


def _read_captures(
    records: Iterable[Record], spool: IO[bytes], *, dropped: Counter[str], seen: Counter[str], max_bytes: int
) -> Iterator[_Capture]:
    """Every response that is a text or leads to one; the texts are written into the spool."""
    for record in records:
        seen["records"] += 1
        if record.headers.get("warc-type") != "response":
            continue
        try:
            status, headers, body = read_message(record, max_bytes=max_bytes)
        except BrokenRecordError as fault:
            dropped[str(fault)] += 1
            continue
        url, _ = normalise_url(record.headers.get("warc-target-uri", "").strip("<>"), "")
        captured_at = _read_date(record.headers.get("warc-date", ""))
        if url is None:
            dropped["bad_url"] += 1
        elif status == 200:
            text = _cut_text(body, seen)
            if b"\0" in text:
                dropped["not_text"] += 1
            else:
                place = (spool.tell(), spool.write(text))
                yield _Capture(url, captured_at, place, None)
        elif (
            status is not None
            and 300 <= status < 400
            and (target := normalise_url(headers.get("location", ""), url)[0])
        ):
            yield _Capture(url, captured_at, None, target)
        else:
            dropped[f"http_{status // 100}xx" if status and status >= 400 else "other_status"] += 1


def _cut_text(body: bytes, seen: Counter[str]) -> bytes:
    """The body without a byte order mark; a line that was cut would be another rule, so it goes whole."""
    text = body.removeprefix(b"\xef\xbb\xbf")
    if len(text) <= MAX_TEXT_BYTES:
        return text
    seen["cut"] += 1
    return text[:MAX_TEXT_BYTES].rpartition(b"\n")[0]


def _read_date(value: str) -> datetime | None:
    try:
        date = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (date if date.tzinfo is None else date.astimezone(UTC)).replace(tzinfo=None, microsecond=0)


def _choose_texts(
    captures: Iterable[_Capture], dropped: Counter[str]
) -> Iterator[tuple[str, str, datetime | None, _Capture]]:
    """The newest text of each host and kind, with the capture that has it, sorted by host."""
    newest: dict[str, _Capture] = {}
    for capture in captures:
        if capture.url not in newest or newest[capture.url].age <= capture.age:
            newest[capture.url] = capture
    asked: dict[tuple[str, str], tuple[_Capture, _Capture]] = {}
    for capture in captures:
        host, path = split_host(capture.url)
        if path not in KINDS:
            continue
        text = capture
        for _ in range(MAX_REDIRECTS):
            if text.target not in newest:
                break
            text = newest[text.target]
        if text.place is None:
            dropped["redirect"] += 1
            continue
        key = (host, KINDS[path])
        dropped["repeat"] += key in asked
        if key not in asked or asked[key][0].age <= capture.age:
            asked[key] = (capture, text)
    for (host, kind), (capture, text) in sorted(asked.items()):
        yield host, kind, capture.captured_at, text


_BATCH_ROWS = 1024
_BATCH_BYTES = 16 << 20


def _batch_rows(
    rows: Iterable[tuple[str, str, datetime | None, _Capture]], spool: IO[bytes]
) -> Iterator[pa.RecordBatch]:
    batch: list[dict[str, object]] = []
    num_bytes = 0
    for host, kind, captured_at, capture in rows:
        begin, length = capture.place or (0, 0)
        spool.seek(begin)
        text = drop_nul(spool.read(length).decode("utf-8", "replace"))
        batch.append({"host": host, "url": capture.url, "kind": kind, "captured_at": captured_at, "text": text})
        num_bytes += length
        if len(batch) == _BATCH_ROWS or num_bytes > _BATCH_BYTES:
            yield pa.RecordBatch.from_pylist(batch, ROBOTS_TXT)
            batch, num_bytes = [], 0
    if batch:
        yield pa.RecordBatch.from_pylist(batch, ROBOTS_TXT)

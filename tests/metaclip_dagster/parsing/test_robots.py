"""What hosts say to crawlers is read out of a crawl's own captures, whatever lies there."""

from collections import Counter
from datetime import datetime
from io import BytesIO
from typing import Any

import pyarrow as pa
import pytest

from metaclip_dagster.parsing import read_robots
from metaclip_dagster.parsing.robots import MAX_TEXT_BYTES
from metaclip_dagster.schemas import ROBOTS_TXT
from tests.metaclip_dagster.archives import members, record

RULES = "User-agent: *\nDisallow: /a\n"


def capture(url: str, body: bytes = RULES.encode(), status: int = 200, *headers: str, date: str = "") -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status} Said", "Content-Type: text/plain", *headers])
    return record("response", head.encode() + b"\r\n\r\n" + body, WARC_Target_URI=url, WARC_Date=date or "none")


def read(*captures: bytes) -> tuple[list[dict[str, Any]], Counter[str]]:
    counts: Counter[str] = Counter()
    batches = read_robots(BytesIO(members(*captures)), name="r.warc.gz", dropped=counts, seen=counts)
    rows = pa.Table.from_batches(batches, ROBOTS_TXT).to_pylist()
    del counts["records"]
    return rows, +counts


def test_the_newest_text_of_a_host_wins_and_what_has_no_rules_is_counted() -> None:
    rows, counts = read(
        capture("http://H.example:80/robots.txt", b"\xef\xbb\xbfUser-agent: x", date="2026-01-02T03:04:05Z"),
        capture("https://h.example/robots.txt", b"old", date="2025-01-02T03:04:05Z"),
        capture("http://h.example:8080/robots.txt"),
        capture("http://h.example/.well-known/tdmrep.json", b"[]"),
        capture("http://h.example/other.txt"),
        capture("http://none.example/robots.txt", b"", 404),
        capture("http://down.example/robots.txt", b"", 503),
        capture("http://binary.example/robots.txt", b"\x7fELF\0\0"),
        capture("ftp://h.example/robots.txt"),
    )
    assert [(row["host"], row["kind"], row["text"]) for row in rows] == [
        ("h.example", "robots.txt", "User-agent: x"),
        ("h.example", "tdmrep.json", "[]"),
        ("h.example:8080", "robots.txt", RULES),
    ]
    assert rows[0]["captured_at"] == datetime(2026, 1, 2, 3, 4, 5)
    assert counts == {"repeat": 1, "http_4xx": 1, "http_5xx": 1, "not_text": 1, "bad_url": 1}


def test_a_redirect_gives_the_text_of_where_it_leads_if_that_was_captured() -> None:
    rows, counts = read(
        capture("http://a.example/robots.txt", b"", 301, "Location: /r"),
        capture("http://a.example/r", b"", 302, "Location: https://b.example/rules.txt"),
        capture("https://b.example/rules.txt"),
        capture("http://loop.example/robots.txt", b"", 301, "Location: http://loop.example/robots.txt"),
        capture("http://gone.example/robots.txt", b"", 301, "Location: http://gone.example/robots"),
    )
    assert [(row["host"], row["url"]) for row in rows] == [("a.example", "https://b.example/rules.txt")]
    assert counts == {"redirect": 2}


def test_a_text_of_ten_megabytes_ends_with_the_last_whole_line_of_500_kib() -> None:
    rows, counts = read(capture("http://h.example/robots.txt", b"Disallow: /private\n" * 550_000))
    text = rows[0]["text"]
    assert MAX_TEXT_BYTES - 20 < len(text) <= MAX_TEXT_BYTES
    assert set(text.split("\n")) == {"Disallow: /private"}
    assert counts == {"cut": 1}


def test_an_archive_that_is_cut_is_refused() -> None:
    archive = members(*[capture("http://h.example/robots.txt")] * 2)
    with pytest.raises(EOFError, match=r"r\.warc\.gz: ends inside a record"):
        list(read_robots(BytesIO(archive[:-9]), name="r.warc.gz", dropped=Counter(), seen=Counter()))

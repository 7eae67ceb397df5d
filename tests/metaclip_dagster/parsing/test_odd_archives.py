"""However an archive was written, its images are all pairs or counted, and each belongs to its own page."""

import gzip
import zlib
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from typing import NamedTuple
from urllib.parse import urljoin

import html5lib
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator

from metaclip_dagster.parsing import BROKEN_RECORDS
from tests.metaclip_dagster.archives import member, members, record, warc_rows


def raw_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(body) + compressor.flush()


def chunk(body: bytes, *, newline: bytes = b"\r\n", head: bytes = b"%x") -> bytes:
    pieces = [body[i : i + 40] for i in range(0, len(body), 40)]
    return b"".join(head % len(piece) + newline + piece + newline for piece in [*pieces, b""]) + newline


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "Content-Encoding: gzip\n": gzip.compress,
    "Content-Encoding: deflate\n": zlib.compress,
    "Transfer-Encoding: chunked\n": chunk,
    "Content-Encoding: gzip\nTransfer-Encoding: chunked\n": lambda body: chunk(gzip.compress(body)),
}
ODD_CODINGS = CODINGS | {
    "Content-Encoding: deflate \n": raw_deflate,
    "Content-Encoding: zstd\n": zstandard.ZstdCompressor().compress,
    'Content-Encoding: "gzip"\n': lambda body: gzip.compress(body[:50]) + gzip.compress(body[50:]),
    "Transfer-Encoding: chunked \n": lambda body: chunk(body, newline=b"\n", head=b"%018x \t"),
    "Content-Encoding: x-odd\n": lambda _: b"\x01\x02 of no known coding",
}


# A plain archive whose last record claims more than there is was cut, as far as a reader can tell.
LAST = record("revisit", b"")


class Page(NamedTuple):
    """A page and how it was written to the archive."""

    url: str
    body: str
    plain: bytes
    is_broken: bool


class Kind(NamedTuple):
    """What the records of an archive have in common."""

    version: str
    newline: str
    fold: str
    padding: bytes


@st.composite
def pages(draw: st.DrawFn, kind: Kind, number: int, *, is_odd: bool) -> Page:
    sources = [f"i{number}.png", f"i{number}.png", f"/{number}/j.png", "data:x", "ftp://h/", "http://[/", ""]
    image = st.tuples(st.sampled_from(sources), st.sampled_from(["", "alt", "dog &amp; cat", "WARC/1.0 \r\nX: y"]))
    tags = "".join(f'<img src="{src}" alt="{alt}"/>' for src, alt in draw(st.lists(image, max_size=4)))
    is_xhtml = draw(st.booleans())
    script = '<script src="x"/>' if is_xhtml and is_odd else ""
    body = f'<html xmlns="http://www.w3.org/1999/xhtml"><head><title>t</title>{script}</head><body>{tags}</body></html>'
    url = f"http://h{number}.example/{number}/p.html"
    content_type = "application/xhtml+xml" if is_xhtml else "text/html"
    coding = draw(st.sampled_from(sorted(ODD_CODINGS if is_odd else CODINGS)))
    is_resource = draw(st.booleans())
    if is_resource:
        coding, block = "", body.encode()
    else:
        http = f"HTTP/1.1 200 OK\nContent-Type: {content_type}; charset=utf-8\n{coding}\n"
        http = http.replace("\n", draw(st.sampled_from(["\r\n", "\n"])))
        block = http.encode() + ODD_CODINGS[coding](body.encode())
    # Lengths that end in the next record's head at most: one that ends just where a later record does is no error that
    # any reader can see.
    wrong = draw(st.integers(-20, 20) | st.integers(-len(block), 100)) if is_odd and draw(st.booleans()) else 0
    head = [
        f"WARC/{kind.version}",
        f"WARC-Type: {'resource' if is_resource else 'response'}",
        f"WARC-Target-URI:{kind.fold}{url}",
        f"Content-Type: {content_type if is_resource else 'application/http; msgtype=response'}",
        f"Content-Length: {max(0, len(block) + wrong)}",
        "",
        "",
    ]
    blank = kind.newline.encode() * 2
    plain = kind.newline.join(head).encode() + block + blank + kind.padding
    return Page(url, body, plain, "x-odd" in coding)


@st.composite
def archives(draw: st.DrawFn, *, is_odd: bool) -> tuple[list[Page], bytes]:
    kind = Kind(
        draw(st.sampled_from(["0.18", "1.0", "1.1"])),
        draw(st.sampled_from(["\r\n", "\n"])) if is_odd else "\r\n",
        draw(st.sampled_from([" ", "\r\n "])) if is_odd else " ",
        draw(st.sampled_from([b"", b"\0" * 512, b"\r\n\r\n"])) if is_odd else b"",
    )
    drawn = [draw(pages(kind, number, is_odd=is_odd)) for number in range(draw(st.integers(1, 4)))]
    plain = [page.plain for page in drawn] + ([LAST] if is_odd else [])
    several = [lambda: members(*plain), lambda: b"".join(plain)]
    if is_odd:
        several += [lambda: member(b"".join(plain)), lambda: member(plain[0]) + b"\0" * 9 + member(b"".join(plain[1:]))]
    return drawn, draw(st.sampled_from(several))()


def images_of(url: str, body: str) -> list[tuple[str, str]]:
    """The images of a page that have a text and an address on the web, by html5lib."""
    images = html5lib.parse(body.replace('<script src="x"/>', ""), namespaceHTMLElements=False).iter("img")
    pairs = [(image.get("src"), " ".join(image.get("alt").split())) for image in images]
    return [
        (urljoin(url, src), alt)
        for src, alt in pairs
        if alt and src and not src.startswith(("data:", "ftp:", "http://["))
    ]


@settings(max_examples=120)
@given(archives(is_odd=True))
def test_every_image_of_an_odd_archive_is_a_pair_of_its_own_page_or_counted(odd: tuple[list[Page], bytes]) -> None:
    drawn, archive = odd
    dropped, seen = Counter[str](), Counter[str]()
    rows = warc_rows(archive, dropped, seen=seen)
    whole = [page for page in drawn if not page.is_broken]
    expected = {pair for page in whole for pair in images_of(page.url, page.body)}
    assert {(row["url"], row["text"]) for row in rows} == expected
    assert all(row["url"].startswith(row["page_url"].removesuffix("p.html")) for row in rows)
    assert seen["images"] == sum(page.body.count("<img") for page in whole)
    broken = {reason: num for reason, num in dropped.items() if reason in BROKEN_RECORDS}
    assert broken == ({"bad_body": len(drawn) - len(whole)} if whole != drawn else {})
    assert seen["images"] == len(rows) + dropped.total() - sum(broken.values())


@settings(max_examples=50)
@given(archives(is_odd=False))
def test_an_archive_gives_what_warcio_and_html5lib_find(odd: tuple[list[Page], bytes]) -> None:
    drawn, archive = odd
    expected = set()
    for each in ArchiveIterator(BytesIO(archive)):
        body = each.content_stream().read().decode()
        url = each.rec_headers.get_header("WARC-Target-URI")
        expected |= set(images_of(url, body))
    assert {(row["url"], row["text"]) for row in warc_rows(archive)} == expected
    assert len(drawn) == sum(1 for _ in ArchiveIterator(BytesIO(archive)))

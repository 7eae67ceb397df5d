"""Whatever codings and charsets a response was stored with, its page is the same page."""

import gzip
import time
import zlib
from collections import Counter
from collections.abc import Callable
from io import BytesIO

import pytest
import zstandard
from fastwarc.stream_io import BrotliWriter
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip_dagster.parsing.records import BrokenRecordError, Record
from metaclip_dagster.parsing.responses import read_markup
from tests.metaclip_dagster.archives import member, members, response, warc_rows

HTML = "<html><p>Ein Bär</p><img src=b.png alt='ein Bär'></html>"


def brotli(data: bytes) -> bytes:
    out = BytesIO()
    with BrotliWriter(out) as writer:
        writer.write(data)
    return out.getvalue()


def chunked(data: bytes) -> bytes:
    return b"".join(b"%x;x=y\r\n%b\r\n" % (len(data[i : i + 9]), data[i : i + 9]) for i in range(0, len(data), 9)) + (
        b"0\r\nTrailer: x\r\n\r\n"
    )


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def gzip_members(data: bytes) -> bytes:
    return b"".join(gzip.compress(data[i : i + 9]) for i in range(0, len(data), 9))


def zstd(data: bytes, *, window_log: int = 20) -> bytes:
    options = zstandard.ZstdCompressionParameters(window_log=window_log, write_content_size=False)
    compressor = zstandard.ZstdCompressor(compression_params=options).compressobj()
    return compressor.compress(data) + compressor.flush()


def read(body: bytes, *headers: str, identified_type: str = "", max_bytes: int = 1 << 20) -> str | None:
    head = "\r\n".join(["HTTP/1.1 200 OK", *headers]).encode()
    return read_block(head + b"\r\n\r\n" + body, identified_type=identified_type, max_bytes=max_bytes)


def read_block(
    block: bytes,
    *,
    content_type: str = "application/http; msgtype=response",
    identified_type: str = "",
    max_bytes: int = 1 << 20,
) -> str | None:
    head = (
        f"WARC/1.0\r\nContent-Type: {content_type}\r\nWARC-Identified-Payload-Type: {identified_type}\r\n\r\n".encode()
    )
    markup = read_markup(Record(0, head + block, 0, len(head), len(head) + len(block)), max_bytes=max_bytes)
    return markup.text if markup else None


UTF_8 = "Content-Type: text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("encode", "header"),
    [
        (bytes, "X-Crawler-Content-Encoding: gzip"),
        (gzip.compress, "Content-Encoding: gzip"),
        (gzip.compress, "content-encoding: X-GZIP"),
        (gzip.compress, 'Content-Encoding: "gzip"'),
        (gzip.compress, "Content-Encoding: gzip;q=1.0"),
        (gzip_members, "Content-Encoding: gzip"),
        (lambda data: gzip.compress(data) + b"\0" * 9, "Content-Encoding: gzip"),
        (zlib.compress, "Content-Encoding: deflate"),
        (raw_deflate, "Content-Encoding: deflate"),
        (zstd, "Content-Encoding: zstd"),
        (lambda data: zstd(data[:30]) + zstd(data[30:]), "Content-Encoding: ZSTD"),
        (brotli, "Content-Encoding: br"),
        (chunked, "Transfer-Encoding: chunked"),
        (chunked, 'Transfer-Encoding: "Chunked"'),
        (lambda data: chunked(data).replace(b"\r\n", b"\n"), "Transfer-Encoding: chunked"),
        (lambda data: chunked(data).replace(b"9;x=y", b" 000000000000000000000009 \t"), "Transfer-Encoding: chunked"),
        (lambda data: chunked(data).replace(b"9;x=y", b'9 ; x="y z"'), "Transfer-Encoding: chunked"),
        (lambda data: chunked(gzip.compress(data)), "Transfer-Encoding: chunked\r\nContent-Encoding: gzip"),
        (lambda data: chunked(gzip.compress(data)), "Transfer-Encoding: gzip, chunked"),
        (lambda data: gzip.compress(brotli(data)), "Content-Encoding: br, gzip"),
        (bytes, "Content-Encoding: none, utf-8"),
    ],
)
def test_codings_come_off(encode: Callable[[bytes], bytes], header: str) -> None:
    assert read(encode(HTML.encode()), UTF_8, header) == HTML


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "compress"])
def test_a_body_that_was_stored_without_the_coding_it_names_is_read_as_it_is(coding: str) -> None:
    headers = (UTF_8, f"Content-Encoding: {coding}", "Transfer-Encoding: chunked")
    assert read(HTML.encode(), *headers) == HTML


def test_a_body_that_was_cut_short_is_read_as_far_as_it_goes() -> None:
    long = HTML * 100
    assert long.startswith(read(gzip.compress(long.encode())[:-20], UTF_8, "Content-Encoding: gzip") or "nothing")
    assert long.startswith(read(chunked(long.encode())[:500], UTF_8, "Transfer-Encoding: chunked") or "nothing")


def test_a_broken_or_endless_body_costs_one_record() -> None:
    broken = gzip.compress(HTML.encode() * 100)
    page = response(b"<img src=a.png alt=x>")
    for coding, body, reason in [
        ("gzip", broken[:30] + b"zzzz" + broken[34:], "bad_body"),
        ("br", b"\xff\xff\xff", "bad_body"),
        ("gzip", gzip.compress(bytes(5 << 20)), "too_large"),
        ("br", brotli(bytes(5 << 20)), "too_large"),
        ("deflate", raw_deflate(bytes(5 << 20)), "too_large"),
        ("zstd", zstd(bytes(5 << 20)), "too_large"),
        ("gzip", gzip.compress(bytes(1 << 20)) * 5, "too_large"),
        ("gzip", gzip.compress(b"") * 20_000, "bad_body"),
        ("zstd", zstd(b"<p>" * 99, window_log=27), "bad_body"),
        ("zstd", zstd(b"<p>" * 99)[:6] + b"\xff" * 40, "bad_body"),
        ("deflate", bytes(range(1, 99)), "bad_body"),
        ("compress", b"\x1f\x9d\x90<", "bad_body"),
        ("dcb", b"\xffDCB", "bad_body"),
        ("x-unheard-of", b"\x00\x01", "bad_body"),
        ("chunked", b"5\r\n<img>\r\nzzz\r\n<img src=c alt=c>\r\n0\r\n\r\n", "bad_body"),
    ]:
        dropped: Counter[str] = Counter()
        fault = response(body, "Content-Type: text/html", f"Content-Encoding: {coding}")
        assert len(warc_rows(members(page, fault, page), dropped, max_record_bytes=1 << 20)) == 1
        assert dropped == {reason: 1, "repeat": 1}


@pytest.mark.parametrize(
    ("text", "codec", "declared"),
    [
        ("ein Bär – groß", "utf-8", "charset=utf-8"),
        ("ein Bär", "cp1252", "charset=ISO-8859-1"),
        ("“quotes” €", "cp1252", 'Charset="latin1"'),
        ("żółć ąęś", "iso8859-2", "charset=iso-8859-2"),
        ("большая собака", "cp1251", "charset=windows-1251"),
        ("большая собака", "koi8-r", "charset=KOI8-R"),
        ("日本語の犬①", "cp932", "charset=Shift_JIS"),
        ("日本語の犬", "euc_jp", "charset=euc-jp"),
        ("똠방각하", "cp949", "charset=euc-kr"),
        ("繁體中文", "big5", "charset=big5"),
        ("简体中文", "gb18030", "charset=gb2312"),
        ("ภาษาไทย…", "cp874", "charset=tis-620"),
    ],
)
def test_legacy_charsets_are_read_by_header_and_by_meta(text: str, codec: str, declared: str) -> None:
    body = f"<p>{text}</p>".encode(codec)
    assert read(body, f"Content-Type: text/html; {declared}") == body.decode(codec)
    meta = f"<meta http-equiv='content-type' content='text/html; {declared}'>".replace('"', "").encode()
    assert read(meta + body, "Content-Type: text/html") == (meta + body).decode(codec)


def test_a_byte_order_mark_rules_over_the_header_and_the_header_over_meta() -> None:
    for codec, mark in [("utf-8", b"\xef\xbb\xbf"), ("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")]:
        assert read(mark + HTML.encode(codec), "Content-Type: text/html; charset=iso-8859-1") == HTML
    meta = "<meta charset=iso-8859-1>"
    assert read((meta + HTML).encode(), UTF_8) == meta + HTML
    assert read(f"<meta charset=utf-16>{HTML}".encode(), "Content-Type: text/html") == f"<meta charset=utf-16>{HTML}"
    assert read(HTML.encode(), "Content-Type: text/html; charset=nonsense") == HTML


def test_a_charset_that_nobody_names_is_detected() -> None:
    russian = "<p>Большая собака бежит по зелёной траве, а маленькая кошка спит.</p>"
    assert read(russian.encode("cp1251"), "Content-Type: text/html") == russian
    assert read(russian.encode(), "Content-Type: text/html") == russian


def test_bytes_that_are_no_character_are_replaced_and_nul_goes() -> None:
    assert read(b"a\xffb\x00c", UTF_8) == "a\ufffdbc"


def test_headers_may_end_in_bare_line_feeds() -> None:
    assert read_block(b"HTTP/1.0 200 OK\nContent-Type:\n text/html\n\n<p>x\r\n\r\ny") == "<p>x\r\n\r\ny"
    assert read_block(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n") == ""


def test_only_html_is_a_page() -> None:
    assert read(b"x", "Content-Type: image/png") is None
    assert read(b"x", "X: y") is None
    assert read(b"x", "Content-Type: application/xhtml+xml") == "x"
    assert read(b"x", "CONTENT-TYPE: TEXT/HTML") == "x"
    assert read(b"x", "Content-Type: application/octet-stream", identified_type="text/html") == "x"
    assert read_block(b"") is None


def test_a_block_may_be_the_page_itself_but_not_a_broken_message() -> None:
    assert read_block(HTML.encode(), content_type="text/html; charset=utf-8") == HTML
    assert read_block(b"example.com. 300 IN A 127.0.0.1", content_type="text/dns") is None
    with pytest.raises(BrokenRecordError, match="bad_body"):
        read_block(b"no HTTP here, says text/html", identified_type="text/html")


def test_a_page_that_nests_without_end_costs_one_record_and_no_minutes() -> None:
    page = response(b"<img src=a.png alt=x>")
    sane = b"<ul>" + b"<li><p>a<br><a href=x>y</a><svg><path d='m'/><g/></svg>" * 20_000 + b"</ul><img src=b.png alt=y>"
    deep = b"<div>" * 200_000
    crossing = b"<b><div></b></i>" * 100_000
    dropped: Counter[str] = Counter()
    began = time.process_time()
    assert len(warc_rows(members(page, *map(response, (deep, crossing, sane))), dropped)) == 2
    assert time.process_time() - began < 20
    assert dropped == {"too_complex": 2}


def test_a_page_of_nothing_but_tags_does_not_unfold_in_memory() -> None:
    dropped: Counter[str] = Counter()
    page = response(b"<img src=a.png alt=x>")
    assert len(warc_rows(member(page) + member(response(b"<br>" * 2_000_000)), dropped)) == 1
    assert dropped == {"too_complex": 1}


@settings(max_examples=200)
@given(
    st.binary(max_size=200),
    st.sampled_from(["gzip", "deflate", "br", "zstd", "gzip, br", "chunked"]),
    st.sampled_from(["Content-Encoding", "Transfer-Encoding"]),
    st.text(st.characters(codec="ascii", exclude_characters="\r\n"), max_size=20),
)
def test_no_response_raises(body: bytes, coding: str, header: str, charset: str) -> None:
    fault = response(body, f"Content-Type: text/html; charset={charset}", f"{header}: {coding}")
    assert warc_rows(members(response(b"<img src=a.png alt=x>"), fault))[0]["text"] == "x"


def test_a_flood_of_headers_is_cut_and_its_page_is_read() -> None:
    flood = ["a:"] * 2_000_000
    assert read(HTML.encode(), UTF_8, *flood) == HTML
    began = time.process_time()
    read(HTML.encode(), *flood)
    assert time.process_time() - began < 3

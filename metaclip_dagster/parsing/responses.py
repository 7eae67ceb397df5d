"""Read the HTML out of an HTTP response as a crawler stored it: decompressed, decoded, and safe to parse."""

import re
from collections import Counter
from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple

from fastwarc.stream_io import BrotliReader
from isal import isal_zlib
from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5
from zstandard import ZstdDecompressor, ZstdError

from metaclip_dagster.parsing.heads import list_headers
from metaclip_dagster.parsing.records import BrokenRecordError, InflateError, Record


class Markup(NamedTuple):
    """A page's characters, whether browsers read them by the rules of XML, and the headers that came with it."""

    text: str
    is_xml: bool
    headers: Sequence[tuple[str, str]] = ()


def read_markup(record: Record, *, max_bytes: int) -> Markup | None:
    """The page in a record; None where neither its Content-Type nor WARC-Identified-Payload-Type says HTML.

    A body may be chunked, and gzip, deflate (with zlib's wrapper or raw), br or zstd, and inflates to `max_bytes` at
    most. Its characters are read by its byte order mark, else the charset of its Content-Type, else what the page
    itself says, else by detection; what is no character is replaced, and NUL goes, as it goes from a WAT's texts.

    Raises:
        BrokenRecordError: `bad_body`, `too_large`, or `too_complex`: parsing would not end.

    """
    lines, body = _split_message(record)
    headers = dict(reversed(lines))  # the first of each
    content_type = headers.get("content-type", "")
    if not _HTML.search(f"{content_type} {record.headers.get('warc-identified-payload-type', '')}"):
        return None
    body = _decode_body(headers, body, max_bytes)
    is_xml = bool(_XHTML.match(content_type))
    text = _decode_text(body, content_type, is_xml=is_xml)
    if is_too_complex(body, b"<") or _is_too_deep(text):
        raise BrokenRecordError("too_complex")
    return Markup(text, is_xml, lines)


class Message(NamedTuple):
    """An HTTP response: its status, None where none can be read, its headers, and its body without codings."""

    status: int | None
    headers: dict[str, str]
    body: bytes


def read_message(record: Record, *, max_bytes: int) -> Message:
    """The HTTP response in a record; its body is coded as that of a page may be, and inflates to `max_bytes` at most.

    Raises:
        BrokenRecordError: `bad_body` or `too_large`.

    """
    status = _STATUS.match(record.view)
    lines, body = _split_message(record)
    headers = dict(reversed(lines))  # the first of each
    return Message(int(status[1]) if status else None, headers, _decode_body(headers, body, max_bytes))


def is_too_complex(data: bytes, opening: bytes, begin: int = 0, end: int | None = None) -> bool:
    """Whether data, or this part, would unfold into so many objects that they, and not its bytes, fill the memory."""
    end = len(data) if end is None else end
    return end - begin > 4 << 20 and data.count(opening, begin, end) > 1_000_000


def drop_nul(text: str) -> str:
    """The text without NUL, which a WAT's texts and addresses never hold."""
    return text.replace("\0", "") if "\0" in text else text  # looking for one is faster than replacing none


_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})\b")
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")  # some servers end their lines without a carriage return
_HTML = re.compile(r"\b(text/html|application/xhtml\+xml)\b", re.IGNORECASE)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([^\s;\"',]+)", re.IGNORECASE)
_XHTML = re.compile(r"\s*application/xhtml\+xml", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"<\?xml[^>]*?\sencoding\s*=\s*[\"']([\w.:-]+)")
_CHUNK = re.compile(rb"[ \t]*0*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
_NEWLINE = re.compile(rb"\r?\n")
_CUT_CHUNK = re.compile(rb"[ \t]*[0-9A-Fa-f]*[ \t]*(?:;[^\r\n]*)?\r?")
_MAX_MEMBERS = 10_000
_MAX_HEAD_BYTES = 256 << 10  # browsers read no more of an HTTP head; each line of a longer one is an object in memory
_MAX_WINDOW_BYTES = 8 << 20  # RFC 9659: what a zstd body may ask of its reader
_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8", b"\xfe\xff": "utf-16-be", b"\xff\xfe": "utf-16-le"}
# What browsers read under these names is wider than Python's codec of the same name.
_WIDER = {"big5": "big5hkscs", "euc_kr": "cp949", "gbk": "gb18030", "iso8859-11": "cp874", "shift_jis": "cp932"}
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)(?:[^<>]*(/)>)?")
_FOREIGN = ("svg", "math")
# Elements that are void, or that the next of their kind closes: they add no depth.
_VOID = {"area", "base", "br", "col", "embed", "frame", "hr", "img", "input", "link", "meta", "param", "source", "wbr"}
_FLAT = _VOID | {"a", "dd", "dt", "li", "option", "p", "td", "th", "tr"}
_MAX_DEPTH = 4096


def _split_message(record: Record) -> tuple[list[tuple[str, str]], bytes]:
    """The headers and body of an HTTP message; a block that is the page itself has its Content-Type in the record."""
    block, content_type = record.block, record.headers.get("content-type", "")
    if block.startswith(b"HTTP/"):
        blank_line = _BLANK_LINE.search(block)
        return (
            list_headers(block[: min(blank_line.start() if blank_line else len(block), _MAX_HEAD_BYTES)]),
            block[blank_line.end() :] if blank_line else b"",
        )
    if block and "application/http" in content_type.lower():
        raise BrokenRecordError("bad_body")
    return [("content-type", content_type)], block


def _decode_body(headers: dict[str, str], body: bytes, max_bytes: int) -> bytes:
    """An HTTP message's body without its transfer and content codings.

    Archives often take a coding off and keep the header that names it, so plain markup stays as it is. fastwarc's
    `auto_decode` refuses that, and inflates a bomb whole (1 GB of memory for 1 MB), hence by hand.
    """
    named = f"{headers.get('content-encoding', '')},{headers.get('transfer-encoding', '')}"
    codings = [coding.partition(";")[0].strip(" \t\"'") for coding in named.lower().split(",")] if named != "," else []
    try:
        if "chunked" in codings:
            body = _unchunk(body)
        for coding in reversed(codings):
            if len(body) <= max_bytes:
                body = _decode_coding(coding, body, max_bytes + 1)
    except (InflateError, ZstdError, OSError, ValueError) as fault:
        if not _looks_like_markup(body):
            raise BrokenRecordError("bad_body") from fault
    if len(body) > max_bytes:
        raise BrokenRecordError("too_large")
    return body


def _decode_coding(coding: str, body: bytes, max_bytes: int) -> bytes:
    """The body without this coding, no more than `max_bytes` of it."""
    if coding in {"gzip", "x-gzip", "deflate"}:
        return _inflate(body, max_bytes)
    if coding == "br":
        return BrotliReader(BytesIO(body)).read(max_bytes)
    if coding == "zstd":
        reader = ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
        return reader.stream_reader(body, read_across_frames=True).read(max_bytes)
    # A server that confuses codings with charsets has coded nothing.
    if coding in {"", "chunked", "identity", "none", "binary"} or map_encoding_to_html5(coding, fallback_utf8=False):
        return body
    raise ValueError(f"no coding that is read here: {coding}")


def _inflate(body: bytes, max_bytes: int) -> bytes:
    """A body in gzip, of several members perhaps, or in deflate, which browsers take without zlib's wrapper too."""
    if not body.startswith(b"\x1f\x8b"):
        try:
            return isal_zlib.decompressobj(15).decompress(body, max_bytes)
        except InflateError:
            inflater = isal_zlib.decompressobj(-15)
            inflated = inflater.decompress(body, max_bytes)
            if not inflater.eof and len(inflated) < max_bytes:
                raise  # the beginning of anything may look like deflate
            return inflated
    pieces: list[bytes] = []
    at, room = 0, max_bytes
    for _ in range(_MAX_MEMBERS):
        if not body.startswith(b"\x1f\x8b", at):
            return b"".join(pieces)
        inflater = isal_zlib.decompressobj(31)
        step = 1 << 10  # doubled: what is behind a member is copied, and members may be many
        while room and at < len(body) and not inflater.eof:
            piece = body[at : at + step]
            pieces.append(inflater.decompress(piece, room))
            room -= len(pieces[-1])
            at += len(piece) - len(inflater.unused_data)
            step *= 2
        if not room:
            return b"".join(pieces)
    raise ValueError(f"more than {_MAX_MEMBERS:,} members of gzip in one body")


def _looks_like_markup(body: bytes) -> bool:
    return body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def _unchunk(body: bytes) -> bytes:
    """Chunks put together; a body that was stored without its chunks comes back as it is.

    Raises:
        ValueError: what follows a chunk is none, and not the end of a body that was cut short.

    """
    chunks = []
    at = 0
    while head := _CHUNK.match(body, at):
        size = int(head[1], 16)
        chunks.append(body[head.end() : head.end() + size])
        at = head.end() + size
        if not size:
            return b"".join(chunks)
        if newline := _NEWLINE.match(body, at):
            at = newline.end()
    if chunks and not _CUT_CHUNK.fullmatch(body, at):
        raise ValueError("no chunk follows a chunk")
    return b"".join(chunks) if chunks else body


def _decode_text(body: bytes, content_type: str, *, is_xml: bool) -> str:
    for mark, name in _BYTE_ORDER_MARKS.items():
        if body.startswith(mark):
            return drop_nul(body[len(mark) :].decode(name, "replace"))
    charset = _CHARSET.search(content_type)
    encoding = map_encoding_to_html5(charset[1], fallback_utf8=False) if charset else None
    if encoding is None and is_xml and (named := _XML_ENCODING.match(body)):
        encoding = map_encoding_to_html5(named[1].decode(), fallback_utf8=False)
    encoding = encoding or detect_encoding(body, from_html_meta=True) or "utf-8"
    if encoding.startswith("utf-16") and b"\0" not in body[:1024]:
        encoding = "utf-8"  # a <meta> that can be read byte by byte is not in UTF-16, whatever it says
    return drop_nul(body.decode(_WIDER.get(encoding, encoding), "replace"))


def _is_too_deep(html: str) -> bool:
    """Whether elements nest so deep that building the tree, quadratic in depth, takes minutes; browsers stop at 512."""
    if len(html) < 4 * _MAX_DEPTH or html.count("<") < 4 * _MAX_DEPTH:
        return False
    num_open: Counter[str] = Counter()
    depth = 0
    for closing, tag, self_closing in _TAG.findall(html):
        name = tag.lower()
        if name in _FLAT or (self_closing and any(num_open[foreign] for foreign in _FOREIGN)):
            continue
        step = (-1 if num_open[name] else 0) if closing else 1
        num_open[name] += step
        depth += step
        if depth > _MAX_DEPTH:
            return True
    return False

"""The HTML of an HTTP response as a crawler stored it: codings off, characters read, tame enough to be parsed."""

import re
from collections import Counter
from io import BytesIO

from fastwarc.stream_io import BrotliReader
from isal import isal_zlib
from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

from metaclip_dagster.records import BrokenRecordError, InflateError, parse_headers


def read_html(message: bytes, *, identified_type: str, max_bytes: int) -> str | None:
    """The page in an HTTP response; None where neither its Content-Type nor `identified_type` says HTML.

    A body may be chunked, gzip, deflate or br, and inflates to `max_bytes` at most. Its characters are read by its
    byte order mark, else the charset of the HTTP header, else `<meta>`, else by detection; what is no character is
    replaced, and NUL goes, as it goes from a WAT's texts.

    Raises:
        BrokenRecordError: `bad_body`, `too_large`, or `too_complex`: parsing would not end.

    """
    blank_line = _BLANK_LINE.search(message)
    if not message.startswith(b"HTTP/") or not blank_line:
        return None
    headers = parse_headers(message[: blank_line.start()])
    content_type = headers.get("content-type", "")
    if not _HTML.search(f"{content_type} {identified_type}"):
        return None
    body = _decode_body(headers, message[blank_line.end() :], max_bytes)
    html = _decode_text(body, content_type)
    if is_too_complex(body, b"<") or _is_too_deep(html):
        raise BrokenRecordError("too_complex")
    return html


def is_too_complex(data: bytes, opening: bytes, begin: int = 0, end: int | None = None) -> bool:
    """Whether data, or this part, would unfold into so many objects that they, and not its bytes, fill the memory."""
    end = len(data) if end is None else end
    return end - begin > 4 << 20 and data.count(opening, begin, end) > 1_000_000


_BLANK_LINE = re.compile(rb"\r?\n\r?\n")  # some servers end their lines without a carriage return
_HTML = re.compile(r"\b(text/html|application/xhtml\+xml)\b", re.IGNORECASE)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([^\s;\"',]+)", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")
_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8", b"\xfe\xff": "utf-16-be", b"\xff\xfe": "utf-16-le"}
# What browsers read under these names is wider than Python's codec of the same name.
_WIDER = {"big5": "big5hkscs", "euc_kr": "cp949", "gbk": "gb18030", "iso8859-11": "cp874", "shift_jis": "cp932"}
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)(?:[^<>]*(/)>)?")
_FOREIGN = ("svg", "math")
# Elements that are void, or that the next of their kind closes: they add no depth.
_VOID = {"area", "base", "br", "col", "embed", "frame", "hr", "img", "input", "link", "meta", "param", "source", "wbr"}
_FLAT = _VOID | {"a", "dd", "dt", "li", "option", "p", "td", "th", "tr"}
_MAX_DEPTH = 4096


def _decode_body(headers: dict[str, str], body: bytes, max_bytes: int) -> bytes:
    """An HTTP message's body without its transfer and content codings.

    Archives often take a coding off and keep the header that names it, so plain markup stays as it is. fastwarc's
    `auto_decode` refuses that, and inflates a bomb whole (1 GB of memory for 1 MB), hence by hand.
    """
    transfer = headers.get("transfer-encoding", "")
    if "chunked" in transfer.lower():
        body = _unchunk(body)
    try:
        for coding in reversed(f"{headers.get('content-encoding', '')},{transfer}".lower().split(",")):
            if coding.strip() in {"gzip", "x-gzip", "deflate"}:
                wrapper = 31 if body.startswith(b"\x1f\x8b") else 15  # zlib's numbers for gzip and for zlib itself
                body = isal_zlib.decompressobj(wrapper).decompress(body, max_bytes + 1)
            elif coding.strip() == "br":
                body = BrotliReader(BytesIO(body)).read(max_bytes + 1)
    except (InflateError, OSError) as fault:
        if not body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            raise BrokenRecordError("bad_body") from fault
    if len(body) > max_bytes:
        raise BrokenRecordError("too_large")
    return body


def _unchunk(body: bytes) -> bytes:
    """Chunks put together, as many as there are; a body that was stored without its chunks comes back as it is."""
    chunks = []
    at = 0
    while head := _CHUNK.match(body, at):
        size = int(head[1], 16)
        chunks.append(body[head.end() : head.end() + size])
        at = head.end() + size + len(b"\r\n")
        if not size:
            break
    return b"".join(chunks) if chunks else body


def _decode_text(body: bytes, content_type: str) -> str:
    for mark, name in _BYTE_ORDER_MARKS.items():
        if body.startswith(mark):
            return _without_nul(body[len(mark) :].decode(name, "replace"))
    charset = _CHARSET.search(content_type)
    encoding = map_encoding_to_html5(charset[1], fallback_utf8=False) if charset else None
    encoding = encoding or detect_encoding(body, from_html_meta=True) or "utf-8"
    if encoding.startswith("utf-16") and b"\0" not in body[:1024]:
        encoding = "utf-8"  # a <meta> that can be read byte by byte is not in UTF-16, whatever it says
    return _without_nul(body.decode(_WIDER.get(encoding, encoding), "replace"))


def _without_nul(text: str) -> str:
    return text.replace("\0", "") if "\0" in text else text  # looking for one is faster than replacing none


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

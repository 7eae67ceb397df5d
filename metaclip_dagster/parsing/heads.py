"""Find where a WARC record begins and ends, and read its headers."""

import re
import sys

FIRST_LINE = re.compile(rb"WARC/[0-9]+\.[0-9]+\r?\n[\w-]+[ \t]*:")
BLANK = b"\r\n\r\n"  # what ends a record; some writers end their lines without a carriage return
MAX_HEAD_BYTES = 1 << 16
LOOK_AHEAD_BYTES = 64  # what is behind a block tells whether its length is right


def find_block(data: bytes, at: int, searched: int = 0) -> int:
    """Where the block of the record at this place begins: behind the first empty line; -1 where the head has no end.

    Up to `searched` it is known that no empty line stands.
    """
    empty_line = _EMPTY_LINE.search(data, max(at, searched), at + MAX_HEAD_BYTES)
    return empty_line.end() if empty_line else -1


def read_content_length(data: bytes, at: int, begin: int) -> int | None:
    """What the head between these places gives as its block's length; None where it gives no number."""
    if (name := data.rfind(_CONTENT_LENGTH, at, begin)) >= 0:  # as most writers spell it
        first = name + len(_CONTENT_LENGTH)
        value = data[first : data.find(b"\n", first, begin)].rstrip()
        if value.isdigit() and len(value) < 20:
            return int(value)
    digits = parse_headers(data[at:begin]).get("content-length", "")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 20 else None


def find_block_end(data: bytes, begin: int, length: int) -> int:
    """Where the block ends by its length; -1 where the length is wrong.

    A length is right where nothing follows, or an empty line and then a record or nothing. In a damaged archive
    something else may follow the empty line; if another record begins before it, the length is wrong all the same.
    """
    end = begin + length
    following = data[end : end + LOOK_AHEAD_BYTES]
    if end == len(data):  # the length may count the empty line too
        return trim_block(data, begin, end)
    if not following.startswith(_BLANKS):
        return -1
    record = following.lstrip(b"\r\n\0")
    if not record:
        return end
    if record.startswith(b"WARC/"):
        return end  # whatever the block holds: a page may quote a record, to pass for another site's
    return end if following.startswith(BLANK) and find_first_line(data, begin, end) < 0 else -1


def trim_block(data: bytes, begin: int, after: int) -> int:
    """Where a block that lies between these places ends, without the empty line and padding behind it."""
    if data.endswith(BLANK, begin, after) and data[after - 5] not in b"\r\n\0":
        return after - len(BLANK)
    end = begin + len(data[begin:after].rstrip(b"\r\n\0"))
    return min((at for blank in _BLANKS if (at := data.find(blank, end, after)) >= 0), default=after)


def find_first_line(data: bytes, begin: int, end: int = sys.maxsize) -> int:
    """Where the next record begins, at the beginning of a line or behind NUL; -1 where none does."""
    lines = FIRST_LINE.finditer(data, begin, end)
    return next((line.start() for line in lines if line.start() and data[line.start() - 1] in b"\n\0"), -1)


def skip_padding(data: bytes, at: int) -> int:
    """Where what is neither a newline nor NUL comes next."""
    padding = _PADDING.match(data, at)
    return padding.end() if padding else at


def parse_headers(head: bytes) -> dict[str, str]:
    r"""The headers of a WARC record or HTTP message after its first line; names in lower case, the first of each.

    A line that begins with a blank goes on with the header before it (RFC 822, as WARC 1.0 and 1.1 allow).

    >>> parse_headers(b"HTTP/1.1 200 OK\r\nContent-TYPE:\r\n text/html\r\n")
    {'content-type': 'text/html'}
    """
    headers: dict[str, str] = {}
    for name, value in list_headers(head):
        headers.setdefault(name, value)
    return headers


def list_headers(head: bytes) -> list[tuple[str, str]]:
    """The headers as `parse_headers` reads them, in order, repeated ones too."""
    text = head.decode("utf-8", "replace")
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(" ", text)
    parts = [line.partition(":") for line in text.split("\n")[1:]]
    return [(name.strip().lower(), value.strip()) for name, colon, value in parts if colon]


_BLANKS = (BLANK, b"\n\n")
_EMPTY_LINE = re.compile(rb"\n\r?\n")
_CONTENT_LENGTH = b"\nContent-Length: "
_PADDING = re.compile(rb"[\r\n\0]*")
_FOLD = re.compile(r"\r?\n[ \t]+")

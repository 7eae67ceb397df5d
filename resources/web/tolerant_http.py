"""Accept HTTP answers that browsers take and aiohttp refuses: put their heads in order first.

What is kept of a head: lines of a name and a value, one Content-Length, and none beside chunks. What follows the body
is cut off, and the connection is not used again.
"""

import re
from collections.abc import Callable
from typing import Any

from aiohttp.client_proto import ResponseHandler

MAX_HEAD = 256 << 10
"""Bytes of status and headers; browsers take as many."""
MAX_HEADERS = 1000
_END_OF_HEAD = re.compile(rb"\n\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:(.*)")
_CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class TolerantHandler(ResponseHandler):
    """A connection of aiohttp's client; its connector makes them where it is told so."""

    def set_response_params(self, **params: Any) -> None:
        """Begin a response."""
        super().set_response_params(**params)
        parser: Any = _TolerantParser(self._parser, self.force_close)
        self._parser = parser


class _TolerantParser:
    """The parser of one response, behind what puts its head in order."""

    def __init__(self, parser: Any, force_close: Callable[[], None]) -> None:
        self._parser, self._force_close = parser, force_close
        self._head: bytes | None = b""
        self._left: int | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)

    def feed_data(self, data: bytes) -> Any:
        if self._head is not None:
            self._head += data
            while end := _END_OF_HEAD.search(self._head):
                head, rest = self._head[: end.start()], self._head[end.end() :]
                data, length = tidy_head(head)
                if not re.match(rb"\S+ 1(?!01)\d\d", head):  # else the real one is to follow
                    self._head, self._left = None, length
                    data += self._cut(rest)
                    break
                self._parser.feed_data(data)
                self._head = rest
            else:
                if len(self._head) <= MAX_HEAD and b"HTTP/".startswith(self._head.lstrip(b"\r\n")[:5]):
                    return [], False, b""
                data, self._head = self._head, None  # too long, or no head: for the parser to say so
        else:
            data = self._cut(data)
        return self._parser.feed_data(data)

    def feed_eof(self) -> Any:
        if self._head:
            self._parser.feed_data(self._head)
        return self._parser.feed_eof()

    def _cut(self, data: bytes) -> bytes:
        if self._left is None:
            return data
        if len(data) > self._left:
            self._force_close()
        data = data[: self._left]
        self._left -= len(data)
        return data


def tidy_head(head: bytes) -> tuple[bytes, int | None]:
    r"""Status line and headers as the standard wants them, with the body's length where they say it.

    >>> tidy_head(b"HTTP/1.1 200 OK\nX Y: z\r\nnonsense\r\nContent-Length: 3, 3")
    (b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n', 3)
    """
    status, *lines = _FOLD.sub(b" ", head.lstrip(b"\r\n")).split(b"\n")
    fields = (match for line in lines if (match := _HEADER.fullmatch(line.rstrip(b"\r"))))
    headers = [(field[1], _CONTROLS.sub(b" ", field[2]).strip()) for field in fields]
    encodings = {value.lower() for name, value in headers if name.lower() == b"transfer-encoding"} - {b"identity"}
    lengths = {
        length.strip() for name, value in headers if name.lower() == b"content-length" for length in value.split(b",")
    }
    numbers = {int(length) for length in lengths if re.fullmatch(rb"[0-9]{1,18}", length)}
    passed_on = [
        (name, value) for name, value in headers if name.lower() not in {b"content-length", b"transfer-encoding"}
    ]
    if encodings:
        passed_on += [(b"Transfer-Encoding", encoding) for encoding in encodings]
    else:
        passed_on += [(b"Content-Length", b"%d" % number) for number in sorted(numbers)]  # two that differ are refused
    one = min(numbers) if len(numbers) == 1 and not encodings else None
    return b"\r\n".join([status.rstrip(b"\r"), *(b": ".join(header) for header in passed_on), b"", b""]), one

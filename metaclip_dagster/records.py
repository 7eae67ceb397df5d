"""WARC records out of a damaged archive: one gzip member is one record, and a fault costs that record only."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO

from isal import isal_zlib

InflateError: type[Exception] = isal_zlib.error  # type: ignore[assignment]  # its stub takes the class for an instance


class BrokenRecordError(Exception):
    """One record cannot be read; the only argument is the reason, as it is counted in `dropped`."""


@dataclass
class Record:
    """One WARC record: where its gzip member (or, in a plain archive, itself) begins, and where in `data` it lies.

    Head and block are copied on first use, for most records of a crawl are never asked for them.
    """

    offset: int
    data: bytes
    begin: int
    begin_block: int
    end: int

    @cached_property
    def head(self) -> bytes:
        """The lines before the block, the empty one included."""
        return self.data[self.begin : self.begin_block]

    @cached_property
    def block(self) -> bytes:
        """What the record holds."""
        return self.data[self.begin_block : self.end]

    @property
    def view(self) -> memoryview:
        """What the record holds, not copied."""
        return memoryview(self.data)[self.begin_block : self.end]

    def holds(self, piece: bytes) -> bool:
        """Whether the block has these bytes in it."""
        return self.data.find(piece, self.begin_block, self.end) >= 0

    @cached_property
    def headers(self) -> dict[str, str]:
        """What the head says, names in lower case; read on first use, for most records of a WAT are never asked."""
        return parse_headers(self.head)


def read_records(archive: BinaryIO, *, name: str, dropped: Counter[str], max_record_bytes: int) -> Iterator[Record]:
    """Every record that can be read, from a stream of gzip members or of plain records that need not be seekable.

    Memory holds one record, compressed and inflated, each up to `max_record_bytes`. After a fault, reading goes on at
    the next gzip member that inflates to "WARC/" (in a plain archive, at the next line that begins so). `dropped`
    counts each unreadable stretch once: `corrupt`, `truncated` (the stream ends inside it) or `too_large` (over the
    cap, and not inflated further). Plain archives carry no checksum, so there a flipped byte can go unnoticed, and a
    wrong Content-Length over the cap costs all the bytes that it claims.

    Raises:
        ValueError: no record can be read at all; the message names the likely cause and the way out.

    """
    window = _Window(archive)
    window.grow()
    beginning = window.data[:64]
    first = _BEGINNING.search(window.data)
    is_plain = first is not None and first[0] != _GZIP
    read_next, seek_next = (_read_plain, _seek_plain) if is_plain else (_read_member, _seek_member)
    found_any = False
    while window.at < len(window.data) or window.grow():
        offset = window.offset
        try:
            record = read_next(window, max_record_bytes)
        except BrokenRecordError as fault:
            found_more = seek_next(window)
            dropped["corrupt" if str(fault) == "truncated" and found_more else str(fault)] += 1
            continue
        found_any = True
        yield from _split(record, offset)
    if not found_any:
        raise ValueError(f"{name}: no WARC record can be read; {_suspect(beginning)}")


def parse_headers(head: bytes) -> dict[str, str]:
    r"""The headers of a WARC record or HTTP message after its first line; names in lower case, the first of each.

    >>> parse_headers(b"HTTP/1.1 200 OK\r\nContent-TYPE: text/html\r\n")
    {'content-type': 'text/html'}
    """
    headers: dict[str, str] = {}
    for line in head.decode("utf-8", "replace").split("\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), value.strip())
    return headers


_GZIP = b"\x1f\x8b\x08"
_BEGINNING = re.compile(rb"\x1f\x8b\x08|^WARC/1\.[0-9]\r\n[\w-]+:", re.MULTILINE)
_PIECE_BYTES = 1 << 20
# Members are inflated from slices of this size, for zlib's interface copies what follows a member's end.
_SLICE_BYTES = 1 << 13
_HEAD = re.compile(rb"WARC/1\.[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n")
_MAX_HEADER_BYTES = 1 << 16
_LOOK_AHEAD_BYTES = 64


class _Window:
    """The stretch of a stream that is in memory: `at` is where the next record begins in `data`."""

    def __init__(self, archive: BinaryIO) -> None:
        self._archive = archive
        self._start = 0
        self._ended = False
        self.data = b""
        self.at = 0

    @property
    def offset(self) -> int:
        """Where the next record begins in the stream."""
        return self._start + self.at

    def grow(self) -> bool:
        """Forget what lies before `at` and read on; False at the stream's end."""
        if self._ended:
            return False
        pieces = [self.data[self.at :]]
        # Reading as much again keeps the copies linear in the length of a long record.
        wanted = max(_PIECE_BYTES, len(pieces[0]))
        while wanted > 0 and (piece := self._archive.read(wanted)):
            pieces.append(piece)
            wanted -= len(piece)
        self._start, self.at, self.data, self._ended = self.offset, 0, b"".join(pieces), wanted > 0
        return len(pieces) > 1

    def hold(self, num_bytes: int) -> bool:
        """Have so many bytes from `at` in memory; False where the stream ends before."""
        while len(self.data) - self.at < num_bytes:
            if not self.grow():
                return False
        return True

    def skip(self, num_bytes: int) -> None:
        """Move on by so many bytes without keeping them."""
        while num_bytes > (held := len(self.data) - self.at):
            num_bytes -= held
            self.at = len(self.data)
            if not self.grow():
                return
        self.at += num_bytes


def _read_member(window: _Window, max_bytes: int) -> bytes:
    """The gzip member at the window, inflated, with the window moved past it; where it is broken, not moved."""
    inflater = isal_zlib.decompressobj(31)
    parts: list[bytes] = []
    length, room = 0, max_bytes + 1
    try:
        while not inflater.eof:
            if not window.hold(length + 1):
                raise BrokenRecordError("truncated")
            begin = window.at + length
            piece = memoryview(window.data)[begin : begin + _SLICE_BYTES]
            parts.append(inflater.decompress(piece, room))
            length += len(piece)
            room -= len(parts[-1])
            # Empty deflate blocks inflate to nothing, so the compressed side has a cap too.
            if room <= 0 or length > max_bytes + _PIECE_BYTES:
                raise BrokenRecordError("too_large")
    except InflateError as fault:
        raise BrokenRecordError("corrupt") from fault
    inflated = parts[0] if len(parts) == 1 else b"".join(parts)
    if not inflated.startswith(b"WARC/") or inflated.find(b"\r\n\r\n", 0, _MAX_HEADER_BYTES) < 0:
        raise BrokenRecordError("corrupt")
    window.at += length - len(inflater.unused_data)
    return inflated


def _seek_member(window: _Window) -> bool:
    """Move the window to the next gzip member that inflates to "WARC/"; False, and to the end, where there is none."""
    window.at += 1
    while True:
        at = window.data.find(_GZIP, window.at)
        if at < 0:
            window.at = max(window.at, len(window.data) - len(_GZIP) + 1)
            if not window.grow():
                window.at = len(window.data)
                return False
            continue
        window.at = at
        window.hold(4096)
        try:
            head = isal_zlib.decompressobj(31).decompress(memoryview(window.data)[window.at : window.at + 4096], 64)
        except InflateError:
            head = b""
        if head.startswith(b"WARC/"):
            return True
        window.at += 1


def _read_plain(window: _Window, max_bytes: int) -> bytes:
    """The plain record at the window, as `_read_member` gives it; one too large is skipped by its Content-Length."""
    while (end_of_head := window.data.find(b"\r\n\r\n", window.at, window.at + _MAX_HEADER_BYTES)) < 0:
        if len(window.data) - window.at >= _MAX_HEADER_BYTES:
            raise BrokenRecordError("corrupt")
        if not window.grow():
            raise BrokenRecordError("truncated")
    length = _content_length(parse_headers(window.data[window.at : end_of_head]))
    if length is None or not window.data.startswith(b"WARC/", window.at):
        raise BrokenRecordError("corrupt")
    length += end_of_head + len(b"\r\n\r\n") - window.at
    if length > max_bytes:
        window.skip(length)
        raise BrokenRecordError("too_large")
    if not window.hold(length):
        raise BrokenRecordError("truncated")
    window.hold(length + _LOOK_AHEAD_BYTES)
    end = window.at + length
    ahead = window.data[end : end + _LOOK_AHEAD_BYTES]
    following = ahead.lstrip(b"\r\n")
    if not ahead.startswith(b"\r\n\r\n") and following and not following.startswith(b"WARC/"):
        raise BrokenRecordError("corrupt")
    record = window.data[window.at : end]
    window.at = end + len(ahead) - len(following)
    return record


def _seek_plain(window: _Window) -> bool:
    """Move the window to the next line that begins a plain record; False, and to the end, where there is none."""
    while (at := window.data.find(b"\nWARC/1.", window.at)) < 0:
        window.at = max(window.at, len(window.data) - len(b"WARC/1."))
        if not window.grow():
            window.at = len(window.data)
            return False
    window.at = at + 1
    return True


def _split(inflated: bytes, offset: int) -> Iterator[Record]:
    """The record in a member, or each where an archive was not compressed record by record.

    A member's end rules over a Content-Length that disagrees with it.
    """
    at = 0
    while at < len(inflated):
        begin = inflated.index(b"\r\n\r\n", at) + len(b"\r\n\r\n")
        end = after = len(inflated)
        # One byte is found many times faster than several, and in a WAT's JSON there is none before the end.
        first_return = inflated.find(b"\r", begin)
        if first_return >= 0 and inflated.find(b"\r\n\r\nWARC/1.", first_return) >= 0:
            told = begin + (_content_length(parse_headers(inflated[at:begin])) or 0)
            if _HEAD.match(inflated, told + len(b"\r\n\r\n")):
                end, after = told, told + len(b"\r\n\r\n")
        ending = b"\r\n\r\n" if inflated.endswith(b"\r\n\r\n", begin, end) else b""
        yield Record(offset, inflated, at, begin, end - len(ending))
        at = after


def _content_length(headers: dict[str, str]) -> int | None:
    digits = headers.get("content-length", "")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 20 else None


def _suspect(beginning: bytes) -> str:
    """What is likely wrong with an archive of which no record can be read, and the way out, from its first bytes."""
    if not beginning:
        return "the file is empty: fetch it again"
    if beginning.lstrip().startswith(b"<"):
        return f"it begins like a web page, {beginning[:24]!r}, perhaps a server's error message: fetch it again"
    if not beginning.startswith((_GZIP, b"WARC/")):
        return f"it begins with {beginning[:8]!r}, which is neither gzip nor WARC/: is it another format?"
    return (
        "its records are damaged, or over the cap (as they are if it was gzipped whole: compress it record by record)"
        "; compare its length with the source's, or fetch it again"
    )

"""Read WARC records from an archive, gzipped or plain; damage costs only the record that it lies in."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO

from isal import isal_zlib

from metaclip_dagster.parsing.heads import (
    BLANK,
    FIRST_LINE,
    LOOK_AHEAD_BYTES,
    MAX_HEAD_BYTES,
    find_block,
    find_block_end,
    find_first_line,
    parse_headers,
    read_content_length,
    skip_padding,
    trim_block,
)
from metaclip_dagster.parsing.windows import PIECE_BYTES, Window

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

    Memory, faults and errors are as in `read_members`; `dropped` counts what in a member is no record too. A record
    ends where its Content-Length says, if another record, or nothing, follows there; otherwise at the next record's
    first line. Newlines and NUL between records are passed over.
    """
    for offset, inflated in read_members(archive, name=name, dropped=dropped, max_record_bytes=max_record_bytes):
        yield from split_member(inflated, offset, dropped)


def read_members(
    archive: BinaryIO, *, name: str, dropped: Counter[str], max_record_bytes: int
) -> Iterator[tuple[int, bytes]]:
    """Where each gzip member (or, in a plain archive, each record) begins in a stream, and what it inflates to.

    Memory holds one of them, compressed and inflated, each up to `max_record_bytes`. After a fault, reading goes on at
    the next gzip member that inflates to "WARC/" (in a plain archive, at the next line that begins so). `dropped`
    counts each unreadable stretch once: `corrupt`, `truncated` (the stream ends inside a record) or `too_large` (over
    the cap, and not inflated further). Plain archives carry no checksum, so there a flipped byte can go unnoticed, and
    a wrong Content-Length over the cap costs all the bytes that it claims.

    Raises:
        ValueError: no record can be read at all; the message names the likely cause and the way out.

    """
    window = Window(archive)
    window.skip_padding()
    window.hold(MAX_HEAD_BYTES)
    beginning = window.data[window.at : window.at + 64]
    first = _BEGINNING.search(window.data, window.at)
    is_plain = first is not None and first[0] != _GZIP
    read_next, seek_next = (_read_plain, _seek_plain) if is_plain else (_read_member, _seek_member)
    has_record = False
    while window.skip_padding():
        offset = window.offset
        try:
            inflated = read_next(window, max_record_bytes)
        except BrokenRecordError as fault:
            has_more = seek_next(window)
            dropped["corrupt" if str(fault) == "truncated" and has_more else str(fault)] += 1
            continue
        has_record = has_record or any(True for _ in split_member(inflated, offset, Counter()))
        yield offset, inflated
    if not has_record:
        raise ValueError(f"{name}: no WARC record can be read; {_suspect(beginning)}")


def split_member(inflated: bytes, offset: int, dropped: Counter[str]) -> Iterator[Record]:
    """Each record in a member; the next record's first line, or the member's end, rules over a wrong Content-Length."""
    searched = 0
    at = 0 if inflated.startswith(b"WARC/") else skip_padding(inflated, 0)
    while at < len(inflated):
        begin = find_block(inflated, at, searched)
        if begin < 0 or not inflated.startswith(b"WARC/", at):
            if begin < 0:
                searched = at + MAX_HEAD_BYTES - len(BLANK)
            dropped["corrupt"] += 1
            following = find_first_line(inflated, at + 1)
            at = len(inflated) if following < 0 else following
            continue
        if inflated.find(b"\n", begin, -3) < 0 and inflated.endswith(BLANK, begin):
            end, after = len(inflated) - len(BLANK), len(inflated)  # one line, as a WAT's JSON is: no record follows
        else:
            end, after = _find_end(inflated, at, begin)
        yield Record(offset, inflated, at, begin, end)
        at = after


_GZIP = b"\x1f\x8b\x08"
_BEGINNING = re.compile(b"\x1f\x8b\x08|" + FIRST_LINE.pattern)
# Members are inflated from slices of this size, for zlib's interface copies what follows a member's end.
_SLICE_BYTES = 1 << 13


def _read_member(window: Window, max_bytes: int) -> bytes:
    """The gzip member at the window, inflated, with the window moved past it; where it is broken, not moved."""
    if not window.data.startswith(_GZIP, window.at):
        window.hold(len(_GZIP))
        if not _GZIP.startswith(window.data[window.at : window.at + len(_GZIP)]):
            raise BrokenRecordError("corrupt")
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
            if room <= 0 or length > max_bytes + PIECE_BYTES:
                raise BrokenRecordError("too_large")
    except InflateError as fault:
        raise BrokenRecordError("corrupt") from fault
    inflated = parts[0] if len(parts) == 1 else b"".join(parts)
    if not inflated.startswith(b"WARC/") and inflated.strip(b"\r\n\0")[:5] not in {b"WARC/", b""}:
        raise BrokenRecordError("corrupt")
    window.at += length - len(inflater.unused_data)
    return inflated


def _seek_member(window: Window) -> bool:
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
        if head.lstrip(b"\r\n\0").startswith(b"WARC/"):
            return True
        window.at += 1


def _read_plain(window: Window, max_bytes: int) -> bytes:
    """The plain record at the window, as `_read_member` gives it; one too large is skipped by its Content-Length."""
    while (begin := find_block(window.data, window.at)) < 0:
        if len(window.data) - window.at >= MAX_HEAD_BYTES:
            raise BrokenRecordError("corrupt")
        if not window.grow():
            is_cut = b"WARC/".startswith(window.data[window.at : window.at + len(b"WARC/")])
            raise BrokenRecordError("truncated" if is_cut else "corrupt")
    length = read_content_length(window.data, window.at, begin)
    if length is None or not window.data.startswith(b"WARC/", window.at):
        raise BrokenRecordError("corrupt")
    size_of_head = begin - window.at
    size = size_of_head + length
    if size > max_bytes:
        window.skip(size - 1)  # the search for the next record begins one byte on
        raise BrokenRecordError("too_large")
    window.hold(size + LOOK_AHEAD_BYTES)
    end = find_block_end(window.data, window.at + size_of_head, length)
    while end < 0 and (end := find_first_line(window.data, window.at + size_of_head)) < 0:
        if len(window.data) - window.at > max_bytes:
            raise BrokenRecordError("too_large")
        if not window.grow():
            end = len(window.data)
            if end - window.at < size:
                raise BrokenRecordError("truncated")
    if end - window.at > max_bytes:
        raise BrokenRecordError("too_large")
    after = skip_padding(window.data, end)
    record = window.data[window.at : after]
    window.at = after
    return record


def _seek_plain(window: Window) -> bool:
    """Move the window to the next line that begins a plain record; False, and to the end, where there is none."""
    window.at += 1
    while (at := find_first_line(window.data, window.at)) < 0:
        # What begins in the last bytes may go on in those that are not read yet.
        window.at = max(window.at, len(window.data) - LOOK_AHEAD_BYTES)
        if not window.grow():
            window.at = len(window.data)
            return False
    window.at = at
    return True


def _find_end(inflated: bytes, at: int, begin: int) -> tuple[int, int]:
    """Where a record's block ends, and where the next record begins."""
    length = read_content_length(inflated, at, begin)
    end = -1 if length is None else find_block_end(inflated, begin, length)
    if end >= 0:
        return end, skip_padding(inflated, end)
    following = find_first_line(inflated, begin)
    after = len(inflated) if following < 0 else following
    return trim_block(inflated, begin, after), after


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

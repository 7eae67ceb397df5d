"""Unpack a bzip2 file from any of its streams on, so that workers share a file without an index."""

import bz2
import re
from collections.abc import Iterator
from typing import BinaryIO

_STREAM = re.compile(rb"BZh[1-9]1AY&SY")  # a stream's head and that of its first block, always at a byte's border
_HEAD = 10  # bytes of these two
_STEP = 1 << 18  # bytes read, or unpacked, at a time


def read_streams(file: BinaryIO, start: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
    """The bytes of all streams from the first on that begins at byte `start` or later, each with its stream's byte.

    Gives nothing if no stream begins from `start` to before `end`; reads on beyond `end` as long as it is asked.
    Raises EOFError for a file that ends within a stream, and OSError without a number for a stream that is damaged.
    """
    begin = _find_stream(file, start, end) if start else 0
    if begin is None:
        return
    file.seek(begin)
    while packed := file.read(_STEP):
        stream = bz2.BZ2Decompressor()
        while not stream.eof:
            try:
                unpacked = stream.decompress(packed, _STEP)
            except OSError:
                raise OSError(f"in the stream at byte {begin:,}") from None
            yield begin, unpacked
            packed = file.read(_STEP) if stream.needs_input else b""
            if stream.needs_input and not packed:
                raise EOFError(f"in the stream at byte {begin:,}")
        begin = file.seek(-len(stream.unused_data), 1)


def _find_stream(file: BinaryIO, start: int, end: int | None) -> int | None:
    """The byte of the first stream that begins from `start` to before `end`."""
    at, window = file.seek(start), b""
    while (end is None or at < end) and (more := file.read(_STEP)):
        window += more
        if stream := _STREAM.search(window):
            begin = at + stream.start()
            return begin if end is None or begin < end else None
        at, window = at + max(0, len(window) - _HEAD + 1), window[1 - _HEAD :]
    return None

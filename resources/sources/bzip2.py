"""Unpack a bzip2 file's blocks from any byte on: a large file is read in parts, each alone, without an index."""

import bz2
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO

# A block begins with the one, a stream ends with the other: 48 bits, at any bit of a byte.
_BLOCK, _END_OF_STREAM = 0x314159265359, 0x177245385090
_STEP = 1 << 20  # bytes read at a time
_LONGEST = 16_000_000  # bits: a block unpacks to 900,000 bytes, and packing adds a hundredth at most


def read_blocks(file: BinaryIO, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Every block whose first bit lies in byte `start` or later, in order: that byte, and the bytes unpacked.

    Where a stream ends and the next begins does not show. Raises, as bz2 does, EOFError for a file that ends within a
    block, and OSError without a number for a block that is damaged.
    """
    marks = _Marks(file, start)
    while (begin := marks.next_block()) is not None:
        unpacked, end = None, begin
        # A block ends at the next mark; once in a thousand dumps that is chance, and it ends at the one after.
        for number in (1, 2):
            if unpacked is None and (found := marks.after(begin, number)) is not None:
                unpacked, end = _unpack(*marks.bits(begin, found)), found
        if unpacked is None:
            cut, where = end == begin and marks.is_whole_read, f"in the block at byte {begin // 8:,}"
            raise EOFError(where) if cut else OSError(where)
        yield begin // 8, unpacked
        marks.forget(end)


class _Marks:
    """The marks in a file that is read on as they are asked for. Positions are bits of the file."""

    def __init__(self, file: BinaryIO, start: int) -> None:
        self.is_whole_read = False
        self._file, self._start, self._held, self._last = file, start, b"", -1
        self._marks: deque[tuple[int, bool]] = deque()  # and whether a block begins there
        self._expected = 0 if start else 32  # where the next mark must be, once that is known
        file.seek(start)

    def next_block(self) -> int | None:
        while self._marks or self._read():
            if not self._marks:
                continue
            bit, is_block = self._marks[0]
            if bit != (self._expected or bit):
                raise OSError(f"in the stream at byte {(self._expected or 0) // 8:,}")
            if is_block:
                return bit
            self._marks.popleft()
            # A checksum, then whole bytes again, then the four that begin a stream.
            self._expected = (-(-(bit + 80) // 8) + 4) * 8
        return None

    def after(self, begin: int, number: int) -> int | None:
        """The first or second mark after that of the block at `begin`."""
        while len(self._marks) <= number and (self._start + len(self._held)) * 8 - begin < _LONGEST and self._read():
            pass
        return self._marks[number][0] if len(self._marks) > number else None

    def bits(self, begin: int, end: int) -> tuple[int, int]:
        """The bits between as one number, and how many they are."""
        held = self._held[begin // 8 - self._start : -(-end // 8) - self._start]
        return (int.from_bytes(held, "big") >> -end % 8) & ((1 << (end - begin)) - 1), end - begin

    def forget(self, end: int) -> None:
        while self._marks and self._marks[0][0] < end:
            self._marks.popleft()
        self._held, self._start, self._expected = self._held[end // 8 - self._start :], end // 8, end

    def _read(self) -> bool:
        more = self._file.read(_STEP)
        self.is_whole_read = not more
        known = max(0, len(self._held) - 6)  # a mark that begins before lies in what is held, and was found
        self._held += more
        base = (self._start + known) * 8
        for bit, is_block in _find(self._held[known:]) if more else ():
            if base + bit > self._last:
                self._last = base + bit
                self._marks.append((self._last, is_block))
        return bool(more)


def _find(window: bytes) -> list[tuple[int, bool]]:
    """Where a mark begins, in bits, and whether it is a block's."""
    found = []
    for mark, is_block in ((_BLOCK, True), (_END_OF_STREAM, False)):
        for shift in range(8):
            # Of the bytes that the mark touches, all but the outer two are its own: those are searched for.
            size = 7 if shift else 6
            whole = (mark << (size * 8 - 48 - shift)).to_bytes(size, "big")
            inner = whole[1:-1] if shift else whole
            at = window.find(inner)
            while at >= 0:
                first = at - bool(shift)
                if 0 <= first <= len(window) - size:
                    number = int.from_bytes(window[first : first + size], "big")
                    if (number >> (size * 8 - 48 - shift)) & ((1 << 48) - 1) == mark:
                        found.append((first * 8 + shift, is_block))
                at = window.find(inner, at + 1)
    return sorted(found)


def _unpack(number: int, size: int) -> bytes | None:
    """The block of these bits; None if it is damaged, or ends elsewhere."""
    # As a stream of its own, of which the block's checksum is the stream's too; bz2 compares both.
    checksum = (number >> max(0, size - 80)) & 0xFFFFFFFF
    pad = -size % 8
    stream = ((((number << 48) | _END_OF_STREAM) << 32) | checksum) << pad
    try:
        return bz2.decompress(b"BZh9" + stream.to_bytes((size + 80 + pad) // 8, "big"))
    except (OSError, ValueError):
        return None

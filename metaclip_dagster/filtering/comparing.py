"""Compare images whose hashes have bits in common, each with the first of its group, by loops that numba compiles."""

import numpy as np
import numpy.typing as npt

from metaclip_dagster.compiling import compiled
from metaclip_dagster.filtering.hashes import MAX_COLOUR_DISTANCE, Hashes, Rows

HIGH = np.uint64(0xFFFFFFFF00000000)
"""Where a key has the bits that its group shares; below stands the number of its hash."""
_LOW = np.uint64(0xFFFFFFFF)


@compiled
def compare_equal(
    spans: npt.NDArray[np.int64], rows: Rows, colours: Hashes, lowest: Rows, begin: int, end: int
) -> None:
    """Lower the lowest of each row by the rows of its own hash."""
    for number in range(len(spans)):
        if spans[number, 1] - spans[number, 0] > 1:
            _compare_rows(spans[number], spans[number], rows, colours, lowest, begin, end)


@compiled
def compare_groups(
    keys: Hashes,
    hashes: Hashes,
    spans: npt.NDArray[np.int64],
    rows: Rows,
    colours: Hashes,
    lowest: Rows,
    distance: int,
    begin: int,
    end: int,
) -> None:
    """Lower the lowest of each row by rows of other hashes of its group; a row is done with the first that is near."""
    start = 0
    for stop in range(1, len(keys) + 1):
        if stop < len(keys) and not (keys[stop] ^ keys[start]) & HIGH:
            continue
        for at in range(start, stop if stop > start + 1 else start):
            number = np.int64(keys[at] & _LOW)
            span = spans[number]
            until = min(end, _find_highest(span, rows, lowest, begin))
            for other_at in range(start, stop):
                other = np.int64(keys[other_at] & _LOW)
                if rows[spans[other, 0]] >= until:
                    break
                if other != number and _count_bits(hashes[number] ^ hashes[other]) <= distance:
                    _compare_rows(span, spans[other], rows, colours, lowest, begin, end)
                    until = min(end, _find_highest(span, rows, lowest, begin))
        start = stop


@compiled
def _compare_rows(span: Rows, others: Rows, rows: Rows, colours: Hashes, lowest: Rows, begin: int, end: int) -> None:
    """Lower the lowest of each row of a span by those of another whose colours are near; a span's rows ascend."""
    for at in range(span[0], span[1]):
        row = rows[at]
        if row < begin:
            continue
        for other_at in range(others[0], others[1]):
            other = rows[other_at]
            if other >= lowest[row] or other >= end:
                break
            if _are_alike(colours[row], colours[other]):
                lowest[row] = other
                break


@compiled
def _find_highest(span: Rows, rows: Rows, lowest: Rows, begin: int) -> int:
    """The highest of what is the lowest of each row of a span: from there on no other row is of use."""
    highest = -1
    for at in range(span[0], span[1]):
        if rows[at] >= begin:
            highest = max(highest, lowest[rows[at]])
    return highest


@compiled
def _count_bits(bits: np.uint64) -> np.uint64:
    """How many bits are set, added up in pairs, fours, bytes, then all: compilers know it for an instruction."""
    bits -= (bits >> np.uint64(1)) & np.uint64(0x5555555555555555)
    bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (bits * np.uint64(0x0101010101010101)) >> np.uint64(56)


@compiled
def _are_alike(colours: np.uint64, others: np.uint64) -> bool:
    """Whether each of the twelve colours is near its counterpart."""
    for _ in range(12):
        if abs(np.int64(colours & np.uint64(31)) - np.int64(others & np.uint64(31))) > MAX_COLOUR_DISTANCE:
            return False
        colours >>= np.uint64(5)
        others >>= np.uint64(5)
    return True

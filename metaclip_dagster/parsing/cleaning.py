"""Clean images' texts and resolve their URLs where that is simple, in loops that numba compiles.

What the loops write is what `clean_text` and `normalise_url` give; whatever is not simple is CAREFUL, and left to them.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from metaclip_dagster.compiling import compiled, inlined
from metaclip_dagster.parsing.quotes import Bytes, Index, Spans, U
from metaclip_dagster.parsing.resolving import CAREFUL, DATA_URL, resolve_url
from metaclip_dagster.parsing.scanning import ABSENT, copy

Numbers = npt.NDArray[np.int64]
_AMPERSAND, _BACKSLASH, _BLANK, _LF = b"&\\ \n"
_B, _F, _N, _R, _T, _U = b"bfnrtu"


@compiled
def clean_images(
    data: Bytes,
    images: Spans,
    page_of: Numbers,
    prefixes: Bytes,
    begins: Numbers,
    host_sizes: Numbers,
    has_references: npt.NDArray[np.bool_],
    strings: Bytes,
    spans: Spans,
) -> int:
    """Write the URL, alt and title of each image of `scan_records` into `strings`; how many bytes are written.

    `spans` says of each where it begins and ends there, or why not. `prefixes` has the folder of each page's base from
    its place in `begins` on, whose first bytes, so many as `host_sizes` says, end with the host; none where no path can
    be put behind. Where texts and URLs of a page have character references, what may hold one is CAREFUL.
    """
    num = U(0)
    for i in range(U(len(images))):
        page = U(page_of[i])
        is_coded = has_references[page]
        for k in range(U(2), U(6), U(2)):
            begin, end = U(images[i, k]), U(images[i, k + U(1)])
            after: Any = np.int64(ABSENT)
            if images[i, k] >= 0:
                is_careful = is_coded and _holds(data, begin, end, _AMPERSAND)
                after = CAREFUL if is_careful else _clean(data, begin, end, strings, num)
            spans[i, k] = ABSENT if after == np.int64(num) else num if after >= 0 else after
            num = U(after) if after >= 0 else num
            spans[i, k + U(1)] = num
        begin, end = U(images[i, 0]), U(images[i, 1])
        after = np.int64(ABSENT)
        if images[i, 0] >= 0 and begin != end and (spans[i, 2] != ABSENT or spans[i, 4] != ABSENT):
            prefix = prefixes[begins[page] : begins[page + U(1)]]
            is_careful = is_coded and _holds(data, begin, end, _AMPERSAND)
            after = CAREFUL if is_careful else resolve_url(data, begin, end, prefix, U(host_sizes[page]), strings, num)
        spans[i, 0] = num if after >= 0 else after
        num = U(after) if after >= 0 else num
        spans[i, 1] = num
    return int(num)


@inlined
def _holds(data: Bytes, begin: Index, end: Index, byte: int) -> bool:
    for at in range(begin, end):
        if data[at] == byte:
            return True
    return False


@inlined
def _clean(data: Bytes, at: Index, end: Index, out: Bytes, num: Index) -> int:
    """Write a JSON string's text as `clean_text` cleans it; how many bytes are written now, or CAREFUL."""
    start = num
    has_blank = False
    while at < end:
        byte, size = data[at], U(1)
        is_blank = byte == _BLANK
        if byte == _BACKSLASH:
            at += U(1)
            byte = data[at]
            if byte == _U:
                return CAREFUL
            if byte == _B:
                at += U(1)
                continue
            is_blank = byte == _N or byte == _R or byte == _T or byte == _F
        elif byte > 0x7F:
            size = _measure_character(data, at, end)
            if not size:
                return CAREFUL
            is_blank = _is_blank(data, at)
        if is_blank:
            has_blank = True
        else:
            if has_blank and num > start:
                out[num] = _BLANK
                num += U(1)
            has_blank = False
            out[num] = byte
            for i in range(U(1), size):
                out[num + i] = data[at + i]
            num += size
        at += size
    return int(num)


@inlined
def _is_blank(data: Bytes, at: Index) -> bool:
    """Whether Python's `str.split` takes this character beyond ASCII for white space."""
    first, second, third = data[at], data[at + U(1)], data[at + U(2)]
    if first == 0xC2:
        return bool(second == 0x85 or second == 0xA0)
    if first == 0xE2:
        is_general = second == 0x80 and (third <= 0x8A or third == 0xA8 or third == 0xA9 or third == 0xAF)
        return bool(is_general or (second == 0x81 and third == 0x9F))
    return bool(third == 0x80 and ((first == 0xE1 and second == 0x9A) or (first == 0xE3 and second == 0x80)))


@inlined
def _measure_character(data: Bytes, at: Index, end: Index) -> Index:
    """How many bytes a character beyond ASCII has in UTF-8; 0: it is none (Unicode 16, table 3-7)."""
    lead = data[at]
    size = U(2) if lead < 0xE0 else U(3) if lead < 0xF0 else U(4)
    if lead < 0xC2 or lead > 0xF4 or at + size > end:
        return U(0)
    low = 0xA0 if lead == 0xE0 else 0x90 if lead == 0xF0 else 0x80
    high = 0x9F if lead == 0xED else 0x8F if lead == 0xF4 else 0xBF
    if not low <= data[at + U(1)] <= high:
        return U(0)
    for i in range(U(2), size):
        if not 0x80 <= data[at + i] <= 0xBF:
            return U(0)
    return size


@compiled
def list_pairs(strings: Bytes, spans: Spans, keys: Bytes, pairs: Numbers, reasons: Numbers) -> int:
    r"""Write url + "\n" + text for each distinct text of each image into `keys`; how many pairs there are.

    A row of `pairs` is: image; source, 0 for alt and 1 for title; where in `keys` it begins, its text begins, and it
    ends. `reasons` counts images without: no_text, no_url, data_url.
    """
    num_pairs = num = U(0)
    for i in range(U(len(spans))):
        if spans[i, 2] < 0 and spans[i, 4] < 0:
            reasons[0] += 1
            continue
        if spans[i, 0] < 0:
            reasons[1] += spans[i, 0] == ABSENT
            reasons[2] += spans[i, 0] == DATA_URL
            continue
        for source in range(U(2)):
            k = U(2) + U(2) * source
            if spans[i, k] < 0 or (source and spans[i, 2] >= 0 and _are_equal(strings, spans, i)):
                continue
            pairs[num_pairs, 0], pairs[num_pairs, 1], pairs[num_pairs, 2] = i, source, num
            num = copy(strings, U(spans[i, 0]), U(spans[i, 1]), keys, num)
            keys[num] = _LF
            pairs[num_pairs, 3] = num + U(1)
            num = copy(strings, U(spans[i, k]), U(spans[i, k + U(1)]), keys, num + U(1))
            pairs[num_pairs, 4] = num
            num_pairs += U(1)
    return int(num_pairs)


@inlined
def _are_equal(strings: Bytes, spans: Spans, i: Index) -> bool:
    """Whether alt and title are."""
    size = U(spans[i, 3]) - U(spans[i, 2])
    if U(spans[i, 5]) - U(spans[i, 4]) != size:
        return False
    for k in range(size):
        if strings[U(spans[i, 2]) + k] != strings[U(spans[i, 4]) + k]:
            return False
    return True


@compiled
def gather_strings(keys: Bytes, begins: Numbers, ends: Numbers, offsets: Spans, out: Bytes) -> None:
    """Write these spans one behind the other, and where each ends."""
    num = U(0)
    for i in range(U(len(begins))):
        num = copy(keys, U(begins[i]), U(ends[i]), out, num)
        offsets[i + U(1)] = num

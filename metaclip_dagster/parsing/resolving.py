"""Resolve the URLs that are simple against a page's base, as `normalise_url` does, in loops that numba compiles."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from metaclip_dagster.compiling import inlined
from metaclip_dagster.parsing.quotes import Bytes, Index, U
from metaclip_dagster.parsing.scanning import copy

CAREFUL, DATA_URL = -2, -3  # as ABSENT, in the place of where a string begins
MAX_URL_BYTES = 8192
_COLON, _DOT, _QUESTION, _SLASH, _PERCENT, _TWO = b":.?/%2"
_A, _H, _N, _S, _X, _Z = b"ahnsxz"
_HYPHEN = ord("-")


def _class(*ranges: str | Iterable[int]) -> npt.NDArray[np.bool_]:
    return np.isin(np.arange(256), [ord(c) if isinstance(c, str) else c for characters in ranges for c in characters])


_LOWER, _DIGITS = "abcdefghijklmnopqrstuvwxyz", "0123456789"
_IN_WORD = _LOWER + _LOWER.upper() + _DIGITS + "_-"
# The classes of urls._SIMPLE.
_IN_LABEL = _class(_LOWER, _DIGITS, "_-")
_IN_PATH = _class("!|~_", _LOWER, range(0x24, 0x3C), "=", range(0x40, 0x5C), "]")
_IN_QUERY = _class("!$%&", range(0x28, 0x3C), "=", range(0x3F, 0x5C), range(0x5D, 0x7F))  # a backslash is JSON's here
_FIRST, _IN_SEGMENT, _IN_SHORT_QUERY = _class(_IN_WORD), _class(_IN_WORD, ".%~+"), _class(_IN_WORD, ".%~+&=/")
_HTTP, _DATA = (np.frombuffer(word, np.uint8) for word in (b"http", b"data:"))


@inlined
def resolve_url(data: Bytes, at: Index, end: Index, prefix: Bytes, host_size: Index, out: Bytes, num: Index) -> int:
    """Write a URL as `normalise_url` does; how many bytes are written now, or CAREFUL or DATA_URL."""
    first = data[at]
    if first == _H and _begins_with(data, at, end, _HTTP):
        colon = at + U(4) + U(data[at + U(4)] == _S)
        if (
            colon + U(3) < end
            and data[colon] == _COLON
            and data[colon + U(1)] == _SLASH
            and data[colon + U(2)] == _SLASH
        ):
            is_normal = end - at <= U(MAX_URL_BYTES) and _is_normal(data, colon + U(3), end)
            return int(copy(data, at, end, out, num)) if is_normal else CAREFUL
    if _begins_with(data, at, end, _DATA):
        return DATA_URL
    if not len(prefix) or end - at + U(len(prefix)) > U(MAX_URL_BYTES):
        return CAREFUL
    size = host_size
    if first == _SLASH:
        if data[at + U(1)] == _SLASH:
            if not _is_normal(data, at + U(2), end):
                return CAREFUL
            size = U(6) if prefix[4] == _S else U(5)  # the scheme
        elif not _is_simple(data, at + U(1), end):
            return CAREFUL
    else:
        size = U(len(prefix))
        while at + U(3) < end and data[at] == _DOT and data[at + U(1)] == _DOT and data[at + U(2)] == _SLASH:
            at += U(3)
            while size > host_size + U(1):  # up, but not above the host
                size -= U(1)
                if prefix[size - U(1)] == _SLASH:
                    break
        if not _is_simple(data, at, end):
            return CAREFUL
    return int(copy(data, at, end, out, copy(prefix, U(0), size, out, num)))


@inlined
def _is_normal(data: Bytes, at: Index, end: Index) -> bool:
    """Whether what stands behind "http://" is a host's name with a path, and a normal URL."""
    while True:
        first = at
        while at < end and _IN_LABEL[data[at]]:
            at += U(1)
        if at == first or at == end:
            return False
        if data[first] == _X and data[first + U(1)] == _N and data[first + U(2)] == _HYPHEN:
            return False  # perhaps punycode
        if data[at] != _DOT:
            break
        at += U(1)
    if data[at] != _SLASH or data[first] < _A or data[first] > _Z:
        return False
    is_query = False
    while at < end:
        byte = data[at]
        is_query |= byte == _QUESTION
        if not (_IN_QUERY[byte] if is_query else _IN_PATH[byte]):
            return False
        if byte == _SLASH and at + U(1) < end:
            following = data[at + U(1)]
            if following == _DOT or (following == _PERCENT and data[at + U(2)] == _TWO):
                return False  # perhaps a dot segment
        at += U(1)
    return True


@inlined
def _is_simple(data: Bytes, at: Index, end: Index) -> bool:
    """Whether it is a path, with a query or without, that can be put behind a folder or host as it is."""
    while True:
        if at >= end or not _FIRST[data[at]]:
            return False
        while at < end and _IN_SEGMENT[data[at]]:
            at += U(1)
        if at == end:
            return True
        if data[at] != _SLASH:
            break
        at += U(1)
    if data[at] != _QUESTION or at + U(1) == end:
        return False
    at += U(1)
    while at < end and _IN_SHORT_QUERY[data[at]]:
        at += U(1)
    return bool(at == end)


@inlined
def _begins_with(data: Bytes, at: Index, end: Index, word: Bytes) -> bool:
    if at + U(len(word)) > end:
        return False
    for i in range(U(len(word))):
        if data[at + i] != word[i]:
            return False
    return True

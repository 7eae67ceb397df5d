"""Tell by a link's or meta's bytes whether it may speak of licences or against this use, however it is spelled."""

import numpy as np

from metaclip_dagster.compiling import inlined
from metaclip_dagster.parsing.quotes import Bytes, Index, Spans, U

_AMPERSAND, _BACKSLASH, _BLANK, _ONE, _SLASH = b"&\\ 1/"
_A, _C, _H, _I, _M, _N, _O, _R = b"achimnor"
_LICENSE = np.frombuffer(b"lice", np.uint8)


@inlined
def may_lead_to_license(data: Bytes, at: Index) -> bool:
    """Whether a URL may lead to Creative Commons, however it is spelled."""
    first = data[at]
    if not ((first | 0x20 == _H) | (first == _SLASH) | (first == _BACKSLASH) | (first == _AMPERSAND)):
        return False
    may_be = np.uint8(0)
    for k in range(U(24)):  # in which the host begins
        may_be |= np.uint8(data[at + k] == _BACKSLASH) | np.uint8(data[at + k] == _AMPERSAND)
    for k in range(U(2), U(13)):  # from "//creativecommons" to "https://www.creativecommons"
        may_be |= np.uint8(data[at + k] | 0x20 == _C) & np.uint8(data[at + k + U(1)] | 0x20 == _R)
    return bool(may_be)


@inlined
def _is_word(data: Bytes, at: Index, word: Bytes) -> bool:
    for i in range(U(len(word))):
        if data[at + i] | 0x20 != word[i]:
            return False
    return True


@inlined
def may_say(data: Bytes, quotes: Spans, i: Index, end: Index) -> bool:
    """Whether an object may say something of licences, or be a meta that speaks against this use."""
    while i < end:
        key, key_end = U(quotes[i]) + U(1), U(quotes[i + U(1)])
        value, value_end = U(quotes[i + U(2)]) + U(1), U(quotes[i + U(3)])
        i += U(4)
        size = key_end - key
        if size > U(7) and holds_backslash(data, key, key_end):
            return True
        if size == U(3) and data[key] == _R and _may_be_license(data, value, value_end):
            return True
        if size == U(7) and data[key] == _C and _may_forbid(data, value, value_end):
            return True
    return False


@inlined
def _may_be_license(data: Bytes, begin: Index, end: Index) -> bool:
    """Whether a `rel` may name a license."""
    for at in range(begin, end):
        if data[at] == _BACKSLASH or data[at] == _AMPERSAND or _is_word(data, at, _LICENSE):
            return True
    return False


@inlined
def _may_forbid(data: Bytes, begin: Index, end: Index) -> bool:
    """Whether the content of a meta may be a word against this use, or the 1 of tdm-reservation."""
    if data[begin] == _ONE or data[begin] == _BLANK:
        return True
    for at in range(begin, end):
        if data[at] == _BACKSLASH or data[at] == _AMPERSAND:
            return True
        if data[at] | 0x20 == _N and data[at + U(1)] | 0x20 == _O:
            third = data[at + U(2)] | 0x20
            if third == _A or third == _I or third == _M or third == _N:
                return True
    return False


@inlined
def holds_backslash(data: Bytes, begin: Index, end: Index) -> bool:
    """Whether a string has an escape in it."""
    for at in range(begin, end):
        if data[at] == _BACKSLASH:
            return True
    return False

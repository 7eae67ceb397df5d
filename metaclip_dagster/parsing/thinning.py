"""Cut from a WAT record's JSON the links that are no images and say nothing of licences, so that parsing is faster."""

import numpy as np
import numpy.typing as npt

from metaclip_dagster.compiling import compiled, inlined

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int32]


def cut_other_links(block: bytes | memoryview) -> memoryview:
    r"""The JSON with `{}` in the place of each run of objects in an array that surely say nothing that is read here.

    Those are objects of strings alone, written without blanks, in UTF-8, and with no escape of a surrogate. None of the
    strings begins as IMG@/src may; no `url` may lead to Creative Commons, no `rel` may be of a license, and no
    `content` (of a meta) may hold a word against this use. All else stays, byte for byte.

    What is no JSON stays none: a run is cut behind "[" or "," and outside a string, read from the left as parsers read,
    and there either any object may stand or nothing that begins with "{". What is UTF-8 or not stays so too.

    >>> bytes(cut_other_links(b'{"Links":[{"path":"A@/href","url":"/"},{"path":"A@/href","url":"/a"}]}'))
    b'{"Links":[{}]}'
    """
    data = np.frombuffer(block, np.uint8)
    stops, thin = np.empty(len(data), np.int32), np.empty_like(data)
    return thin[: _cut(data, stops, thin)].data


_QUOTE, _BACKSLASH, _COLON, _COMMA, _OPEN, _CLOSE, _OPEN_ARRAY = b'"\\:,{}['
_CAPITAL_I, _CAPITAL_M, _EIGHT = b"IM8"
_BLANK, _AMPERSAND, _SLASH, _ONE = b" &/1"
_A, _C, _D, _E, _H, _I, _L, _M, _N, _O, _R, _S, _U, _W = b"acdehilmnorsuw"
# What a key says of the value behind it.
_PLAIN, _URL, _REL, _CONTENT, _ANY = range(5)
_URL_BYTES = 24  # of which a link to Creative Commons has its host's first letters
# 1 where a byte is not simply itself in a string of ASCII
_IS_STOP = np.array([byte < 32 or byte > 127 or byte in b'"\\' for byte in range(256)], np.uint8)
_ESCAPED = np.isin(np.arange(256), [*b'"\\/bfnrt'])
_HEX_DIGIT = np.isin(np.arange(256), [*b"0123456789abcdefABCDEF"])


@compiled
def _cut(data: Bytes, stops: Offsets, thin: Bytes) -> int:
    """Write what is kept; its length. The JSON is read string by string, from one stop to the next."""
    num_stops = _find_stops(data, stops)
    i = num_thin = 0
    begin = 0  # of what is not written yet
    element = -1  # where the object begins that may be cut if its other strings allow it
    is_value = False
    key = _PLAIN
    end = 0  # of the string before
    while i < num_stops:
        at = stops[i]
        if data[at] != _QUOTE:  # outside a string
            i += 1
            continue
        if at >= 2 and data[at - 1] == _OPEN:
            element = at - 1 if data[at - 2] == _COMMA or data[at - 2] == _OPEN_ARRAY else -1
            is_value = False
        elif at != end + 2 or data[at - 1] != (_COLON if is_value else _COMMA):
            element = -1
        closing = _find_closing(data, stops, i, num_stops)
        if closing < 0 or (is_value and _may_be_image(data, at + 1)):
            element, closing = -1, abs(closing)
        if closing >= num_stops:
            break
        if element >= 0:
            if not is_value:
                key = _ANY if data[stops[i + 1]] == _BACKSLASH else _read_key(data, at + 1, stops[closing])
            elif key != _PLAIN and _may_say(data, key, at + 1, stops[closing], closing != i + 1):
                element = -1
        i, end = closing + 1, stops[closing]
        if element >= 0 and is_value and end + 1 < len(data) and data[end + 1] == _CLOSE:
            if not (begin and element == begin + 1 and data[begin] == _COMMA):
                num_thin = _copy(data, begin, element, thin, num_thin)
                thin[num_thin], thin[num_thin + 1] = _OPEN, _CLOSE
                num_thin += 2
            begin, element = end + 2, -1
        is_value = not is_value
    return _copy(data, begin, len(data), thin, num_thin)


@inlined
def _find_stops(data: Bytes, stops: Offsets) -> int:
    """Write where stops are; how many. Whether or not a byte is one, the same is done: that is what makes it fast."""
    num = np.uint64(0)  # unsigned, or numba would ask at each byte whether it counts from the end
    for at in range(len(data)):
        stops[num] = at
        num += np.uint64(_IS_STOP[data[at]])
    return int(num)


@inlined
def _find_closing(data: Bytes, stops: Offsets, opening: int, num_stops: int) -> int:
    """Which stop closes the string that this one opens; negative: something in it may be no JSON."""
    i, sign = opening + 1, 1
    while i < num_stops and data[stops[i]] != _QUOTE:
        size = _measure_character(data, stops[i])
        if not size:
            size, sign = 2 if data[stops[i]] == _BACKSLASH else 1, -1
        after = stops[i] + size
        while i < num_stops and stops[i] < after:
            i += 1
    return sign * i


@inlined
def _copy(data: Bytes, begin: int, end: int, thin: Bytes, num_thin: int) -> int:
    for i in range(end - begin):
        thin[num_thin + i] = data[begin + i]
    return num_thin + end - begin


@inlined
def _may_be_image(data: Bytes, at: int) -> bool:
    """Whether a string that begins here may be IMG@/src, however it is escaped."""
    if at + 1 >= len(data):
        return True
    first, second = data[at], data[at + 1]
    return bool(second == _U if first == _BACKSLASH else first == _CAPITAL_I and second in (_CAPITAL_M, _BACKSLASH))


@inlined
def _read_key(data: Bytes, begin: int, end: int) -> int:
    """Whether a key without escapes is url, rel or content."""
    if end - begin == 3:
        first, second, third = data[begin], data[begin + 1], data[begin + 2]
        if first == _U and second == _R and third == _L:
            return _URL
        return _REL if first == _R and second == _E and third == _L else _PLAIN
    is_content = end - begin == 7 and data[begin] == _C and data[begin + 1] == _O and data[begin + 2] == _N
    return _CONTENT if is_content else _PLAIN


@inlined
def _may_be_license(data: Bytes, begin: int, end: int) -> bool:
    """Whether an address without escapes may lead to Creative Commons."""
    if end - begin < _URL_BYTES:
        return False
    host = begin + 2
    if data[begin] | 0x20 == _H:
        host += 6 if data[begin + 4] | 0x20 == _S else 5
    elif data[begin + 1] != _SLASH:
        return False
    if data[host] | 0x20 == _W:
        host += 4
    return _begins_word(data, _URL, host)


@inlined
def _may_say(data: Bytes, key: int, begin: int, end: int, is_escaped: bool) -> bool:
    """Whether the value of this key may be one that is read, in whatever case; `is_escaped`, or beyond ASCII."""
    if key == _URL and not is_escaped:
        return _may_be_license(data, begin, end)
    if key == _ANY or (key == _CONTENT and begin < end and data[begin] in (_ONE, _BLANK)):  # of tdm-reservation
        return True
    for at in range(begin, min(end, begin + _URL_BYTES) if key == _URL else end):
        is_escape = data[at] == _AMPERSAND or (data[at] == _BACKSLASH and data[at + 1] != _SLASH)
        if is_escape or (at + 3 < end and _begins_word(data, key, at)):
            return True
    return False


@inlined
def _begins_word(data: Bytes, key: int, at: int) -> bool:
    """Whether the letters here begin Creative Commons, license, or a word against this use, by the key."""
    first, second, third, fourth = data[at] | 0x20, data[at + 1] | 0x20, data[at + 2] | 0x20, data[at + 3] | 0x20
    if key == _URL:
        return bool(first == _C and second == _R and third == _E and fourth == _A)
    if key == _REL:
        return bool(first == _L and second == _I and third == _C and fourth == _E)
    return bool(first == _N and second == _O and third in (_A, _I, _M, _N))


@inlined
def _measure_escape(data: Bytes, at: int) -> int:
    """How many bytes an escape has; 0: it is none, or may be half a pair of surrogates."""
    if at + 1 < len(data) and _ESCAPED[data[at + 1]]:
        return 2
    if at + 6 > len(data) or data[at + 1] != _U or (data[at + 2] | 0x20 == _D and data[at + 3] >= _EIGHT):
        return 0
    num_digits = 0
    for i in range(at + 2, at + 6):
        num_digits += _HEX_DIGIT[data[i]]
    return 6 if num_digits == 4 else 0


@inlined
def _measure_character(data: Bytes, at: int) -> int:
    """How many bytes a character beyond ASCII has in UTF-8; 0: it is none (Unicode 16, table 3-7)."""
    lead = data[at]
    if lead == _BACKSLASH:
        return _measure_escape(data, at)
    size = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    if lead < 0xC2 or lead > 0xF4 or at + size > len(data):
        return 0
    low = 0xA0 if lead == 0xE0 else 0x90 if lead == 0xF0 else 0x80
    high = 0x9F if lead == 0xED else 0x8F if lead == 0xF4 else 0xBF
    if not low <= data[at + 1] <= high:
        return 0
    for i in range(at + 2, at + size):
        if not 0x80 <= data[i] <= 0xBF:
            return 0
    return size

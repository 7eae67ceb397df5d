"""Find where the images of WAT records lie, and cut out of the JSON what is not read, in loops that numba compiles."""

import numpy as np
import numpy.typing as npt

from metaclip_dagster.compiling import compiled, inlined
from metaclip_dagster.parsing.quotes import Bytes, Index, Spans, U, find_quotes
from metaclip_dagster.parsing.saying import holds_backslash, may_lead_to_license, may_say

NO_IMAGE, PAGE, ODD = range(3)
MAX_HEAD_BYTES = 4096
ABSENT = -1
_QUOTE, _BACKSLASH, _COLON, _COMMA, _OPEN, _CLOSE, _OPEN_ARRAY, _CLOSE_ARRAY = b'"\\:,{}[]'
_CR, _LF = b"\r\n"
_CAPITAL_I, _C, _R, _U = b"Icru"
_ZERO = ord("0")


def _word(text: str) -> Bytes:
    return np.frombuffer(text.encode(), np.uint8)


_METADATA, _JSON = _word("\r\nWARC-Type: metadata\r\n"), _word("\r\nContent-Type: application/json\r\n")
_BEGINNING, _IMAGE, _PATH = _word("WARC/"), _word("IMG@"), _word("path")
_IMAGE_PATH, _URL_KEY, _ALT_KEY, _TITLE_KEY = _word("IMG@/src"), _word("url"), _word("alt"), _word("title")


@compiled
def scan_records(
    data: Bytes,
    begins: npt.NDArray[np.int64],
    kinds: npt.NDArray[np.int8],
    pages: npt.NDArray[np.int64],
    short: Bytes,
    images: Spans,
    quotes: Spans,
) -> None:
    """Read the records that begin where `begins` says, the last of which is their end.

    `kinds` says whether a record is a PAGE with images, a description without one, or ODD: all else. The row of a PAGE
    in `pages` says where in `data` its block begins, where in `short` its shortened JSON begins and ends, and which of
    the `images` is its first and which is not its own any more. An image is where its URL, alt and title begin and end
    in `data`, as JSON spells them, or ABSENT. In the shortened JSON a run of cut objects is `{"":number of images}`.
    """
    num_images = num_short = U(0)
    for r in range(U(len(kinds))):
        begin, end = U(begins[r]), U(begins[r + U(1)])
        while end > begin and (data[end - U(1)] == _LF or data[end - U(1)] == _CR):  # no JSON, and no other record
            end -= U(1)
        block = _find_block(data, begin, end)
        kinds[r] = ODD
        if not block:
            continue
        num_quotes = find_quotes(data, block, end, quotes)
        if num_quotes < 0:
            continue
        pages[r, 0], pages[r, 1], pages[r, 3] = block, num_short, num_images
        after, images_after = _cut(data, block, end, quotes, U(num_quotes), short, num_short, images, num_images)
        if images_after == num_images:
            kinds[r] = ODD if _names_image(data, quotes, U(num_quotes)) else NO_IMAGE
        elif after:
            kinds[r], num_short, num_images = PAGE, after, images_after
            pages[r, 2], pages[r, 4] = num_short, num_images


@inlined
def _begins_with(data: Bytes, at: Index, word: Bytes) -> bool:
    for i in range(U(len(word))):
        if data[at + i] != word[i]:
            return False
    return True


@inlined
def _is(data: Bytes, begin: Index, end: Index, word: Bytes) -> bool:
    return bool(end - begin == U(len(word)) and _begins_with(data, begin, word))


@inlined
def _find_block(data: Bytes, begin: Index, end: Index) -> Index:
    """Where the JSON begins; 0 where the head is not spelled as WATs' writers spell them."""
    if not _begins_with(data, begin, _BEGINNING):
        return U(0)
    is_metadata = is_json = False
    for at in range(begin, min(end, begin + U(MAX_HEAD_BYTES))):
        if data[at] != _LF:
            continue
        if data[at + U(1)] == _LF:
            return U(0)
        if data[at + U(1)] == _CR and data[at + U(2)] == _LF:
            return at + U(3) if is_metadata and is_json and at + U(3) <= end else U(0)
        is_metadata |= _begins_with(data, at - U(1), _METADATA)
        is_json |= _begins_with(data, at - U(1), _JSON)
    return U(0)


@inlined
def _names_image(data: Bytes, quotes: Spans, num_quotes: Index) -> bool:
    for i in range(num_quotes):
        at = U(quotes[i]) + U(1)
        if data[at] == _CAPITAL_I and _begins_with(data, at, _IMAGE):
            return True
    return False


@inlined
def _cut(
    data: Bytes,
    begin: Index,
    end: Index,
    quotes: Spans,
    num_quotes: Index,
    short: Bytes,
    num_short: Index,
    images: Spans,
    num_images: Index,
) -> tuple[Index, Index]:
    """Write the shortened JSON, and images; how much there is of both now, the first 0 where a mark could be a key."""
    i, rest = U(0), begin
    while i < num_quotes:
        first, before, after = U(quotes[i]) - U(1), num_images, U(0)
        if data[first] == _OPEN and (data[first - U(1)] == _COMMA or data[first - U(1)] == _OPEN_ARRAY):
            while i < num_quotes:
                following, may_be_image, has_odd_key, url = _read_object(data, quotes, i, num_quotes)
                if not following:
                    break
                is_image = _read_image(data, quotes, i, following, images, num_images) if may_be_image else 0
                if is_image < 0:
                    break
                if not is_image and may_lead_to_license(data, url):
                    break
                if not is_image and has_odd_key and may_say(data, quotes, i, following):
                    break
                num_images += U(is_image)
                i = following
                after = U(quotes[i - U(1)]) + U(2)
                if data[after] != _COMMA or data[after + U(1)] != _OPEN or U(quotes[i]) != after + U(2):
                    break
        if after:
            num_short = copy(data, rest, first, short, num_short)
            num_short = _write_mark(num_images - before, short, num_short)
            rest = after
            continue
        closing = U(quotes[i + U(1)])
        if closing == U(quotes[i]) + U(1):
            following = data[closing + U(1)]
            if following != _COMMA and following != _CLOSE and following != _CLOSE_ARRAY:
                return U(0), num_images
        i += U(2)
    return copy(data, rest, end, short, num_short), num_images


@inlined
def _read_object(data: Bytes, quotes: Spans, i: Index, num_quotes: Index) -> tuple[Index, bool, bool, Index]:
    """Which quote follows the object that this one opens, 0 where it does not consist of strings alone.

    And whether it may be an image, whether a key is not of those that nearly all links have, and where its URL begins.
    """
    may_be_image = has_odd_key = False
    url = U(0)
    while i + U(3) < num_quotes:
        key, key_end = U(quotes[i]) + U(1), U(quotes[i + U(1)])
        value, value_end = U(quotes[i + U(2)]) + U(1), U(quotes[i + U(3)])
        if value != key_end + U(3) or data[key_end + U(1)] != _COLON:
            break
        i += U(4)
        first, size = data[key], key_end - key
        if data[value] == _CAPITAL_I or data[value] == _BACKSLASH:
            may_be_image = True
        has_odd_key |= ((size == U(3)) & (first == _R)) | (size >= U(7))
        if size == U(3) and first == _U:
            url = value
        following = data[value_end + U(1)]
        if following == _CLOSE:
            return i, may_be_image, has_odd_key, url
        if following != _COMMA or i >= num_quotes or U(quotes[i]) != value_end + U(2):
            break
    return U(0), False, False, url


@inlined
def _read_image(data: Bytes, quotes: Spans, i: Index, end: Index, images: Spans, num_images: Index) -> int:
    """1: an image, which is written; 0: none; -1: perhaps one, spelled with escapes. The last of equal keys counts."""
    is_image = 0
    for k in range(U(6)):
        images[num_images, k] = ABSENT
    while i < end:
        key, key_end = U(quotes[i]) + U(1), U(quotes[i + U(1)])
        value, value_end = U(quotes[i + U(2)]) + U(1), U(quotes[i + U(3)])
        i += U(4)
        if holds_backslash(data, key, key_end):
            return -1
        if _is(data, key, key_end, _PATH):
            if data[value] == _CAPITAL_I and holds_backslash(data, value, value_end):
                return -1
            if data[value] == _BACKSLASH:
                return -1
            is_image = int(_is(data, value, value_end, _IMAGE_PATH))
        k = U(6)
        if _is(data, key, key_end, _URL_KEY):
            k = U(0)
        elif _is(data, key, key_end, _ALT_KEY):
            k = U(2)
        elif _is(data, key, key_end, _TITLE_KEY):
            k = U(4)
        if k < U(6):
            images[num_images, k], images[num_images, k + U(1)] = value, value_end
    return is_image


@inlined
def _write_mark(number: Index, short: Bytes, num_short: Index) -> Index:
    r"""Write {"":number}; how many bytes there are now."""
    short[num_short], short[num_short + U(1)], short[num_short + U(2)], short[num_short + U(3)] = (
        _OPEN,
        _QUOTE,
        _QUOTE,
        _COLON,
    )
    num_short += U(4)
    size, rest = U(1), number // U(10)
    while rest:
        size, rest = size + U(1), rest // U(10)
    for d in range(size):
        short[num_short + size - U(1) - d] = _ZERO + number % U(10)
        number //= U(10)
    short[num_short + size] = _CLOSE
    return num_short + size + U(1)


@inlined
def copy(data: Bytes, begin: Index, end: Index, out: Bytes, num: Index) -> Index:
    """Write these bytes behind the first `num`; how many there are now."""
    for i in range(end - begin):
        out[num + i] = data[begin + i]
    return num + end - begin

"""Wordfreq's ranked words -> a list of entries for each language but English."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

from data.builder.names import LANGUAGES
from data.builder.packages import read_members

NUM_WORDS = 8000
_LETTER = re.compile(r"[^\W\d_]")


def write_lists(root: Path, package: Path) -> None:
    """Each language's most frequent words, one a line; such as have a capital to begin with stand there twice.

    Wordfreq folds case and matching does not: without capitals a list would find no noun of German, and in other
    languages no first word of a text.
    """
    root.mkdir(parents=True, exist_ok=True)
    packed = read_members(package, "wordfreq/data/small_", ".msgpack.gz")
    for language in LANGUAGES:
        if language != "en":
            ranked = [word for word in _rank_words(packed[f"{language}.msgpack.gz"]) if _LETTER.search(word)]
            forms = dict.fromkeys(form for word in ranked[:NUM_WORDS] for form in (word, word[0].upper() + word[1:]))
            text = "".join(f"{form}\n" for form in forms)
            (root / f"{language}.txt.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def _rank_words(packed: bytes) -> list[str]:
    """The words of a cBpack file: an array of a header and, by falling frequency, arrays of words as frequent."""
    _, *equals = _unpack(gzip.decompress(packed))
    return [word for words in equals for word in words]


def _unpack(data: bytes) -> list[list[str]]:
    """The array that a MessagePack file holds, in the few types that cBpack has: arrays, strings, a map of a header."""
    at = 0

    def number(size: int) -> int:
        nonlocal at
        at += size
        return int.from_bytes(data[at - size : at], "big")

    def items(num: int) -> Iterator[object]:
        return (value() for _ in range(num))

    def text(size: int) -> str:
        nonlocal at
        at += size
        return data[at - size : at].decode()

    def value() -> object:
        kind = number(1)
        if kind < 0x80:
            return kind
        if kind < 0x90:
            return [*items(2 * (kind & 0x0F))]
        if kind < 0xA0:
            return [*items(kind & 0x0F)]
        if kind < 0xC0:
            return text(kind & 0x1F)
        if kind in (0xD9, 0xDA):
            return text(number(kind - 0xD8))
        if kind in (0xDC, 0xDD):
            return [*items(number(2 * (kind - 0xDB)))]
        raise ValueError(f"byte {at - 1}: {kind:#x} is no kind of value that cBpack has")

    return value()  # type: ignore[return-value]  # what it is, `_rank_words` says

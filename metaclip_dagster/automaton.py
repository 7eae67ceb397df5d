"""Find every entry in every text in one pass: an Aho-Corasick automaton over many texts joined."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from operator import itemgetter

import ahocorasick
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.spacing import joined


class Automaton:
    """Searches texts for the entries of one language, none of which may hold a newline or lack a word."""

    def __init__(self, entry_ids: Mapping[str, int]) -> None:
        self._automaton = ahocorasick.Automaton(ahocorasick.STORE_INTS)
        self._automaton.add_word("\n", _END_OF_TEXT)
        for entry in _common_first(entry_ids):
            self._automaton.add_word(f" {entry} ", entry_ids[entry])
        self._automaton.make_automaton()
        self._longest = 2 + max(map(len, entry_ids), default=0)

    def match(self, texts: pa.Array) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint32]]:
        """Give Arrow offsets, one more than texts, and the ids of the entries in each text, ascending and unique."""
        found = [self._search(portion) for portion in _portions(texts)]
        offsets = np.zeros(len(texts) + 1, np.int32)
        np.cumsum(np.concatenate([np.zeros(0, np.int64), *(nums for nums, _ in found)]), out=offsets[1:])
        return offsets, np.concatenate([np.zeros(0, np.uint32), *(ids for _, ids in found)])

    def _search(self, texts: list[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
        """Give the number of entries in each text, and their ids."""
        haystack = joined(texts)
        windows = _windows(haystack, self._longest) if len(texts) == 1 else [haystack]
        keys = reduce(lambda found, more: _unique(np.concatenate([found, more])), map(self._keys, windows))
        return np.bincount(keys >> 32, minlength=len(texts)), (keys & 0xFFFFFFFF).astype(np.uint32)

    def _keys(self, haystack: str) -> npt.NDArray[np.int64]:
        """Give each text's number in the upper half and an entry's id in the lower, ascending and unique."""
        values = np.fromiter(map(itemgetter(1), self._automaton.iter(haystack)), np.int64)
        is_end = values == _END_OF_TEXT
        return _unique((np.cumsum(is_end) << 32 | values)[~is_end])


_END_OF_TEXT = -1
# What is joined at a time, enough to make the cost of a call vanish; a longer text stands alone, and in windows.
_MOST_TEXTS, _MOST_BYTES = 8192, 1 << 20


def _common_first(entries: Iterable[str]) -> list[str]:
    # The automaton tries the letters after a letter in the order of insertion: words that begin more entries go first,
    # and neighbours in the alphabet together, so that their nodes are neighbours in memory.
    num_begun = Counter(_first_word(entry) for entry in entries)
    return sorted(sorted(entries), key=lambda entry: -num_begun[_first_word(entry)])


def _first_word(entry: str) -> str:
    return entry.split(" ", 1)[0]


def _portions(texts: pa.Array) -> Iterator[list[str]]:
    ends = np.cumsum(pc.binary_length(texts), dtype=np.int64)
    start, num_bytes = 0, 0
    while start < len(texts):
        fitting = int(np.searchsorted(ends, num_bytes + _MOST_BYTES, side="right"))
        end = max(start + 1, min(fitting, start + _MOST_TEXTS))
        yield texts.slice(start, end - start).to_pylist()
        start, num_bytes = end, int(ends[end - 1])


def _windows(haystack: str, overlap: int) -> Iterator[str]:
    # A match ends in one window at least and starts no further back than the overlap.
    for start in range(0, len(haystack), _MOST_BYTES):
        yield haystack[max(0, start - overlap) : start + _MOST_BYTES]


def _unique(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    # np.unique hashes first, which takes ten times as long on keys that are nearly in order.
    keys = np.sort(keys)
    is_new: npt.NDArray[np.bool] = np.diff(keys, prepend=-1) != 0
    return keys[is_new]

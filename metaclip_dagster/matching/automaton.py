"""Find entries character by character in languages without spaces between words: an Aho-Corasick automaton."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from operator import itemgetter

import ahocorasick
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.words.scripts import fold_text
from metaclip_dagster.words.spacing import find_borders, join_texts


class Automaton:
    """Searches texts for the entries of one language, none of which may hold a newline or lack a word."""

    def __init__(self, entry_ids: Mapping[str, int]) -> None:
        self._automaton = _build_automaton({f" {entry} ": entry_ids[entry] for entry in _order_entries(entry_ids)})
        self._longest = 2 + max(map(len, entry_ids), default=0)

    def match(self, texts: pa.Array) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint32]]:
        """Give Arrow offsets, one more than texts, and the ids of the entries in each text, ascending and unique."""
        results = [self._search(portion) for portion in _portion_texts(texts)]
        offsets = np.zeros(len(texts) + 1, np.int32)
        np.cumsum(np.concatenate([np.zeros(0, np.int64), *(nums for nums, _ in results)]), out=offsets[1:])
        return offsets, np.concatenate([np.zeros(0, np.uint32), *(ids for _, ids in results)])

    def _search(self, texts: list[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
        """Give the number of entries in each text, and their ids."""
        keys = reduce(lambda keys_before, more: _sort_unique(np.concatenate([keys_before, more])), self._keys(texts))
        return np.bincount(keys >> 32, minlength=len(texts)), (keys & 0xFFFFFFFF).astype(np.uint32)

    def _keys(self, texts: list[str]) -> Iterator[npt.NDArray[np.int64]]:
        """Give each text's number in the upper half and an entry's id in the lower, ascending and unique."""
        haystack = join_texts(texts)
        for window in _split_windows(haystack, self._longest, len(texts)):
            values = np.fromiter(map(itemgetter(1), self._automaton.iter(haystack, *window)), np.int64)
            is_end = values == _END_OF_TEXT
            yield _sort_unique((np.cumsum(is_end) << 32 | values)[~is_end])


class BorderAutomaton(Automaton):
    """Searches texts of one language of PARTING: finds bare entries, then asks whether words end where they do."""

    def __init__(self, entry_ids: Mapping[str, int], language: str) -> None:
        self._language = language
        alike: dict[str, list[int]] = {}  # the ids of entries that are one when they are folded
        for entry in _order_entries(entry_ids):
            alike.setdefault(fold_text(entry, language), []).append(entry_ids[entry])
        self._automaton = _build_automaton({entry: number for number, entry in enumerate(alike)})
        self._longest = max(map(len, alike), default=0)
        self._lengths = np.array([*map(len, alike), 1])  # the last is a newline's, whose number is -1
        self._ids = pa.array(alike.values(), pa.list_(pa.uint32()))

    def _keys(self, texts: list[str]) -> Iterator[npt.NDArray[np.int64]]:
        haystack = join_texts(texts, self._language)
        may_start, may_end = find_borders(haystack, self._language)
        for window in _split_windows(haystack, self._longest, len(texts)):
            hits = np.fromiter(self._automaton.iter(haystack, *window), _FOUND)
            numbers, ends = hits["number"], hits["last"] + 1
            is_end = numbers == _END_OF_TEXT
            is_match = ~is_end & may_end[ends] & may_start[ends - self._lengths[numbers]]
            lists = self._ids.take(pa.array(numbers[is_match]))
            of_text = np.repeat(np.cumsum(is_end)[is_match], pc.list_value_length(lists))
            yield _sort_unique(of_text << 32 | lists.flatten().to_numpy().astype(np.int64))


_END_OF_TEXT = -1
_FOUND = np.dtype([("last", np.int64), ("number", np.int64)])
# What is joined at a time, enough to make the cost of a call vanish; a longer text stands alone, and in windows.
_MOST_TEXTS, _MOST_BYTES = 8192, 1 << 20


def _build_automaton(numbers: Mapping[str, int]) -> ahocorasick.Automaton:
    automaton = ahocorasick.Automaton(ahocorasick.STORE_INTS)
    automaton.add_word("\n", _END_OF_TEXT)
    for needle, number in numbers.items():
        automaton.add_word(needle, number)
    automaton.make_automaton()
    return automaton


def _order_entries(entries: Iterable[str]) -> list[str]:
    # The automaton tries the letters after a letter in the order of insertion: words that begin more entries go first,
    # and neighbours in the alphabet together, so that their nodes are neighbours in memory.
    num_begun = Counter(_take_first_word(entry) for entry in entries)
    return sorted(sorted(entries), key=lambda entry: -num_begun[_take_first_word(entry)])


def _take_first_word(entry: str) -> str:
    return entry.split(" ", 1)[0]


def _portion_texts(texts: pa.Array) -> Iterator[list[str]]:
    ends = np.cumsum(pc.binary_length(texts), dtype=np.int64)
    start, num_bytes = 0, 0
    while start < len(texts):
        fitting = int(np.searchsorted(ends, num_bytes + _MOST_BYTES, side="right"))
        end = max(start + 1, min(fitting, start + _MOST_TEXTS))
        yield texts.slice(start, end - start).to_pylist()
        start, num_bytes = end, int(ends[end - 1])


def _split_windows(haystack: str, overlap: int, num_texts: int) -> Iterator[tuple[int, int]]:
    # A match ends in one window at least and starts no further back than the overlap.
    length = len(haystack) if num_texts > 1 else _MOST_BYTES
    for start in range(0, len(haystack), length):
        yield max(0, start - overlap), min(start + length, len(haystack))


def _sort_unique(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    # np.unique hashes first, which takes ten times as long on keys that are nearly in order.
    keys = np.sort(keys)
    is_new: npt.NDArray[np.bool] = np.diff(keys, prepend=-1) != 0
    return keys[is_new]

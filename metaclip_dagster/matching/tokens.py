"""Find entries as runs of words between spaces, by two hash tables and loops that numba compiles."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip_dagster.compiling import compiled

Bytes = npt.NDArray[np.uint8]
Ids = npt.NDArray[np.uint32]
Numbers = npt.NDArray[np.int64]
# Slots of a hash table, a power of two of them: each a key, 0 where it is free, and a value.
Slots = npt.NDArray[np.uint64]


class TokenEngine:
    """Searches texts for the entries of one language that has words between spaces only.

    An entry is in a text where its tokens are a run of the text's (`spacing.space_marks`). Every token of the entries
    has a number, and a run of n tokens is looked up as (its first n - 1, the last): two numbers, so no two runs share a
    key.
    A token of up to fifteen bytes is its own key, and a longer one's bytes are compared: no false match can happen.
    The time is linear in the bytes of the text and, where entries nest, in the tokens of the longest.
    """

    def __init__(self, tables: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take what `index_tokens` gave; arrays that are mapped from a file are read where they lie."""
        self._tables = tuple(_freeze(tables[name]) for name in ARRAYS)
        self.match(pa.array([""]))  # what is not compiled yet is compiled now, not while texts wait

    def match(self, texts: pa.Array) -> tuple[npt.NDArray[np.int32], Ids]:
        """Give Arrow offsets, one more than texts, and the ids of the entries in each text, ascending and unique.

        Raises OverflowError where there are 2**31 of them or more: Arrow's offsets end there.
        """
        ends, entry_ids = _search(*_view_strings(texts), *self._tables)
        if ends[-1] >= 1 << 31:
            raise OverflowError(f"{ends[-1]:,} matches in {len(texts):,} texts; search fewer texts at a time")
        return ends.astype(np.int32), entry_ids


ARRAYS = {"words": pa.uint64(), "runs": pa.uint64(), "letters": pa.uint8(), "bounds": pa.int64(), "limits": pa.int64()}
"""The arrays of `index_tokens` by name, and what they hold."""


def index_tokens(entries: pa.Array, entry_ids: pa.Array) -> dict[str, pa.Array]:
    """Index entries, no two of them equal, under their ids; one without a word is left out.

    `words` and `runs` are hash tables; `letters` and `bounds` hold the words of more than fifteen bytes, to compare;
    `limits` are the tokens of the longest entry and one more than the largest id. Raises OverflowError where entries
    have 2**29 tokens or more.
    """
    data, offsets = _view_strings(entries)
    num_tokens = len(entries) + int(np.count_nonzero(data[offsets[0] : offsets[-1]] == _SPACE))
    if num_tokens >= 1 << 29:  # words and runs of them are numbered together, in thirty bits
        raise OverflowError(f"{num_tokens:,} tokens of entries in one language; there is room for {1 << 29:,}")
    ids = _freeze(entry_ids.to_numpy())
    words, letters, bounds, longest = _number_words(data, offsets, num_tokens)
    runs = _link_words(data, offsets, ids, words, letters, bounds)
    limits = np.array([longest, int(ids.max(initial=0)) + 1])
    return dict(zip(ARRAYS, map(pa.array, (words, runs, letters, bounds, limits)), strict=True))


def _freeze(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    # What is mapped cannot be written to, and to numba that is another type: one for all is compiled once.
    view = array.view()
    view.flags.writeable = False
    return view


def _view_strings(array: pa.Array) -> tuple[Bytes, Numbers]:
    """The bytes of all strings and where each begins and ends in them; strings that were not null are read in place."""
    if not len(array):
        return _freeze(np.zeros(0, np.uint8)), _freeze(np.zeros(1, np.int64))
    _, offsets, data = array.buffers()
    dtype = np.int64 if pa.types.is_large_string(array.type) else np.int32
    bounds = np.frombuffer(offsets, dtype)[array.offset : array.offset + len(array) + 1]
    return _freeze(np.frombuffer(data or b"", np.uint8)), _freeze(bounds.astype(np.int64))


_SPACE = 32
_BLANK, _MARK = 1, 2
_KINDS = np.zeros(256, np.uint8)
_KINDS[[*b" \t\n\r"]] = _BLANK
_KINDS[[*b",.;:?!`"]] = _MARK

_U = np.uint64
_ZERO, _ONE, _BYTE = _U(0), _U(1), _U(8)
_MIX = _U(0x9E3779B97F4A7C15)
# A token is two numbers: its last eight bytes, and those before with its length in the highest byte. Where it has more
# than fifteen bytes the second is a hash of the rest, and says so.
_SHORT, _LENGTH, _LONG = 15, _U(56), _U(0xFF << 56)
# A value: the number of the word or run, whether runs go on with it, whether it stands within one, the entry that ends.
_NUMBER, _GOES_ON, _WITHIN, _NO_ENTRY = _U(34), _U(1 << 33), _U(1 << 32), _U(0xFFFFFFFF)
# Tokens that are looked up together, so that the waits for memory overlap; matches of a text that are sorted in place.
_WINDOW, _FEW = 2048, 64


@compiled
def _slot(key: np.uint64, num_slots: int) -> Any:
    key ^= key >> _U(32)
    key *= _MIX
    key ^= key >> _U(29)
    key *= _MIX
    return np.int64(key >> _U(32)) & (num_slots - 1)


@compiled
def _head(data: Bytes, start: int, end: int) -> Any:
    """The second number of a token: what is before its last eight bytes, and its length."""
    head = _ZERO
    if end - start <= _SHORT:
        for at in range(start, end - 8):
            head = head << _BYTE | _U(data[at])
        return _U(end - start + 1) << _LENGTH | head
    for at in range(start, end - 8):
        head = (head ^ _U(data[at])) * _MIX
        head ^= head >> _U(32)
    return head | _LONG


@compiled
def _word_slot(tail: np.uint64, head: np.uint64, words: Slots) -> Any:
    return 3 * _slot(tail ^ head * _MIX, len(words) // 3)


@compiled
def _find_word(
    tail: np.uint64, head: np.uint64, data: Bytes, start: int, end: int, words: Slots, letters: Bytes, bounds: Numbers
) -> Any:
    """The slot of a token, or the free one where it would be."""
    at = _word_slot(tail, head, words)
    while words[at] != _ZERO:
        if words[at] == head and words[at + 1] == tail:
            if head < _LONG:
                return at
            number = np.int64(words[at + 2] >> _NUMBER)
            first, length = bounds[number - 1], bounds[number] - bounds[number - 1]
            same = 0
            while same < length and length == end - start and letters[first + same] == data[start + same]:
                same += 1
            if same == length:
                return at
        at += 3
        if at == len(words):
            at = 0
    return at


@compiled
def _find_run(run: np.uint64, runs: Slots) -> Any:
    """The slot of a run, or the free one where it would be."""
    at = 2 * _slot(run, len(runs) // 2)
    while runs[at] != run and runs[at] != _ZERO:
        at += 2
        if at == len(runs):
            at = 0
    return at


@compiled
def _run(before: np.uint64, word: np.uint64) -> Any:
    """The key of a run, from the values of all but its last word, and of that."""
    return before >> _NUMBER << _U(32) | word >> _NUMBER


@compiled
def _tail(data: Bytes, start: int, end: int) -> Any:
    """The first number of a token: its last eight bytes."""
    tail = _ZERO
    for at in range(max(start, end - 8), end):
        tail = tail << _BYTE | _U(data[at])
    return tail


@compiled
def _number_words(data: Bytes, offsets: Numbers, num_tokens: int) -> Any:
    """Number the words of all entries from 1 on; also give the long ones' letters, and the most tokens of an entry."""
    words = np.zeros(3 * 16, np.uint64)
    letters = np.empty(offsets[-1] - offsets[0], np.uint8)
    bounds = np.zeros(num_tokens + 1, np.int64)
    number, written, longest = 0, 0, 1
    for i in range(len(offsets) - 1):
        start, tokens = offsets[i], 0
        for at in range(offsets[i], offsets[i + 1] + 1):
            if at == offsets[i + 1] or data[at] == _SPACE:
                tail, head = _tail(data, start, at), _head(data, start, at)
                place = _find_word(tail, head, data, start, at, words, letters, bounds)
                if words[place] == _ZERO:
                    number += 1
                    words[place], words[place + 1] = head, tail
                    words[place + 2] = _U(number) << _NUMBER | _NO_ENTRY
                    if head >= _LONG:
                        for k in range(start, at):
                            letters[written] = data[k]
                            written += 1
                    bounds[number] = written
                    if 6 * number > len(words):
                        words = _grow_words(words)
                start, tokens = at + 1, tokens + 1
        longest = max(longest, tokens)
    return words, letters[:written].copy(), bounds[: number + 1].copy(), longest


@compiled
def _grow_words(words: Slots) -> Any:
    larger = np.zeros(2 * len(words), np.uint64)
    for i in range(0, len(words), 3):
        if words[i] != _ZERO:
            at = _word_slot(words[i + 1], words[i], larger)
            while larger[at] != _ZERO:
                at = (at + 3) % len(larger)
            for k in range(3):  # not a slice: numba would compile, for seconds, what it says where lengths differ
                larger[at + k] = words[i + k]
    return larger


@compiled
def _link_words(data: Bytes, offsets: Numbers, entry_ids: Ids, words: Slots, letters: Bytes, bounds: Numbers) -> Any:
    """Give the runs of two words and more, and tell the words which entries they are and what they are part of."""
    runs = np.zeros(2 * 16, np.uint64)
    number, used = len(bounds) - 1, 0
    for i in range(len(offsets) - 1):
        start, num_bytes, num_tokens, value, place = offsets[i], 0, 0, _ZERO, 0
        for at in range(offsets[i], offsets[i + 1] + 1):
            if at < offsets[i + 1] and data[at] != _SPACE:
                num_bytes += 1
                continue
            tail, head = _tail(data, start, at), _head(data, start, at)
            word = _find_word(tail, head, data, start, at, words, letters, bounds) + 2
            num_tokens += 1
            if num_tokens == 1:
                place = word
            else:
                if num_tokens == 2:
                    words[place] |= _GOES_ON
                else:
                    runs[place] |= _GOES_ON
                words[word] |= _WITHIN
                run = _run(value, words[word])
                place = _find_run(run, runs) + 1
                if runs[place] == _ZERO:
                    number, used = number + 1, used + 1
                    runs[place - 1], runs[place] = run, _U(number) << _NUMBER | _NO_ENTRY
                    if 4 * used > len(runs):
                        runs = _grow_runs(runs)
                        place = _find_run(run, runs) + 1
            value = words[place] if num_tokens == 1 else runs[place]
            start = at + 1
        if num_bytes:
            value = value & ~_NO_ENTRY | _U(entry_ids[i])
            if num_tokens == 1:
                words[place] = value
            else:
                runs[place] = value
    return runs


@compiled
def _grow_runs(runs: Slots) -> Any:
    larger = np.zeros(2 * len(runs), np.uint64)
    for i in range(0, len(runs), 2):
        if runs[i] != _ZERO:
            at = _find_run(runs[i], larger)
            larger[at], larger[at + 1] = runs[i], runs[i + 1]
    return larger


@compiled
def _search(
    data: Bytes, offsets: Numbers, words: Slots, runs: Slots, letters: Bytes, bounds: Numbers, limits: Numbers
) -> Any:
    """Where each text's entries end in the list of all, and that list."""
    num_texts, longest = len(offsets) - 1, limits[0]
    ends = np.zeros(num_texts + 1, np.int64)
    entry_ids = np.empty(8 * num_texts + 4 * _FEW, np.uint32)
    marked = np.zeros(limits[1] // 64 + 1, np.uint64)
    room = _WINDOW + 4 * longest
    tails, heads = np.zeros(room, np.uint64), np.zeros(room, np.uint64)
    values, pairs, slots = np.zeros(room, np.uint64), np.zeros(room, np.uint64), np.empty(room, np.int64)
    spans = np.empty((room, 2), np.int64)
    zero: Any = np.int64(0)  # a plain 0 has a type of its own, for which numba would compile once more
    at, text, carried, searched, num, num_marked = offsets[0], zero, zero, zero, zero, zero
    while searched < num_texts:
        at, text, filled = _read(data, offsets, at, text, carried, tails, heads, spans)
        _look_up(data, carried, filled, tails, heads, spans, words, letters, bounds, slots, values)
        # A run may go on in what is not read yet.
        until = filled if text == num_texts else filled - longest + 1
        _look_up_pairs(until, values, runs, slots, pairs)
        i = zero
        while i < until:
            i, num, num_marked, searched = _collect(
                i, until, heads, values, pairs, runs, num, num_marked, searched, entry_ids, ends, marked
            )
            if i < until:
                longer = np.empty(2 * len(entry_ids), np.uint32)
                for k in range(num):
                    longer[k] = entry_ids[k]
                entry_ids = longer
        carried = filled - until
        for k in range(carried):
            heads[k], values[k] = heads[until + k], values[until + k]
    return ends, entry_ids[:num].copy()


@compiled
def _read(
    data: Bytes, offsets: Numbers, at: int, text: int, filled: int, tails: Slots, heads: Slots, spans: Numbers
) -> Any:
    """Part texts into tokens while there is room, with 0 for a head where a text ends; what is next, and their end."""
    while text < len(offsets) - 1 and filled < len(heads) - 3:
        start, stop, tail, kind = at, offsets[text + 1], _ZERO, 0
        while at < stop:
            byte = data[at]
            kind = _KINDS[byte]
            if kind:
                break
            tail = tail << _BYTE | _U(byte)
            at += 1
        tails[filled] = tail
        heads[filled] = _U(at - start + 1) << _LENGTH if at - start <= 8 else _head(data, start, at)
        spans[filled, 0], spans[filled, 1] = start, at
        filled += 1
        if at == stop:
            tails[filled], heads[filled] = _ZERO, _ZERO
            filled += 1
            text += 1
        else:
            if kind == _MARK:
                tails[filled], heads[filled] = _U(data[at]), _U(2) << _LENGTH
                filled += 1
            at += 1
    return at, text, filled


@compiled
def _look_up(
    data: Bytes, first: int, end: int, tails: Slots, heads: Slots, spans: Numbers,
    words: Slots, letters: Bytes, bounds: Numbers, slots: Numbers, values: Slots,
) -> None:  # fmt: skip
    """Give each token the value of its word, 0 where it is none."""
    for i in range(first, end):
        slots[i] = _word_slot(tails[i], heads[i], words)
        values[i] = words[slots[i]]  # asks for the memory of many slots before the first is looked at
    for i in range(first, end):
        at = slots[i]
        if values[i] != heads[i] or words[at + 1] != tails[i] or heads[i] >= _LONG:
            at = _find_word(tails[i], heads[i], data, spans[i, 0], spans[i, 1], words, letters, bounds)
        values[i] = words[at + 2]


@compiled
def _look_up_pairs(end: int, values: Slots, runs: Slots, slots: Numbers, pairs: Slots) -> None:
    """Ask for the memory of the slots of all runs of two."""
    for i in range(end - 1):
        may = values[i] >> _U(33) & values[i + 1] >> _U(32) & _ONE
        slots[i] = 2 * _slot(_run(values[i], values[i + 1]), len(runs) // 2) * np.int64(may)
        pairs[i] = runs[slots[i]]


@compiled
def _collect(
    i: int, end: int, heads: Slots, values: Slots, pairs: Slots, runs: Slots,
    num: int, num_marked: int, searched: int, entry_ids: Ids, ends: Numbers, marked: Slots,
) -> Any:  # fmt: skip
    """Write the entries that start at each token, and of each text that ends; stop where `found` may be too short.

    A few matches of a text are sorted in place. More are marked, a bit an entry, so that no text takes more memory
    than there are entries, nor more time than its tokens and they.
    """
    first = ends[searched]
    while i < end:
        value = values[i]
        if heads[i] == _ZERO:
            if num + num_marked + 2 * _FEW > len(entry_ids):
                break
            num = _unmark(marked, entry_ids, first) if num_marked else _sort(entry_ids, first, num)
            num_marked = 0
            searched += 1
            ends[searched] = first = num
            i += 1
            continue
        j = i
        while value != _ZERO:
            entry = value & _NO_ENTRY
            if entry != _NO_ENTRY:
                if num_marked == 0:
                    entry_ids[num] = entry
                    num += 1
                    if num - first == _FEW:
                        for k in range(first, num):
                            num_marked += _mark(marked, entry_ids[k])
                        num = first
                else:
                    num_marked += _mark(marked, entry)
            j += 1
            if not value & _GOES_ON or not values[j] & _WITHIN:
                break
            value = runs[_find_run(_run(value, values[j]), runs) + 1]
        i += 1
    return i, num, num_marked, searched


@compiled
def _mark(marked: Slots, entry: int) -> Any:
    """Mark an entry; 1 if it was not."""
    at, bit = np.int64(entry) >> 6, _ONE << (_U(entry) & _U(63))
    is_new = marked[at] & bit == _ZERO
    marked[at] |= bit
    return np.int64(is_new)


@compiled
def _unmark(marked: Slots, entry_ids: Ids, end: int) -> Any:
    """Write all marked entries, in order, and mark none; the end of them."""
    for at in range(len(marked)):
        if marked[at] != _ZERO:
            for bit in range(64):
                if marked[at] >> _U(bit) & _ONE:
                    entry_ids[end] = 64 * at + bit
                    end += 1
            marked[at] = _ZERO
    return end


@compiled
def _sort(entry_ids: Ids, first: int, end: int) -> Any:
    """Sort the few ids from the first on, each once; the end of them."""
    for i in range(first + 1, end):
        entry, k = entry_ids[i], i
        while k > first and entry_ids[k - 1] > entry:
            entry_ids[k] = entry_ids[k - 1]
            k -= 1
        entry_ids[k] = entry
    num_unique = min(first + 1, end)
    for i in range(first + 1, end):
        if entry_ids[i] != entry_ids[num_unique - 1]:
            entry_ids[num_unique] = entry_ids[i]
            num_unique += 1
    return num_unique

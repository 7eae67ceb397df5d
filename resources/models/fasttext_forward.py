"""Label lines of text with the arrays of a fastText model, to the bit as fastText does, by loops that numba compiles.

Additions are in fastText's order, and exponentials and logarithms those of the C library that it calls too.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numba
import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int32]
Numbers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Function = TypeVar("Function", bound=Callable[..., Any])

NO_LABEL, NO_NUMBER = -1, -2
"""Instead of a label's number: of a line of which the model knows nothing, and of one that leads to no number (NaN)."""


class Model(NamedTuple):
    """The arrays of a model that the loops read."""

    content: Bytes
    """The model's file, for the letters of its words."""
    words: Numbers
    """Where each word begins in the file, and where each ends: two rows."""
    num_words: int
    """Words that are no labels; these come behind."""
    slots: Integers
    """The number of each word, at its hash or behind it; -1 where there is none. As many as a power of two."""
    word_ngrams: int
    buckets: int
    least_letters: int
    most_letters: int
    rows: Integers | None
    """Of each bucket the row of its vector behind those of words, -1 where it has none; None where it is its number."""
    vectors: Floats
    """A row for each word, then for each bucket that has one."""
    output: Floats
    """Of the hierarchical loss a row for each inner node; of the flat one a column for each label."""
    norms: Floats
    """What each row, or column, of the output is to be multiplied by."""
    children: Integers
    """Of the hierarchical loss: of each node of the tree, its left and its right child, -1 for a leaf; the root is
    last, and leaves, which are labels, are first. Empty of the flat loss."""


# As in metaclip_dagster/compiling.py, which nothing here may import.
def compiled(function: Function) -> Function:
    """A function as machine code, kept on disk where something can be written; other threads run on while it runs."""
    try:
        return _jit(function, cache=True)
    except RuntimeError:  # numba found no place for it
        return _jit(function)


def inlined(function: Function) -> Function:
    """A small function as machine code that goes into the loops that call it."""
    return _jit(function, forceinline=True)


def _jit(function: Function, **options: bool) -> Function:
    machine_code: Function = numba.njit(function, nogil=True, error_model="numpy", **options)
    return machine_code


_F, _U, _UL = np.float32, np.uint32, np.uint64
_NEWLINE, _SPACE, _FIRST_BLANK, _LAST_BLANK = 10, 32, 9, 13
_END_OF_LINE = np.frombuffer(b"</s>", np.uint8)
_PREFIX = np.frombuffer(b"__label__", np.uint8)
_BASIS, _PRIME = _U(2166136261), _U(16777619)
_FACTOR = _UL(116049371)
_SMALL = 1e-5  # what fastText adds before each logarithm


@inlined
def _mix(hashed: np.uint32, byte: np.uint8) -> Any:
    # Bytes count as signed, by an error that fastText's models were trained with.
    return _U((hashed ^ _U(np.int32(np.int8(byte)))) * _PRIME)


@inlined
def _hash(content: Bytes, start: int, end: int) -> Any:
    hashed = _BASIS
    for at in range(start, end):
        hashed = _mix(hashed, content[at])
    return hashed


@inlined
def _begins_with(content: Bytes, start: int, end: int, word: Bytes) -> Any:
    if end - start < len(word):
        return False
    for i in range(len(word)):
        if content[start + i] != word[i]:
            return False
    return True


@inlined
def _find_slot(
    content: Bytes, start: int, end: int, hashed: np.uint32, letters: Bytes, words: Numbers, slots: Integers
) -> Any:
    """The slot of a word, or the free one where it would be."""
    mask = len(slots) - 1
    slot = np.int64(hashed) & mask
    while slots[slot] >= 0:
        first, last = words[0, slots[slot]], words[1, slots[slot]]
        if last - first == end - start and _begins_with(content, start, end, letters[first:last]):
            break
        slot = (slot + 1) & mask
    return slot


@compiled
def index_words(content: Bytes, words: Numbers, num_slots: int) -> Any:
    """The slots of a model's words; of one that comes twice the last counts, as with fastText."""
    slots = np.full(num_slots, -1, np.int32)
    for number in range(words.shape[1]):
        start, end = words[0, number], words[1, number]
        slots[_find_slot(content, start, end, _hash(content, start, end), content, words, slots)] = number
    return slots


@inlined
def _list_bucket(
    listed_rows: Integers, num_listed: int, bucket: np.int64, rows: Integers | None, num_words: int
) -> Any:
    """Append the row of a bucket, where it has one; give how many are listed then."""
    if rows is not None:  # known when it is compiled: asked here, it would cost as much as all the rest
        bucket = np.int64(rows[bucket])
        if bucket < 0:
            return num_listed
    listed_rows[num_listed] = num_words + bucket
    return num_listed + 1


@inlined
def _list_parts(listed_rows: Integers, num_listed: int, word: Bytes, length: int, model: Model) -> Any:
    """Append the rows of a word's parts, from each letter on, of all lengths."""
    rows, num_words, buckets = model.rows, model.num_words, _U(model.buckets)
    least_letters, most_letters = model.least_letters, model.most_letters
    for start in range(length):
        if word[start] & 0xC0 == 0x80:  # within a letter
            continue
        hashed, at, letters = _BASIS, start, 0
        while at < length and letters < most_letters:
            hashed = _mix(hashed, word[at])
            at += 1
            while at < length and word[at] & 0xC0 == 0x80:
                hashed = _mix(hashed, word[at])
                at += 1
            letters += 1
            is_border = letters == 1 and (start == 0 or at == length)
            if letters >= least_letters and not is_border:
                num_listed = _list_bucket(listed_rows, num_listed, np.int64(hashed % buckets), rows, num_words)
    return num_listed


@inlined
def _list_runs(listed_rows: Integers, num_listed: int, hashes: Integers, num_hashes: int, model: Model) -> Any:
    """Append the rows of runs of words."""
    rows, num_words, buckets = model.rows, model.num_words, _UL(model.buckets)
    for start in range(num_hashes):
        hashed = _UL(np.int64(hashes[start]))
        for at in range(start + 1, min(num_hashes, start + model.word_ngrams)):
            hashed = hashed * _FACTOR + _UL(np.int64(hashes[at]))
            num_listed = _list_bucket(listed_rows, num_listed, np.int64(hashed % buckets), rows, num_words)
    return num_listed


@inlined
def _average(hidden: Floats, listed_rows: Integers, num_listed: int, vectors: Floats) -> None:
    hidden[:] = 0
    width = len(hidden)
    for i in range(num_listed):
        row = listed_rows[i]
        for k in range(width):
            hidden[k] += vectors[row, k]
    scale = _F(1.0 / num_listed)
    for k in range(width):
        hidden[k] *= scale


@inlined
def _logarithm(share: np.float32) -> Any:
    return _F(math.log(np.float64(share) + _SMALL))


@inlined
def _descend(hidden: Floats, model: Model, nodes: Integers, scores: Floats) -> Any:
    """The best leaf of the tree and its score: depth first, left before right, as no worse one may be looked at."""
    best, best_score = NO_LABEL, _F(0)
    lowest = _logarithm(_F(0))
    num_labels = model.output.shape[0]
    nodes[0], scores[0], top = 2 * num_labels - 2, _F(0), 1
    while top > 0:
        top -= 1
        node, score = nodes[top], scores[top]
        if score < lowest or (best != NO_LABEL and score < best_score):
            continue
        left, right = model.children[node, 0], model.children[node, 1]
        if left < 0:
            best, best_score = node, score
            continue
        dot = _F(0)
        for k in range(len(hidden)):
            dot += model.output[node - num_labels, k] * hidden[k]
        dot *= model.norms[node - num_labels]
        if math.isnan(dot):
            return NO_NUMBER, dot
        share = _F(1.0 / np.float64(_F(1) + math.exp(-dot)))
        nodes[top], scores[top] = right, score + _logarithm(share)
        nodes[top + 1], scores[top + 1] = left, score + _logarithm(_F(1.0 - np.float64(share)))
        top += 2
    return best, best_score


@inlined
def _compare(hidden: Floats, model: Model, shares: Floats) -> Any:
    """The label with the highest share, the last of equal ones, and its score."""
    shares[:] = 0
    for k in range(len(hidden)):  # all labels side by side: each is a sum in order, which alone could not be vectorised
        for label in range(len(shares)):
            shares[label] += model.output[k, label] * hidden[k]
    highest = shares[0] * model.norms[0]
    for label in range(len(shares)):
        shares[label] *= model.norms[label]
        if math.isnan(shares[label]):
            return NO_NUMBER, shares[label]
        highest = max(highest, shares[label])
    total = _F(0)
    for label in range(len(shares)):
        # The exponential of doubles, as C++ chooses it here.
        shares[label] = _F(math.exp(np.float64(shares[label] - highest)))
        total += shares[label]
    if math.isnan(total):
        return NO_NUMBER, total
    best, best_score, enough = NO_LABEL, _F(0), _F(0)
    for label in range(len(shares)):
        share = shares[label] / total
        if share < enough:
            continue
        score = _logarithm(share)
        if best == NO_LABEL or score >= best_score:
            best, best_score = label, score
            enough = _F(0.999) * share - _F(_SMALL)  # well below it: no logarithm needed
    return best, best_score


@inlined
def _list_rows(
    listed_rows: Integers, hashes: Integers, word: Bytes, lines: Bytes, at: int, end_of_line: int, model: Model
) -> Any:
    """The rows of vectors of a line's words, parts of words and runs of words: how many, and where the line ends."""
    letters, words, slots, num_words = model.content, model.words, model.slots, model.num_words
    num_listed, num_hashes, start, is_over = 0, 0, at, False
    while True:
        byte = lines[at]
        if byte == _SPACE or _FIRST_BLANK <= byte <= _LAST_BLANK or byte == 0:
            length = at - start
            if length == 4 and _begins_with(lines, start, at, _END_OF_LINE):
                is_over = True
            if length and not is_over:
                hashed = _hash(lines, start, at)
                number = slots[_find_slot(lines, start, at, hashed, letters, words, slots)]
                is_label = number >= num_words
                if number < 0:
                    is_label = _begins_with(lines, start, at, _PREFIX)
                if not is_label:
                    if number >= 0:
                        listed_rows[num_listed] = number
                        num_listed += 1
                    for k in range(length):
                        word[k + 1] = lines[start + k]
                    word[length + 1] = 62  # >
                    num_listed = _list_parts(listed_rows, num_listed, word, length + 2, model)
                    hashes[num_hashes] = np.int32(hashed)
                    num_hashes += 1
            start = at + 1
            if byte == _NEWLINE:
                break
        at += 1
    if 0 <= end_of_line < num_words:
        listed_rows[num_listed] = end_of_line
        num_listed += 1
    if model.word_ngrams > 1:
        if end_of_line < num_words:
            hashes[num_hashes] = np.int32(_hash(_END_OF_LINE, 0, 4))
            num_hashes += 1
        num_listed = _list_runs(listed_rows, num_listed, hashes, num_hashes, model)
    return num_listed, start


@compiled
def label_lines(lines: Bytes, num_lines: int, model: Model) -> Any:
    """The number of the best label of each line, and how sure it is, about 0 to 1; all lines end in a newline."""
    labels, shares = np.full(num_lines, NO_LABEL, np.int32), np.zeros(num_lines, np.float32)
    hidden = np.empty(model.vectors.shape[1], np.float32)
    num_labels = len(model.norms)
    label_shares = np.empty(num_labels, np.float32)
    nodes, scores = np.empty(2 * num_labels + 1, np.int32), np.empty(2 * num_labels + 1, np.float32)
    longest, start = 0, 0
    for at in range(len(lines)):
        if lines[at] == _NEWLINE:
            longest, start = max(longest, at + 1 - start), at + 1
    word, hashes = np.empty(longest + 2, np.uint8), np.empty(longest + 1, np.int32)
    word[0] = 60  # <
    # A byte begins one word or part of each length or run of each length; a word's marks at its ends do too.
    listed_rows = np.empty(2 * (longest + 2) * (model.most_letters + model.word_ngrams + 1), np.int32)
    hashed = _hash(_END_OF_LINE, 0, 4)
    slot = _find_slot(_END_OF_LINE, 0, 4, hashed, model.content, model.words, model.slots)
    end_of_line, at = model.slots[slot], 0
    for line in range(num_lines):
        num_listed, at = _list_rows(listed_rows, hashes, word, lines, at, end_of_line, model)
        if num_listed == 0:
            continue
        _average(hidden, listed_rows, num_listed, model.vectors)
        if len(model.children):
            labels[line], score = _descend(hidden, model, nodes, scores)
        else:
            labels[line], score = _compare(hidden, model, label_shares)
        if labels[line] >= 0:
            shares[line] = math.exp(score)
    return labels, shares

"""Read what a fastText model file has and where in it, and refuse one that is none or not whole.

fastText itself checks next to nothing: of a file that was cut off, or whose numbers do not fit each other, it crashes,
never ends, or answers at random.
"""

import functools
import mmap
import struct
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xxhash

_MAGIC, _VERSIONS, _SUPERVISED = 793712314, (11, 12), 3
_VERSION_WITHOUT_PARTS = 11
_LABEL, _NO_PRUNING = 1, -1
HIERARCHICAL, _NEGATIVES, SOFTMAX, _ONE_VERSUS_ALL = 1, 2, 3, 4
_LOSSES = (HIERARCHICAL, _NEGATIVES, SOFTMAX, _ONE_VERSUS_ALL)
_MOST_LETTERS = 64
"""Of a part of a word, and words of a run; models in use have at most 6."""
MOST_COUNTED = 10**15
"""What fastText's tree of labels takes for more than all of them together."""
PREFIX = "__label__"


@dataclass(frozen=True)
class Codes:
    """How a quantised matrix is written: a row is parts of columns, and of each part one of 256 lists of numbers."""

    num_parts: int
    part: int
    """Columns of each part but the last, which has those that are left."""
    centroids: int
    """Where the lists begin in the file: 256 of the first part, 256 of the next, and so on, as 32-bit floats."""
    norms: tuple[int, int] | None
    """Where a byte for each row begins, and 256 numbers: the row is to be multiplied by that which its byte names."""


@dataclass(frozen=True)
class Matrix:
    """A matrix in the file: at `place` are its rows of 32-bit floats, or of one byte a part where it has codes."""

    rows: int
    columns: int
    place: int
    codes: Codes | None = None


@dataclass(frozen=True)
class Layout:
    """What a model's file has, and where; places are in bytes from its beginning."""

    dimensions: int
    word_ngrams: int
    """The most words of a run that is hashed."""
    loss: int
    buckets: int
    """How many hashes there are of parts of words and runs of words."""
    least_letters: int
    most_letters: int
    words: npt.NDArray[np.int64]
    """Where each word begins, and where each ends: two rows. Labels are behind the others, with their prefix."""
    labels: list[str]
    label_counts: list[int]
    pruned: tuple[int, int] | None
    """Where pairs of a bucket and its row begin, and how many there are; buckets without one have no row."""
    input: Matrix
    """A row for each word that is no label, then for each bucket that has one."""
    output: Matrix
    """A row for each label; of the hierarchical loss, for each inner node of its tree, and one over."""

    @property
    def num_words(self) -> int:
        """Words that are no labels."""
        return int(self.words.shape[1]) - len(self.labels)


def read_labels(path: str) -> list[str]:
    """The labels of a model that tells texts apart, without their prefix, in the model's order.

    Raises FileNotFoundError where there is no file, ValueError for one that is no such model or is not whole.
    """
    return map_model(path)[1].labels


def map_model(path: str) -> tuple[mmap.mmap, Layout]:
    """The file of a model, mapped to be read only, and what it has where; raises as `read_labels` does."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no language model there; name a fastText model file")
    if not Path(path).stat().st_size:
        raise ValueError(f"{path}: an empty file, no fastText model; download it again")
    with Path(path).open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if struct.unpack_from("<i", content.read(4).ljust(4, b"\0"))[0] != _MAGIC:
        raise ValueError(f"{path}: no fastText model; name the .bin or .ftz file of one")
    try:
        return content, _Reader(content).read()
    except (struct.error, IndexError, UnicodeDecodeError):
        raise ValueError(f"{path}: a fastText model that is not whole; download it again") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def digest_of(path: str) -> str:
    """32 hexadecimal digits of what the file holds, read once a process unless it changes; wherever it lies."""
    status = Path(path).stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache
def _digest(path: str, _size: int, _changed: int) -> str:
    digest = xxhash.xxh3_128()
    with Path(path).open("rb") as file:
        while chunk := file.read(1 << 24):
            digest.update(chunk)
    return digest.hexdigest()


class _Reader:
    """Walks through fastText's layout (`FastText::loadModel`) with every length checked against the file's.

    Numbers that it would divide by, or find vectors by, are checked against each other: of ones that do not fit it
    reads and writes beside its memory.
    """

    def __init__(self, content: mmap.mmap) -> None:
        self._content, self._at = content, 4

    def read(self) -> Layout:
        [version] = self._numbers("i")
        numbers = self._numbers("12id")
        dimensions, _, _, _, _, word_ngrams, loss, model, buckets, least_letters, most_letters, *_ = numbers
        if version not in _VERSIONS:
            raise ValueError(f"a fastText model of version {version}; there are {', '.join(map(str, _VERSIONS))}")
        if model != _SUPERVISED:
            raise ValueError("a fastText model of word vectors, that tells no languages; name one for identification")
        is_hashed = word_ngrams > 1 or most_letters > 0
        _check(dimensions > 0 and loss in _LOSSES and (buckets > 0 or not is_hashed))
        _check(least_letters >= 0 and 0 <= most_letters <= _MOST_LETTERS and 0 <= word_ngrams <= _MOST_LETTERS)
        words, labels, counts, pruned = self._dictionary()
        num_words = words.shape[1] - len(labels)
        num_hashed = pruned[1] if pruned else buckets if is_hashed else 0
        [quantized] = self._numbers("?")
        input_matrix = (self._quantized_matrix if quantized else self._matrix)()
        _check(bool(quantized) or not pruned)
        _check(input_matrix.rows >= num_words + num_hashed and input_matrix.columns == dimensions)
        [quantized_output] = self._numbers("?")
        output = (self._quantized_matrix if quantized and quantized_output else self._matrix)()
        _check((output.rows, output.columns) == (len(labels), dimensions))
        if self._at != len(self._content):
            raise ValueError("a fastText model with something behind it; download it again")
        if version == _VERSION_WITHOUT_PARTS:  # fastText reads it so too
            most_letters = 0
        lengths = least_letters, most_letters
        return Layout(
            dimensions, word_ngrams, loss, buckets, *lengths, words, labels, counts, pruned, input_matrix, output
        )

    def _dictionary(self) -> tuple[npt.NDArray[np.int64], list[str], list[int], tuple[int, int] | None]:
        size, num_words, num_labels, _, num_pruned = self._numbers("3i2q")
        _check(num_words >= 0 and num_labels > 0 and size == num_words + num_labels)
        starts, ends = array("q"), array("q")  # a list would take four times as much
        labels, counts = [], []
        for number in range(size):
            start, end = self._at, self._content.find(b"\0", self._at)
            if end < 0:
                raise IndexError
            self._at = end + 1
            starts.append(start)
            ends.append(end)
            count, kind = self._numbers("qb")
            _check((kind == _LABEL) == (number >= num_words))
            if kind == _LABEL:
                _check(0 <= count < MOST_COUNTED // num_labels)
                labels.append(self._content[start:end].decode().removeprefix(PREFIX))
                counts.append(count)
        pruned = (self._at, num_pruned) if num_pruned != _NO_PRUNING else None
        if pruned:
            self._skip(8 * num_pruned)
            for _, row in struct.iter_unpack("<2i", self._content[pruned[0] : self._at]):
                _check(0 <= row < num_pruned)
        return np.array([starts, ends]), labels, counts, pruned

    def _matrix(self) -> Matrix:
        rows, columns = self._numbers("2q")
        place = self._at
        _check(rows >= 0 and columns > 0)
        self._skip(4 * rows * columns)
        return Matrix(rows, columns, place)

    def _quantized_matrix(self) -> Matrix:
        has_norms, rows, columns, num_codes = self._numbers("?2qi")
        place = self._at
        self._skip(num_codes)
        num_parts, part, centroids = self._quantizer(columns)
        _check(rows >= 0 and rows * num_parts == num_codes)
        norms = None
        if has_norms:
            norm_codes = self._at
            self._skip(rows)
            norms = norm_codes, self._quantizer(1)[2]
        return Matrix(rows, columns, place, Codes(num_parts, part, centroids, norms))

    def _quantizer(self, columns: int) -> tuple[int, int, int]:
        """Its number of parts, the columns of each but the last, and where its lists begin."""
        dimensions, num_parts, part, last_part = self._numbers("4i")
        _check(dimensions == columns and num_parts > 0 and 0 < last_part <= part)
        _check((num_parts - 1) * part + last_part == dimensions)
        centroids = self._at
        self._skip(4 * 256 * dimensions)
        return num_parts, part, centroids

    def _numbers(self, layout: str) -> tuple[int, ...]:
        numbers = struct.unpack_from(f"<{layout}", self._content, self._at)
        self._at += struct.calcsize(f"<{layout}")
        return numbers

    def _skip(self, length: int) -> None:
        if length < 0 or self._at + length > len(self._content):
            raise IndexError
        self._at += length


def _check(fits: bool) -> None:
    if not fits:
        raise ValueError("a fastText model whose parts do not fit each other; download it again")

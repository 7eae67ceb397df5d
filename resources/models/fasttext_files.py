"""Read which labels a fastText model file has, and refuse one that is none or not whole.

fastText itself checks next to nothing: of a file that was cut off, or whose numbers do not fit each other, it crashes,
never ends, or answers at random.
"""

import functools
import mmap
import struct
from pathlib import Path

import xxhash

_MAGIC, _VERSIONS, _SUPERVISED = 793712314, (11, 12), 3
_LABEL, _NO_PRUNING = 1, -1
_LOSSES = (1, 2, 3, 4)
_MOST_LETTERS = 64
"""Of a part of a word; models in use have at most 6."""
_MOST_COUNTED = 10**15
"""What fastText's tree of labels takes for more than all of them together."""
PREFIX = "__label__"


def read_labels(path: str) -> list[str]:
    """The labels of a model that tells texts apart, without their prefix, in the model's order.

    Raises FileNotFoundError where there is no file, ValueError for one that is no such model or is not whole.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no language model there; name a fastText model file")
    if not Path(path).stat().st_size:
        raise ValueError(f"{path}: an empty file, no fastText model; download it again")
    with Path(path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if struct.unpack_from("<i", content.read(4).ljust(4, b"\0"))[0] != _MAGIC:
            raise ValueError(f"{path}: no fastText model; name the .bin or .ftz file of one")
        try:
            return _Reader(content).read()
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

    def read(self) -> list[str]:
        [version] = self._numbers("i")
        dimensions, _, _, _, _, word_ngrams, loss, model, buckets, _, most_letters, *_ = self._numbers("12id")
        if version not in _VERSIONS:
            raise ValueError(f"a fastText model of version {version}; there are {', '.join(map(str, _VERSIONS))}")
        if model != _SUPERVISED:
            raise ValueError("a fastText model of word vectors, that tells no languages; name one for identification")
        is_hashed = word_ngrams > 1 or most_letters > 0
        _check(dimensions > 0 and loss in _LOSSES and most_letters <= _MOST_LETTERS and (buckets > 0 or not is_hashed))
        labels, num_words, num_pruned = self._dictionary()
        num_hashed = num_pruned if num_pruned >= 0 else buckets if is_hashed else 0
        [quantized] = self._numbers("?")
        rows, columns = (self._quantized_matrix if quantized else self._matrix)()
        _check(rows >= num_words + num_hashed and columns == dimensions)
        [quantized_output] = self._numbers("?")
        shape = (self._quantized_matrix if quantized and quantized_output else self._matrix)()
        _check(shape == (len(labels), dimensions))
        if self._at != len(self._content):
            raise ValueError("a fastText model with something behind it; download it again")
        return labels

    def _dictionary(self) -> tuple[list[str], int, int]:
        size, num_words, num_labels, _, num_pruned = self._numbers("3i2q")
        _check(num_words >= 0 and num_labels > 0 and size == num_words + num_labels)
        labels = []
        for number in range(size):
            end = self._content.find(b"\0", self._at)
            word, self._at = self._content[self._at : end], end + 1
            if end < 0:
                raise IndexError
            count, kind = self._numbers("qb")
            _check((kind == _LABEL) == (number >= num_words))
            if kind == _LABEL:
                _check(0 <= count < _MOST_COUNTED // num_labels)
                labels.append(word.decode().removeprefix(PREFIX))
        places, length = self._at, 8 * num_pruned if num_pruned != _NO_PRUNING else 0
        self._skip(length)
        for _, place in struct.iter_unpack("<2i", self._content[places : places + length]):
            _check(0 <= place < num_pruned)
        return labels, num_words, num_pruned

    def _matrix(self) -> tuple[int, int]:
        rows, columns = self._numbers("2q")
        _check(rows >= 0 and columns > 0)
        self._skip(4 * rows * columns)
        return rows, columns

    def _quantized_matrix(self) -> tuple[int, int]:
        has_norms, rows, columns, num_codes = self._numbers("?2qi")
        self._skip(num_codes)
        _check(rows >= 0 and rows * self._quantizer(columns) == num_codes)
        if has_norms:
            self._skip(rows)
            self._quantizer(1)
        return rows, columns

    def _quantizer(self, columns: int) -> int:
        """Its number of parts."""
        dimensions, num_parts, part, last_part = self._numbers("4i")
        _check(dimensions == columns and num_parts > 0 and 0 < last_part <= part)
        _check((num_parts - 1) * part + last_part == dimensions)
        self._skip(4 * 256 * dimensions)
        return num_parts

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

"""Read which labels a fastText model file has, and refuse one that is none or not whole.

fastText itself checks next to nothing: of a file that was cut off it crashes, never ends, or answers at random.
"""

import functools
import mmap
import struct
from pathlib import Path

import xxhash

_MAGIC, _VERSIONS, _SUPERVISED = 793712314, (11, 12), 3
_LABEL, _NO_PRUNING = 1, -1
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
    """Walks through fastText's layout (`FastText::loadModel`) with every length checked against the file's."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content, self._at = content, 4

    def read(self) -> list[str]:
        [version] = self._numbers("i")
        _, _, _, _, _, _, _, model, *_ = self._numbers("12id")
        if version not in _VERSIONS:
            raise ValueError(f"a fastText model of version {version}; there are {', '.join(map(str, _VERSIONS))}")
        if model != _SUPERVISED:
            raise ValueError("a fastText model of word vectors, that tells no languages; name one for identification")
        labels = self._dictionary()
        [quantized] = self._numbers("?")
        (self._quantized_matrix if quantized else self._matrix)()
        [quantized_output] = self._numbers("?")
        (self._quantized_matrix if quantized and quantized_output else self._matrix)()
        if self._at != len(self._content):
            raise ValueError("a fastText model with something behind it; download it again")
        return labels

    def _dictionary(self) -> list[str]:
        size, _, num_labels, _, num_pruned = self._numbers("3i2q")
        labels = []
        for _ in range(size):
            end = self._content.find(b"\0", self._at)
            word, self._at = self._content[self._at : end], end + 1
            if end < 0:
                raise IndexError
            _, kind = self._numbers("qb")
            if kind == _LABEL:
                labels.append(word.decode().removeprefix(PREFIX))
        if len(labels) != num_labels:
            raise IndexError
        self._skip(8 * num_pruned if num_pruned != _NO_PRUNING else 0)
        return labels

    def _matrix(self) -> None:
        rows, columns = self._numbers("2q")
        self._skip(4 * rows * columns)

    def _quantized_matrix(self) -> None:
        has_norms, rows, _, num_codes = self._numbers("?2qi")
        self._skip(num_codes)
        self._quantizer()
        if has_norms:
            self._skip(rows)
            self._quantizer()

    def _quantizer(self) -> None:
        dimensions, *_ = self._numbers("4i")
        self._skip(4 * 256 * dimensions)

    def _numbers(self, layout: str) -> tuple[int, ...]:
        numbers = struct.unpack_from(f"<{layout}", self._content, self._at)
        self._at += struct.calcsize(f"<{layout}")
        return numbers

    def _skip(self, length: int) -> None:
        if length < 0 or self._at + length > len(self._content):
            raise IndexError
        self._at += length

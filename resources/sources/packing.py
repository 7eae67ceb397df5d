"""Open files wherever they lie, plain or gzipped, and say which one is broken and where."""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

import fsspec

GZIP = b"\x1f\x8b"


@contextmanager
def open_file(url: str) -> Iterator[BinaryIO]:
    """The bytes of the file at a path or fsspec URL, as they lie there; raises FileNotFoundError naming it."""
    try:
        file = fsspec.open(url, "rb").open()
    except FileNotFoundError:
        raise FileNotFoundError(f"{url}: no such file; name a dump or pageviews file that is there") from None
    with file:
        yield cast(BinaryIO, file)


@contextmanager
def unzip(file: BinaryIO, position: Callable[[], str]) -> Iterator[BinaryIO]:
    """The file's own bytes, plain or gz; broken ones raise as under `explain_errors`."""
    packed = io.BufferedReader(cast(io.RawIOBase, file))
    try:
        with explain_errors(file, position):
            yield cast(BinaryIO, gzip.GzipFile(fileobj=packed) if packed.peek(2)[:2] == GZIP else packed)
    finally:
        packed.detach()  # the file stays its opener's to close


@contextmanager
def explain_errors(file: BinaryIO, position: Callable[[], str]) -> Iterator[None]:
    """Raise what bz2 and gzip say of a file, an EOFError or a ValueError, with its name and where it was being read."""
    try:
        yield
    except EOFError as error:
        raise EOFError(
            f"{name_file(file)}: the compressed file ends early, {position()} ({error}); download it again"
        ) from error
    except (OSError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's or the network's own
        raise ValueError(
            f"{name_file(file)}: the compressed file is damaged, {position()} ({error}); download it again"
        ) from error


def name_file(file: BinaryIO) -> str:
    """The file's name, for people."""
    return str(getattr(file, "name", None) or getattr(file, "path", "the file"))  # path: fsspec's remote files

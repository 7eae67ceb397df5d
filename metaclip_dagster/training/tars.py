"""Open the image store's tars: files of a folder, or objects that are read in blocks, ahead and through a cache."""

import errno
import io
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import fsspec

from metaclip_dagster.training.caching import BlockCache

END_OF_TAR = bytes(1024)
BLOCK_BYTES = 8 << 20
"""What an object store is asked for at a time: large enough that its first answer is not what is waited for."""
AHEAD = 3
"""How many blocks of a tar are on their way while one is read; each takes BLOCK_BYTES of memory."""


@dataclass(frozen=True)
class Tars:
    """The tars of an image store, by the names that tables have for them."""

    root: str
    """A folder, or an fsspec URL."""
    objects: Mapping[str, str] = field(default_factory=dict)
    """Of tars whose objects have other names, these, below the root as the tars' own."""
    storage_options: Mapping[str, Any] = field(default_factory=dict)
    """fsspec's, where the root is a URL."""
    cache: BlockCache | None = None
    block_bytes: int = BLOCK_BYTES

    def check(self, tars: Iterable[str]) -> None:
        """Raise FileNotFoundError for a tar that is not there, ValueError for one that lies elsewhere or was cut short.

        Of an object its last bytes are asked for, of many objects at a time.
        """
        if "://" not in self.root:
            for tar in tars:
                self._find_file(tar)
            return
        filesystem, root = fsspec.url_to_fs(self.root, **self.storage_options)
        names = [self._find_name(tar) for tar in tars]
        paths = [f"{root}/{name}" for name in names]
        ends = filesystem.cat_ranges(paths, -len(END_OF_TAR), None, on_error="return") if paths else []
        for name, end in zip(names, ends, strict=True):
            url = f"{self.root}/{name}"
            if isinstance(end, OSError) and end.errno == errno.EINVAL:  # an object of no bytes has no last ones
                raise _describe_cut(url) from end
            if isinstance(end, BaseException):
                raise _describe_failure(url, "its last bytes", end) from end
            if bytes(end) != END_OF_TAR:
                raise _describe_cut(url)

    def open(self, tar: str) -> BinaryIO:
        """A tar to read from its beginning to its end; raises as `check` does, of an object while it is read."""
        if "://" not in self.root:
            return self._find_file(tar).open("rb", buffering=1 << 20)
        return io.BufferedReader(self._open_object(self._find_name(tar)), 1 << 20)

    def _find_file(self, tar: str) -> Path:
        path = Path(self.root) / self._find_name(tar)
        if not path.exists():
            raise _describe_missing(path)
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - len(END_OF_TAR)))
            if size % 512 or file.read() != END_OF_TAR:
                raise _describe_cut(path)
        return path

    def _find_name(self, tar: str) -> PurePosixPath:
        name = PurePosixPath(self.objects.get(tar, tar))
        if name.is_absolute() or ".." in name.parts:
            raise ValueError(f"{tar!r} is no tar of the image store {self.root}")
        return name

    def _open_object(self, name: PurePosixPath) -> "_Blocks":
        filesystem, root = fsspec.url_to_fs(self.root, **self.storage_options)  # no name is ever taken for a URL
        url, path = f"{self.root}/{name}", f"{root}/{name}"
        try:
            info = filesystem.info(path)
        except Exception as error:  # as in _ask_for
            raise _describe_failure(url, "its size", error) from error
        size, step = int(info["size"]), self.block_bytes
        if size % 512 or size < len(END_OF_TAR):
            raise _describe_cut(url)
        version = f"{url} {size} {info.get('ETag') or info.get('etag') or info.get('LastModified')}"

        def read_block(number: int) -> bytes:
            start, end = number * step, min(size, (number + 1) * step)
            key = f"{version} {start}-{end}"
            block = self.cache.read(key) if self.cache else None
            if block is None:
                block = _ask_for(filesystem, path, url, start, end)
                if self.cache:
                    self.cache.write(key, block)
            if end == size and block[-len(END_OF_TAR) :].strip(b"\0"):
                raise _describe_cut(url)
            return block

        return _Blocks(size, step, read_block)


class _Blocks(io.RawIOBase):
    """An object as a file; the blocks after the one that is read are on their way."""

    def __init__(self, size: int, block_bytes: int, read_block: Callable[[int], bytes]) -> None:
        self._size, self._block_bytes, self._read_block = size, block_bytes, read_block
        self._position = 0
        self._pool = ThreadPoolExecutor(AHEAD + 1)
        self._blocks: dict[int, Future[bytes]] = {}

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def readinto(self, buffer: Any) -> int:
        if self._position >= self._size:
            return 0
        number, start = divmod(self._position, self._block_bytes)
        part = memoryview(self._find_block(number))[start : start + len(buffer)]
        buffer[: len(part)] = part
        self._position += len(part)
        return len(part)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        super().close()

    def _find_block(self, number: int) -> bytes:
        last = (self._size - 1) // self._block_bytes
        for wanted in range(number, min(number + AHEAD, last) + 1):
            if wanted not in self._blocks:
                self._blocks[wanted] = self._pool.submit(self._read_block, wanted)
        for behind in [it for it in self._blocks if it < number]:
            del self._blocks[behind]
        return self._blocks[number].result()


def _ask_for(filesystem: Any, path: str, url: str, start: int, end: int) -> bytes:
    """Bytes of an object; what fails in passing was tried again by the options' own rule when this raises."""
    try:
        block = bytes(filesystem.cat_file(path, start=start, end=end))
    except Exception as error:  # botocore's errors have no base in common with OSError
        raise _describe_failure(url, f"bytes {start:,} to {end:,}", error) from error
    if len(block) != end - start:
        raise ValueError(
            f"{url}: {len(block):,} bytes came from byte {start:,} on, not {end - start:,}: somebody writes over it; "
            f"{_find_way_out(url)}"
        )
    return block


def _describe_missing(place: Path | str) -> FileNotFoundError:
    return FileNotFoundError(f"{place}: missing; {_find_way_out(place)}")


def _describe_failure(url: str, part: str, error: BaseException) -> OSError:
    if isinstance(error, FileNotFoundError):
        return _describe_missing(url)
    return OSError(
        f"{url}: {part} could not be read, whatever was tried ({error}); run the partition again, which goes on from "
        "the last epoch"
    )


def _describe_cut(place: Path | str) -> ValueError:
    return ValueError(f"{place} ends without the mark that closes a tar: it was cut short; {_find_way_out(place)}")


def _find_way_out(place: Path | str) -> str:
    if isinstance(place, Path):
        return (
            "restore it, or delete it and its .parquet, materialize images of every t with force and then the training "
            "sets, and train anew"
        )
    return (
        "if a purge has replaced it meanwhile, run the partition again, which goes on from the last epoch; else put an "
        "older version of the object, or a copy, in its place"
    )

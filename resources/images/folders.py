"""Keep one bucket's segments in a folder that its only writer locks by flock."""

import contextlib
import fcntl
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from resources.files.local import create
from resources.images.tars import blank_members

WriteTar = Callable[[BinaryIO], None]


class Segments(Protocol):
    """One bucket's segments by their numbers, as `00007`: of each an index, and a tar unless all of it failed.

    Who adds to them, or takes away, holds the lock.
    """

    def lock(self) -> contextlib.AbstractContextManager[None]: ...  # noqa: D102
    def numbers(self) -> list[str]: ...  # noqa: D102
    def next_number(self) -> int: ...  # noqa: D102
    def read_index(self, number: str, schema: pa.Schema | None = None) -> pa.Table: ...  # noqa: D102
    def changed_at(self, number: str) -> float: ...  # noqa: D102
    def name_tar(self, number: str) -> str: ...  # noqa: D102
    def tar_size(self, number: str) -> int | None: ...  # noqa: D102
    def read(self, number: str, offset: int, size: int) -> bytes: ...  # noqa: D102
    def open_tar(self, number: str) -> contextlib.AbstractContextManager[BinaryIO]: ...  # noqa: D102
    def open_spool(self) -> contextlib.AbstractContextManager[BinaryIO]: ...  # noqa: D102
    def add(self, number: str, write_tar: WriteTar | None, make_index: Callable[[], pa.Table]) -> None: ...  # noqa: D102
    def blank(self, number: str, index: pa.Table, *, is_new: bool) -> None: ...  # noqa: D102
    def drop_tar(self, number: str, index: pa.Table | None) -> None: ...  # noqa: D102
    def delete_unread(self) -> None: ...  # noqa: D102
    def tidy(self) -> None: ...  # noqa: D102


class FolderSegments:
    """Segments in a folder of a local file system, or of one that all writers share and that honours flock.

    Readers follow indices only. A tar comes before its index, each whole or not at all, so a killed writer leaves a tar
    that nobody reads and that the bucket's next writer replaces.
    """

    def __init__(self, root: Path, name: str) -> None:
        self._folder, self._lock_path = root / name, root / "locks" / f"{name}.lock"
        self._lock: BinaryIO | None = None

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Wait until the bucket's other writer is done. The lock goes with the process."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock_path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock_path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._lock = file
            yield

    def numbers(self) -> list[str]:
        """Of all segments, in order."""
        return sorted(path.stem for path in self._folder.glob("[0-9]*.parquet"))

    def next_number(self) -> int:
        """Above all that there are and that there were: tables may still name a tar that was deleted."""
        assert self._lock is not None
        self._lock.seek(0)
        return max([int(self._lock.read() or 0), *(int(number) + 1 for number in self.numbers())])

    def read_index(self, number: str, schema: pa.Schema | None = None) -> pa.Table:
        """The rows of a segment; with a schema its columns, null where they came later than the file."""
        return pq.read_table(self._index(number), schema=schema)

    def changed_at(self, number: str) -> float:
        """When the index was written, in seconds since 1970."""
        return self._index(number).stat().st_mtime

    def name_tar(self, number: str) -> str:
        """The tar's path, for people."""
        return str(self._tar(number))

    def tar_size(self, number: str) -> int | None:
        """In bytes; None where there is no tar."""
        return self._tar(number).stat().st_size if self._tar(number).exists() else None

    def read(self, number: str, offset: int, size: int) -> bytes:
        """So many bytes of the tar, fewer where it ends before."""
        with self.open_tar(number) as file:
            file.seek(offset)
            return file.read(size)

    def open_tar(self, number: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """The tar to read from; raises FileNotFoundError where there is none."""
        return self._tar(number).open("rb")

    def open_spool(self) -> contextlib.AbstractContextManager[BinaryIO]:
        """A nameless file on the disk of the tar."""
        return tempfile.TemporaryFile(dir=self._folder)

    def add(self, number: str, write_tar: WriteTar | None, make_index: Callable[[], pa.Table]) -> None:
        """Write a segment: its tar if it has one, then the index that makes it a segment."""
        self._tar(number).unlink(missing_ok=True)  # of a writer that was killed before it wrote the index
        if write_tar:
            with _create(self._tar(number)) as file:
                write_tar(file)
        self._write_index(number, make_index())
        assert self._lock is not None
        self._lock.truncate(0)
        self._lock.write(str(int(number) + 1).encode())
        self._lock.flush()

    def blank(self, number: str, index: pa.Table, *, is_new: bool) -> None:
        """Replace the index if it is new, and write zeros over the images that it says are forgotten."""
        if is_new:
            self._write_index(number, index)
        blank_members(self._tar(number), index.filter(pc.and_(pc.is_null(index["tar"]), pc.is_valid(index["offset"]))))

    def drop_tar(self, number: str, index: pa.Table | None) -> None:
        """Replace the index by one that has no tar, then delete the tar; with None it has none since long."""
        if index is not None:
            self._write_index(number, index)
        self._tar(number).unlink(missing_ok=True)

    def delete_unread(self) -> None:
        """Delete what killed writers left: it may hold any image."""
        named = set(self.numbers())
        for path in self._folder.iterdir():
            if path.suffix == ".tmp" or (path.suffix == ".tar" and path.stem not in named):
                path.unlink()

    def tidy(self) -> None:
        """Nothing is left that costs much: a killed writer's tar is replaced by the next."""

    def _write_index(self, number: str, index: pa.Table) -> None:
        with _create(self._index(number)) as file:
            pq.write_table(index, file, compression="zstd")

    def _index(self, number: str) -> Path:
        return self._folder / f"{number}.parquet"

    def _tar(self, number: str) -> Path:
        return self._folder / f"{number}.tar"


def _create(path: Path) -> contextlib.AbstractContextManager[BinaryIO]:
    """A new file under one name until it is whole: the lock's holder replaces what a killed one left."""
    return create(path, partial=path.with_name(f".{path.name}.tmp"))

"""Keep one bucket's segments in an object store, where its only writer holds a lease and a lost lease commits nothing.

<root>/<bucket>/heads/<n>.json                 state n of the bucket: its writer, and the files of every segment
<root>/<bucket>/<number>.<n>-<attempt>.tar     written once, by who took the lease with state n; .parquet: the index
<root>/<bucket>/beats/<writer>                 changes as long as the writer lives, and goes when it is done
"""

import contextlib
import json
import math
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from resources.files.object_store import abort_uploads, connect, create_object, create_object_once, read_object
from resources.images.folders import WriteTar
from resources.images.tars import blank_members

READ_AHEAD = 8 << 20
"""Bytes of a tar that is read from its beginning to its end, at a time."""
KEPT_SECONDS = 86_400
"""How long states that were superseded stay, longer than any request is under way."""
Read = TypeVar("Read")


class LostLeaseError(OSError):
    """Another writer has taken the bucket over; nothing of this one's last segment was stored."""


@dataclass(frozen=True)
class Head:
    """One state of a bucket. The highest number counts, and each number is written once."""

    number: int = -1
    writer: str = ""
    next_number: int = 0
    segments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By the segment's number its files: `index`, and `tar` where it has one."""

    @property
    def files(self) -> set[str]:
        """The names of all files that it reads."""
        return {name for segment in self.segments.values() for name in segment.values()}


class LeasedSegments:
    """Segments in an object store that honours a conditional put.

    Whatever a writer does is seen by nobody until it has created the next head, and a head is created once. Who takes
    over a bucket creates a head itself: then the next one of whoever had it before is refused. A lease is over when its
    writer's beat is gone, or has not changed for `lease_seconds` by the clock of who waits: no two clocks are compared.
    """

    def __init__(self, root: str, name: str, lease_seconds: float) -> None:
        self._root, self._name, self._lease_seconds = root, name, lease_seconds
        self._head: Head | None = None
        self._taken: int | None = None  # the number of the head by which this one took the bucket

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Wait until the bucket's other writer is done or no longer heard of, and be its writer."""
        writer = uuid.uuid4().hex
        beat = self._path(f"beats/{writer}")
        done = threading.Event()
        beating = threading.Thread(target=self._beat, args=(beat, done), daemon=True)
        try:
            self._head = self._take(writer, beat)
            self._taken = self._head.number
            beating.start()
            yield
        finally:
            done.set()
            if beating.ident is not None:
                beating.join()
            self._head = self._taken = None
            self._delete(beat)

    def numbers(self) -> list[str]:
        """Of all segments, in order; as they are now, for who holds no lock."""
        if self._taken is None:
            self._head = self._read_head()
        return sorted(self._known().segments)

    def next_number(self) -> int:
        """Above all that there are and that there were: tables may still name a tar that was deleted."""
        return self._known().next_number

    def read_index(self, number: str, schema: pa.Schema | None = None) -> pa.Table:
        """The rows of a segment; with a schema its columns, null where they came later than the file."""
        content = self._look(number, "index", lambda path: self._fs.cat_file(path, start=0))
        return pq.read_table(pa.BufferReader(content), schema=schema)

    def changed_at(self, number: str) -> float:
        """When the index was written, in seconds since 1970."""
        return float(self._look(number, "index", lambda path: self._fs.modified(path).timestamp()))

    def name_tar(self, number: str) -> str:
        """The tar's address, for people."""
        return f"{self._root}/{self._name}/{self._known().segments.get(number, {}).get('tar', f'{number}.tar')}"

    def tar_size(self, number: str) -> int | None:
        """In bytes; None where there is no tar."""
        try:
            return int(self._look(number, "tar", lambda path: self._fs.info(path)["size"]))
        except FileNotFoundError:
            return None

    def read(self, number: str, offset: int, size: int) -> bytes:
        """So many bytes of the tar, by one request."""
        return bytes(self._look(number, "tar", lambda path: self._fs.cat_file(path, start=offset, end=offset + size)))

    def open_tar(self, number: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """The tar to read from its beginning to its end; raises FileNotFoundError where there is none."""
        options = {"cache_type": "readahead", "block_size": READ_AHEAD}
        opened: contextlib.AbstractContextManager[BinaryIO] = self._look(
            number, "tar", lambda path: self._fs.open(path, "rb", **options)
        )
        return opened

    def open_spool(self) -> contextlib.AbstractContextManager[BinaryIO]:
        """A nameless file on this machine's disk."""
        return tempfile.TemporaryFile()

    def add(self, number: str, write_tar: WriteTar | None, make_index: Callable[[], pa.Table]) -> None:
        """Write a segment: its tar if it has one, its index, and the head that makes it a segment."""
        names = {"tar": self._put(f"{number}", "tar", write_tar)} if write_tar else {}
        self._commit(number, names | {"index": self._put_index(number, make_index())}, int(number) + 1)

    def blank(self, number: str, index: pa.Table, *, is_new: bool) -> None:
        """If the index is new, write it, and a tar with zeros for the images that it says are forgotten.

        Both appear at once, under new names; the old ones are deleted then. A copy of the tar passes through this
        machine's disk.
        """
        if not is_new:
            return
        names = {"index": self._put_index(number, index)}
        if "tar" in self._known().segments[number]:
            forgotten = index.filter(pc.and_(pc.is_null(index["tar"]), pc.is_valid(index["offset"])))
            with tempfile.NamedTemporaryFile() as copy, self.open_tar(number) as file:
                shutil.copyfileobj(file, copy, READ_AHEAD)
                copy.flush()
                blank_members(Path(copy.name), forgotten)
                copy.seek(0)
                names["tar"] = self._put(number, "tar", lambda tar: shutil.copyfileobj(copy, tar, READ_AHEAD))
        self._commit(number, names, self.next_number())

    def drop_tar(self, number: str, index: pa.Table | None) -> None:
        """Replace the index by one that has no tar, then delete the tar; with None it has none since long."""
        if index is not None:
            self._commit(number, {"index": self._put_index(number, index)}, self.next_number())

    def delete_unread(self) -> None:
        """Delete what no head names and earlier holders of the lease left, unfinished uploads too: it may be any image.

        Files of whoever has taken the bucket over meanwhile have higher numbers, and stay; its upload would be aborted,
        and its segment, of which nothing is lost but a fetch, made again.
        """
        assert self._taken is not None
        abort_uploads(self._fs, self._path(""), older_than_seconds=-math.inf, now=time.time())
        for path in self._find(""):
            name = path.rsplit("/", 1)[1]
            if name not in self._known().files and int(name.split(".")[1].split("-")[0]) < self._taken:
                self._delete(path)

    def tidy(self) -> None:
        """Delete what no head names, and superseded heads and beats from more than a day ago."""
        assert self._taken is not None
        self.delete_unread()
        before = time.time() - KEPT_SECONDS
        mine = f"beats/{self._known().writer}"
        for folder in ("heads", "beats"):
            for path in self._find(folder):
                is_mine = path.endswith(mine) or (folder == "heads" and _number_of(path) >= self._taken)
                with contextlib.suppress(FileNotFoundError):
                    if not is_mine and self._fs.modified(path).timestamp() < before:
                        self._delete(path)

    @property
    def _fs(self) -> Any:  # fsspec ships no types
        return connect(self._root, {})[0]

    def _path(self, name: str) -> str:
        return f"{connect(self._root, {})[1]}/{self._name}/{name}".rstrip("/")

    def _known(self) -> Head:
        if self._head is None:
            self._head = self._read_head()
        return self._head

    def _read_head(self) -> Head:
        """The latest. A listing says where to begin to look, so one that is stale does no harm."""
        number = max(map(_number_of, self._find("heads")), default=-1)
        head = Head()
        while content := read_object(self._fs, self._path(f"heads/{max(number, 0):09d}.json")):
            head, number = Head(**json.loads(content)), max(number, 0) + 1
        return head

    def _look(self, number: str, kind: str, read: Callable[[str], Read]) -> Read:
        """Read one of the segment's files; where it was replaced since the head was read, the one that is there now.

        Who holds the lease goes by its own head alone.
        """
        for is_last in (self._taken is not None, True):
            if name := self._known().segments.get(number, {}).get(kind):
                with contextlib.suppress(FileNotFoundError):
                    return read(self._path(name))
            if is_last:
                break
            self._head = self._read_head()
        raise FileNotFoundError(f"{self.name_tar(number)}: the {kind} is missing")

    def _take(self, writer: str, beat: str) -> Head:
        seen, since = (-2, b""), 0.0
        while True:
            head = self._read_head()
            content = read_object(self._fs, self._path(f"beats/{head.writer}")) if head.writer else None
            if content is not None and (head.number, content) != seen:
                seen, since = (head.number, content), time.monotonic()
            if content is None or time.monotonic() - since > self._lease_seconds:
                self._fs.pipe_file(beat, b"taken")
                mine = Head(head.number + 1, writer, head.next_number, head.segments)
                if self._create_head(mine):
                    if head.writer:
                        self._delete(self._path(f"beats/{head.writer}"))
                    return mine
            else:
                time.sleep(max(0.05, self._lease_seconds / 60))

    def _beat(self, beat: str, done: threading.Event) -> None:
        while not done.wait(self._lease_seconds / 6):
            with contextlib.suppress(Exception):  # if it cannot be heard of for long, the next head says so
                self._fs.pipe_file(beat, uuid.uuid4().hex.encode())

    def _commit(self, number: str, names: Mapping[str, str], next_number: int) -> None:
        before = self._known()
        head = Head(before.number + 1, before.writer, next_number, {**before.segments, number: names})
        if not self._create_head(head):
            for name in names.values():
                self._delete(self._path(name))
            raise LostLeaseError(
                f"{self._root}/{self._name}: another writer has taken this bucket over, for nothing was heard of this "
                f"one in {self._lease_seconds:g} s; its segment {number} is not stored: run it again"
            )
        self._head = head
        for name in before.files - head.files:
            self._delete(self._path(name))

    def _create_head(self, head: Head) -> bool:
        path = self._path(f"heads/{head.number:09d}.json")
        return create_object_once(self._fs, path, json.dumps(asdict(head)).encode())

    def _put(self, number: str, kind: str, write: WriteTar) -> str:
        name = f"{number}.{self._taken}-{uuid.uuid4().hex[:8]}.{kind}"
        with create_object(self._fs, self._path(name)) as file:
            write(file)
        return name

    def _put_index(self, number: str, index: pa.Table) -> str:
        return self._put(number, "parquet", lambda file: pq.write_table(index, file, compression="zstd"))

    def _find(self, folder: str) -> list[str]:
        """The files right in a folder of the bucket."""
        paths: list[str] = self._fs.find(self._path(folder), maxdepth=1)
        return paths

    def _delete(self, path: str) -> None:
        with contextlib.suppress(Exception):  # of the store or of the way to it; `tidy` comes by again
            self._fs.rm_file(path)


def _number_of(head: str) -> int:
    return int(head.rsplit("/", 1)[1].removesuffix(".json"))

"""Keep blocks of objects in a folder of this machine that never holds more than so many bytes."""

import contextlib
import fcntl
import hashlib
import os
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import xxhash

DIGEST_BYTES = 8


@dataclass
class BlockCache:
    """A folder that all readers of one machine share, whoever started them; below `limit` bytes whatever is killed.

    A block is a file with its xxh3 at its end: what a crash or a full disk left of one is no block. Room is made by
    deleting the blocks that were read longest ago, but none that anybody has read since `since`. A training reads all
    of its set before it reads any of it again, so the block that was read longest ago is the next that it will want;
    what fits stays instead, and gives its share of every pass.
    """

    folder: Path
    limit: int
    since: float = field(default_factory=time.time)
    """Seconds since 1970, by default the time at which this reader began."""
    _is_full: bool = field(default=False, init=False)

    def read(self, key: str) -> bytes | None:
        """The block of this key; None where there is none, or none that is whole."""
        path = self._path(key)
        try:
            content = path.read_bytes()
            os.utime(path)
        except OSError:  # not there, or deleted just now
            return None
        block, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
        return block if digest == _digest(block) else None

    def write(self, key: str, block: bytes) -> None:
        """Keep a block if there is room; a folder that cannot be written to is warned of once, and left alone."""
        if self._is_full:
            return
        try:
            with self._lock():
                size = len(block) + DIGEST_BYTES
                total = self._read_size()
                if total is None or total + size > self.limit:
                    total = self._make_room(size)
                if total + size > self.limit:
                    self._is_full = True
                    return
                # Counted before it is written: after a kill the count is too high until the blocks are counted again.
                (self.folder / "size").write_text(str(total + size), "ascii")
                partial = self.folder / "partial"
                partial.write_bytes(block + _digest(block))
                partial.replace(self._path(key))
        except OSError as error:
            self._is_full = True
            warnings.warn(f"{self.folder}: {error}; the rest is read from the store each time", stacklevel=2)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _read_size(self) -> int | None:
        try:
            return int((self.folder / "size").read_text("ascii"))
        except (OSError, ValueError):
            return None

    def _make_room(self, size: int) -> int:
        """Count the bytes that there are, and delete old blocks until a tenth of the limit is free."""
        (self.folder / "partial").unlink(missing_ok=True)
        blocks = []
        for entry in os.scandir(self.folder):
            if entry.name.endswith(".block"):
                status = entry.stat()
                blocks.append((status.st_mtime, status.st_size, entry.path))
        total = sum(num_bytes for _, num_bytes, _ in blocks)
        for read_at, num_bytes, path in sorted(blocks):
            if total + max(size, self.limit // 10) <= self.limit or read_at >= self.since:
                break
            Path(path).unlink(missing_ok=True)
            total -= num_bytes
        return total

    def _path(self, key: str) -> Path:
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.block"


def _digest(block: bytes) -> bytes:
    return xxhash.xxh3_64_digest(block)

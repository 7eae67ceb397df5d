"""Blocks on a machine's disk, by many processes at once: never more than the limit, never half a block."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from metaclip_dagster.training.caching import BlockCache

BLOCK = 10_000
WRITE = """if True:
    import sys
    from pathlib import Path
    from metaclip_dagster.training.caching import BlockCache
    for number in range(60):
        cache = BlockCache(Path(sys.argv[1]), 205_000, since=1e12)  # whatever was read, it may go
        key = f"{sys.argv[2]} {number}"
        cache.write(key, key.encode().ljust(10_000))
        assert cache.read(key) in (None, key.encode().ljust(10_000))
"""


def num_bytes(folder: Path) -> int:
    """Of all files at one time: a writer that holds the lock is waited for."""
    with BlockCache(folder, 0)._lock():
        return sum(path.stat().st_size for path in folder.iterdir())


def test_many_writers_stay_below_the_limit(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITE, str(tmp_path), str(it)]) for it in range(3)]
    most = 0
    while any(writer.poll() is None for writer in writers):
        most = max(most, num_bytes(tmp_path))
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert 150_000 < num_bytes(tmp_path) <= most
    assert most <= 205_000 + 10  # the count itself


def test_room_is_made_by_what_was_read_longest_ago_but_never_by_what_this_training_reads(tmp_path: Path) -> None:
    before = BlockCache(tmp_path, 5 * (BLOCK + 8))
    for number in range(5):
        before.write(str(number), bytes(BLOCK))
        for path in tmp_path.glob("*.block"):
            os.utime(path, (path.stat().st_mtime - 100,) * 2)
    assert before.read("0")
    cache = BlockCache(tmp_path, before.limit, since=before.since - 50)
    for number in range(5, 12):
        cache.write(str(number), bytes(BLOCK))
    assert [number for number in range(12) if cache.read(str(number))] == [0, 5, 6, 7, 8]


def test_what_a_killed_writer_left_is_no_block_and_takes_no_room_for_long(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, 3 * (BLOCK + 8))
    cache.write("a", b"a" * BLOCK)
    (tmp_path / "partial").write_bytes(bytes(BLOCK))
    (tmp_path / "size").write_text("")
    [block] = tmp_path.glob("*.block")
    block.write_bytes(block.read_bytes()[:-1] + b"?")
    assert cache.read("a") is None
    cache.write("a", b"a" * BLOCK)
    assert cache.read("a") == b"a" * BLOCK
    assert (tmp_path / "size").read_text() == str(2 * (BLOCK + 8))  # one too many, until it is counted again
    assert not (tmp_path / "partial").exists()


def test_a_folder_that_cannot_be_written_to_is_warned_of_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = BlockCache(tmp_path / "file", 10**6)
    with pytest.warns(UserWarning, match=r"file: .* the rest is read from the store each time"):
        cache.write("a", b"a")
    cache.write("b", b"b")
    assert cache.read("a") is None

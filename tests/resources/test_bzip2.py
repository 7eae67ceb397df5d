"""Blocks are the file's bytes, from any byte on, of one stream or many, and what is broken is never given."""

import bz2
import io
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.sources.bzip2 import read_blocks

TEXT = bytes(random.Random(0).choices(b"abcdefgh <>/\n", k=350_000))


def text(size: int) -> bytes:
    return TEXT[:size]


def packed(content: bytes, streams: int = 1, level: int = 1) -> bytes:
    size = max(1, -(-len(content) // streams))
    return b"".join(bz2.compress(content[at : at + size], level) for at in range(0, len(content), size))


def blocks_of(file: bytes, start: int = 0) -> list[tuple[int, bytes]]:
    return list(read_blocks(io.BytesIO(file), start))


@settings(max_examples=25)
@given(st.integers(1, 350_000), st.integers(1, 30), st.sampled_from([1, 9]))
def test_blocks_are_the_files_bytes_however_it_was_packed(size: int, streams: int, level: int) -> None:
    content = text(size)
    assert b"".join(block for _, block in blocks_of(packed(content, streams, level))) == content


@settings(max_examples=25)
@given(st.data())
def test_from_any_byte_on_the_blocks_are_those_that_begin_there_or_later(data: st.DataObject) -> None:
    file = packed(text(350_000), streams=2)
    whole = blocks_of(file)
    edges = st.sampled_from([begin + near for begin, _ in whole for near in (-1, 0, 1)])
    start = data.draw(st.one_of(edges, st.integers(0, len(file))))
    assert blocks_of(file, start) == [block for block in whole if block[0] >= start]


def test_a_file_longer_than_what_is_read_at_a_time_is_read_whole() -> None:
    content = random.Random(1).randbytes(3_000_000)
    assert b"".join(block for _, block in blocks_of(packed(content, level=9))) == content


def test_the_mark_of_a_block_inside_another_is_no_block() -> None:
    # A block tells which bytes are in it by a bit each: here these bits are the mark.
    bits = f"{0x314159265359:048b}"
    content = bytes(0x40 + place for place, bit in enumerate(bits) if bit == "1") * 99
    file = packed(content)
    assert f"{int.from_bytes(file, 'big'):b}".count(bits) == 2
    assert blocks_of(file) == [(4, content)]


@pytest.mark.parametrize("cut", [6, 11, 50, 20_000])
def test_a_file_that_ends_within_a_block_is_cut_short(cut: int) -> None:
    with pytest.raises(EOFError, match=r"in the block at byte \d"):
        blocks_of(packed(text(250_000))[:-cut])


@settings(max_examples=25)
@given(st.data())
def test_of_a_damaged_file_nothing_is_left_out_or_made_up_in_silence(data: st.DataObject) -> None:
    content = text(250_000)
    file = bytearray(packed(content, streams=3))
    file[data.draw(st.integers(0, len(file) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    unpacked: list[bytes] = []
    try:
        unpacked.extend(block for _, block in read_blocks(io.BytesIO(bytes(file))))
    except (EOFError, OSError):
        assert content.startswith(b"".join(unpacked))
    else:  # what was damaged tells how streams were packed, and is not needed
        assert b"".join(unpacked) == content


def test_a_damaged_block_is_named_by_its_byte() -> None:
    file = bytearray(packed(text(250_000)))
    second = blocks_of(bytes(file))[1][0]
    file[second + 2_000 : second + 2_010] = b"x" * 10
    with pytest.raises(OSError, match=f"in the block at byte {second:,}"):
        blocks_of(bytes(file))


def test_a_stream_whose_first_block_cannot_be_found_is_damaged() -> None:
    file = bytearray(packed(text(30_000), streams=3))
    second = blocks_of(bytes(file))[1][0]
    file[second] ^= 1
    with pytest.raises(OSError, match=f"in the stream at byte {second:,}"):
        blocks_of(bytes(file))


@pytest.mark.parametrize("file", [b"", b"BZh9", bz2.compress(b""), b"no bzip2 at all"])
def test_a_file_without_blocks_gives_none(file: bytes) -> None:
    assert blocks_of(file) == []

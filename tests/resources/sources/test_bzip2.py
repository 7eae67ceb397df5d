"""Streams give the file's bytes, from any byte on, and what is broken is never given."""

import bz2
import io
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.sources.bzip2 import read_streams

TEXT = bytes(random.Random(0).choices(b"abcdefgh <>/\n", k=350_000))


def pack(content: bytes, streams: int = 1, level: int = 1) -> bytes:
    size = max(1, -(-len(content) // streams))
    return b"".join(bz2.compress(content[at : at + size], level) for at in range(0, len(content), size))


def unpack(file: bytes, start: int = 0, end: int | None = None) -> dict[int, bytes]:
    """The streams' bytes by where they begin."""
    streams: dict[int, bytes] = {}
    for begin, unpacked in read_streams(io.BytesIO(file), start, end):
        streams[begin] = streams.get(begin, b"") + unpacked
    return streams


@settings(max_examples=25)
@given(st.integers(1, 350_000), st.integers(1, 30), st.sampled_from([1, 9]))
def test_streams_are_the_files_bytes_however_it_was_packed(size: int, streams: int, level: int) -> None:
    unpacked = unpack(pack(TEXT[:size], streams, level))
    assert b"".join(unpacked.values()) == TEXT[:size]
    assert len(unpacked) <= streams


@settings(max_examples=25)
@given(st.data())
def test_from_any_byte_on_the_streams_are_those_that_begin_there_or_later(data: st.DataObject) -> None:
    file = pack(TEXT, streams=9)
    whole = unpack(file)
    edges = st.one_of(
        st.sampled_from([begin + near for begin in whole for near in (-1, 0, 1)]), st.integers(0, len(file))
    )
    start, end = max(0, data.draw(edges)), max(1, data.draw(edges))
    later = {begin: stream for begin, stream in whole.items() if begin >= start}
    assert unpack(file, start) == later
    assert unpack(file, start, end) == (later if any(begin < end for begin in later) else {})


def test_a_stream_longer_than_what_is_read_at_a_time_is_read_whole_and_then_the_next() -> None:
    content = random.Random(1).randbytes(3_000_000)
    file = pack(content, streams=2, level=9)
    assert b"".join(unpack(file).values()) == content
    assert [*unpack(file, 1).values()] == [content[1_500_000:]]


@pytest.mark.parametrize("cut", [6, 11, 50, 20_000])
def test_a_file_that_ends_within_a_stream_is_cut_short(cut: int) -> None:
    with pytest.raises(EOFError, match=r"in the stream at byte 0"):
        unpack(pack(TEXT)[:-cut])


@settings(max_examples=25)
@given(st.data())
def test_of_a_damaged_file_nothing_is_left_out_or_made_up_in_silence(data: st.DataObject) -> None:
    file = bytearray(pack(TEXT, streams=3))
    file[data.draw(st.integers(0, len(file) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    unpacked = b""
    try:
        for _, some in read_streams(io.BytesIO(bytes(file))):
            unpacked += some
    except (EOFError, OSError):
        assert TEXT.startswith(unpacked)
    else:  # a level's digit, which says how much memory a stream may want
        assert unpacked == TEXT


def test_a_damaged_stream_is_named_by_its_byte() -> None:
    file = bytearray(pack(TEXT, streams=3))
    second = [*unpack(bytes(file))][1]
    for damaged in (second, second + 2_000):
        broken = file.copy()
        broken[damaged] ^= 1
        with pytest.raises(OSError, match=f"in the stream at byte {second:,}"):
            unpack(bytes(broken))


@pytest.mark.parametrize("file", [b"", bz2.compress(b"")])
def test_a_file_without_content_gives_none(file: bytes) -> None:
    assert b"".join(unpack(file).values()) == b""

"""A fault in an archive costs the record that it lies in, and never invents one."""

import gzip
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip_dagster.parsing.heads import parse_headers
from metaclip_dagster.parsing.records import Record, read_records
from tests.metaclip_dagster.archives import Trickle, member, members, record

ROOT = Path(__file__).parents[3]
TEN = [record("response", f"block {i} ".encode() * (1 + i * 7), WARC_Target_URI=f"http://h/{i}") for i in range(10)]
TEN_MEMBERS = [member(plain) for plain in TEN]


def read(archive: bytes | BinaryIO, dropped: Counter[str] | None = None, cap: int = 1 << 20) -> list[Record]:
    stream = BytesIO(archive) if isinstance(archive, bytes) else archive
    dropped = Counter() if dropped is None else dropped
    return list(read_records(stream, name="file.gz", dropped=dropped, max_record_bytes=cap))


def read_or_none(archive: bytes, dropped: Counter[str]) -> list[Record]:
    """What can be read, and nothing where the only error allowed is raised."""
    try:
        return read(archive, dropped)
    except ValueError as error:
        if not str(error).startswith("file.gz: no WARC record can be read; "):
            raise
        return []


def as_written(record: Record) -> bytes:
    return record.head + record.block + b"\r\n\r\n"


@pytest.mark.parametrize("archive", [b"".join(TEN_MEMBERS), b"".join(TEN)], ids=["gzip", "plain"])
@pytest.mark.parametrize("num_bytes", [1, 1000, 1 << 30])
def test_every_record_comes_back_as_it_was_written(archive: bytes, num_bytes: int) -> None:
    dropped: Counter[str] = Counter()
    records = read(cast("BinaryIO", Trickle(archive, num_bytes)), dropped)
    assert [as_written(record) for record in records] == TEN
    assert not dropped
    assert [record.headers["warc-target-uri"] for record in records] == [f"http://h/{i}" for i in range(10)]
    assert [read(archive[record.offset :])[0].block for record in records] == [record.block for record in records]


damages = st.one_of(
    st.tuples(st.just("none")),
    st.tuples(st.just("flip"), st.integers(0, 10**6), st.integers(1, 255)),
    st.tuples(st.just("cut"), st.integers(0, 10**6)),
    st.tuples(st.just("garbage"), st.one_of(st.binary(min_size=1, max_size=40), st.just(b"\x1f\x8b\x08\x08"))),
    st.tuples(st.just("twice")),
)


@settings(max_examples=300)
@given(st.permutations(range(10)), st.lists(damages, min_size=10, max_size=10))
def test_members_that_are_whole_survive_damage_to_the_others(order: list[int], harms: list[tuple[object, ...]]) -> None:
    archive = b""
    expected: Counter[bytes] = Counter()
    for i, (harm, *how) in zip(order, harms, strict=True):
        whole = TEN_MEMBERS[i]
        if harm in {"none", "twice", "garbage"}:
            expected[TEN[i]] += 2 if harm == "twice" else 1
        if harm == "flip":
            at = cast("int", how[0]) % len(whole)
            whole = whole[:at] + bytes([whole[at] ^ cast("int", how[1])]) + whole[at + 1 :]
        if harm == "cut":
            whole = whole[: cast("int", how[0]) % len(whole)]
        archive += (cast("bytes", how[0]) if harm == "garbage" else b"") + whole * (2 if harm == "twice" else 1)
    dropped: Counter[str] = Counter()
    records = Counter(as_written(record) for record in read_or_none(archive, dropped))
    assert expected <= records
    assert set(records) <= set(TEN)
    assert records.total() + dropped.total() >= expected.total()


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4), st.integers(0, 10**6))
def test_no_damage_to_a_plain_archive_raises_anything_else(flips: list[tuple[int, int]], end: int) -> None:
    archive = bytearray(b"".join(TEN))
    for at, value in flips:
        archive[at % len(archive)] = value
    read_or_none(bytes(archive[: end % (2 * len(archive))]), Counter())


def test_a_plain_record_is_lost_alone() -> None:
    def dropped_by(*plain: bytes) -> tuple[int, dict[str, int]]:
        dropped: Counter[str] = Counter()
        return len(read(b"".join(plain), dropped, cap=2000)), dict(dropped)

    assert dropped_by(*TEN[:5], record("response", b"x" * 3 * (1 << 20)), *TEN[5:]) == (10, {"too_large": 1})
    assert dropped_by(*TEN[:5], b"\x00\xffGARBAGE\n" * 3, *TEN[5:]) == (10, {"corrupt": 1})
    assert dropped_by(*TEN, TEN[0][:-40]) == (10, {"truncated": 1})
    assert dropped_by(*TEN[:5], b"\r\n" * 20, *TEN[5:]) == (10, {})
    assert dropped_by(b"\xff" + TEN[0], *TEN[1:]) == (9, {"corrupt": 1})
    assert dropped_by(*TEN[:5], b"WARC/1.0\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", *TEN[5:]) == (10, {"corrupt": 1})
    assert dropped_by(*TEN[:5], TEN[5].replace(b"Content-Length: ", b"Content-Length: x"), *TEN[6:])[0] == 9


@pytest.mark.parametrize("length", [0, 3, 10, 12, 13, 15, 20, 100, 10_000])
@pytest.mark.parametrize("pack", [members, lambda *plain: member(b"".join(plain)), lambda *plain: b"".join(plain)])
def test_a_wrong_content_length_is_overruled_by_the_next_record_or_the_end(
    length: int, pack: Callable[..., bytes]
) -> None:
    block = b"all of this"
    wrong = record("response", block, length=length)
    dropped: Counter[str] = Counter()
    records = read(pack(TEN[0], wrong, TEN[1], wrong, *TEN[2:]), dropped)
    assert [each.block.strip() for each in records[1:4:2]] == [block] * 2
    assert [as_written(each) for each in [records[0], records[2], *records[4:]]] == TEN
    assert not dropped


@pytest.mark.parametrize("pack", [members, lambda *plain: member(b"".join(plain)), lambda *plain: b"".join(plain)])
def test_a_right_length_is_believed_whatever_record_the_block_quotes(pack: Callable[..., bytes]) -> None:
    forged = record("response", b"HTTP/1.1 200 OK\r\n\r\n<img src=x>").rstrip()
    for block in (b"a page that quotes\r\n" + forged, b"see:\r\n\r\n" + TEN[3] + b"that was it"):
        quoting = record("response", block)
        dropped: Counter[str] = Counter()
        records = read(pack(TEN[0], quoting, *TEN[1:]), dropped)
        assert [as_written(each) for each in records] == [TEN[0], quoting, *TEN[1:]]
        assert not dropped


@pytest.mark.parametrize("beginning", [b"WARC/1.0\r\na:\n", b"WARC/1.0\na: b\r\n"])
def test_heads_without_an_end_cost_their_length(beginning: bytes) -> None:
    started = time.process_time()
    read(member(record("warcinfo", b"x") + beginning * 200_000), Counter(), cap=64 << 20)
    assert time.process_time() - started < 10  # 40 s where each looks for its own


@pytest.mark.parametrize("pack", [members, lambda *plain: member(b"".join(plain)), lambda *plain: b"".join(plain)])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"WARC/1.0", b"WARC/0.17"),
        (b"WARC/1.0", b"WARC/0.18"),
        (b"WARC/1.0", b"WARC/1.1"),
        (b"WARC/1.0", b"WARC/2.0"),
        (b"\r\n", b"\n"),
        (b"URI: ", b"URI:\r\n\t"),
        (b"Content-Length: ", b"content-length:\r\n "),
        (b"WARC/1.0", b"\0" * 512 + b"WARC/1.0"),
        (b"WARC/1.0", b"\0" * (3 << 20) + b"WARC/1.0"),
        (b"WARC/1.0", b"\n" * 100 + b"WARC/1.0"),
    ],
)
def test_every_version_newline_folding_and_padding_is_read(old: bytes, new: bytes, pack: Callable[..., bytes]) -> None:
    dropped: Counter[str] = Counter()
    records = read(pack(*(plain.replace(old, new) for plain in TEN)), dropped, cap=64 << 20)
    assert [each.block for each in records] == [each.block for each in read(b"".join(TEN))]
    assert [each.headers["warc-target-uri"] for each in records] == [f"http://h/{i}" for i in range(10)]
    assert not dropped


def test_an_archive_is_truncated_only_where_it_ends_inside_a_record() -> None:
    def counts(archive: bytes) -> dict[str, int]:
        dropped: Counter[str] = Counter()
        records = read(archive, dropped)
        assert [as_written(each) for each in records] == TEN
        return dict(dropped)

    for whole, one in [(b"".join(TEN_MEMBERS), TEN_MEMBERS[3]), (b"".join(TEN), TEN[3])]:
        for cut in (1, 2, 4, 20, len(one) // 2, len(one) - 6):
            assert counts(whole + one[:cut]) == {"truncated": 1}
        for padding in (b"\0", b"\r\n", b"\0" * 5000, b"\n\n\n"):
            assert counts(whole + padding) == {}
            assert counts(b"".join(TEN_MEMBERS[:5]) + member(padding) + member(b"") + b"".join(TEN_MEMBERS[5:])) == {}
        for garbage in (b"x", b"</html>", b"WARX", b"\x1fX", bytes(range(32, 256))):
            assert counts(whole + garbage) == {"corrupt": 1}


def test_a_record_over_the_cap_costs_one_record_at_any_size() -> None:
    large = member(record("response", random.Random(0).randbytes(3 << 20)))
    bomb = member(record("response", bytes(50 << 20)))
    empty_blocks = large[:10] + b"\x00\x00\x00\xff\xff" * 500_000
    for fault in (large, bomb, empty_blocks):
        dropped: Counter[str] = Counter()
        records = read(b"".join([*TEN_MEMBERS[:5], fault, *TEN_MEMBERS[5:]]), dropped)
        assert [as_written(record) for record in records] == TEN
        assert dropped == {"too_large": 1}
    assert len(read(members(record("response", b"x" * 5000)), cap=6000)) == 1


def test_a_bomb_does_not_fill_the_memory() -> None:
    script = """
import resource, zlib
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from metaclip_dagster.parsing import parse_wat, parse_warc
from tests.metaclip_dagster.archives import content, member, members, response, wat_record, wat_rows, warc_rows

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

def bomb(begin, num_mb):
    deflate = zlib.compressobj(6, 8, 31)
    zeros = bytes(1 << 20)
    return b"".join([deflate.compress(begin), *(deflate.compress(zeros) for _ in range(num_mb)), deflate.flush()])

wat = wat_record(content("http://h.example/", [{"url": "a.png", "alt": "text"}]))
warc = response(b"<img src=a.png alt=text>")
gzipped_body = response(bomb(b"<p>", 200), "Content-Type: text/html", "Content-Encoding: gzip")
wat_rows(member(wat)), warc_rows(member(warc))
before = peak()
dropped = Counter()
wat_bomb = bomb(b"WARC/1.0\\r\\n\\r\\n{", 200)
found = len(wat_rows(member(wat) + wat_bomb + member(wat), dropped, max_record_bytes=8 << 20))
found += len(warc_rows(members(warc, gzipped_body, warc), dropped, max_record_bytes=8 << 20))
print(found, dropped["too_large"], peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    num_records, too_large, grown_mb = map(int, done.stdout.split())
    assert (num_records, too_large) == (2, 2)
    assert grown_mb < 80


@pytest.mark.parametrize(
    ("archive", "cause"),
    [
        (b"", "empty: fetch it again"),
        (b"<!DOCTYPE html><title>503</title>", "a server's error message: fetch it again"),
        (b"\n <?xml version='1.0'?><Error><Code>SlowDown</Code></Error>", "a server's error message"),
        (b"PK\x03\x04 something", "neither gzip nor WARC/"),
        (gzip.compress(b"<html>", mtime=0), "damaged"),
        (TEN_MEMBERS[0][:-9], "damaged"),
        (member(b"".join(TEN) * 900), "gzipped whole"),
    ],
)
def test_a_file_without_records_says_why_and_what_to_do(archive: bytes, cause: str) -> None:
    with pytest.raises(ValueError, match=cause) as error:
        read(archive)
    assert str(error.value).startswith("file.gz: ")


def test_headers_are_read_in_any_case_and_the_first_of_each_counts() -> None:
    head = b"WARC/1.0\r\nwarc-TYPE:response\r\nA: b: c\r\nno colon\r\na: second\r\n and more\r\nX: \xff\r\n"
    assert parse_headers(head) == {"warc-type": "response", "a": "b: c", "x": "\ufffd"}

"""Image archives answer each URL with what its record holds, or with a reason."""

import gzip
import pickle
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.crawl.resource import CommonCrawl
from resources.deferred import Deferred
from resources.images.host import open_warc_images
from resources.pools.images import Answer
from resources.web.archives import open_archive
from tests.metaclip_dagster.archives import member, record

SAMPLE = Path(__file__).parents[3] / "data" / "sample" / "crawl"
Pack = Callable[[bytes], bytes]
PACKS = [bytes, member]


def response(url: str, body: bytes, status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", "Content-Type: image/webp", *headers])
    block = head.encode() + b"\r\n\r\n" + body
    return record(
        "response", block, length=length, WARC_Target_URI=url, Content_Type="application/http; msgtype=response"
    )


def revisit(url: str, target: str) -> bytes:
    return record("revisit", b"HTTP/1.1 200 OK\r\n\r\n", WARC_Target_URI=url, WARC_Refers_To_Target_URI=target)


def answers(archives: list[bytes], *urls: str, max_bytes: int = 20 << 20) -> dict[str, Answer]:
    answered = list(open_warc_images([partial(BytesIO, data) for data in archives], max_bytes=max_bytes)(urls))
    assert sorted(url for url, _ in answered) == sorted(urls)
    return dict(answered)


@pytest.mark.parametrize("pack", PACKS)
@settings(max_examples=25)
@given(
    st.lists(
        st.dictionaries(st.integers(0, 30), st.binary(max_size=200) | st.integers(0, 30), max_size=12),
        min_size=1,
        max_size=3,
    )
)
def test_every_url_is_answered_with_its_own_response_or_that_which_it_refers_to(
    pack: Pack, archives: list[dict[int, bytes | int]]
) -> None:
    def written(number: int, what: bytes | int) -> bytes:
        address = f"http://i.example/{number}"
        return response(address, what) if isinstance(what, bytes) else revisit(address, f"http://i.example/{what}")

    files = [b"".join(pack(written(*item)) for item in archive.items()) for archive in archives]
    files = [pack(record("warcinfo", b"software: x\r\n")) + file for file in files]
    bodies: dict[int, bytes] = {}
    targets: dict[int, int] = {}
    for archive in archives:
        for number, what in archive.items():
            if isinstance(what, bytes):
                bodies.setdefault(number, what)
            else:
                targets.setdefault(number, what)
    answered = answers(files, *(f"http://i.example/{number}" for number in range(31)))
    for number in range(31):
        body = bodies.get(number, bodies.get(targets.get(number, -1)))
        assert answered[f"http://i.example/{number}"] == ("not_found" if body is None else body)


@pytest.mark.parametrize("pack", PACKS)
def test_what_has_no_image_is_told_by_its_reason(pack: Pack) -> None:
    records = [
        response("http://i.example/gone", b"no", "404 Not Found"),
        response("http://i.example/moved", b"", "301 Moved", "Location: http://127.0.0.1/"),
        response("http://i.example/junk", b"x", "nonsense"),
        response("http://i.example/large", bytes(1001)),
        response("http://i.example/fits", bytes(1000)),
        response(
            "http://i.example/chunks",
            b"3e9\r\n" + bytes(1001) + b"\r\n0\r\n\r\n",
            "200 OK",
            "Transfer-Encoding: chunked",
        ),
        response("http://i.example/few", b"3\r\nabc\r\n0\r\n\r\n", "200 OK", "Transfer-Encoding: chunked"),
        response("http://i.example/bad", b"abc", "200 OK", "Transfer-Encoding: chunked"),
        record("response", b"\x00\x01", WARC_Target_URI="http://i.example/binary"),
        response("<http://i.example/wget>", b"brackets"),
        revisit("http://i.example/a", "http://i.example/b"),
        revisit("http://i.example/b", "http://i.example/a"),
        revisit("http://i.example/self", "http://i.example/self"),
        revisit("http://i.example/chain", "http://i.example/step"),
        revisit("http://i.example/step", "http://i.example/fits"),
    ]
    archive = b"".join(map(pack, records))
    expected: dict[str, str | int] = {
        "gone": "not_ok", "moved": "not_ok", "junk": "not_ok", "large": "too_large", "fits": 1000,
        "chunks": "too_large", "few": 3, "bad": "corrupt", "binary": "not_ok", "wget": 8, "a": "not_found",
        "b": "not_found", "self": "not_found", "chain": "not_found", "step": 1000, "absent": "not_found",
    }  # fmt: skip
    answered = answers([archive], *(f"http://i.example/{name}" for name in expected), max_bytes=1000)
    summary = {
        url.rsplit("/", 1)[1]: answer if isinstance(answer, str) else len(answer) for url, answer in answered.items()
    }
    assert summary == expected


@pytest.mark.parametrize("pack", PACKS)
def test_the_record_at_the_end_of_an_archive_cut_short_is_corrupt(pack: Pack) -> None:
    noise = b"".join(i.to_bytes(3, "big") for i in range(40_000))
    archive = b"".join(map(pack, [response("http://i.example/1", noise), response("http://i.example/2", noise)]))
    answered = answers([archive[:-20_000]], "http://i.example/1", "http://i.example/2")
    assert answered == {"http://i.example/1": noise, "http://i.example/2": "corrupt"}


def test_a_gzip_bomb_is_too_large() -> None:
    bomb = member(response("http://i.example/1", bytes(64 << 20)))
    assert answers([bomb], "http://i.example/1", max_bytes=1 << 20) == {"http://i.example/1": "too_large"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no WARC record in it; fetch it again"),
        (b"<html>503 Slow Down</html>" * 40, "unreadable beyond byte 0.*fetch it again"),
        (record("warcinfo", b"x") + b"garbage\r\n" * 40, "unreadable beyond byte 0.*fetch it again"),
        (gzip.compress(response("http://i.example/1", b"1") * 2), "compress it record by record"),
        (gzip.compress(response("http://i.example/1", bytes(1000)) * 2000), "compress it record by record"),
    ],
)
def test_an_archive_whose_records_cannot_be_told_apart_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "images.warc").write_bytes(data)
    with pytest.raises(ValueError, match=rf"images\.warc: .*{message}"):
        open_warc_images([Deferred(open_archive, (str(tmp_path / "images.warc"),))])


@settings(max_examples=60)
@given(st.sampled_from(PACKS), st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 255)), max_size=3))
def test_a_damaged_archive_is_refused_or_answers_every_url(pack: Pack, flips: list[tuple[int, int]]) -> None:
    bodies = {f"http://i.example/{number}": bytes([number]) * 100 for number in range(4)}
    archive = bytearray(b"".join(pack(response(*item)) for item in bodies.items()))
    for at, value in flips:
        archive[at % len(archive)] = value
    try:
        answered = answers([bytes(archive)], *bodies)
    except ValueError:
        return
    assert set(answered) == set(bodies)
    if pack is not bytes:  # plain archives carry no checksum: a byte of a header may change what is read
        assert all(isinstance(answer, str) or answer == bodies[url] for url, answer in answered.items())


def test_the_samples_images_are_all_there_and_a_shared_record_is_read_once() -> None:
    crawl = CommonCrawl(root=str(SAMPLE), snapshot_pattern=r"SAMPLE-\d{4}-\d{2}")
    archives = [crawl.opening(path) for path in crawl.archives("SAMPLE-2026-03", "images").values()]
    fetch = open_warc_images(pickle.loads(pickle.dumps(archives)))
    responses, revisits = fetch.args[1:3]  # type: ignore[attr-defined]  # a partial
    assert (len(responses), len(revisits)) == (892, 595)
    answered = dict(fetch([*responses, *revisits]))
    assert all(isinstance(body, bytes) and body[8:12] == b"WEBP" for body in answered.values())
    assert len(answered) == 892 + 595
    assert len({id(body) for body in answered.values()}) == 892


def test_what_a_response_says_of_its_use_comes_with_its_image() -> None:
    said = response(
        "http://i.example/1", b"image", "200 OK", "X-Robots-Tag: noai", "Server: x", "Content-Usage: bots=n"
    )
    headers = (("X-Robots-Tag", "noai"), ("Content-Usage", "bots=n"))
    assert answers([said], "http://i.example/1") == {"http://i.example/1": (b"image", headers)}

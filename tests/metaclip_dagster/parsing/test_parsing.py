"""A page gives the same pairs from its WAT and its WARC, and no fault costs more than what it touches."""

import gzip
import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import html5lib
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip_dagster.parsing import BROKEN_RECORDS, clean_text, parse_warc, parse_wat
from tests.metaclip_dagster.archives import (
    Rows,
    content,
    member,
    members,
    page_source,
    record,
    response,
    warc_rows,
    wat_record,
    wat_rows,
)

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "data" / "sample" / "crawl"
PAGE = "http://h.example/p/a.html"
Fault = tuple[bytes, int, dict[str, int]]


def url_texts(rows: Rows) -> set[tuple[str, str]]:
    return {(row["url"], row["text"]) for row in rows}


def good(i: int) -> dict[str, Any]:
    return content(f"http://h.example/{i}/p.html", [{"url": f"i{i}.png", "alt": f"alt {i}"}])


TEN = [wat_record(good(i)) for i in range(10)]
FIVE, OTHER_FIVE = members(*TEN[:5]), members(*TEN[5:])
TEN_RESPONSES = [response(page_source([{"src": f"i{i}.png", "alt": f"alt {i}"}])) for i in range(10)]
TEN_PAIRS = {(f"http://h.example/{i}/i{i}.png", f"alt {i}") for i in range(10)}


# The record itself


def test_a_pair_says_where_it_comes_from() -> None:
    described = content(PAGE, [{"url": "i.png", "alt": " a\tdog ", "title": "the dog"}], offset="80610308")
    alt, title = wat_rows(member(wat_record(described)))
    url = "http://h.example/p/i.png"
    assert alt == {
        "pair_id": xxhash.xxh3_64_intdigest(f"{url}\na dog".encode()),
        "image_id": hashlib.sha224(url.encode()).digest()[:12],
        "url": url,
        "text": "a dog",
        "text_source": "alt",
        "page_url": PAGE,
        "warc": "crawl.warc.gz",
        "offset": 80610308,
        "pool_address": None,
        "crawled_at": None,
        "page_signals": [],
        "license": None,
        "license_evidence": None,
    }
    assert (title["text"], title["text_source"], title["image_id"]) == ("the dog", "title", alt["image_id"])


def test_each_distinct_text_is_a_pair_and_its_first_source_is_named() -> None:
    def sources(**texts: str) -> list[tuple[str, str]]:
        image = {"src": "a.png", **{name.replace("_", "-"): text for name, text in texts.items()}}
        return [(row["text"], row["text_source"]) for row in warc_rows(member(response(page_source([image]))))]

    assert sources(alt="x", title="y", data_image_title="z") == [
        ("x", "alt"),
        ("y", "title"),
        ("z", "data-image-title"),
    ]
    assert sources(alt="x", title=" x", data_image_title="x\n") == [("x", "alt")]
    assert sources(alt="", title="y", data_image_title="y") == [("y", "title")]
    assert sources(alt=" \u00a0\u3000\t", title="\x01") == []


def test_repeats_in_a_file_are_counted_and_the_first_place_keeps_the_pair() -> None:
    dropped: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    pages = [wat_record(content(f"http://h.example/{i}", [{"url": "/same.png", "alt": "x"}])) for i in range(3)]
    (row,) = wat_rows(members(*pages, wat_record(good(7))), dropped, seen=seen)[:1]
    assert row["page_url"] == "http://h.example/0"
    assert dropped == {"repeat": 2}
    assert seen == {"records": 4, "images": 4}


def test_every_image_is_a_pair_or_is_counted() -> None:
    images = [
        {"url": "a.png", "alt": "kept"},
        {"url": "a.png"},
        {"url": "a.png", "alt": ""},
        {"alt": "x"},
        {"url": " ", "alt": "x"},
        {"url": "data:image/gif;base64,R0lGOD", "alt": "x"},
        {"url": " DATA:image/gif;", "alt": "x"},
        {"url": "ftp://h.example/a.png", "alt": "x"},
        {"url": "javascript:void(0)", "alt": "x"},
        {"url": "http://[::1/x.png", "alt": "x"},
        {"url": "http://h:99999/x.png", "alt": "x"},
        {"url": "a" * 8193, "alt": "x"},
    ]
    dropped: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    rows = wat_rows(member(wat_record(content(PAGE, images))), dropped, seen=seen)
    wanted = {"no_text": 2, "no_url": 2, "data_url": 2, "other_scheme": 2, "bad_url": 2, "long_url": 1}
    assert (len(rows), dropped) == (1, wanted)
    assert seen["images"] == len(rows) + dropped.total()
    assert not BROKEN_RECORDS & set(wanted)


def test_batches_are_bounded_and_stream() -> None:
    def batches(text: str, num_images: int) -> Iterator[pa.RecordBatch]:
        images = [{"url": f"{i}.png", "alt": text} for i in range(num_images)]
        return parse_wat(BytesIO(member(wat_record(content(PAGE, images)))), name="x", dropped=Counter())

    assert [batch.num_rows for batch in batches("x", 20_000)] == [8192, 8192, 3616]
    assert max(batch.nbytes for batch in batches("x" * 1_000_000, 40)) < 20 << 20

    many = member(wat_record(content(PAGE, [{"url": f"{i}.png", "alt": "x"} for i in range(9000)])))

    class Endless(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return many

    assert next(parse_wat(Endless(), name="x", dropped=Counter())).num_rows == 8192


# Faults


def among(fault: bytes) -> bytes:
    return FIVE + fault + OTHER_FIVE


def faults() -> dict[str, Fault]:
    """Ten good records and one fault: the archive, how many pairs are left, what is counted."""
    whole = members(*TEN)
    at = len(members(*TEN[:4])) + 60
    flipped = whole[:at] + bytes([whole[at] ^ 255, whole[at + 1] ^ 255]) + whole[at + 2 :]
    odd = [
        None,
        7,
        {"path": None},
        {},
        {"url": None, "alt": "x"},
        {"url": "ok.png", "alt": None},
        {"url": "ok.png", "alt": 7, "title": ["x"]},
    ]
    described = json.dumps(good(99)).encode()
    bad_utf8 = wat_record(described.replace(b"alt 99", b"alt \xff\xfe99"))
    surrogate = wat_record(described.replace(b"alt 99", b"alt \\ud800"))
    bad_ipv6 = wat_record(content(PAGE, [{"url": "http://[::1/x.png", "alt": "t"}]))
    listed = good(99)
    listed["Envelope"]["WARC-Header-Metadata"] |= {"WARC-Protocol": ["h2", "tls/1.3"]}
    listed["Envelope"]["WARC-Header-Metadata"]["WARC-Target-URI"] = ["http://h.example/99/p.html", "http://other/"]
    no_page = good(99)
    no_page["Envelope"]["WARC-Header-Metadata"] = None
    image = '"links":[{"path":"IMG@/src"}]'
    return {
        "none": (whole, 10, {}),
        "garbage between members": (among(b"\x00\xffGARBAGE" * 3), 10, {"corrupt": 1}),
        "bit flip in one member": (flipped, 9, {"corrupt": 1}),
        "bad JSON": (among(member(wat_record(b'{"IMG@/src": {'))), 10, {"bad_json": 1}),
        "Envelope null": (among(member(wat_record(f'{{"Envelope":null,{image}}}'.encode()))), 10, {"no_envelope": 1}),
        "not an object": (among(member(wat_record(b'["IMG@/src"]'))), 10, {"no_envelope": 1}),
        "keys missing": (among(member(wat_record(f'{{"Envelope":{{{image}}}}}'.encode()))), 10, {}),
        "null links, numeric alt": (among(member(wat_record(content(PAGE, odd)))), 10, {"no_text": 3, "no_url": 1}),
        "bad UTF-8": (among(member(bad_utf8)), 11, {}),
        "lone surrogate": (among(member(surrogate)), 11, {}),
        "bad IPv6 URL": (among(member(bad_ipv6)), 10, {"bad_url": 1}),
        "wrong Content-Length": (among(member(wat_record(good(99), length=10))), 11, {}),
        "one-line bomb": (among(member(wat_record(b'{"a":"' + b"A" * (2 << 20) + b'"}'))), 10, {"too_large": 1}),
        "deep JSON": (
            among(member(wat_record(b'{"IMG@/src":' + b"[" * 100_000 + b"]" * 100_000 + b"}"))),
            10,
            {"bad_json": 1},
        ),
        "headers as lists": (among(member(wat_record(listed))), 11, {}),
        "page URL only in the record's header": (among(member(wat_record(no_page))), 11, {}),
        "page URL in brackets": (among(member(wat_record(no_page, WARC_Target_URI=f"<{PAGE}>"))), 11, {}),
        "no page URL": (among(member(wat_record(no_page, WARC_Target_URI=""))), 10, {"no_page_url": 1}),
        "endless page URL": (
            among(member(wat_record(content("http://h/" + "x" * 9000, [{"url": "a", "alt": "x"}])))),
            10,
            {"no_page_url": 1},
        ),
    }


@pytest.mark.parametrize("fault", faults())
def test_a_fault_costs_what_it_touches_and_is_counted(fault: str) -> None:
    archive, num_pairs, counts = faults()[fault]
    dropped: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    rows = wat_rows(archive, dropped, seen=seen, max_record_bytes=1 << 20)
    assert (len(rows), dropped) == (num_pairs, counts)
    assert len(url_texts(rows) & TEN_PAIRS) == min(num_pairs, 10)
    broken = sum(dropped[reason] for reason in BROKEN_RECORDS)
    assert 9 <= seen["records"] <= 11
    assert seen["records"] + broken in {10, 11}


@pytest.mark.parametrize("is_packed", [True, False])
@pytest.mark.parametrize(("parse", "records"), [(parse_wat, TEN), (parse_warc, TEN_RESPONSES)], ids=["wat", "warc"])
def test_an_archive_that_ends_inside_a_record_gives_what_it_has_and_fails(
    parse: Callable[..., Iterator[pa.RecordBatch]], records: list[bytes], is_packed: bool
) -> None:
    whole = members(*records) if is_packed else b"".join(records)
    dropped: Counter[str] = Counter(truncated=3)  # of another archive, counted by the same hand
    pairs = parse(BytesIO(whole[:-40]), name="cut.gz", dropped=dropped)
    assert next(pairs).num_rows == 9
    with pytest.raises(EOFError, match=r"cut.gz: ends inside a record"):
        next(pairs)
    assert dropped == {"truncated": 4}
    at_a_boundary = parse(BytesIO(members(*records[:9])), name="cut.gz", dropped=dropped)
    assert sum(batch.num_rows for batch in at_a_boundary) == 9


@settings(max_examples=200)
@given(st.data())
def test_whatever_a_record_holds_costs_that_record_alone(data: st.DataObject) -> None:
    described = good(99)
    node: Any = described
    while True:
        key = data.draw(st.sampled_from(sorted(node)) if isinstance(node, dict) else st.integers(0, len(node) - 1))
        if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.booleans()):
            break
        node = node[key]
    leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just("IMG@/src"))
    node[key] = data.draw(st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
    rows = wat_rows(among(member(wat_record(described))))
    assert url_texts(rows) >= TEN_PAIRS
    assert len(rows) <= 11


@settings(max_examples=150)
@given(
    st.permutations(range(10)),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), max_size=3),
    st.integers(0, 10**6),
    st.binary(max_size=30),
    st.sampled_from(["wat", "warc"]),
)
def test_a_mutated_archive_gives_no_pair_that_the_clean_one_does_not(
    order: list[int], flips: list[tuple[int, int]], cut: int, garbage: bytes, kind: str
) -> None:
    pages = [response(b"<img src=i%d.png alt='alt %d'>" % (i, i), page=f"http://h.example/{i}/p.html") for i in order]
    whole = [*(members(TEN[i]) for i in order), b""] if kind == "wat" else [*map(member, pages), b""]
    mutated = bytearray(b"".join(whole))
    touched = set()
    starts = [sum(map(len, whole[:k])) for k in range(len(whole))]
    for at, mask in flips:
        mutated[at % len(mutated)] ^= mask
        touched.add(max(k for k in range(10) if starts[k] <= at % len(mutated)))
    cut %= len(mutated) + 1
    touched |= {k for k in range(10) if starts[k + 1] > cut}
    rows_of = wat_rows if kind == "wat" else warc_rows
    try:
        pairs = url_texts(rows_of(garbage + mutated[:cut]))
    except ValueError as error:
        if not str(error).startswith("file.gz: "):
            raise
        pairs = set()
    untouched = {
        (f"http://h.example/{i}/i{i}.png", f"alt {i}") for place, i in enumerate(order) if place not in touched
    }
    assert untouched <= pairs <= TEN_PAIRS


@pytest.mark.parametrize(
    ("parse", "archive", "says"),
    [
        (wat_rows, members(response(b"<img src=a alt=b>")), "a WARC, not a WAT: .* WAT"),
        (warc_rows, members(*TEN), "a WAT, not a WARC: .* WARC"),
        (wat_rows, members(record("conversion", b"text")), "a WET"),
        (warc_rows, members(record("conversion", b"text")), "a WET"),
        (wat_rows, members(record("warcinfo", b"format: WARC")), "fetch it again"),
        (wat_rows, members(wat_record(b'{"IMG@')), "fetch it again"),
        (wat_rows, b"", "empty"),
        (warc_rows, b"<html>", "web page"),
    ],
)
def test_a_file_without_a_good_record_names_itself_and_the_way_out(
    parse: Callable[[bytes], Rows], archive: bytes, says: str
) -> None:
    with pytest.raises(ValueError, match=f"^file.gz: .*{says}"):
        parse(archive)


def test_a_wat_without_images_is_an_empty_shard_and_no_error() -> None:
    assert wat_rows(members(record("warcinfo", b""), wat_record({"Envelope": {}}))) == []
    assert warc_rows(members(response(b"RIFF", "Content-Type: image/webp"), record("revisit", b""))) == []


@pytest.mark.parametrize(
    ("page", "base", "url"),
    [
        (PAGE, "/img//", "http://h.example/img//a.png"),
        (PAGE, "//cdn.example", "http://cdn.example/a.png"),
        (PAGE, "", None),
        (PAGE, "http://", None),  # no URL: HTML has the page for the base then
        (PAGE, "javascript:void(0)", None),
        (PAGE, "file:///C:/site/", "other_scheme"),
        ("no url", "http://h.example/", "http://h.example/a.png"),
        ("no url", "x/", "bad_url"),
        ("http://[::1", None, "bad_url"),
    ],
)
def test_a_base_is_resolved_as_browsers_do_it(page: str, base: str | None, url: str | None) -> None:
    dropped: Counter[str] = Counter()
    rows = wat_rows(member(wat_record(content(page, [{"url": "a.png", "alt": "x"}], base=base))), dropped)
    assert [row["url"] for row in rows] + [*dropped] == [url or PAGE.rpartition("/")[0] + "/a.png"]


# WAT and WARC

OLD_WARC = "CC-MAIN-20190519061520-20190519083520-00000.warc.gz"
WRITTEN = [
    *("&amp;", "&amp;amp;", "&quot;", "&#39;", "&#x27;", "&#128;", "&#0;", "&eacute;", "&copy=1", "&copy", "&notit;"),
    *("&nbsp;", "&lt", "&", "&#", "&#x;", "=", "?a=b", "/", "http://", "h.example", ";", " ", "é", "Lee", "\n"),
]
texts = st.text(max_size=12).map(lambda text: text.encode("utf-8", "replace").decode())
urls = st.one_of(
    st.from_regex(r"(https?://[a-zA-Z.]{1,8})?/?[a-z./?#&;=% \\:-]{0,12}", fullmatch=True),
    st.text(max_size=12).map(lambda text: text.encode("utf-8", "replace").decode()),
)
images = st.lists(st.fixed_dictionaries({"src": urls}, optional={"alt": texts, "title": texts}), max_size=6)


@settings(max_examples=300)
@given(images, st.none() | urls)
def test_a_page_gives_the_same_pairs_from_wat_and_warc(images: list[dict[str, str]], base: str | None) -> None:
    links = [{"url" if name == "src" else name: value for name, value in image.items()} for image in images]
    wat, warc = Counter[str](), Counter[str]()
    from_wat = wat_rows(member(wat_record(content(PAGE, links, base=base))), wat, name="crawl.warc.gz")
    from_warc = warc_rows(member(response(page_source(images, base=base), page=PAGE)), warc, name="crawl.warc.gz")
    assert from_wat == from_warc
    assert wat == warc


written = st.lists(st.sampled_from(WRITTEN) | st.text(max_size=2), max_size=6).map("".join)
written_values = written.map(lambda value: re.sub('["\0]', "", value.encode("utf-8", "replace").decode()))


@settings(max_examples=150)
@given(st.lists(st.tuples(written_values, written_values, written_values), max_size=4), st.none() | written_values)
def test_a_page_gives_the_same_pairs_from_its_warc_an_old_wat_and_a_new_one(
    images: list[tuple[str, str, str]], base: str | None
) -> None:
    tags = "".join(f'<img src="{src}" alt="{alt}" title="{title}">' for src, alt, title in images)
    head = "" if base is None else f'<base href="{base}">'
    page = f"<!DOCTYPE html><head>{head}</head><body>{tags}</body>"
    decoded = html5lib.parse(page, namespaceHTMLElements=False)
    new_base = next((element.get("href") for element in decoded.iter("base")), None)
    new = [{"url": img.get("src"), "alt": img.get("alt"), "title": img.get("title")} for img in decoded.iter("img")]
    old = [{"url": src, "alt": alt, "title": title} for src, alt, title in images]
    from_old = wat_rows(member(wat_record(content(PAGE, old, base=base, warc=OLD_WARC))))
    from_new = wat_rows(member(wat_record(content(PAGE, new, base=new_base, warc=OLD_WARC.replace("2019", "2024")))))
    from_warc = warc_rows(member(response(page.encode(), page=PAGE)))
    assert [row | {"warc": ""} for row in from_old] == [row | {"warc": ""} for row in from_warc]
    assert [row | {"warc": ""} for row in from_new] == [row | {"warc": ""} for row in from_warc]


@pytest.mark.parametrize(
    ("warc", "date", "text"),
    [
        (OLD_WARC, "2024-05-19T06:20:00Z", "R&D &"),
        ("crawl-data/CC-MAIN-2019-22/segments/1558232254253.31/warc/CC-MAIN-20190519061520-2-0.warc.gz", None, "R&D &"),
        ("CC-MAIN-20130516092616-00000-ip-10-60-113-184.ec2.internal.warc.gz", None, "R&D &"),
        ("crawl-data/CC-MAIN-2019-26/x.warc.gz", "2019-05-19T06:20:00Z", "R&amp;D &amp;"),
        ("CC-MAIN-20190615221657-20190616003657-00000.warc.gz", "2019-05-19T06:20:00Z", "R&amp;D &amp;"),
        ("crawl-data/CC-MAIN-2024-22/x.warc.gz", None, "R&amp;D &amp;"),
        ("1341690167474_10.arc.gz", "2012-07-07T20:20:00Z", "R&D &"),
        ("own.warc.gz", "2019-05-31T23:59:59Z", "R&D &"),
        ("own.warc.gz", "2019-06-01T00:00:00Z", "R&amp;D &amp;"),
        ("own.warc.gz", "unknown", "R&amp;D &amp;"),
        ("own.warc.gz", None, "R&amp;D &amp;"),
    ],
)
def test_what_a_wat_says_is_decoded_once_by_its_age_and_never_twice(warc: str, date: str | None, text: str) -> None:
    described = content(PAGE, [{"url": "a.png", "alt": "R&amp;D &amp;"}, {"url": "a.png", "alt": None}], warc=warc)
    dates: dict[str, Any] = {} if date is None else {"WARC_Date": date}
    assert [row["text"] for row in wat_rows(member(wat_record(described, **dates)))] == [text]


def test_the_page_says_its_date_before_the_record_does() -> None:
    described = content(PAGE, [{"url": "a.png", "alt": "R&amp;D"}])
    described["Envelope"]["WARC-Header-Metadata"]["WARC-Date"] = "2016-05-19T06:20:00Z"
    assert wat_rows(member(wat_record(described, WARC_Date="2024-05-19T06:20:00Z")))[0]["text"] == "R&D"


def differ_by_what_no_wat_carries(wat: Rows, warc: Rows) -> None:
    by_id = {row["pair_id"]: row for row in warc}
    assert url_texts(wat) <= url_texts(warc)
    in_both = {row["pair_id"] for row in wat}
    assert {row["text_source"] for row in warc if row["pair_id"] not in in_both} <= {"data-image-title"}
    for row in wat:
        other = by_id[row["pair_id"]]
        if other["text_source"] != "data-image-title":  # the same text stands beside another image of that URL
            of_json_ld = (other["license_evidence"] or "").startswith("schema.org ")
            differs = {"license", "license_evidence"} if of_json_ld else set[str]()
            assert {name for name in row if row[name] != other[name]} <= differs


def sample_warcs() -> list[Path]:
    paths = SAMPLE / "crawl-data" / "SAMPLE-2026-01" / "warc.paths.gz"
    return [SAMPLE / path for path in gzip.decompress(paths.read_bytes()).decode().split()] if paths.exists() else []


@pytest.mark.skipif(not sample_warcs(), reason=f"{SAMPLE} has no snapshot SAMPLE-2026-01")
def test_the_sample_gives_the_same_pairs_from_wat_and_warc() -> None:
    for path in sample_warcs():
        wat_path = Path(str(path).replace("/warc/", "/wat/").replace(".warc.gz", ".warc.wat.gz"))
        dropped: Counter[str] = Counter()
        wat = wat_rows(wat_path.read_bytes(), dropped, name=wat_path.name)
        warc = warc_rows(path.read_bytes(), dropped, name=path.name)
        assert wat
        assert any(row["text_source"] == "data-image-title" for row in warc)
        differ_by_what_no_wat_carries(wat, warc)
        assert not BROKEN_RECORDS & set(dropped)


# Texts


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("a\nb", "a b"),
        ("a\r\n\t\v\f b", "a b"),
        ("\ufeffa", "\ufeffa"),
        ("a\x00\x01\x1bb", "ab"),
        ("a\x1fb\x85c\u2028d", "a b c d"),
        ("\ud800x\udfff", "\ufffdx\ufffd"),
        ("👩\u200d🚀 \u202e right-to-left", "👩\u200d🚀 \u202e right-to-left"),
        ("&amp; stays", "&amp; stays"),
        ("\x7f\x9f", "\x7f\x9f"),
    ],
)
def test_texts_are_cleaned_of_white_space_and_controls_only(text: str, clean: str) -> None:
    assert clean_text(text) == clean


@given(st.text(alphabet=st.characters(codec=None)))
def test_a_clean_text_stays_as_it_is_and_can_be_encoded(text: str) -> None:
    clean = clean_text(text)
    assert clean_text(clean) == clean
    assert clean == clean.encode().decode().strip()
    assert not re.search(r"[\x00-\x1f]|\s\s", clean)


def test_all_that_a_wat_needs_compiled_is_compiled_before_it_is_read(tmp_path: Path) -> None:
    code = """
from collections import Counter
from sys import argv
from metaclip_dagster.parsing import parse_wat
parse_wat.prepare()
from metaclip_dagster.parsing.cleaning import clean_images, gather_strings, list_pairs
from metaclip_dagster.parsing.scanning import scan_records
kernels = [clean_images, gather_strings, list_pairs, scan_records]
before = [list(kernel.signatures) for kernel in kernels]
batches = list(parse_wat(open(argv[1], "rb"), name="x", dropped=Counter()))
assert batches and [kernel.signatures for kernel in kernels] == before and all(len(one) == 1 for one in before)
"""
    archive = tmp_path / "ten.wat.gz"
    archive.write_bytes(members(*TEN))
    subprocess.run([sys.executable, "-c", code, str(archive)], cwd=ROOT, check=True)

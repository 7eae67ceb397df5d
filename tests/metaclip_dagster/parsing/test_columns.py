"""Columns give the rows, their order and the counts that reading record by record gives."""

import json
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import ada_url
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip_dagster.parsing import clean_text, parse_wat
from metaclip_dagster.parsing.cleaning import clean_images
from metaclip_dagster.parsing.columns import read_columns
from metaclip_dagster.parsing.pages import Page
from metaclip_dagster.parsing.quotes import PADDING
from metaclip_dagster.parsing.records import read_members
from metaclip_dagster.parsing.resolving import CAREFUL, DATA_URL
from metaclip_dagster.parsing.scanning import ABSENT
from metaclip_dagster.urls import normalise_url, read_base
from tests.metaclip_dagster.archives import content, members, wat_record
from tests.metaclip_dagster.parsing.fuzzing import BASES, TEXTS, URLS, compare, parse_carefully, read

CRAWL = Path(__file__).parents[3] / "data" / "sample" / "crawl"
WATS = sorted(CRAWL.rglob("*.wat.gz"))
OTHERS = [
    {"path": "A@/href", "url": f"https://h.example/ä{i}?b={i}", "text": 'of "two" words\n 犬 😀'} for i in range(9)
]
IMAGES = [{"url": "a.png", "alt": "a dog"}, *OTHERS, {"url": "/b.png", "title": "a\tcat"}]


def compact(described: object) -> bytes:
    return json.dumps(described, ensure_ascii=False, separators=(",", ":")).encode()


def described() -> bytes:
    page = content("http://h.example/p", IMAGES)
    html = page["Envelope"]["Payload-Metadata"]["HTTP-Response-Metadata"]["HTML-Metadata"]
    html["Head"] |= {"Metas": [{"name": "author", "content": "x"}], "Link": [{"path": "LINK@/href", "url": "/s.css"}]}
    return compact(page)


def read_in_columns(archive: bytes) -> tuple[list[bytes], int]:
    """The members that are odd, and how many pairs the others have."""
    odd: list[bytes] = []

    def see(_: int, inflated: bytes) -> Iterator[Page]:
        odd.append(inflated)
        return iter(())

    options = {"dropped": Counter[str](), "seen": Counter[str]()}
    wat = read_members(BytesIO(archive), name="x", dropped=Counter(), max_record_bytes=1 << 20)
    num_pairs = sum(batch.num_rows for batch in read_columns(wat, see, set(), **options))
    return odd, num_pairs


def test_the_samples_wats_are_read_as_record_by_record() -> None:
    for wat in WATS[::4]:
        assert read(parse_wat, wat.read_bytes()) == read(parse_carefully, wat.read_bytes())


@pytest.mark.parametrize("block", range(8))
def test_whatever_is_in_a_wat_is_read_as_record_by_record(block: int) -> None:
    for seed in range(100 * block, 100 * (block + 1)):
        compare(seed)


def test_nothing_is_odd_in_a_crawl_but_its_first_record() -> None:
    for wat in WATS:
        odd, num_pairs = read_in_columns(wat.read_bytes())
        assert num_pairs
        assert all(b"WARC-Type: warcinfo" in member for member in odd), odd


SAYING = [
    *(b'{"name":"robots","content":"index,NoAI"}', b'{"content":"1","name":"tdm-reservation"}'),
    *(b'{"name":"GPTBot","content":"none"}', b'{"name":"robots","content":"no\\u0061i"}'),
    b'{"path":"LINK@/href","url":"https://creativecommons.org/licenses/by/4.0/","rel":"License"}',
    b'{"path":"A@/href","url":"//creativecommons.org/licenses/by-sa/4.0/","rel":"me license"}',
    b'{"path":"A@/href","url":"HTTPS:\\/\\/www.CreativeCommons.org\\/licenses\\/by\\/4.0\\/","text":"CC BY"}',
    b'{"path":"A@/href","url":"https:\\u002f/creativecommons.org/licenses/by/4.0/","text":"CC BY"}',
    b'{"path":"A@/href","\\u0075rl":"https://creativecommons.org/licenses/by/4.0/","text":"CC BY"}',
    b'{"path":"A@/href","url":"/","\\u0075rl":"https://creativecommons.org/licenses/by/4.0/","text":"CC BY"}',
    b'{"path":"A@/href","url":"https://creativecommons.org/licenses/by/4.0/","r\\u0065l":"license"}',
]


@pytest.mark.parametrize("saying", SAYING)
@pytest.mark.parametrize("place", [b'"Links":[', b'"Metas":[', b'"Link":['])
def test_what_says_how_a_page_may_be_used_is_read(saying: bytes, place: bytes) -> None:
    archive = members(wat_record(described().replace(place, place + saying + b",")))
    assert read(parse_wat, archive) == read(parse_carefully, archive)
    assert read_in_columns(archive) == ([], 2)


@pytest.mark.parametrize(
    "piece",
    [
        *(
            b'{"path":"IMG@\\/src","url":"c"},',
            b'{"p\\u0061th":"IMG@/src"},',
            b'{"path":"\\u0049MG@/src"},',
            b'{"":1},',
        ),
        *(b'{"a":"\\x"},', b'{"a":"\x1f"},', b'{"a","b":"c"},', b'{"a":"b":"c"},', b'{"a":"b",},', b'{"a":"b"}'),
        *(b'["x,{"a":"b"}"],', b'{"path":"IMG@/src","url":"c","alt":"d","width":1},', b"[" * 600 + b"]" * 600 + b","),
    ],
)
def test_what_may_be_an_image_or_no_json_is_odd(piece: bytes) -> None:
    record = wat_record(described().replace(b'"Links":[', b'"Links":[' + piece))
    archive = members(record)
    assert read(parse_wat, archive) == read(parse_carefully, archive)
    assert read_in_columns(archive) == ([record], 0)


def clean(url: bytes, alt: bytes, base: str) -> tuple[str | int, str | int]:
    """What the kernel makes of an image's URL and alt as JSON spells them, or why nothing."""
    _, folder, host = read_base(base)
    data = np.frombuffer(url + alt + b'"' + bytes(PADDING), np.uint8)
    images = np.array([[0, len(url), len(url), len(url) + len(alt), ABSENT, ABSENT]], np.int32)
    strings, spans = np.empty(len(data) + len(folder) + PADDING, np.uint8), np.empty((1, 6), np.int32)
    prefix, ends = np.frombuffer(folder.encode() + b" ", np.uint8), np.array([0, len(folder)])
    page, size, is_coded = np.zeros(1, np.int64), np.array([len(host)]), np.array([False])
    clean_images(data, images, page, prefix, ends, size, is_coded, strings, spans)
    url_or_why, text_or_why = (
        strings[begin:end].tobytes().decode() if begin >= 0 else int(begin) for begin, end in spans[0, :4].reshape(2, 2)
    )
    return url_or_why, text_or_why


def spell(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass")[1:-1]


SEGMENTS = [
    "a",
    "b.png",
    "..",
    ".",
    "",
    "%2e",
    "%2E%2e",
    "-",
    "~x",
    "é",
    "a b",
    "a\\b",
    "xn--a",
    "C:",
    "a=b",
    "x;y",
    "%41",
]
hosts = st.lists(
    st.sampled_from(
        ["a", "h", "example", "com", "1", "0x1", "xn--a", "-a", "a-", "_", "", "A", "é", "1a", "256", "a:80"]
    ),
    min_size=1,
    max_size=4,
).map(".".join)
paths = st.lists(st.sampled_from(SEGMENTS) | st.text(max_size=3), max_size=5).map("/".join)
queries = st.sampled_from(["", "", "?", "?a=b", "?a/../b", "?/.", "?é", "?a'b", "#f", "?a#b"])
addresses = st.builds(
    str.__add__, st.builds("{}{}/{}".format, st.sampled_from(["http://", "https://", "//"]), hosts, paths), queries
)
urls = st.one_of(
    addresses,
    st.builds("{}{}{}".format, st.sampled_from(["", "", "/", "../", "../../", "./"]), paths, queries),
    st.sampled_from(URLS),
    st.text(max_size=8),
)
bases = addresses.filter(lambda url: not url.startswith("//")) | st.sampled_from([str(base) for base in BASES])


def check_url(url: str, base: str) -> str | int:
    """Compare the kernel with the library, and say what it gave."""
    resolved, _ = clean(spell(url), b"x", base)
    if resolved == CAREFUL:
        return CAREFUL
    if resolved in {DATA_URL, ABSENT}:
        assert (resolved == DATA_URL) == (normalise_url(url, base) == (None, "data_url"))
        return resolved
    try:
        base = ada_url.URL(base).href
    except ValueError:
        base = "about:blank"
    assert resolved == ada_url.join_url(base, url).partition("#")[0]
    assert normalise_url(url, base) == (resolved, None)
    return resolved


@settings(max_examples=1500)
@given(urls, bases)
def test_a_url_is_what_the_library_makes_of_it(url: str, base: str) -> None:
    check_url(url, base)


@settings(max_examples=500)
@given(
    st.text(st.characters(codec=None) | st.sampled_from(' \t\n\u00a0\u2003\u3000"\\é犬😀&'))
    | st.sampled_from(TEXTS[1:])
)
def test_a_text_is_cleaned_as_in_python(text: str) -> None:
    _, cleaned = clean(b"a", spell(text), "http://h/")
    assert cleaned in {CAREFUL, clean_text(text) or ABSENT}


@pytest.mark.parametrize(
    "url", ["a.png", "/a/b.png?c=d", "../b.png", "//cdn.example/x", "https://h.example/a/b(1).png"]
)
def test_most_urls_and_texts_are_simple(url: str) -> None:
    assert CAREFUL not in clean(spell(url), spell(' a "dog"\n犬 '), "http://h.example/p/q.html")

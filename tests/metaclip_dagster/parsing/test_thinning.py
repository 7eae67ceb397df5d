"""Whatever a WAT record holds, it reads the same with its other links cut out and with all of them."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metaclip_dagster.parsing.pages import read_wat_page
from metaclip_dagster.parsing.records import BrokenRecordError, Record
from metaclip_dagster.parsing.thinning import cut_other_links
from tests.metaclip_dagster.archives import content

HEAD = b"WARC/1.0\r\nWARC-Type: metadata\r\nWARC-Target-URI: http://r/\r\nContent-Type: application/json\r\n\r\n"
OTHERS = [
    {"path": "A@/href", "url": f"https://h.example/ä{i}?b={'c' * 80}", "text": 'of "two" words\n \\ 犬 😀'}
    for i in range(40)
]


def page_of(block: bytes, **options: Any) -> str:
    """What is read: a page, None, or the reason why none can be."""
    record = Record(0, HEAD + block, 0, len(HEAD), len(HEAD) + len(block))
    try:
        return repr(read_wat_page(record, **options))
    except BrokenRecordError as fault:
        return str(fault)


def compact(described: object) -> bytes:
    return json.dumps(described, ensure_ascii=False, separators=(",", ":")).encode()


def described() -> dict[str, Any]:
    images = [{"url": "a.png", "alt": "a dog"}, {"url": "b.png", "title": "a\tcat"}]
    built = content("http://h.example/p", [*OTHERS[:20], images[0], *OTHERS[20:30], images[1], *OTHERS[30:]])
    built["Envelope"]["Payload-Metadata"]["HTTP-Response-Metadata"]["HTML-Metadata"]["Head"] |= {
        "Base": "http://base.example/",
        "Metas": [{"name": "author", "content": "x"}, {"property": "og:image", "content": "y"}],
        "Link": [{"path": "LINK@/href", "url": "/s.css", "rel": "stylesheet"}],
    }
    built["Envelope"]["WARC-Header-Metadata"]["WARC-Target-URI"] = [{"a": "b"}, {"c": "d"}, "http://h.example/p"]
    return built


WHOLE = compact(described())
SAYING = [
    *(b'{"name":"robots","content":"index,NoAI"}', b'{"content":"1","name":"tdm-reservation"}'),
    *(b'{"name":"GPTBot","content":"none"}', b'{"name":"robots","content":"no\\u0061i"}'),
    b'{"path":"LINK@/href","url":"https://creativecommons.org/licenses/by/4.0/","rel":"License"}',
    b'{"path":"A@/href","url":"//creativecommons.org/licenses/by-sa/4.0/","rel":"me license"}',
    b'{"path":"A@/href","url":"HTTPS:\\/\\/www.CreativeCommons.org\\/licenses\\/by\\/4.0\\/","text":"CC BY"}',
    b'{"path":"A@/href","url":"https:\\u002f/creativecommons.org/licenses/by/4.0/","text":"CC BY"}',
    b'{"path":"A@/href","\\u0075rl":"https://creativecommons.org/licenses/by/4.0/","text":"CC BY"}',
]
IMAGE = b'{"path":"IMG@/src","url":"c.png","alt":"more"}'
PIECES = [
    *(bytes([byte]) for byte in b'"\\{}[],: \t\n\x00\x1f\x7f-0.eI'),
    *(b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xef\xbb\xbf"),
    *(b"\\u0041", b"\\ud800", b"\\ud83d\\ude00", b"\\/", b"\\x", b"\\u00", b"\\\\", b'\\"', b'"path":"IMG@\\/src",'),
    *(b'"\\u0070ath":"IMG@/src",', b'"path":"IMG@/src",', b'"path":"A@/href",', b"IMG@/src", b'"IMG@/src"', b"NaN,"),
    *(IMAGE, IMAGE + b",", b"," + IMAGE, b"[" + IMAGE + b"],", b'"Links":[', b'"Links":[' + IMAGE + b"],"),
    *(b"{}", b"{},", b',{"a":"b"}', b'{"a":"b"},', b'{"a":{"b":"c"}},', b'"k":{"a":"b"},', b'{ "a" : "b" },', b'","'),
    *(piece + b"," for piece in SAYING),
    *(b'[{"', b'":",', b'":"', b'"},{"', b"[" * 1000 + b"]" * 1000 + b",", b'"Envelope":{},', b'"WARC-Target-URI":7,'),
]
SEAMS = [at for at in range(len(WHOLE)) if WHOLE[at : at + 1] in b'"{}[],:'] + [len(WHOLE)]
places = st.sampled_from(SEAMS) | st.integers(0, len(WHOLE))
changes = st.one_of(
    st.tuples(st.just("insert"), places, st.sampled_from(PIECES) | st.binary(max_size=4)),
    st.tuples(st.just("put"), places, st.sampled_from(PIECES) | st.binary(min_size=1, max_size=1)),
    st.tuples(st.just("delete"), places, st.integers(1, 60)),
    st.tuples(st.just("repeat"), places, st.integers(1, 400)),
    st.tuples(st.just("cut"), places, st.just(0)),
)


@settings(max_examples=600)
@given(st.lists(changes, min_size=1, max_size=4))
def test_a_damaged_record_gives_the_page_or_the_reason_that_it_gives_uncut(damages: list[tuple[Any, ...]]) -> None:
    block = WHOLE
    for how, at, what in damages:
        if how == "insert":
            block = block[:at] + what + block[at:]
        elif how == "put":
            block = block[:at] + what + block[at + len(what) :]
        elif how == "delete":
            block = block[:at] + block[at + what :]
        elif how == "repeat":
            block = block[: at + what] + block[at:]
        else:
            block = block[:at]
    assert page_of(block) == page_of(block, thin=bytes)


def reordered(value: Any, draw: st.DataObject) -> Any:
    if isinstance(value, list):
        return [reordered(each, draw) for each in value]
    if isinstance(value, dict):
        return {key: reordered(value[key], draw) for key in draw.draw(st.permutations(list(value)))}
    return value


@settings(max_examples=60)
@given(st.data(), st.booleans(), st.sampled_from([(",", ":"), (", ", ": "), (",", ": "), ("\n,", ":")]))
def test_the_order_of_keys_blanks_and_escapes_make_no_difference(
    data: st.DataObject, ascii_only: bool, separators: tuple[str, str]
) -> None:
    block = json.dumps(reordered(described(), data), ensure_ascii=ascii_only, separators=separators).encode()
    assert page_of(block) == page_of(block, thin=bytes) == page_of(WHOLE)


@pytest.mark.parametrize("saying", SAYING)
@pytest.mark.parametrize("place", [b'"Links":[', b'"Metas":[', b'"Link":['])
def test_what_says_how_a_page_may_be_used_is_not_cut(saying: bytes, place: bytes) -> None:
    block = WHOLE.replace(place, place + saying + b",")
    assert saying in bytes(cut_other_links(block))
    assert page_of(block) == page_of(block, thin=bytes)


def test_what_is_left_is_the_images_and_little_else() -> None:
    left = bytes(cut_other_links(WHOLE))
    assert len(left) < len(WHOLE) / 8
    assert json.loads(left)["Container"] == described()["Container"]
    links = json.loads(left)["Envelope"]["Payload-Metadata"]["HTTP-Response-Metadata"]["HTML-Metadata"]["Links"]
    assert [link.get("url") for link in links] == [None, "a.png", None, "b.png", None]


@pytest.mark.parametrize(
    ("whole", "why"),
    [
        (b'["x,{",":",","}"]', "a string ends in what begins an object"),
        (b'["x,{"a":"b"}"]', "a string ends early"),
        (b'{"k":{"a":"b"},"l":{"a":"b"}}', "no element of an array"),
        (b'[{"path":"IMG@/src"}]', "an image"),
        (b'[{"url":"x","path":"IMG@/src"}]', "an image"),
        (b'[{"path":"A","path":"IMG@/src"}]', "the last of two keys counts"),
        (b'[{"path":"IMG@\\/src"}]', "an image, escaped"),
        (b'[{"p\\u0061th":"IMG@/src"}]', "an image, escaped"),
        (b'[{"path":"\\u0049MG@/src"}]', "an image, escaped"),
        (b'[{"path":"I\\u004dG@/src"}]', "an image, escaped"),
        (b'[{"a":"b","path":"IM', "cut off"),
        (b'[{"a":"b","path":"I', "cut off"),
        (b'[{"a":"b","path":"', "cut off"),
        (b'[{"a":"\\ud800"}]', "no character"),
        (b'[{"a":"\\u00"}]', "no JSON"),
        (b'[{"a":"\\u00g0"}]', "no JSON"),
        (b'[{"a":"\\x"}]', "no JSON"),
        (b'[{\\"a":"b"}]', "no JSON"),
        (b'[{"a","b":"c"}]', "no JSON"),
        (b'[{"a":"b":"c"}]', "no JSON"),
        (b'[{"a":"b";"c":"d"}]', "no JSON"),
        (b'[{"a":"\x1f"}]', "no JSON"),
        (b'[{"a":"\xed\xa0\x80"}]', "no UTF-8"),
        (b'[{"a":"\xf4\x90\x80\x80"}]', "no UTF-8"),
        (b'[{"a":"\xe0\x9f\xbf"}]', "no UTF-8"),
        (b'[{"a":"b"', "cut off"),
        (b'[{"a":"\\', "cut off"),
        (b'[{"a":"\xe2\x82', "cut off"),
        (b'[{"a":"b",}]', "no JSON"),
        (b'[{"a":1}]', "not of strings"),
    ],
)
def test_what_may_be_an_image_or_no_json_stays_as_it_is(whole: bytes, why: str) -> None:
    assert bytes(cut_other_links(whole)) == whole, why


@pytest.mark.parametrize(
    "broken", [b',{"a":"b"}{"c":"d"}', b'[{"a":"b"}{"a":"b"}]', b'{"k":1,{"a":"b"}}', b'[,{"a":"b"}]']
)
def test_no_cut_mends_what_is_broken(broken: bytes) -> None:
    assert page_of(b'{"IMG@":' + broken + b"}") == "bad_json"
    with pytest.raises(ValueError, match=r"."):
        json.loads(bytes(cut_other_links(broken)))


whole_texts = st.text(st.characters(codec="utf-8", max_codepoint=0xFFFF) | st.sampled_from('"\\/\n\0I')).filter(
    lambda text: not text.startswith("IM")
)

keys = st.sampled_from(["", "path", "text", "title", "contents", "ur", "REL"])


@settings(max_examples=300)
@given(st.lists(st.dictionaries(keys, whole_texts, min_size=1), min_size=1), st.booleans())
@example([{"": "\r"}], False)
@example([{"": "a\ud7a3"}], True)
def test_a_run_of_other_links_is_cut_whole_whatever_its_texts_are(
    links: list[dict[str, str]], ascii_only: bool
) -> None:
    block = json.dumps(links, ensure_ascii=ascii_only, separators=(",", ":")).replace("</", "<\\/").encode()
    may_be_image = b'"\\u' in block or b'"I\\' in block  # what is escaped where IMG@/src may begin stays
    assert may_be_image or bytes(cut_other_links(block)) == b"[{}]"

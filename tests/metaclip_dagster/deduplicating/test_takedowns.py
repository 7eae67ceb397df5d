"""A list of takedowns names what it says, and nothing beside it."""

import hashlib

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaclip_dagster.deduplicating import find_takedowns
from metaclip_dagster.deduplicating.takedowns import TakedownIndex, build_takedowns, flag_taken_down
from metaclip_dagster.schemas import MATCHES, PAIRS
from metaclip_dagster.urls import image_id_of, normalise_url, pair_id_of


def listed(*lines: tuple[str, str], image_ids: tuple[str, ...] = ()) -> TakedownIndex:
    return build_takedowns([(f"list.csv:{i}", *line) for i, line in enumerate(lines, 2)], image_ids)


def pairs(*rows: tuple[str, str, str]) -> pa.RecordBatch:
    """PAIRS of some URLs, texts and pages."""
    dicts = [
        {"pair_id": pair_id_of(url, text), "image_id": image_id_of(url), "url": url, "text": text, "page_url": page}
        for url, text, page in rows
    ]
    return pa.RecordBatch.from_pylist(dicts, PAIRS)


def judged(batch: pa.RecordBatch, *lines: tuple[str, str]) -> list[bool]:
    flags: list[bool] = flag_taken_down(batch, listed(*lines)).to_pylist()
    return flags


URL = "http://h.example/a%20b.png"
THREE = pairs((URL, "a cat", "http://p.example/"), (URL, "a dog", "http://p.example/"), ("http://h.example/c", "c", ""))


def test_a_url_is_meant_however_it_is_spelt_and_takes_all_its_texts() -> None:
    assert judged(THREE, ("url", "HTTP://H.example/a b.png#top")) == [True, True, False]
    assert judged(THREE, ("image_id", image_id_of(URL).hex().upper())) == [True, True, False]


def test_a_pair_goes_alone() -> None:
    assert judged(THREE, ("pair_id", str(pair_id_of(URL, "a dog")))) == [False, True, False]


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("http://x.example/", True),
        ("https://a.b.X.example:8080/i", True),
        ("http://user@y.example@x.example/", True),
        ("http://x.example.?q", True),
        ("http://notx.example/", False),
        ("http://x.example.org/", False),
        ("http://y.example/http://x.example/", False),
        ("http://y.example/?@x.example/", False),
        ("http://x.example@y.example/", False),
        ("http://example/", False),
        ("nonsense", False),
    ],
)
def test_a_domain_is_a_host_and_all_below_it(url: str, meant: bool) -> None:
    rows = pairs((url, "", ""), ("http://z.example/", "", url))
    assert judged(rows, ("domain", "x.Example")) == [meant, False]
    assert judged(rows, ("page_domain", "x.Example")) == [False, meant]


def test_a_domain_is_meant_in_either_script() -> None:
    rows = pairs(("http://www.bücher.example/", "", ""), ("http://xn--bcher-kva.example/", "", ""))
    for spelt in ("BÜCHER.example", "xn--bcher-kva.example"):
        assert judged(rows, ("domain", spelt)) == [True, True]
    sharp = pairs((normalise_url("http://straße.example/", "")[0] or "", "", "http://straße.example/"))
    assert judged(sharp, ("domain", "straße.example")) == judged(sharp, ("page_domain", "Straße.example")) == [True]


def test_an_address_is_a_domain() -> None:
    rows = pairs(("http://[2001:db8::1]:80/", "", ""), ("http://192.0.2.7/", "", ""))
    assert judged(rows, ("domain", "[2001:DB8::1]")) == [True, False]
    assert judged(rows, ("domain", "192.0.2.7")) == [False, True]


def test_a_null_is_of_no_domain() -> None:
    rows = pa.RecordBatch.from_pydict({"page_url": pa.array([None, "http://x.example/"], pa.string())})
    assert judged(rows, ("page_domain", "x.example")) == [False, True]


def test_images_that_the_store_knows_by_a_digest_go_in_whichever_form_a_table_has_their_ids() -> None:
    digest, image_id = hashlib.sha256(b"").hexdigest(), image_id_of(URL)
    takedowns = listed(("image_sha256", digest), image_ids=(image_id.hex(),))
    for column in (pa.array([image_id, b"x" * 12], pa.binary(12)), pa.array([image_id.hex(), "0" * 24])):
        rows = pa.RecordBatch.from_arrays([column], names=["image_id"])
        assert flag_taken_down(rows, takedowns).to_pylist() == [True, False]


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        ("host", "x.example", "there is no kind 'host'; there are url, domain, page_domain"),
        ("url", "data:image/png;base64,AAAA", r"not an image's URL \(data_url\)"),
        ("url", "x.example/a.png", "give it whole"),
        ("domain", "http://x.example", "without scheme"),
        ("domain", "*.x.example", "all below it is meant anyway"),
        ("domain", "com", "with a dot"),
        ("page_domain", "", "with a dot"),
        ("image_id", "abc", "not 24 hexadecimal digits"),
        ("image_sha256", "g" * 64, "not 64 hexadecimal digits"),
        ("pair_id", str(2**64), "below 2"),
        ("pair_id", "-1", "below 2"),
    ],
)
def test_a_bad_value_is_named_with_its_line(kind: str, value: str, says: str) -> None:
    with pytest.raises(ValueError, match=rf"^list\.csv:3: .*{says}"):
        listed(("domain", "y.example"), (kind, value))


HOSTS = st.from_regex(r"[a-z0-9]{1,5}(\.[a-z0-9]{1,5}){0,2}\.[a-z]{1,5}", fullmatch=True)


@given(st.lists(HOSTS, min_size=1, max_size=20), HOSTS)
def test_a_domain_takes_what_ends_in_it_at_a_dot(hosts: list[str], domain: str) -> None:
    urls = [normalise_url(f"http://{host}/x", "")[0] or "" for host in hosts]
    rows = pairs(*((url, "", "") for url in urls))
    assert judged(rows, ("domain", domain)) == [f".{host}".endswith(f".{domain}") for host in hosts]


def test_exclusions_are_of_matches_alone_each_once_in_its_place() -> None:
    matches = pa.RecordBatch.from_pylist([{"pair_id": pair_id_of(URL, "a cat")}], MATCHES)
    takedowns = listed(("domain", "h.example"))
    exclusions = list(
        find_takedowns([THREE, THREE.slice(3)], [matches], takedowns=takedowns, snapshot="S", shard="00007")
    )
    rows = pa.Table.from_batches(exclusions, find_takedowns.writes).to_pylist()  # type: ignore[attr-defined]
    assert rows == [{"snapshot": "S", "shard": "00007", "pair_id": pair_id_of(URL, "a cat"), "reason": "taken_down"}]

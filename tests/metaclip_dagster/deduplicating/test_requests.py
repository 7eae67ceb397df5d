"""A row belongs to every request that names its pair or image, and to no other."""

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaclip_dagster.deduplicating.requests import RequestIndex
from metaclip_dagster.deduplicating.takedowns import build_takedowns, flag_taken_down
from metaclip_dagster.schemas import IMAGES, PAIRS, SUBSETS
from metaclip_dagster.urls import image_id_of, pair_id_of

HOSTS = ("h.example", "www.h.example", "i.example", "192.0.2.7")
URLS = [f"http://{host}/{name}" for host in HOSTS for name in "ab"]
PAGES = [f"http://{host}/" for host in ("p.example", "q.p.example", "r.example")]
CRAWLED = [(url, text, page) for url in URLS for text in ("cat", "dog") for page in PAGES]
DIGEST = "a" * 64
LINES = [
    *(("url", url) for url in URLS),
    *(("domain", host) for host in HOSTS),
    *(("page_domain", host) for host in ("p.example", "r.example", "none.example")),
    *(("image_id", image_id_of(url).hex().upper()) for url in URLS[:2]),
    *(("pair_id", str(pair_id_of(url, "cat"))) for url in URLS),
    ("image_sha256", DIGEST),
]
REQUESTS = ("", "r-1", "r-2", "r-3")
IMAGE_IDS = {DIGEST: {image_id_of(URLS[-1]).hex()}}


def pairs(*crawled: tuple[str, str, str]) -> pa.RecordBatch:
    rows = [
        {"pair_id": pair_id_of(url, text), "image_id": image_id_of(url), "url": url, "text": text, "page_url": page}
        for url, text, page in crawled
    ]
    return pa.RecordBatch.from_pylist(rows, PAIRS)


def index(*lines: tuple[tuple[str, str], str]) -> RequestIndex:
    listed = ((f"list.csv:{number}", *line, request) for number, (line, request) in enumerate(lines, 2))
    return RequestIndex(listed, IMAGE_IDS)


@given(
    st.lists(st.tuples(st.sampled_from(LINES), st.sampled_from(REQUESTS)), max_size=12),
    st.lists(st.sampled_from(CRAWLED), min_size=1, max_size=20),
)
def test_a_row_counts_for_just_the_requests_whose_own_list_would_take_it_down(
    lines: list[tuple[tuple[str, str], str]], crawled: list[tuple[str, str, str]]
) -> None:
    rows, requests = pairs(*crawled), index(*lines)
    expected = Counter[str]()
    for request in REQUESTS[1:]:
        listed = [("list.csv:2", *line) for line, of in lines if of == request]
        images = IMAGE_IDS[DIGEST] if ("list.csv:2", "image_sha256", DIGEST) in listed else ()
        expected[request] = sum(flag_taken_down(rows, build_takedowns(listed, images)).to_pylist())
    assert requests.count(requests.number_rows(rows)) == +expected
    assert requests.requests == tuple(sorted({of for _, of in lines if of}))


def test_what_pairs_have_learnt_of_ids_holds_in_tables_without_urls() -> None:
    crawled = pairs((URLS[0], "cat", PAGES[0]), (URLS[0], "dog", PAGES[2]), (URLS[2], "cat", PAGES[0]))
    requests = index((("page_domain", "p.example"), "r-1"), (("domain", "www.h.example"), "r-2"))
    counts = requests.learn([(batch, requests.number_rows(batch)) for batch in (crawled.slice(0, 1), crawled.slice(1))])
    assert counts == {"r-1": {"pairs": 2, "images": 2}, "r-2": {"pairs": 1, "images": 1}}
    subsets = pa.RecordBatch.from_pylist([{"pair_id": pair_id_of(URLS[2], "cat")}, {"pair_id": 7}], SUBSETS)
    assert requests.count(requests.number_rows(subsets)) == {"r-1": 1, "r-2": 1}
    images = pa.RecordBatch.from_pylist([{"image_id": image_id_of(url).hex()} for url in URLS[:3]], IMAGES)
    assert requests.count(requests.number_rows(images)) == {"r-1": 2, "r-2": 1}


def test_an_image_is_known_by_its_older_spelling_too() -> None:
    row = {"pair_id": 9, "image_id": b"x" * 12, "url": "http://b\u00fccher.example/x"}
    requests = index((("url", "http://xn--bcher-kva.example/x"), "r-1"))
    assert requests.count(requests.number_rows(pa.RecordBatch.from_pylist([row], PAIRS))) == {"r-1": 1}


def test_no_request_and_no_row_count_nothing() -> None:
    assert index().count(index().number_rows(pairs(CRAWLED[0]))) == {}
    assert len(index().number_rows(pairs(CRAWLED[0]).slice(1))) == 0


@pytest.mark.parametrize("line", [("host", "x"), ("url", "x")])
def test_a_bad_line_is_named(line: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=r"^list\.csv:2: "):
        index((line, "r-1"))


def test_many_rows_count_as_each_would_alone() -> None:
    hosts = [f"h{number}.h.example" for number in range(10_000)]
    shared = [(("domain", host), f"r-{2 + number % 2}") for number, host in enumerate(hosts)]
    requests = index((("domain", "h.example"), "r-1"), *shared)
    rows = pa.RecordBatch.from_pylist(
        [{"pair_id": at, "image_id": b"x" * 12, "url": f"http://{host}/"} for at, host in enumerate(hosts)], PAIRS
    )
    expected = {"r-1": 10_000, "r-2": 5_000, "r-3": 5_000}
    assert requests.count(requests.number_rows(rows)) == expected
    counts = requests.learn([(rows, requests.number_rows(rows))])
    assert counts == {request: {"pairs": pairs, "images": 1} for request, pairs in expected.items()}
    assert requests.count(requests.number_rows(rows.select(["pair_id"]))) == expected

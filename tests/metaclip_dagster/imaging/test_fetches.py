"""What came is compared with what pools list; what is gone is asked for elsewhere; each image says how it came."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from metaclip_dagster.imaging import describe_fetches, gather_images, scatter_crawl_times, scatter_digests
from metaclip_dagster.imaging.fetching import Answer
from metaclip_dagster.imaging.hints import Hint, read_hints
from metaclip_dagster.imaging.second_source import check_pattern
from metaclip_dagster.schemas import FETCH_HINTS, FETCHES, IMAGE_TEXTS, IMAGES, PAIRS, SUBSETS
from metaclip_dagster.signals import keep_out
from metaclip_dagster.urls import bucket_images, image_id_of
from resources.images.asking import ImageWeb
from resources.images.store import ImageStore
from resources.images.web import open_image_web
from tests.image_hosts import image_hosts, picture
from tests.metaclip_dagster.imaging.test_imaging import texts_of, url

ARCHIVE = "https://archive.example/"


class Web:
    """Serves pictures by the last part of their URL, where it has them, and counts who asks."""

    def __init__(self, pictures: Mapping[str, bytes | str]) -> None:
        self.pictures = pictures
        self.asked: list[str] = []

    def __call__(self, urls: Sequence[str]) -> Iterator[tuple[str, Answer]]:
        for asked in urls:
            self.asked.append(asked)
            yield asked, (self.pictures.get(asked, "http_404"), (), 0.5)


def id_of(number: int) -> str:
    return texts_of((number, "en", 0.0))["image_id"][0].as_py()  # type: ignore[no-any-return]  # Arrow's scalars are untyped


def hints_of(digests: Mapping[int, str], times: Mapping[int, datetime] | None = None) -> list[pa.RecordBatch]:
    rows = [{"bucket": 0, "image_id": id_of(number), "digest": digest} for number, digest in digests.items()]
    rows += [{"bucket": 0, "image_id": id_of(number), "crawled_at": at} for number, at in (times or {}).items()]
    return [pa.RecordBatch.from_pylist(rows, schema=FETCH_HINTS)]


def fetch(
    store: ImageStore, web: Web, num_images: int, hints: list[pa.RecordBatch], **options: Any
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], Counter[str]]:
    """IMAGES and FETCHES, by the images' numbers, and what was seen."""
    seen: Counter[str] = Counter()
    texts = [texts_of(*((number, "en", 0.0) for number in range(num_images)))]
    fixed: dict[str, Any] = {"bucket": 0, "thresholds_below": {}, "dropped": Counter(), "seen": seen}
    images = list(gather_images(texts, store=store, fetch=web, hints=hints, **fixed, **options))
    buckets = {"00000": {"bucket": 0, "images": images, "hints": hints}}
    fetches = pa.Table.from_batches(describe_fetches(buckets, store=store, seen=Counter()), FETCHES)
    tables = [
        {row["image_id"]: row for row in rows.to_pylist()} for rows in (pa.Table.from_batches(images, IMAGES), fetches)
    ]
    of_images, of_fetches = ([rows[id_of(number)] for number in range(num_images)] for rows in tables)
    return of_images, of_fetches, seen


def sha256(number: int) -> str:
    return hashlib.sha256(picture(number)).hexdigest()


def md5(number: int) -> str:
    return hashlib.md5(picture(number)).hexdigest()


DIGESTS = {0: sha256(0), 1: sha256(9), 2: md5(2), 3: md5(9), 5: sha256(5), 6: md5(6)}
COMPARED = ["same", "changed", "same", "changed", None, "gone", "gone"]


def test_what_came_is_the_same_changed_or_gone(tmp_path: Path) -> None:
    web, store = Web({url(number): picture(number) for number in range(5)}), ImageStore(tmp_path)
    images, fetches, _ = fetch(store, web, 7, hints_of(DIGESTS))
    assert [row["compared"] for row in fetches] == COMPARED
    assert [row["seconds"] for row in fetches] == [0.5] * 7
    assert [row["tar"] is not None for row in images] == [True] * 5 + [False] * 2


@pytest.mark.parametrize("is_stored_before", [False, True])
def test_only_what_is_the_same_is_kept_where_asked(is_stored_before: bool, tmp_path: Path) -> None:
    web, store = Web({url(number): picture(number) for number in range(5)}), ImageStore(tmp_path)
    hints = hints_of(DIGESTS)
    if is_stored_before:
        fetch(store, web, 7, hints)
    images, fetches, _ = fetch(store, web, 7, hints, fetch_only_same=True)
    assert [row["reason"] for row in images] == [None, "changed", None, "changed", None, "http_404", "http_404"]
    assert [row["tar"] is None for row in images] == [row["reason"] is not None for row in images]
    assert [row["compared"] for row in fetches] == COMPARED
    assert len(web.asked) == 7


def test_what_is_gone_is_asked_for_at_the_second_source_alone(tmp_path: Path) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5)
    archived: dict[str, bytes | str] = {f"{ARCHIVE}20260102030405/{url(number)}": picture(number) for number in (1, 2)}
    archived[f"{ARCHIVE}20260102030405/{url(5)}"] = b"<html>not found, but 200</html>"
    reasons = {url(2): "dns", url(3): "http_403", url(4): "opted_out"}
    web, store = Web({url(0): picture(0), **archived, **reasons}), ImageStore(tmp_path, segment_images=3)
    hints = hints_of({1: sha256(1)}, dict.fromkeys(range(6), at))
    images, fetches, seen = fetch(store, web, 7, hints, second_source=f"{ARCHIVE}{{timestamp}}/{{url}}")
    expected = [None, None, None, "http_403", "opted_out", "http_404", "http_404"]
    assert [row["reason"] for row in images] == expected
    sources = [f"{ARCHIVE}20260102030405/{url(number)}" if number in (1, 2) else None for number in range(7)]
    assert [row["source"] for row in fetches] == sources
    assert [row["url"] for row in images] == [url(number) for number in range(7)]
    assert fetches[1]["compared"] == "same"
    assert (seen["second_source_answered"], seen["second_source_not_an_image"]) == (2, 1)
    assert sum(asked.startswith(ARCHIVE) for asked in web.asked) == 3, "6 has no time"
    fetch(store, web, 7, hints)
    assert len(web.asked) == 7 + 3, "what is stored is asked for nowhere again"


@pytest.mark.parametrize(
    "pattern",
    ["archive.example/{url}", "https://archive.example/", "https://{url}", "https://a.example/{url.__class__}",
     "https://a.example/{when}/{url}", "file:///{url}", "https://a.example/{url}}"],
)  # fmt: skip
def test_a_pattern_that_is_none_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="no address of a second source"):
        check_pattern(pattern)


def test_hints_lie_in_the_bucket_of_their_image_and_rows_without_a_digest_are_counted() -> None:
    rows: list[tuple[object, list[str], object, int, str | None] | str] = [
        ("http://h.example/a%7Eb", [sha256(0).upper()], None, 0, None),
        ("http://h.example/2", [], None, 1, None),
        (None, [md5(2)], None, 2, None),
        ("http://h.example/4", [md5(4)], None, 4, "https://pool.invalid/0.parquet/4-9.image"),
        ("http://h.example/5", ["e3b0"], None, 5, None),
        "corrupt",
    ]
    dropped: Counter[str] = Counter()
    digests = list(scatter_digests(rows, num_buckets=7, dropped=dropped))
    assert dropped == {"no_digest": 2, "no_url": 1, "corrupt": 1}
    image = image_id_of("http://h.example/a%7Eb").hex()
    assert read_hints(digests, [image]) == {image: Hint(frozenset({sha256(0)}))}
    images = [(number, image_id_of(url(number))) for number in range(4)]
    pairs = pa.RecordBatch.from_pylist(
        [
            {
                "pair_id": 10 * day + number,
                "image_id": image_id,
                "crawled_at": datetime(2026, 1, day) if number else None,
            }
            for day in (3, 2)
            for number, image_id in images
        ],
        schema=PAIRS,
    )
    subset = pa.RecordBatch.from_pylist([{"pair_id": pair} for pair in (20, 30, 31, 22, 32, 33)], schema=SUBSETS)
    times = list(scatter_crawl_times({"S/0": {"subset": [subset], "pairs": [pairs]}}, num_buckets=7))
    first = {images[1][1].hex(): 3, images[2][1].hex(): 2, images[3][1].hex(): 3}
    of_images = read_hints(times, [image_id.hex() for _, image_id in images])
    assert {image_id: hint.crawled_at and hint.crawled_at.day for image_id, hint in of_images.items()} == first
    for batch in [*digests, *times]:
        assert batch.schema == FETCH_HINTS
        assert batch["bucket"].to_pylist() == bucket_images(batch["image_id"].to_pylist(), 7).tolist()


def test_the_second_source_is_no_way_around_guard_and_opt_outs(tmp_path: Path) -> None:
    with image_hosts(tmp_path) as hosts:
        rows = [
            {"bucket": 0, "image_id": image_id_of(link).hex(), "url": link, "language": "en", "admitted_at": 0.5}
            for link in (f"{hosts.root}/status/404/{number}" for number in range(3))
        ]
        web = ImageWeb(allowed=hosts.allowed, opted_out=partial(keep_out, words=("noai",), agent="metaclip_dagster"))
        counts = []
        for number, source in enumerate((f"http://127.0.0.1:{hosts.forbidden_port}/", f"{hosts.root}/archived/")):
            seen: Counter[str] = Counter()
            batches = gather_images(
                [pa.RecordBatch.from_pylist(rows, schema=IMAGE_TEXTS)],
                store=ImageStore(tmp_path / str(number)),
                fetch=open_image_web(web),
                second_source=source + "{url_quoted}",
                bucket=0,
                thresholds_below={},
                dropped=Counter(),
                seen=seen,
            )
            assert {row["reason"] for batch in batches for row in batch.to_pylist()} == {"http_404"}
            counts.append({name: num for name, num in seen.items() if name.startswith("second_source")})
        assert counts == [{"second_source_blocked_address": 3}, {"second_source_opted_out": 3}]
        assert hosts.forbidden == []

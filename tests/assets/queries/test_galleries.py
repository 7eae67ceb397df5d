"""Laws of a data card's pictures: each on its side of t, none before images are there, and none does anything."""

import base64
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from assets.queries.galleries import NUM_PICTURES, read_galleries
from metaclip_dagster.reporting.cards.card import describe_subset, render_card
from metaclip_dagster.reporting.cards.counts import PairCounts
from metaclip_dagster.reporting.cards.pictures import (
    CardPictures,
    choose_entries,
    describe_pictures,
    drop_pictures,
)
from metaclip_dagster.schemas import IMAGE_SCORES, IMAGES, SUBSETS
from resources.images.store import open_image_store
from resources.lake.resource import WHOLE, Lake
from tests.browser import open_browser
from tests.lakes import commit
from tests.metaclip_dagster.pages import parse_harmless
from tests.metaclip_dagster.tables import counts_of, entries_of

HEAD, TAIL, T = 0, 1, 20
NUM_HEAD, NUM_TAIL = 30, 5
WORDS = ["bird", "hoopoe"]
MARK = "document.documentElement.dataset.hacked=1"
SECRET = b"<script>alert('of the crawl')</script>"


def encode(seed: int, kind: str = "jpeg", size: int = 64) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    Image.fromarray(pixels).resize((size, size)).save(file, format=kind)
    return file.getvalue()


def fill(
    root: Path, texts: Mapping[int, str] | None = None, images: Mapping[int, bytes] | None = None, *rings: str
) -> Lake:
    """A lake of two entries, 30 pairs of the head and 5 of the tail, with images; some texts and images as given."""
    lake = Lake(root=str(root / "lake"))
    counts = counts_of([NUM_HEAD, NUM_TAIL])
    commit(lake, "entry_counts", WHOLE, counts.combine_chunks().to_batches()[0])
    rows: list[dict[str, Any]] = [
        {
            "pair_id": number * 7919 % 104729,  # in another order than the images
            "image_id": f"{number:024x}",
            "language": "en",
            "url": f"http://images.example/{number}.jpg",
            "text": (texts or {}).get(number, f"picture {number}"),
            "entry_ids": [HEAD if number < NUM_HEAD else TAIL],
            "admitted_at": number + 0.5 if number < NUM_HEAD else 0.0,
        }
        for number in range(NUM_HEAD + NUM_TAIL)
    ]
    below = [row for row in rows if row["admitted_at"] < T]
    for t, of_t in (("20", below), ("inf", rows)):
        commit(lake, "subsets", t, pa.RecordBatch.from_pylist(of_t, SUBSETS))
    store = open_image_store(str(root / "images"))
    for ring, of_ring in (("20", below), ("inf", [row for row in rows if row not in below])):
        with store.bucket(0, IMAGES) as bucket:
            before = set(bucket.index()["image_id"].to_pylist())
            bucket.append(
                (
                    {"image_id": row["image_id"], "url": row["url"], "format": "jpg"},
                    (images or {}).get(number, encode(number)),
                )
                for number, row in ((int(row["image_id"], 16), row) for row in of_ring)
            )
            index = [row for row in bucket.index().to_pylist() if row["image_id"] not in before]
        if ring in (rings or ("20", "inf")):
            commit(lake, "images", ring, pa.RecordBatch.from_pylist(index, IMAGES), "00000")
    return lake


def card_of(t: str) -> dict[str, Any]:
    after = [T if t == "20" else NUM_HEAD, NUM_TAIL]
    return describe_subset(
        t=t,
        thresholds={"en": float(t)},
        entries=entries_of(WORDS),
        entry_counts=counts_of([NUM_HEAD, NUM_TAIL]),
        subset_counts=np.array(after, np.uint64),
        pool=PairCounts({"en": NUM_HEAD + NUM_TAIL}, {"S": NUM_HEAD + NUM_TAIL}),
        subset=PairCounts({"en": sum(after)}, {"S": sum(after)}),
    )


def read(lake: Lake, root: Path, t: str) -> CardPictures:
    return read_galleries(lake, str(root / "images"), t, choose_entries(card_of(t)))


def numbers(pictures: Any) -> set[int]:
    return {int(picture.image_id, 16) for picture in pictures}


def test_pictures_are_of_pairs_of_the_entry_each_on_its_side_of_t_and_the_same_on_every_run(tmp_path: Path) -> None:
    lake = fill(tmp_path)
    pictures = read(lake, tmp_path, "20")
    assert pictures == read(lake, tmp_path, "20")
    bird, hoopoe = pictures.entries
    assert [(it.entry["entry_id"], it.is_thinned) for it in (bird, hoopoe)] == [(HEAD, True), (TAIL, False)]
    assert len(bird.of_kept) == len(bird.of_dropped) == NUM_PICTURES
    assert numbers(bird.of_kept) <= set(range(T))
    assert numbers(bird.of_dropped) <= set(range(T, NUM_HEAD))
    assert numbers(hoopoe.of_kept) == set(range(NUM_HEAD, NUM_HEAD + NUM_TAIL))
    assert not hoopoe.of_dropped
    for picture in (*bird.of_kept, *bird.of_dropped, *hoopoe.of_kept):
        number = int(picture.image_id, 16)
        assert (picture.text, picture.url) == (f"picture {number}", f"http://images.example/{number}.jpg")
        assert picture.thumbnail
    assert pictures.wider == "inf"
    everything = read(lake, tmp_path, "inf")
    assert not any(it.of_dropped for it in everything.entries)


def test_the_score_of_an_nsfw_filter_stands_beside_the_picture_and_no_other_does(tmp_path: Path) -> None:
    lake = fill(tmp_path)
    scores = [{"filter": "metaclip_dagster.filters:aspect", "score": 1.0}]
    scored = [
        {
            "image_id": f"{NUM_HEAD:024x}",
            "scores": [*scores, {"filter": "metaclip_dagster.filters:Nsfw", "score": 0.93}],
        },
        {"image_id": f"{NUM_HEAD + 1:024x}", "scores": scores},
    ]
    commit(lake, "image_scores", "20", pa.RecordBatch.from_pylist(scored, IMAGE_SCORES), "00000")
    pictures = read(lake, tmp_path, "20")
    of_tail = {int(picture.image_id, 16): picture.score for picture in pictures.entries[-1].of_kept}
    assert {number for number, score in of_tail.items() if score is not None} == {NUM_HEAD}
    assert render_card(card_of("20"), {}, pictures).count("NSFW 0.93") == 1


def test_images_that_are_broken_make_room_for_others(tmp_path: Path) -> None:
    lake = fill(tmp_path, images=dict.fromkeys(range(0, T, 2), b"\xff\xd8 cut short"))
    [bird, _] = read(lake, tmp_path, "20").entries
    assert len(bird.of_kept) == NUM_PICTURES
    assert numbers(bird.of_kept) <= set(range(1, T, 2))


def test_a_card_tells_the_forms_that_images_are_stored_in_once_any_is_smaller(tmp_path: Path) -> None:
    lake = fill(tmp_path)
    assert not read(lake, tmp_path, "20").forms
    ring = lake.read("images", ["20"]).combine_chunks().to_batches()[0]
    forms = pa.array(["256,webp,80"] * ring.num_rows)
    commit(lake, "images", "20", ring.set_column(ring.schema.get_field_index("form"), "form", forms), "00000")
    pictures = read(lake, tmp_path, "20")
    assert pictures.forms == {"": NUM_HEAD - T, "256,webp,80": T + NUM_TAIL}
    page = " ".join(render_card(card_of("20"), {}, pictures).split())
    assert "10 images are stored as they came." in page
    assert "25 images are stored with at most 256 pixels on the shorter side, as webp of quality 80" in page
    assert describe_pictures(pictures)["forms"] == pictures.forms


def test_a_card_says_what_it_cannot_show_yet_and_what_to_do(tmp_path: Path) -> None:
    lake = fill(tmp_path / "a", None, None, "20")
    pictures = read(lake, tmp_path / "a", "20")
    assert (pictures.rings, pictures.wider) == (["20"], "20")
    assert not any(it.of_dropped for it in pictures.entries)
    assert "no images of a larger t, of the same pool, are fetched" in render_card(card_of("20"), {}, pictures)

    lake = fill(tmp_path / "b", None, None, "none")
    assert read(lake, tmp_path / "b", "20") == CardPictures()
    page = render_card(card_of("20"), {})
    assert "No images are fetched yet. Materialize <code>images</code>" in page

    lake = fill(tmp_path / "c")
    subset = lake.read("subsets", ["inf"]).combine_chunks().to_batches()[0]
    pool = '{"snapshots": ["of another pool"], "entries": "", "entry_counts": ""}'
    commit(lake, "subsets", "inf", subset, **{"pool version": pool})
    assert read(lake, tmp_path / "c", "20").wider == "20"


@pytest.mark.parametrize(("mode", "has_bytes"), [("shown", True), ("blurred", True), ("off", False)])
def test_a_card_has_pictures_as_its_deployment_says_and_always_their_urls(
    tmp_path: Path, mode: Any, has_bytes: bool
) -> None:
    pictures = read(fill(tmp_path), tmp_path, "20")
    card = card_of("20") | {"pictures": describe_pictures(pictures)}
    page = render_card(card, {}, pictures, mode)
    urls = {picture["url"] for entry in card["pictures"]["entries"] for picture in entry["kept"] + entry["dropped"]}
    assert len(urls) == 2 * NUM_PICTURES + NUM_TAIL
    assert all(url in page for url in urls)
    assert ("image/jpeg" in page) == has_bytes
    given_away = drop_pictures(page)
    assert not any(word in given_away for word in ("images.example", "image/jpeg", "picture 1"))
    assert parse_harmless(given_away).css_first("#retention")


def test_hostile_texts_and_images_do_nothing_in_a_card(tmp_path: Path) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        file.writestr("page.html", SECRET)
    bomb = io.BytesIO()
    Image.new("1", (6000, 6000)).save(bomb, format="png")
    texts = {
        30: f"<script>{MARK}</script><!-- end of pictures -->",
        31: f'"><img src=http://127.0.0.1:1/x onerror={MARK}>',
        32: "evil\u202egnp.exe\u2066 \x1b[31m\x00",
        33: f"</ul></section><iframe src=http://127.0.0.1:1/y></iframe><svg onload={MARK}> " * 20_000,  # 1 MB
    }
    images = {
        30: encode(30) + b"<html>" + SECRET + archive.getvalue(),
        0: bomb.getvalue(),
        1: f"<svg xmlns='http://www.w3.org/2000/svg' onload='{MARK}'/>".encode(),
        2: b"GIF89a" + SECRET,
        3: encode(3)[:200],
    }
    lake = fill(tmp_path, texts, images)
    [tar] = {row["tar"] for row in lake.read("images", ["inf"]).to_pylist()}
    (tmp_path / "images" / tar).write_bytes((tmp_path / "images" / tar).read_bytes()[:700])
    pictures = read(lake, tmp_path, "20")
    card = card_of("20") | {"pictures": describe_pictures(pictures)}
    page = render_card(card, {}, pictures)
    assert {30, 31, 32, 33} <= numbers(pictures.entries[-1].of_kept)
    assert not numbers(pictures.entries[0].of_kept) & {0, 1, 2, 3}
    assert not pictures.entries[0].of_dropped, "their tar is cut short"
    tree = parse_harmless(page)
    assert len(page) < 300_000
    given_away = drop_pictures(page)
    assert "evil" not in given_away
    assert "<!-- end" not in given_away
    sources = [str(node.attributes["src"]).partition(",") for node in tree.css("#pictures img")]
    assert len(sources) == sum(len(it.of_kept) for it in pictures.entries)
    for _, _, encoded in sources:
        picture = base64.b64decode(encoded)
        assert picture.startswith(b"\xff\xd8")
        assert not any(foreign in picture for foreign in (SECRET, b"<html>", b"PK\x03\x04"))
    path = tmp_path / "card.html"
    path.write_text(page, encoding="utf-8")
    with open_browser(tmp_path / "browser") as browser:
        browser.open(path.as_uri())
        browser.until("document.readyState === 'complete'")
        browser.run("document.querySelector('#pictures').scrollIntoView()")
        shown = "[...document.querySelectorAll('.gallery img')].filter(it => it.naturalWidth > 0).length"
        browser.until(f"{shown} === {sum(len(it.of_kept) for it in pictures.entries)}")
        assert browser.run("document.documentElement.dataset.hacked") is None
        asked = "performance.getEntriesByType('resource').filter(it => !it.name.startsWith('data:')).length"
        assert browser.run(asked) == 0
        assert browser.console == []

"""What is taken down goes from every table where it is meant, and stays where another place has it."""

import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.queries.copies import list_urls
from assets.queries.gone import Gone, find_gone
from assets.queries.purging import purge
from metaclip_dagster.deduplicating.takedowns import ImageSet, build_takedowns
from metaclip_dagster.reporting.html.text import isolate
from metaclip_dagster.schemas import EXCLUSIONS, IMAGE_TEXTS, IMAGES, MATCHES, PAIRS, SUBSETS, TRAINING_SETS
from metaclip_dagster.urls import normalise_url
from resources.instance.history import SHOWN
from resources.lake.resource import Lake
from resources.takedowns.journal import Journal
from tests.lakes import commit

X, Y, Z = (name * 12 for name in (b"x", b"y", b"z"))
# Pair 1 stands on two pages, 2 shares its image with 3, 4 is alone.
CRAWLED = {
    "A": [(1, X, "http://i.example/x", "http://p.example/"), (2, Y, "http://i.example/y", "http://p.example/2")],
    "B": [
        (1, X, "http://i.example/x", "http://q.example/"),
        (3, Y, "http://i.example/y", "http://q.example/"),
        (4, Z, "http://i.example/z", "http://www.p.example/"),
    ],
}
PLACES = [(1, "A"), (2, "A"), (1, "B"), (3, "B"), (4, "B")]


def batch(schema: pa.Schema, *rows: Mapping[str, object]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows), schema)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(root=str(tmp_path / "lake"))
    for snapshot, rows in CRAWLED.items():
        named = [dict(zip(("pair_id", "image_id", "url", "page_url"), row, strict=True)) for row in rows]
        commit(lake, "pairs", snapshot, batch(PAIRS, *named))
        commit(lake, "matches", snapshot, batch(MATCHES, *({"pair_id": row[0], "image_id": row[1]} for row in rows)))
    excluded = ({"snapshot": snapshot, "shard": "0", "pair_id": pair} for pair, snapshot in PLACES)
    commit(lake, "exclusions", "all", batch(EXCLUSIONS, *excluded))
    of_image = {1: X, 2: Y, 3: Y, 4: Z}
    texts = ({"pair_id": pair, "image_id": image.hex()} for pair, image in of_image.items())
    commit(lake, "image_texts", "20", batch(IMAGE_TEXTS, *texts))
    commit(lake, "images", "20", batch(IMAGES, *({"image_id": image.hex()} for image in (X, Y, Z))))
    sets = {X: (1,), Y: (2, 3), Z: (4,)}
    trained = ({"image_id": i.hex(), "texts": [{"pair_id": pair} for pair in pairs]} for i, pairs in sets.items())
    commit(lake, "training_sets", "20", batch(TRAINING_SETS, *trained))
    owners = ({"snapshot": "A", "pair_id": pair, "page_url": page} for pair, _, _, page in CRAWLED["A"])
    commit(lake, "subsets", "20", batch(SUBSETS, *owners))
    return lake


def gone_of(lake: Lake, kind: str, value: str) -> Gone:
    return find_gone(lake, build_takedowns([("list.csv:2", kind, value)]))


def left(lake: Lake) -> dict[str, list[object]]:
    """Pairs or images that each table still has."""
    remaining: dict[str, list[object]] = {
        f"{table} {key}": lake.read(table, [key])["pair_id"].to_pylist()
        for table, key in lake.partitions()
        if table in ("pairs", "matches", "image_texts", "subsets")
    }
    remaining["exclusions"] = [(row["pair_id"], row["snapshot"]) for row in lake.read("exclusions").to_pylist()]
    remaining["images"] = lake.read("images", ["20"])["image_id"].to_pylist()
    rows = lake.read("training_sets", ["20"]).to_pylist()
    remaining["training_sets"] = [[text["pair_id"] for text in row["texts"]] for row in rows]
    return remaining


def test_a_page_takes_its_own_places_and_what_no_other_has(lake: Lake, tmp_path: Path) -> None:
    purge(
        lake,
        str(tmp_path / "images"),
        tmp_path / "checkpoints",
        tmp_path / "published",
        gone_of(lake, "page_domain", "p.example"),
    )
    assert left(lake) == {
        "pairs A": [],
        "pairs B": [1, 3],
        "matches A": [],
        "matches B": [1, 3],
        "subsets 20": [],
        "image_texts 20": [1, 3],
        "exclusions": [(1, "B"), (3, "B")],
        "images": [X.hex(), Y.hex()],
        "training_sets": [[1], [3]],
    }


def test_a_pair_takes_its_text_and_leaves_the_image_to_others(lake: Lake, tmp_path: Path) -> None:
    before = {name: lake.manifest(*name).version for name in (("matches", "B"), ("pairs", "B"), ("images", "20"))}
    report = purge(
        lake, str(tmp_path / "images"), tmp_path / "checkpoints", tmp_path / "published", gone_of(lake, "pair_id", "2")
    )
    assert left(lake)["training_sets"] == [[1], [3], [4]]
    assert left(lake)["images"] == [X.hex(), Y.hex(), Z.hex()]
    assert report["tables"]["training_sets 20"] == report["tables"]["training_sets 20"] | {"shards": 1, "rows": 0}
    assert {name: lake.manifest(*name).version for name in before} == before
    purge(
        lake, str(tmp_path / "images"), tmp_path / "checkpoints", tmp_path / "published", gone_of(lake, "pair_id", "4")
    )
    assert left(lake)["images"] == [X.hex(), Y.hex()]


def test_an_image_takes_all_its_texts(lake: Lake, tmp_path: Path) -> None:
    purge(
        lake,
        str(tmp_path / "images"),
        tmp_path / "checkpoints",
        tmp_path / "published",
        gone_of(lake, "image_id", Y.hex()),
    )
    assert left(lake) == {
        "pairs A": [1],
        "pairs B": [1, 4],
        "matches A": [1],
        "matches B": [1, 4],
        "subsets 20": [1],
        "image_texts 20": [1, 4],
        "exclusions": [(1, "A"), (1, "B"), (4, "B")],
        "images": [X.hex(), Z.hex()],
        "training_sets": [[1], [4]],
    }


def test_an_image_goes_under_the_id_too_that_an_older_spelling_gave_it(lake: Lake) -> None:
    older, today = "http://bücher.example/x", "http://xn--bcher-kva.example/x"
    row = {"pair_id": 9, "image_id": X, "url": older, "page_url": ""}
    commit(lake, "pairs", "C", batch(PAIRS, row, {**row, "pair_id": 10, "url": f"{older}y", "image_id": Y}))
    gone = gone_of(lake, "url", today)
    assert (gone.pairs.to_pylist(), gone.places["C", "0"].to_pylist()) == ([9], [9])
    stored = batch(IMAGES, *({"image_id": X.hex(), "url": url} for url in (older, "http://i.example/z", None)))
    assert gone_of(lake, "url", today).are_images(stored).to_pylist() == [True, True, True]  # by the id of the pair
    assert Gone(gone.takedowns, {}, gone.pairs, ImageSet.of([]), frozenset()).are_images(stored).to_pylist() == [
        True,
        False,
        False,
    ]


def test_what_nothing_is_taken_from_is_not_written_again(lake: Lake, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in Path(lake.root).rglob("*") if path.is_file()}
    report = purge(
        lake,
        str(tmp_path / "images"),
        tmp_path / "checkpoints",
        tmp_path / "published",
        gone_of(lake, "domain", "other.example"),
    )
    assert (report["pairs"], report["tables"]) == (0, {})
    assert {path: path.stat().st_mtime_ns for path in Path(lake.root).rglob("*") if path.is_file()} == before


def test_no_place_is_read_again_that_loses_nothing(lake: Lake, tmp_path: Path) -> None:
    gone = gone_of(lake, "pair_id", "4")
    [untouched] = (tmp_path / "lake" / "pairs" / "A" / "data").iterdir()
    untouched.write_bytes(b"not read")
    report = purge(lake, str(tmp_path / "images"), tmp_path / "checkpoints", tmp_path / "published", gone)
    assert report["tables"]["pairs B"]["rows"] == 1


def test_a_superseded_file_goes_though_a_clock_says_that_it_is_yet_to_come(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "lake" / "pairs" / "A" / "data" / "old.parquet"
    path.write_bytes(b"superseded")
    os.utime(path, (time.time() + 3600, time.time() + 3600))
    report = purge(
        lake, str(tmp_path / "images"), tmp_path / "checkpoints", tmp_path / "published", gone_of(lake, "pair_id", "9")
    )
    assert report["superseded"]["files"] == 1
    assert not path.exists()


def test_beginnings_of_urls_that_people_were_shown_are_found(lake: Lake) -> None:
    takedowns = build_takedowns([("list.csv:2", "pair_id", "4"), ("list.csv:3", "domain", "gone.example")])
    shown = {"http://i.example/z", "http://i.example/y", "http://gone.example/of-an-older-crawl"}
    assert find_gone(lake, takedowns, shown).shown == {"http://i.example/z", "http://gone.example/of-an-older-crawl"}


def test_a_url_is_found_whatever_stands_behind_it_but_not_in_a_longer_one(lake: Lake) -> None:
    takedowns = build_takedowns([("list.csv:2", "pair_id", "4"), ("list.csv:3", "domain", "gone.example")])
    behind = ["", "'), and", ". Then", ".", "? No", "?", ": a cat", "#", "-", "…", '"}', "\nno", ") ~ b"]
    longer = ["ebra.png", ".jpg", "-2.png", "?x=1", "&x=1", "=1", "+1", "~1", "#x", ":1", "/1", "%20"]
    shown = {f"http://i.example/z{rest}" for rest in behind} | {"http://gone.example, said\nno"}
    others = {f"http://i.example/z{rest}" for rest in longer}
    assert find_gone(lake, takedowns, shown | others).shown == shown


@pytest.mark.parametrize("rest", ["it's.png", "x?w=1&region=eu&copy=2&lt=3", r"x?a=\b", "x?a=&amp;b", "(x),y;z|[].png"])
def test_a_report_is_found_by_any_url_as_html_as_json_and_as_json_in_a_page(
    lake: Lake, tmp_path: Path, rest: str
) -> None:
    url = f"http://i.example/{rest}"
    assert normalise_url(url, "") == (url, None)
    pair = {"pair_id": 9, "image_id": b"w" * 12, "url": url, "page_url": "http://p.example/3"}
    commit(lake, "pairs", "C", batch(PAIRS, pair))
    document = json.dumps({"url": url})
    for name, text in {"a.html": f"<p>{isolate(url)}</p>", "b.json": document, "c.html": f"<script>{document}"}.items():
        (tmp_path / name).write_text(text, "utf-8")
    searched = list_urls(tmp_path)
    takedowns = build_takedowns([("list.csv:2", "pair_id", "9")])
    shown = find_gone(lake, takedowns, set().union(*searched.values())).shown
    assert {path.name for path, urls in searched.items() if urls & shown} == {"a.html", "b.json", "c.html"}


def test_a_page_is_found_where_its_host_was_cut_and_where_it_was_not(lake: Lake) -> None:
    host = f"{'long-' * 12}.example"
    pair = {"pair_id": 9, "image_id": b"w" * 12, "url": "http://i.example/w", "page_url": f"http://{host}/page"}
    other = {**pair, "pair_id": 10, "url": "http://i.example/v", "page_url": f"http://www.{host}/page"}
    commit(lake, "pairs", "C", batch(PAIRS, pair, other))
    cut, whole = f"http://{host}"[:SHOWN], f"http://of-an-older-crawl.{host}"
    others = {"http://www.p.example/", "http://q.example/"}
    takedowns = build_takedowns([("list.csv:2", "page_domain", host), ("list.csv:3", "pair_id", "4")])
    assert find_gone(lake, takedowns, {cut, whole, *others}).shown == {cut, whole}


def test_what_a_killed_purge_announced_and_a_changed_list_keeps_is_not_said_to_be_gone(
    lake: Lake, tmp_path: Path
) -> None:
    journal, key = Journal(), ("table", "matches", "B", lake.manifest("matches", "B").version)
    journal.note(*key, after="never", requests={"r-1": 1})
    images, checkpoints, published = (tmp_path / name for name in ("images", "checkpoints", "published"))
    purge(lake, str(images), checkpoints, published, gone_of(lake, "pair_id", "2"), journal)
    assert key not in journal.notes
    assert {note[1] for note in journal.notes} >= {"matches", "pairs"}, "what went stands there"


@pytest.mark.parametrize("pair_id", ["1", "99"])
def test_a_publishing_that_was_killed_between_its_renames_is_judged_as_what_it_was(
    lake: Lake, tmp_path: Path, pair_id: str
) -> None:
    published = tmp_path / "published"
    subset = published / "dataset.previous" / "data" / "t20"
    subset.mkdir(parents=True)
    pq.write_table(lake.read("subsets", ["20"]), subset / "00000.parquet")
    shutil.copytree(published / "dataset.previous", published / "dataset.partial")
    gone = gone_of(lake, "pair_id", pair_id)
    report = purge(lake, str(tmp_path / "images"), tmp_path / "checkpoints", published, gone)
    assert report["published"] == ({"20": 1} if pair_id == "1" else {})
    left_there = {"dataset.lock"} if pair_id == "1" else {"dataset", "dataset.lock"}
    assert {path.name for path in published.iterdir()} == left_there

"""Laws of `metaclip search` on the mini sample, with a model whose weights are drawn at random."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from PIL import Image

from assets.keys import Cell
from assets.queries.searches import Query, is_embedded, read_query
from commands import purge
from commands.__main__ import main
from commands.search import search_set
from metaclip_dagster.evaluation import load_model
from metaclip_dagster.evaluation.embedding import embed_picture
from metaclip_dagster.evaluation.images import decode_bytes
from metaclip_dagster.reporting.html.thumbnails import Picture
from metaclip_dagster.reporting.searches.page import name_search, render_search
from metaclip_dagster.schemas import CHECKPOINTS
from resources.deployments import Deployment, deployment
from resources.images.store import open_image_store
from resources.lake.resource import Lake, open_lake
from resources.published.folders import digest_file
from tests.graphs import copy_home
from tests.lakes import commit
from tests.metaclip_dagster.zero_shot import export_model

CELL, MODEL = Cell("20", "tiny"), "20/tiny/0123/model"


@pytest.fixture(scope="module")
def trained(imaged: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """The mini sample with a checkpoint of one cell."""
    where = copy_home(imaged, tmp_path_factory.mktemp("data") / "sample", ("lake", "images"))
    folder = export_model(where.checkpoints / MODEL)
    lake = open_lake(where)
    row = {"training_set": "20", "model": "tiny", "seed": 0, "path": MODEL, "architecture": "tiny"}
    row |= {"sha256": digest_file(folder / "open_clip_model.safetensors"), "recipe": "{}", "loss": 1.0}
    row |= {"pairs_seen": 1, "budget": 1, "set_version": lake.manifest("training_sets", "20").version}
    commit(lake, "checkpoints", CELL.key, pa.RecordBatch.from_pylist([row], CHECKPOINTS))
    return where


@pytest.fixture
def embedded(trained: Deployment, tmp_path: Path) -> Deployment:
    """A copy, to be changed, in which somebody has searched before."""
    search_set(trained, "20", Query("once"))
    return copy_home(trained, tmp_path / "sample", ("lake", "images", "checkpoints"))


@pytest.fixture(scope="module")
def drawing(trained: Deployment) -> tuple[str, str, Image.Image]:
    """The id, URL and pixels of the image of D(20) that the model confuses least with others."""
    model, store = load_model(f"local-dir:{trained.checkpoints / MODEL}"), open_image_store(trained.images)
    rows = [row for row in open_lake(trained).read("images", ["20"]).to_pylist() if row["tar"]]
    pictures = [decode_bytes(store.read(row["tar"], row["offset"], row["size"])) for row in rows]
    embeddings = np.concatenate([embed_picture(picture, model) for picture in pictures])
    at = int((embeddings @ embeddings.T - 2 * np.eye(len(rows))).max(axis=1).argmin())
    return rows[at]["image_id"], rows[at]["url"], pictures[at]


def search(where: Deployment, query: Query, **options: Any) -> tuple[dict[str, Any], str]:
    """The JSON and the page that a search writes."""
    page = Path(search_set(where, "20", query, **options).splitlines()[-1])
    return json.loads(page.with_suffix(".json").read_text("utf-8")), page.read_text("utf-8")


def test_an_image_of_the_set_finds_itself_after_one_run_that_embeds_all(
    trained: Deployment, drawing: tuple[str, str, Image.Image]
) -> None:
    image_id, _, picture = drawing
    report, page = search(trained, Query("drawing.png", picture), limit=7)
    images = open_lake(trained).manifest("training_sets", "20").rows
    assert report["images"] == images == open_lake(trained).manifest("image_embeddings", CELL.key).rows
    first, *others = report["hits"]
    assert (first["image_id"], first["rank"]) == (image_id, 1)
    assert first["similarity"] == pytest.approx(1, abs=1e-3)
    assert len(others) == 6
    assert page.count("data:image/jpeg") == 7
    search(trained, Query("a red bird"))
    with dg.DagsterInstance.from_config(str(trained.dagster_home)) as instance:
        [run] = instance.get_runs()
    assert (run.status, run.tags["t"], run.tags["model"]) == (dg.DagsterRunStatus.SUCCESS, "20", "tiny")


def test_texts_and_addresses_are_those_of_the_set_and_stand_on_the_page(trained: Deployment) -> None:
    report, page = search(trained, Query("a red bird"), limit=9)
    lake = open_lake(trained)
    texts = {row["image_id"]: row["texts"] for row in lake.read("training_sets", ["20"]).to_pylist()}
    urls = {row["image_id"]: row["url"] for row in lake.read("images", ["20"]).to_pylist()}
    for hit in report["hits"]:
        assert set(hit["texts"]) <= {text["text"] for text in texts[hit["image_id"]]}
        assert hit["num_texts"] >= 1
        assert hit["url"] == urls[hit["image_id"]]
        assert hit["url"] in page
    for mode in ("off", "blurred"):
        _, other = search(replace(trained, pictures=mode), Query("a red bird"), limit=9)
        assert other.count("data:image/jpeg") == (0 if mode == "off" else 9)
        assert ('class="gallery blurred"' in other) == (mode == "blurred")


def test_an_image_that_was_blanked_has_no_picture(embedded: Deployment, drawing: tuple[str, str, Image.Image]) -> None:
    image_id, _, picture = drawing
    open_image_store(embedded.images).forget(lambda rows: pc.equal(rows["image_id"], image_id), "taken_down")
    report, page = search(embedded, Query("drawing.png", picture), limit=3)
    assert [hit["in_store"] for hit in report["hits"]] == [False, True, True]
    assert page.count("data:image/jpeg") == 2
    assert "no longer in the store" in page


def test_what_is_taken_down_is_gone_from_embeddings_searches_and_pages(
    embedded: Deployment, drawing: tuple[str, str, Image.Image]
) -> None:
    image_id, url, picture = drawing
    query = Query("drawing.png", picture)
    report, _ = search(embedded, query)
    embedded.takedowns.write_text(f"kind,value,reason\nurl,{url},\n", encoding="utf-8")
    purged = purge.take_down(embedded)
    name = name_search(report)
    assert {f"{name}.html", f"{name}.json"} <= set(purged["reports"])
    assert purged["tables"][f"image_embeddings {CELL.key}"]["rows"] == 1
    ids = open_lake(embedded).read("image_embeddings", [CELL.key])["image_id"].to_pylist()
    assert image_id not in ids
    assert not is_embedded(open_lake(embedded), CELL)
    again, _ = search(embedded, query)
    assert image_id not in {hit["image_id"] for hit in again["hits"]}
    assert (again["images"], again["trained_on_this_build"]) == (report["images"] - 1, False)


def test_weights_that_somebody_changed_are_refused(embedded: Deployment) -> None:
    shutil.copytree(export_model(embedded.home / "other", seed=1), embedded.checkpoints / MODEL, dirs_exist_ok=True)
    with pytest.raises(ValueError, match=r"is not what tiny on 20 ended with"):
        search_set(embedded, "20", Query("a red bird"))


@pytest.fixture
def at_home(trained: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("METACLIP_DATA", str(trained.home.parent))
    deployment.cache_clear()
    yield
    deployment.cache_clear()


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (["21", "cat"], "'21' is no training set of this deployment"),
        (["20", "cat", "--model", "huge"], "'huge' is no model of this deployment"),
        (["20", "cat", "--model", "tiny-s1"], "tiny-s1 was not trained on 20 yet; trained on it are tiny."),
        (["100", "cat"], "tiny was not trained on 100 yet. `metaclip sweep --t 100 --model tiny` trains it"),
        (["20"], "there is no text to search by"),
        (["20", " "], "there is no text to search by"),
        (["20", "cat " * 1000], "has 4,000 characters"),
        (["20", "cat", "--image", "cat.png"], "not by both"),
        (["20", "--image", "/nowhere/cat.png"], "/nowhere/cat.png: is no file"),
        (["20", "--image", __file__], "cannot be read as a picture"),
        (["20", "cat", "--limit", "101"], "--limit 101: give 1 to 100"),
    ],
)
@pytest.mark.usefixtures("at_home")
def test_a_refusal_is_one_line(asked: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", *asked]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert says in line


HOSTILE = "<script>alert(1)</script>\u202e\x1b[2J ../../etc/passwd <img src=x onerror=alert(1)> {{ 7 * 7 }}"


def test_a_hostile_query_and_hostile_hits_are_text_and_name_a_safe_file() -> None:
    query = read_query(HOSTILE, None).text
    hit = {"rank": 1, "similarity": 0.5, "image_id": "0" * 24, "texts": [HOSTILE], "num_texts": 1, "in_store": False}
    report = {"query": query, "by": "text", "digest": "", "training_set": "20", "model": "tiny", "images": 1}
    report |= {"trained_on_this_build": False, "hits": [hit | {"url": f"http://a.example/{HOSTILE}"}]}
    page = render_search(report, [Picture("0" * 24, HOSTILE, HOSTILE, note=HOSTILE)], "shown")
    assert not re.search(r"<(script|img)", page)
    assert "⟨U+202E⟩" in page
    assert not {"\u202e", "\x1b"} & set(page)
    assert re.fullmatch(r"search_20_[a-z0-9-]{1,40}_[0-9a-f]{8}", name_search(report))
    for other in ("猫", "/", "x" * 1000):
        assert re.fullmatch(r"search_20(_x{40})?_[0-9a-f]{8}", name_search(report | {"query": other}))
    assert len({name_search(report | {"query": other}) for other in ("猫", "犬", "?", "!")}) == 4


def test_two_pictures_of_one_name_have_a_page_each(tmp_path: Path) -> None:
    names = set()
    for colour in ("red", "blue"):
        (tmp_path / colour).mkdir()
        Image.new("RGB", (8, 8), colour).save(tmp_path / colour / "bike.png")
        query = read_query("", tmp_path / colour / "bike.png")
        report = {"query": query.text, "by": "picture", "digest": query.digest, "training_set": "20", "model": "tiny"}
        names.add(name_search(report))
    assert len(names) == 2


def test_a_set_without_images_says_so(trained: Deployment, tmp_path: Path) -> None:
    where = copy_home(trained, tmp_path / "sample", ("lake",), ("images", "checkpoints"))
    lake = Lake(root=where.lake)
    shutil.rmtree(tmp_path / "sample" / "lake" / "image_embeddings", ignore_errors=True)
    rows = lake.read("training_sets", ["20"])
    [none, *_] = rows.slice(0, 0).to_batches() or [pa.RecordBatch.from_pylist([], rows.schema)]
    commit(lake, "training_sets", "20", none)
    with pytest.raises(ValueError, match="the training set 20 has no image to search"):
        search_set(where, "20", Query("cat"))

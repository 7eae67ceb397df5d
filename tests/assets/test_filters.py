"""Filters on the mini graph: what they leave out is counted, comes back without a fetch, and tasks' images are told."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from metaclip_dagster.filtering import score_images
from metaclip_dagster.filtering.bands import find_nearest_earlier
from resources.deployments import Deployment
from resources.images.store import open_image_store
from tests.graphs import Graph, copy_home, open_graph
from tests.metaclip_dagster.pages import parse_harmless
from tests.metaclip_dagster.zero_shot import export_model

OFF = {"filters": {}, "near_duplicate_distance": -1, "leakage_distance": -1, "remove_leakage": False}
SIDE = "metaclip_dagster.filters:shorter_side"


class Filtered(Graph):
    """The mini sample's graph up to the images."""

    def filter(self, t: str, **config: Any) -> dict[str, Any]:
        """The training set at t with these filters and no other; gives its metadata."""
        return self.filter_as_before(t, **OFF | config)

    def filter_as_before(self, t: str, **config: Any) -> dict[str, Any]:
        result = self.make(["training_sets"], t, ops={"training_sets": {"config": config}})
        [event] = result.get_asset_materialization_events()
        return {name: getattr(value, "value", value) for name, value in event.materialization.metadata.items()}

    def ids(self, t: str) -> set[str]:
        return set(self.lake.read("training_sets", [t])["image_id"].to_pylist())


@pytest.fixture(scope="module")
def graph(imaged: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filtered]:
    with open_graph(copy_home(imaged, tmp_path_factory.mktemp("filtered"), ("lake", "images"))) as copy:
        yield Filtered(copy.where, copy.instance)


def test_what_a_filter_leaves_out_is_counted_as_pairs_and_comes_back_without_a_fetch(graph: Filtered) -> None:
    plain, everything = graph.filter("100"), graph.ids("100")
    store = {path: path.stat().st_mtime_ns for path in Path(graph.where.images).rglob("*") if path.is_file()}
    metadata = graph.filter("100", filters={SIDE: {"at_least": 1000}}, near_duplicate_distance=0)
    assert (metadata["rows"], metadata["dropped/filtered_shorter_side"]) == (0, plain["pairs"])
    assert metadata["images/filtered_shorter_side"] == len(everything) == metadata["seen/filtered_images"]
    again = graph.filter_as_before("100")
    assert (again["rows"], again["filters"]) == (0, {SIDE: {"at_least": 1000}})
    metadata = graph.filter_as_before("100", filters={}, near_duplicate_distance=-1)
    assert any(SIDE in change for change in metadata["changed_choices"])
    assert graph.ids("100") == everything
    assert {path: path.stat().st_mtime_ns for path in Path(graph.where.images).rglob("*") if path.is_file()} == store


def test_no_image_is_kept_twice_and_filtered_sets_are_nested(graph: Filtered) -> None:
    graph.filter("100")
    everything = graph.ids("100")
    for t in ("100", "20"):
        graph.filter(t, near_duplicate_distance=0)
    assert graph.ids("20") < graph.ids("100") < everything
    rows = graph.lake.read("image_scores", ["20", "100"]).to_pylist()
    looks = {row["image_id"]: (row["phash"], row["colours"]) for row in rows}
    looks_in_set = np.array([looks[image] for image in graph.ids("100")], np.uint64)
    assert (find_nearest_earlier(looks_in_set, 0) == -1).all()
    assert {phash for phash, _ in looks.values()} == set(looks_in_set[:, 0].tolist())


def test_a_changed_limit_scores_nothing_again(graph: Filtered) -> None:
    graph.filter("20", filters={SIDE: {"at_least": 10}})
    before = graph.lake.manifest("image_scores", "20")
    assert before.total("seen")["scored"] > 0
    graph.filter("20", filters={SIDE: {"at_least": 20}})
    assert graph.lake.manifest("image_scores", "20") == before


def test_what_another_version_scored_is_scored_again(graph: Filtered, monkeypatch: pytest.MonkeyPatch) -> None:
    for version, is_anew in ((98, True), (99, True), (99, False)):
        monkeypatch.setattr(score_images, "version", version, raising=False)
        before = graph.lake.store("image_scores", "20").manifest()
        graph.filter("20", filters={SIDE: {"at_least": 10}})
        after = graph.lake.manifest("image_scores", "20")
        assert (after != before) == is_anew
        assert after.total("seen")["scored"] >= len(graph.lake.read("image_scores", ["20"])["sha256"].unique())


def test_images_that_nobody_could_score_do_not_pass(graph: Filtered, tmp_path: Path) -> None:
    where = copy_home(graph.where, tmp_path, ("lake", "images"), max_failed_fraction=0.5)
    shutil.rmtree(tmp_path / "lake" / "image_scores", ignore_errors=True)
    tar = tmp_path / "images" / next(filter(None, graph.lake.read("images", ["20"])["tar"].to_pylist()))
    tar.write_bytes(tar.read_bytes()[:512])
    again = Filtered(where, graph.instance)
    with pytest.raises(
        dg.Failure, match=rf"image_scores/20: 1 of 4 .*; shard {tar.parent.name}: ValueError: .*cut short"
    ):
        again.filter("20", near_duplicate_distance=0)


def test_a_pools_image_that_a_task_has_too_is_told_and_goes_only_when_asked(graph: Filtered, tmp_path: Path) -> None:
    graph.filter("20")
    before = graph.ids("20")
    row = next(row for row in graph.lake.read("images", ["20"]).to_pylist() if row["tar"])
    (tmp_path / "leaking" / "a drawing").mkdir(parents=True)
    drawing = tmp_path / "leaking" / "a drawing" / f"1.{row['format']}"
    drawing.write_bytes(open_image_store(graph.where.images).read(row["tar"], row["offset"], row["size"]))
    again = Filtered(replace(graph.where, tasks=(str(tmp_path / "leaking"),)), graph.instance)
    metadata = again.filter("20", leakage_distance=0)
    assert again.ids("20") == before
    assert metadata["images/benchmark"] >= 1
    assert row["image_id"] in {record.data["image"] for record in metadata["leaked"].records}
    again.filter("20", leakage_distance=0, remove_leakage=True)
    assert len(again.ids("20")) == len(before) - metadata["images/benchmark"]


def test_the_page_of_a_set_shows_what_it_leaves_out_beside_what_it_is_near_to(graph: Filtered) -> None:
    metadata = graph.filter("20", filters={SIDE: {"at_least": 48}}, near_duplicate_distance=0)
    report = json.loads((graph.where.reports / "training_set_20.json").read_text("utf-8"))
    verdicts = {row["image_id"]: row for row in graph.lake.read("image_verdicts", ["20"]).to_pylist()}
    texts = {(row["image_id"], row["text"]) for row in graph.lake.read("image_texts", ["20"]).to_pylist()}
    assert report["pairs"] + sum(report["dropped"].values()) == graph.lake.manifest("subsets", "20").rows
    groups = Counter(row["near"] for row in verdicts.values() if row["reason"] == "near_duplicate")
    assert groups, "the sample has one drawing at many addresses"
    assert [it["num"] for it in report["near_duplicates"]] == sorted(groups.values(), reverse=True)[:6]
    for group in report["near_duplicates"]:
        assert group["first"]["image_id"] in graph.ids("20")
        assert {verdicts[it["image_id"]]["near"] for it in group["copies"]} == {group["first"]["image_id"]}
        assert all(it["has_picture"] and (it["image_id"], it["text"]) in texts for it in group["copies"])
    for reason in report["filtered"]:
        assert {verdicts[it["image_id"]]["reason"] for it in reason["examples"]} == {reason["reason"]}
        assert (reason["images"], reason["says"]) == (metadata[f"images/{reason['reason']}"], "at_least 48")
    rows = {row["image_id"]: row for row in graph.lake.read("images", ["20"]).to_pylist()}
    for reason in report["absent"]:
        assert {rows[it["image_id"]]["reason"] for it in reason["examples"]} == {reason["reason"]}
        assert not any(it["has_picture"] for it in reason["examples"])
    parse_harmless((graph.where.reports / "training_set_20.html").read_text("utf-8"))
    shown = [str(row.data["url"]) for row in metadata["near_duplicates_listed"].records]
    assert all(url.startswith("http") for url in shown)

    graph.filter("20")  # the verdicts of before are still in the lake
    plain = json.loads((graph.where.reports / "training_set_20.json").read_text("utf-8"))
    assert (plain["near_duplicates"], plain["filtered"], plain["absent"]) == ([], [], report["absent"])


def test_a_column_that_no_pool_keeps_is_refused(graph: Filtered) -> None:
    with pytest.raises(dg.Failure, match="no pool of t = 20 keeps similarity; kept are none"):
        graph.filter("20", filters={"column:similarity": {"at_least": 0.3}})


def test_texts_that_say_something_else_go_by_a_models_scores_and_what_is_scored_stays_so(
    graph: Filtered, tmp_path: Path
) -> None:
    plain = graph.filter("20")
    name = f"metaclip_dagster.filters:ClipScore(local-dir:{export_model(tmp_path / 'tiny')})"
    assert graph.filter("20", filters={name: {"at_least": -1}})["pairs"] == plain["pairs"]
    rows = graph.lake.read("pair_scores", ["20"]).to_pylist()
    scores = {row["pair_id"]: row["scores"][0]["score"] for row in rows}
    texts = {text["pair_id"] for row in graph.lake.read("training_sets", ["20"]).to_pylist() for text in row["texts"]}
    assert scores.keys() == texts
    limit = sorted(scores.values())[len(scores) // 2]
    metadata = graph.filter("20", filters={name: {"at_least": limit}})
    passing = {text["pair_id"] for row in graph.lake.read("training_sets", ["20"]).to_pylist() for text in row["texts"]}
    assert passing == {pair_id for pair_id, score in scores.items() if score >= limit} < texts
    assert metadata["dropped/filtered_clipscore"] == plain["pairs"] - len(passing) == metadata["seen/filtered_texts"]
    assert metadata["rows"] + metadata["seen/textless_images"] == plain["rows"]
    assert graph.lake.read("pair_scores", ["20"]).to_pylist() == rows

    graph.filter("100", filters={name: {"at_least": limit}})
    manifest = graph.lake.manifest("pair_scores", "100")
    assert manifest.total("seen")["scored"] == manifest.rows - len(rows) > 0
    assert graph.ids("20") < graph.ids("100")
    graph.filter("20")
    graph.filter("100")

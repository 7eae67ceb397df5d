"""Laws of the asset that writes the EU's summary: its numbers are the lake's, and bad input is refused."""

import csv
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from resources.deployments import Deployment
from tests.graphs import SNAPSHOTS, copy_home, open_graph


def test_its_numbers_are_those_of_the_lake(imaged: Deployment, tmp_path: Path) -> None:
    where = copy_home(imaged, tmp_path, ("reports",), ("lake", "images"))
    where.publisher.write_text("eu_summary: {provider: 'A. Publisher, https://a.example'}", "utf-8")
    with open_graph(where, *SNAPSHOTS) as graph:
        graph.make(["eu_summary"], "20")
        subset = graph.lake.read("subsets", ["20"]).to_pylist()
        images = graph.lake.read("images", ["20"]).to_pylist()
    content = json.loads((where.reports / "eu_summary_t_20.json").read_text("utf-8"))
    asked = read_answers(where)
    assert (content["pairs"], content["images"]) == (len(subset), len({row["image_id"] for row in subset}))
    by_snapshot = Counter(row["snapshot"] for row in subset)
    rows = asked["large_public_datasets"]["table"]["rows"]
    assert {row[0]: row[3] for row in rows} == by_snapshot
    assert rows[0][:3] == ["SAMPLE-2026-01", "2026-01-05", "2026-01-05"]
    with (where.reports / "eu_summary_t_20_domains.csv").open(encoding="utf-8", newline="") as file:
        listed = [*csv.DictReader(file)]
    pages = Counter(urlsplit(row["page_url"]).hostname for row in subset)
    assert {row["domain"]: int(row["num"]) for row in listed if row["kind"] == "page"} == pages
    sizes: Counter[str | None] = Counter()
    for image in images:
        sizes.update({urlsplit(image["url"]).hostname: image["size"] or 0})
    assert {row["domain"]: int(row["num"]) for row in listed if row["kind"] == "image"} == dict(+sizes)
    assert (asked["provider"]["source"], asked["model_names"]["source"]) == ("provider", "blank")
    assert {path.suffix for path in where.reports.glob("eu_summary_t_20*")} == {
        ".html",
        ".json",
        ".md",
        ".docx",
        ".csv",
    }


def test_what_is_not_made_is_not_claimed(imaged: Deployment, tmp_path: Path) -> None:
    where = copy_home(imaged, tmp_path, ("reports", "lake"), ("images",))
    shutil.rmtree(tmp_path / "lake" / "images" / "20")
    shutil.rmtree(tmp_path / "lake" / "training_sets" / "20")
    with open_graph(where, *SNAPSHOTS) as graph:
        graph.make(["eu_summary"], "20")
    without = read_answers(where)
    assert "counted by their links" in without["image"]["answer"][0]
    assert "by pairs" in without["domains"]["answer"][0]
    assert "No training set of this t is made yet" in without["removals"]["answer"][1]


def test_opt_outs_are_those_that_were_gathered(imaged: Deployment, tmp_path: Path) -> None:
    where = copy_home(imaged, tmp_path, ("reports",), ("lake", "images"))
    with open_graph(where, *SNAPSHOTS) as graph:
        graph.make(["eu_summary"], "20")
        gathered = graph.lake.read("opt_out_signals", SNAPSHOTS).to_pylist()
        matched = sum(graph.lake.manifest("matches", snapshot).rows for snapshot in SNAPSHOTS)
    pairs = {(row["signal"], row["snapshot"], row["shard"], row["pair_id"]) for row in gathered}
    asked = read_answers(where)["reservations"]
    assert f"for {matched:,} pairs" in asked["answer"][0]
    assert {row[0]: row[2] for row in asked["table"]["rows"]} == Counter(signal for signal, *_ in pairs)
    assert {row[3] for row in asked["table"]["rows"]} == {0}


def read_answers(where: Deployment) -> dict[str, Any]:
    content = json.loads((where.reports / "eu_summary_t_20.json").read_text("utf-8"))
    return {row["key"]: row for section in content["sections"] for row in section["questions"]}


def test_a_card_of_another_subset_is_refused(imaged: Deployment, tmp_path: Path) -> None:
    where = copy_home(imaged, tmp_path, ("reports",), ("lake", "images"))
    card = where.reports / "data_card_t_20.json"
    card.write_text(json.dumps(json.loads(card.read_text("utf-8")) | {"provenance": {"subset": "other"}}), "utf-8")
    with open_graph(where, *SNAPSHOTS) as graph, pytest.raises(ValueError, match="another version of the subset"):
        graph.make(["eu_summary"], "20")
    assert not [*where.reports.glob("eu_summary*")]


def test_an_unknown_question_in_publisher_yaml_is_named(imaged: Deployment, tmp_path: Path) -> None:
    where = copy_home(imaged, tmp_path, ("reports",), ("lake", "images"))
    where.publisher.write_text("eu_summary: {providr: x}", "utf-8")
    with open_graph(where, *SNAPSHOTS) as graph, pytest.raises(ValueError, match=r"eu_summary\.providr; did you mean"):
        graph.make(["eu_summary"], "20")

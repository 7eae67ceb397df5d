"""Entries of one's own on the whole graph: coverage before a pool is matched, and what a changed list moves."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.entries import PRECEDENCE
from assets.keys import THRESHOLDS
from resources.crawl.mini import mini_deployment
from resources.deployments import Deployment
from resources.lake.resource import Lake
from tests.graphs import SNAPSHOTS, Graph, copy_home, open_graph


class Described(Graph):
    """A copy of the finished mini run, to be changed."""

    def make_one(self, name: str, partition: str | None = None, **config: Any) -> dict[str, Any]:
        """Make one asset; gives its metadata as plain values."""
        settings = {"ops": {name: {"config": config}}} if config else {}
        result = self.make([name], partition, **settings)
        [event] = result.get_asset_materialization_events()
        return {key: getattr(value, "value", None) for key, value in event.materialization.metadata.items()} | {
            key: [dict(record.data) for record in value.records]
            for key, value in event.materialization.metadata.items()
            if isinstance(value, dg.TableMetadataValue)
        }

    def report(self, name: str) -> dict[str, Any]:
        return dict(json.loads((self.where.reports / f"{name}.json").read_text("utf-8")))

    def pool(self, t: str) -> set[int]:
        return set(self.lake.read("subsets", [t])["pair_id"].to_pylist())


@pytest.fixture
def graph(curated: Deployment, tmp_path: Path) -> Iterator[Described]:
    with open_graph(copy_home(curated, tmp_path), *SNAPSHOTS) as copy:
        yield Described(copy.where, copy.instance)


def test_coverage_counts_what_the_pool_holds_and_a_share_of_shards_is_part_of_it(
    graph: Described, curated: Deployment, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "lake" / "matches")  # it is there before anything is matched
    metadata = graph.make_one("coverage")
    coverage, report = graph.lake.read("coverage"), graph.report("coverage")
    matched = Lake(root=curated.lake).read("matches", SNAPSHOTS)
    assert report["matched"] == matched.num_rows == metadata["pairs_matched"]
    assert report["pairs"] == sum(graph.lake.manifest("pairs", key).rows for key in SNAPSHOTS)
    counted = matched["entry_ids"].combine_chunks().flatten().to_pylist()
    assert sum(coverage["num_pairs"].to_pylist()) == len(counted)
    covered = {row for row, num in enumerate(coverage["num_pairs"].to_pylist()) if num}
    assert covered == set(counted)
    assert coverage["why"].to_pylist().count(None) == len(covered) == report["languages"][0]["found"]
    assert metadata["words_in_no_entry"]
    assert "<script" not in (graph.where.reports / "coverage.html").read_text("utf-8")
    part = graph.make_one("coverage", share=0.5)
    assert graph.report("coverage")["shards"] == {key: [1, 2] for key in SNAPSHOTS}
    assert 0 < part["pairs"] < metadata["pairs"]


def test_a_changed_list_is_told_and_moves_few_pairs(graph: Described, tmp_path: Path) -> None:
    before = {t: graph.pool(t) for t in THRESHOLDS}
    assert "changes" not in graph.make_one("entries")
    counts = graph.lake.read("entry_counts").to_pylist()
    gone = next(row for row in counts if row["entry_count"] == 3)
    others = [row["entry"] for row in graph.lake.read("entries").to_pylist() if row["entry"] != gone["entry"]]
    own_list = tmp_path / "own.txt"
    own_list.write_text("\n".join([*others, "no text has this"]), "utf-8")
    caps = dict.fromkeys(PRECEDENCE, 0)
    metadata = graph.make_one("entries", own_lists=[str(own_list)], caps=caps)
    assert (metadata["changed/added"], metadata["changed/removed"]) == (1, 1)
    assert graph.report("entries")["languages"][0]["sources"][0]["source"] == "own:own.txt"
    version = graph.lake.manifest("entries").version
    assert graph.make_one("entries")["own_lists"] == [str(own_list)]
    assert graph.lake.manifest("entries").version == version, "a click without config drops no list"
    for snapshot in SNAPSHOTS:
        graph.make_one("matches", snapshot)
    graph.make_one("exclusions")
    metadata = graph.make_one("entry_counts")
    assert metadata["changed/counts"] == 1
    [move] = metadata["largest_moves"]
    assert (move["entry"], move["before"], move["after"]) == (gone["entry"], 3, 0)
    for snapshot in SNAPSHOTS:
        graph.make_one("admissions", snapshot)
    for t in THRESHOLDS:
        metadata, after = graph.make_one("subsets", t), graph.pool(t)
        assert metadata["changed/joined"] == len(after - before[t]) == 0
        assert metadata["changed/left"] == len(before[t] - after) <= 3
        assert metadata["changed/stayed"] == len(after & before[t])


def test_own_lists_that_cannot_be_used_are_named(graph: Described, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for path in (tmp_path / "list.pdf", tmp_path / "a" / "list.pdf"):
        path.write_text("dog", "utf-8")
    version = graph.lake.manifest("entries").version
    with pytest.raises(FileNotFoundError, match=r"list\.txt: no such list of entries"):
        graph.make_one("entries", own_lists=[str(tmp_path / "list.txt")])
    with pytest.raises(dg.Failure, match=r"list\.pdf: .* no format is known by the suffix '\.pdf'"):
        graph.make_one("entries", own_lists=[str(tmp_path / "list.pdf")])
    with pytest.raises(ValueError, match="two files have one name"):
        graph.make_one("entries", own_lists=[str(tmp_path / "list.pdf"), str(tmp_path / "a" / "list.pdf")])
    assert graph.lake.manifest("entries").version == version


def test_each_language_has_a_budget_of_its_own_and_what_is_missing_is_told(
    graph: Described, curated: Deployment, tmp_path: Path
) -> None:
    own_list = tmp_path / "own.tsv"
    own_list.write_text("entry\tlanguage\nHund\tde\nKatze\tde\nchien\tfr\ndog\ten\n", "utf-8")
    (tmp_path / "words.txt").write_text("Hund\nUhu\n", "utf-8")
    files: dict[str, Any] = {"own_lists": [str(own_list)], "own_lists_of": {"de_at": str(tmp_path / "words.txt")}}
    with pytest.raises(ValueError, match="two files have one name"):
        graph.make_one("entries", **files | {"own_lists_of": {"de": str(own_list)}}, languages=["de", "en"])
    metadata = graph.make_one(
        "entries", **files, languages=["de", "en"], budget=10, caps={"own:own.tsv": 5, "numbers": 0}
    )
    entries = graph.lake.read("entries")
    assert entries["language"].to_pylist() == ["de"] * 3 + ["en"] * 10
    assert entries["entry"].to_pylist()[:4] == ["Hund", "Katze", "Uhu", "dog"]
    assert metadata["missing"] == 7
    left_out = [{"list": "own:own.tsv", "why": "other_language", "rows": 1}]
    assert metadata["dropped_of_own_lists"] == graph.report("entries")["dropped_of_own_lists"] == left_out
    assert [row["taken"] for row in metadata["by_source"] if row["source"] == "own:own.tsv"] == [2, 1]
    page = (graph.where.reports / "entries.html").read_text("utf-8")
    assert "7 more would have filled the budget" in page


def test_own_lists_that_fill_the_budget_need_no_other_source(mini: Path, tmp_path: Path) -> None:
    own_list = tmp_path / "own.tsv"
    own_list.write_text("entry\tlanguage\nowl\ten\nhoopoe\ten\nowl\ten\nUhu\tde\n", "utf-8")
    with open_graph(mini_deployment(mini, tmp_path / "home")) as fresh:
        graph = Described(fresh.where, fresh.instance)
        config: dict[str, Any] = {"own_lists": [str(own_list)], "languages": ["en", "de"], "budget": 2}
        with pytest.raises(FileNotFoundError, match=r"wordnet_synsets, .* leave open 1 of 2 entries in de"):
            graph.make_one("entries", **config)
        with pytest.raises(FileNotFoundError, match=r"wikipedia_unigrams, .*caps: \{wikipedia_unigrams: 0, "):
            graph.make_one("entries", **config, caps={"wordnet_synsets": 0, "numbers": 0})
        caps = dict.fromkeys(PRECEDENCE, 0)
        assert graph.make_one("entries", **config, caps=caps)["missing"] == 1
        assert graph.lake.read("entries")["entry"].to_pylist() == ["owl", "hoopoe", "Uhu"]
        graph.make_one("entries", **config | {"budget": 1, "caps": {}})
        assert graph.lake.read("entries")["entry"].to_pylist() == ["owl", "Uhu"]

"""From a folder of 45 Wikipedias to lists, matches, a t for each language and data cards; English is as if alone."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from metaclip_dagster.balancing import language_thresholds
from metaclip_dagster.words.languages import assign_wikis
from resources.deployments import REPOSITORY
from resources.lake.resource import Lake
from tests.wikis import LETTERS, ODD_TITLES, SILENT, WIKIS, make_words, write_identification, write_texts, write_wikis

pytestmark = pytest.mark.night
POOL, RUNGS = "pool-worldwide", ("5", "20", "60", "inf")
PROGRAM = """
import sys; from dataclasses import replace; from pathlib import Path
from resources.deployments import deployment; from tests.graphs import open_graph
where = replace(deployment(), parts_of_speech="r", workers=1)
where.home.mkdir(parents=True)
Path(where.pools).write_text(sys.argv[1], encoding="utf-8")
wordnet, bigrams, entries = ({"ops": {name: {"config": config}}} for name, config in (
    ("wordnet_synsets", {"multilingual": False}), ("wikipedia_bigrams", {"min_pmi": 0}),
    ("entries", {"own_lists_of": {}})))  # not the sample's
with open_graph(where, sys.argv[2]) as graph:
    graph.make(["wordnet_synsets"], **wordnet)
    graph.make(["wikipedia_ngrams", "wikipedia_unigrams"])
    graph.make(["wikipedia_bigrams"], **bigrams)
    graph.make(["wikipedia_titles"])
    graph.make(["entries"], **entries)
    graph.make(["pairs", "matches"], sys.argv[2])
    graph.make(["exclusions", "entry_counts"])
    graph.make(["admissions"], sys.argv[2])
    for t in where.thresholds:
        graph.make(["subsets", "data_cards"] if where.languages == ("all",) else ["subsets"], t)
"""


@dataclass(frozen=True)
class Run:
    """What a deployment made of the folder."""

    lake: Lake
    reports: Path

    def read(self, table: str, partition: str | None = None) -> pa.Table:
        return self.lake.read(table, [partition] if partition else ["all"])

    def card(self, t: str) -> dict[str, Any]:
        """What the data card says of each language, by its code."""
        card = json.loads((self.reports / f"data_card_t_{t}.json").read_text(encoding="utf-8"))
        return {row["language"]: row for row in card["languages"]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """By METACLIP_LANGUAGES, of one folder and one crawl."""
    folder = tmp_path_factory.mktemp("worldwide")
    words = make_words(WIKIS)
    environment = {
        **os.environ,
        "METACLIP_WIKIPEDIA": str(write_wikis(folder / "wikipedia", words)),
        "METACLIP_LANGUAGE_ID": write_identification(folder / "lid.bin", words),
        "METACLIP_THRESHOLDS": ",".join(RUNGS),
    }
    texts = write_texts(folder / "texts.tsv", words)
    pools = json.dumps({"worldwide": {"files": str(texts), "columns": ["url", "text"]}})
    return {languages: run_graph(folder / languages, pools, environment, languages) for languages in ("all", "en")}


def run_graph(data: Path, pools: str, environment: Mapping[str, str], languages: str) -> Run:
    variables = {**environment, "METACLIP_DATA": str(data), "METACLIP_LANGUAGES": languages}
    command = [sys.executable, "-c", PROGRAM, pools, POOL]
    done = subprocess.run(command, cwd=REPOSITORY, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
    return Run(Lake(root=str(data / "sample" / "lake")), data / "sample" / "reports")


@pytest.fixture(scope="module")
def everything(runs: Mapping[str, Run]) -> Run:
    return runs["all"]


def test_every_language_has_a_list_of_its_words_and_of_the_numbers(everything: Run) -> None:
    assert len(WIKIS) >= 40
    assert len(LETTERS) >= 15
    lists = assign_wikis(WIKIS, ["all"])
    entries = everything.read("entries")
    assert entries["language"].unique().to_pylist() == [*lists]
    words = make_words(WIKIS)
    by_language = {name: entries.filter(pc.field("language") == name)["entry"].to_pylist() for name in lists}
    for name, wikis in lists.items():
        assert {*map(str, range(100))} <= {*by_language[name]}
        for wiki in wikis if name != "en" else []:
            assert {word for word in words[wiki] if word in by_language[name]}, wiki
    assert ODD_TITLES["he"] in by_language["he"], "marks of direction stay, for it has a word"
    assert not {ODD_TITLES[wiki] for wiki in ("hi", "ar", "th")} & {*entries["entry"].to_pylist()}


def test_texts_are_found_in_their_own_list_and_a_language_without_any_stays_right(everything: Run) -> None:
    matched = everything.read("matches", POOL)["language"].value_counts().to_pylist()
    with_texts = {row["values"] for row in matched}
    lists = [*assign_wikis(WIKIS, ["all"])]
    assert with_texts == {*lists} - {*SILENT}
    counts = everything.read("entry_counts")
    assert counts.num_rows == everything.read("entries").num_rows
    for name in SILENT:
        assert pc.sum(counts.filter(pc.field("language") == name)["entry_count"]).as_py() == 0
        assert language_thresholds(counts, 20.0)[name] == 1.0


def test_each_languages_t_leaves_it_at_most_the_share_of_english_in_the_tail(everything: Run) -> None:
    counts = everything.read("entry_counts")
    for t in map(float, RUNGS[:-1]):
        thresholds = language_thresholds(counts, t)
        share = tail_share(counts, "en", t)
        for name in {*thresholds} - {"en", *SILENT}:
            distinct = sorted({count for count in counts_of(counts, name) if count})
            allowed = [count for count in distinct if tail_share(counts, name, count) <= share]
            largest = max(allowed, default=distinct[0])
            assert thresholds[name] == largest, name


def test_subsets_are_nested_in_all_languages_and_cards_tell_each(everything: Run) -> None:
    pools = [{*everything.read("subsets", t)["pair_id"].to_pylist()} for t in RUNGS]
    assert all(smaller < larger for smaller, larger in pairwise(pools))
    counts, num_of = everything.read("entry_counts"), everything.read("matches", POOL)["language"].to_pylist().count
    for t in RUNGS:
        card, thresholds = everything.card(t), language_thresholds(counts, float(t))
        subset = everything.read("subsets", t)["language"].to_pylist()
        assert card.keys() == thresholds.keys()
        for name, row in card.items():
            assert (row["pool"], row["subset"]) == (num_of(name), subset.count(name))
            assert float(row["t"]) == thresholds[name]


def test_english_is_what_it_is_alone(runs: Mapping[str, Run]) -> None:
    both, tables = [runs["en"], runs["all"]], {"entries": None, "entry_counts": None, "matches": POOL}
    for table, partition in {**tables, "admissions": POOL}.items():
        alone, among = (it.read(table, partition) for it in both)
        assert alone.num_rows > 0
        assert alone.equals(among.filter(pc.field("language") == "en")), table
    for t in RUNGS:
        alone, among = (it.read("subsets", t) for it in both)
        assert alone.equals(among.filter(pc.field("language") == "en")), t


def counts_of(counts: pa.Table, language: str) -> list[int]:
    return list(counts.filter(pc.field("language") == language)["entry_count"].to_pylist())


def tail_share(counts: pa.Table, language: str, t: float) -> float:
    of_language = counts_of(counts, language)
    return sum(count for count in of_language if count <= t) / sum(of_language)

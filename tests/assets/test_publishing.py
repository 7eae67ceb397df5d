"""Laws of the published dataset: others' tools read it, its sums hold, and it changes as a whole or not at all."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import DatasetCard
from markdown_it import MarkdownIt

from metaclip_dagster.publishing.questions import QUESTIONS
from metaclip_dagster.publishing.sentences import OPEN
from metaclip_dagster.schemas import SUBSETS
from resources.deployments import Deployment
from tests.graphs import Graph, copy_home, open_graph

HOSTILE = "x](javascript:alert(1)) `` ``` <script>alert(1)</script> | {{ 7*7 }} \"}], # ' --- &lt; \u202e"
"""What could end a link, code, a cell, a template, JSON or YAML."""
DOCUMENTS = ["CITATION.cff", "LICENSE-NOTES.md", "README.md", "SHA256SUMS", "croissant.json", "datasheet.md"]


@pytest.fixture(scope="module")
def graph(curated: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    """A home with D(inf), then D(20), published by nobody in particular."""
    where = copy_home(curated, tmp_path_factory.mktemp("published"), copied=("lake", "reports"))
    with open_graph(where) as graph:
        graph.make(["published"], "inf")
        graph.make(["published"], "20")
        yield graph


@pytest.fixture
def folder(graph: Graph) -> Path:
    """The dataset as it lies there."""
    return graph.where.published / "dataset"


def read_files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("t", ["20", "inf"])
def test_a_config_loads_and_has_the_lakes_rows(
    graph: Graph, folder: Path, t: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    loaded = datasets.load_dataset(str(folder), f"t{t}", split="train", cache_dir=str(tmp_path))
    assert loaded.to_list() == graph.lake.read("subsets", [t]).to_pylist()


def test_the_smallest_t_is_the_default_and_the_card_is_one_of_the_hubs(folder: Path) -> None:
    card = DatasetCard.load(folder / "README.md")
    assert [config["config_name"] for config in card.data.configs] == ["t20", "tinf"]
    assert [config.get("default") for config in card.data.configs] == [True, None]
    assert (card.data.license, card.data.language, card.data.size_categories) == ("unknown", ["en"], ["n<1K"])
    assert all(field.name.replace("_", r"\_") in card.text for field in SUBSETS)


def test_croissant_is_valid_and_gives_the_rows(graph: Graph, folder: Path) -> None:
    program = (
        "import mlcroissant, sys; dataset = mlcroissant.Dataset(sys.argv[1]);"
        "assert not dataset.metadata.ctx.issues.errors;"
        "print([int(row['rows_t20/pair_id']) for row in dataset.records('rows_t20')])"
    )
    command = [sys.executable, "-c", program, str(folder / "croissant.json")]
    read = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = graph.lake.read("subsets", ["20"])
    assert json.loads(read.stdout) == rows["pair_id"].to_pylist()
    described = json.loads((folder / "croissant.json").read_text())
    assert [field["name"] for field in described["recordSet"][1]["field"]] == SUBSETS.names


def test_the_sums_are_of_every_file(folder: Path) -> None:
    check = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    subprocess.run(check, cwd=folder, check=True)
    listed = {line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()}
    assert listed == read_files(folder).keys() - {"SHA256SUMS"}
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == DOCUMENTS


def test_publishing_again_gives_the_same_bytes_and_nothing_names_this_machine(graph: Graph, folder: Path) -> None:
    before = read_files(folder)
    graph.make(["published"], "20")
    assert read_files(folder) == before
    home = str(graph.where.home.parent).encode()
    assert [name for name, content in before.items() if home in content or b"METACLIP_DATA" in content] == []


def test_what_nobody_has_said_is_open(graph: Graph, folder: Path) -> None:
    datasheet = (folder / "datasheet.md").read_text()
    assert all(f"**{question}**\n\n{OPEN}\n" in datasheet for question in QUESTIONS["datasheet"].values())
    assert (folder / "README.md").read_text().count(OPEN) == 3
    assert yaml.safe_load((folder / "CITATION.cff").read_text())["authors"] == [
        {"name": "Open: nobody has been named yet"}
    ]
    example = yaml.safe_load(Path(f"{graph.where.publisher}.example").read_text())
    assert {name: [*example[name]] for name in QUESTIONS} == {name: [*asked] for name, asked in QUESTIONS.items()}


def test_the_distribution_is_that_of_the_data_card(folder: Path) -> None:
    card = json.loads((folder / "cards" / "t20.json").read_text())
    distribution = pq.read_table(folder / "distribution" / "t20" / "distribution.parquet")
    entries = card["entries"]
    totals = [sum(distribution[column].to_pylist()) for column in ("before", "after")]
    assert totals == [entries["matches_before"], entries["matches_after"]]


def test_words_of_a_publisher_and_a_crawl_stay_words(graph: Graph, tmp_path: Path) -> None:
    where = copy_home(graph.where, tmp_path / "home", copied=("lake", "reports", "published"))
    card = json.loads((where.reports / "data_card_t_20.json").read_text())
    for place in ("top_before", "snapshots"):
        card[place][0]["entry" if place == "top_before" else "snapshot"] = HOSTILE
    (where.reports / "data_card_t_20.json").write_text(json.dumps(card))
    names = ["title", "description", "homepage", "license", "version", "takedown_contact", "provider"]
    person = {"name": HOSTILE, "email": HOSTILE, "url": HOSTILE}
    answers = {name: dict.fromkeys(questions, HOSTILE) for name, questions in QUESTIONS.items() if questions}
    content = {**dict.fromkeys(names, HOSTILE), "contact": person, "authors": [dict(person)], **answers}
    where.publisher.write_text(json.dumps(content))
    with open_graph(where) as changed:
        [event] = changed.make(["published"], "20").get_asset_materialization_events()
    assert event.materialization.metadata["open"].value == []
    folder = where.published / "dataset"
    for name in ("README.md", "datasheet.md", "LICENSE-NOTES.md"):
        text = (folder / name).read_text().split("---\n", 2)[-1] if name == "README.md" else (folder / name).read_text()
        tokens = MarkdownIt("commonmark").enable("table").parse(text)
        inline = [child for token in tokens for child in token.children or []]
        links = {str(child.attrs["href"]) for child in inline if child.type == "link_open"}
        assert links == set()
        assert not [token for token in [*tokens, *inline] if token.type.startswith("html")]
        assert len([token for token in tokens if token.type == "heading_open" and token.tag == "h1"]) == 1
        assert "49" not in "".join(child.content for child in inline if "javascript" in child.content)
    assert DatasetCard.load(folder / "README.md").data.pretty_name == HOSTILE
    assert yaml.safe_load((folder / "CITATION.cff").read_text())["title"] == HOSTILE
    assert json.loads((folder / "croissant.json").read_text())["name"] == HOSTILE


def test_a_file_of_the_publishers_with_an_unknown_key_stops_it_and_changes_nothing(
    graph: Graph, tmp_path: Path
) -> None:
    where = copy_home(graph.where, tmp_path / "home", copied=("lake", "reports", "published"))
    where.publisher.write_text("licence: mit\n")
    before = read_files(where.published / "dataset")
    with (
        open_graph(where) as changed,
        pytest.raises(ValueError, match=r"publisher\.yaml: unknown key licence; did you"),
    ):
        changed.make(["published"], "20")
    assert read_files(where.published / "dataset") == before


def test_a_card_of_another_build_stops_it(graph: Graph, tmp_path: Path) -> None:
    where = copy_home(graph.where, tmp_path / "home", copied=("lake", "reports"))
    for kind in ("html", "json"):
        shutil.copy(where.reports / f"data_card_t_100.{kind}", where.reports / f"data_card_t_20.{kind}")
    with open_graph(where) as changed, pytest.raises(ValueError, match="data card of t = 20 is of another build"):
        changed.make(["published"], "20")
    assert not (where.published / "dataset").exists()

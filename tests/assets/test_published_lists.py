"""Laws of the published lists: they are ENTRIES in two forms, each source has its licence, and all of it or nothing."""

import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import datasets
import pytest
import yaml
from huggingface_hub import DatasetCard
from markdown_it import MarkdownIt

from assets.entries import PRECEDENCE, SOURCES, entries
from assets.metadata import wikipedia_bigrams, wikipedia_ngrams, wikipedia_titles, wikipedia_unigrams, wordnet_synsets
from assets.published_lists import published_lists
from metaclip_dagster.publishing.sentences import OPEN
from metaclip_dagster.schemas import ENTRIES
from resources.deployments import SAMPLE
from resources.engines.resource import Compute
from resources.files.digests import RowDigest
from resources.lake.resource import Lake, MissingPartitionError
from resources.published.resource import Published
from resources.reports.resource import Reports
from resources.sources.resource import Sources
from tests.resources.exports import export, page, write_wordnets

TEXTS = {
    "de": ("Käuzchen", "Der Kauz schläft. Der Kauz ruft nachts. Der rote Kauz schläft in der Scheune. " * 4),
    "en": ("Tawny owl", "The owl sleeps. The owl hoots. The red owl sleeps in the red barn. " * 4),
    "ga": ("Ulchabhán", "Tá an t-ulchabhán ina chodladh. " * 4),
    "hak": ("Miau", "Miau-è chhoi soi-muk. " * 4),
    "it": ("Civetta", "La civetta dorme sempre. " * 4),
    "zh": ("猫头鹰", "猫头鹰在睡觉。" * 4),
    "zh_yue": ("貓頭鷹", "貓頭鷹瞓覺。" * 4),
}
LANGUAGES = ["en", "de", "ga", "it", "zh", "other"]
ODD = [
    "owl|barn",
    "](javascript:alert(1))",
    "<b>owl</b>",
    "a\u2028b",
    "owl\u202ebarn",
    "`owl`",
    "  owl  pellet",
    "O\u0301wl",
]
LIMITS: dict[str, dict[str, Any]] = {
    "wikipedia_unigrams": {"min_count": 2, "min_count_of": {"ga": 3}},
    "wikipedia_bigrams": {"min_pmi": -9, "min_count": 2},
    "wikipedia_titles": {"min_views": 1},
}
MADE = [wordnet_synsets, wikipedia_ngrams, wikipedia_unigrams, wikipedia_bigrams, wikipedia_titles, entries]


class Home:
    """A folder with all that lists are made of, and with what is made of it."""

    def __init__(self, root: Path) -> None:
        self.root, self.lake, self.folder = root, Lake(root=str(root / "lake")), root / "published" / "lists"

    def make(self, *assets: dg.AssetsDefinition, **config: Mapping[str, Any]) -> Mapping[str, Any]:
        """One run of these assets; gives the metadata of the last."""
        resources = {
            "lake": self.lake,
            "compute": Compute(lake=self.lake, workers=1),
            "reports": Reports(root=str(self.root / "reports")),
            "publications": Published(root=str(self.folder.parent), publisher=str(self.root / "publisher.yaml")),
            "sources": Sources(
                nltk_data=str(self.root / "nltk_data"),
                parts_of_speech="r",
                wikipedia=str(self.root / "wikipedia"),
                languages=["all"],
            ),
        }
        with dg.DagsterInstance.ephemeral() as instance:
            run_config = {"ops": {name: {"config": given} for name, given in config.items()}}
            result = dg.materialize([*assets], resources=resources, instance=instance, run_config=run_config)
        return result.get_asset_materialization_events()[-1].materialization.metadata

    def read_files(self) -> dict[str, tuple[bytes, int]]:
        """Contents and times of all files of the lists."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def write_sources(root: Path) -> None:
    shutil.copytree(SAMPLE / "nltk_data", root / "nltk_data")
    write_wordnets(root / "nltk_data")
    (root / "wikipedia").mkdir()
    for wiki, (title, text) in TEXTS.items():
        dump = export(page(title, text), wiki=f"{wiki}wiki")
        (root / "wikipedia" / f"{wiki}wiki-20261101-pages-articles.xml").write_bytes(dump)
    views = "".join(f"{wiki.replace('_', '-')} {title.replace(' ', '_')} 3 0\n" for wiki, (title, _) in TEXTS.items())
    for day in ("20260101", "20260303"):
        (root / "wikipedia" / f"pageviews-{day}-000000.gz").write_bytes(gzip.compress(views.encode()))
    (root / "odd.jsonl").write_text("".join(f"{json.dumps(entry)}\n" for entry in ODD), encoding="utf-8")
    (root / "birds.txt").write_text("hoopoe\nowl\n", encoding="utf-8")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("lists"))
    write_sources(home.root)
    own_lists = [str(home.root / name) for name in ("odd.jsonl", "birds.txt")]
    caps = {"wordnet_synsets": 3_000, "wikipedia_titles": 9}
    home.make(*MADE, **LIMITS, entries={"languages": ["all"], "budget": 4_000, "own_lists": own_lists, "caps": caps})
    (home.root / "publisher.yaml").write_text("own_lists:\n  birds.txt: CC0-1.0\nlists:\n  license: cc-by-sa-4.0\n")
    home.make(published_lists)
    return home


@pytest.fixture
def changed(home: Home, tmp_path: Path) -> Home:
    """A copy, to be changed."""
    shutil.copytree(home.root, tmp_path / "home")
    return Home(tmp_path / "home")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.mark.usefixtures("offline")
def test_a_config_has_the_rows_of_its_language_and_all_configs_are_entries(home: Home, tmp_path: Path) -> None:
    rows = home.lake.read("entries").to_pylist()
    assert [*dict.fromkeys(row["language"] for row in rows)] == LANGUAGES
    configs = DatasetCard.load(home.folder / "README.md").data.configs
    assert [config["config_name"] for config in configs] == ["all", *LANGUAGES]
    german = datasets.load_dataset(str(home.folder), "de", split="train", cache_dir=str(tmp_path))
    assert german.to_list() == [row for row in rows if row["language"] == "de"] != []
    everything = datasets.load_dataset(str(home.folder), split="train", cache_dir=str(tmp_path))
    digest = RowDigest(ENTRIES)
    digest.update(everything.data.table.cast(ENTRIES))
    assert digest.hexdigest() == home.lake.manifest("entries").shards[0].digest


def test_croissant_is_valid_and_gives_every_entry(home: Home) -> None:
    program = (
        "import mlcroissant, sys; dataset = mlcroissant.Dataset(sys.argv[1]);"
        "assert not dataset.metadata.ctx.issues.errors;"
        "print(sorted(int(row['rows_entries/entry_id']) for row in dataset.records('rows_entries')))"
    )
    command = [sys.executable, "-c", program, str(home.folder / "croissant.json")]
    read = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(read.stdout) == [*range(home.lake.manifest("entries").rows)]
    described = json.loads((home.folder / "croissant.json").read_text(encoding="utf-8"))
    origins = [entity["sc:name"] for entity in described["prov:wasDerivedFrom"]]
    assert {"birds.txt", "WordNet Release 3.0", "Wordnet cow", "zh_yuewiki-20261101"} <= {*origins}
    assert described["license"] == "cc-by-sa-4.0"


@pytest.mark.parametrize("form", ["text", "data"])
def test_the_files_read_back_as_own_lists_are_the_same_entries(changed: Home, form: str) -> None:
    before = changed.lake.read("entries").select(["entry", "language", "unmatchable"]).to_pylist()
    files = [str(changed.folder / form / f"{code}.{'txt' if form == 'text' else 'parquet'}") for code in LANGUAGES]
    languages = LANGUAGES if form == "data" else ["en"]  # a line has no language: it is the first one's
    files = files if form == "data" else files[:1]
    caps = dict.fromkeys([*SOURCES, "numbers"], 0)
    changed.make(entries, entries={"languages": languages, "own_lists": files, "caps": caps, "budget": 4_000})
    after = changed.lake.read("entries").select(["entry", "language", "unmatchable"]).to_pylist()
    assert after == [row for row in before if row["language"] in languages]
    assert {entry.strip() for entry in ODD} <= {row["entry"] for row in after}


def test_every_source_is_on_the_card_with_its_licence(home: Home) -> None:
    assert {row["source"] for row in home.lake.read("entries").to_pylist()} == {
        "own:odd.jsonl",
        "own:birds.txt",
        "numbers",
        *SOURCES,
    }
    for name in ("README.md", "LICENSE-NOTES.md"):
        text = (home.folder / name).read_text(encoding="utf-8")
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
        assert ["birds.txt", "CC0-1.0"] in rows
        assert ["odd.jsonl", OPEN] in rows
        wordnets = {(row[0], row[1], row[2]) for row in rows if len(row) == 4}
        assert ("`en`", "WordNet Release 3.0, <https://wordnet.princeton.edu>", "WordNet License") in wordnets
        assert ("`zh`", "Wordnet cow, <http://cow.example/>", "CC BY 3.0") in wordnets
        assert ("`it`", "msi/wn-data-ita.tab", OPEN) in wordnets
        assert ["`zh`", "zhwiki-20261101, zh\\_yuewiki-20261101", "zhwiki-20261101, zh\\_yuewiki-20261101"] in rows
        assert "creativecommons.org/licenses/by-sa/4.0/" in text
        assert "2 days from 2026-01-01 to 2026-03-03" in text
    text = (home.folder / "README.md").read_text(encoding="utf-8")
    assert "| WordNet | every name of every synset, by how many synsets bear it | en, it, zh |" in text
    assert "| words, the first by count: 10.0% of the words, at most 251,465 | de, it, zh, other |" in text
    assert "| words, seen 3 times at least, by count | ga |" in text
    assert "At most 3,000 of a language are added by WordNet." in text
    licenses = {str(path.relative_to(home.folder / "licenses")) for path in (home.folder / "licenses").rglob("LICENSE")}
    assert licenses == {"wordnet/LICENSE", *(f"omw-1.4/{name}/LICENSE" for name in ("cow", "iwn"))}
    assert (home.folder / "licenses/omw-1.4/cow/LICENSE").read_text() == "Terms of cow/wn-data-cmn.tab.\n"


def test_the_table_of_numbers_adds_up(home: Home) -> None:
    rows = home.lake.read("entries").to_pylist()
    text = (home.folder / "README.md").read_text(encoding="utf-8")
    table = text.split("## Entries by language and source")[1].split("##")[0].strip().splitlines()
    numbers = {
        row.split("|")[1].strip(" `"): [int(cell.replace(",", "")) for cell in row.split("|")[2:-1]]
        for row in table[2:-2]
    }
    columns = [("own:odd.jsonl", "own:birds.txt"), *((source,) for source in PRECEDENCE)]
    assert numbers == {
        language: [len(of), *(sum(row["source"] in sources for row in of) for sources in columns)]
        for language in LANGUAGES
        for of in [[row for row in rows if row["language"] == language]]
    }


def test_a_licence_of_a_list_that_is_not_there_is_refused(changed: Home) -> None:
    before = changed.read_files()
    (changed.root / "publisher.yaml").write_text("own_lists:\n  bird.txt: CC0-1.0\n")
    with pytest.raises(ValueError, match=r"publisher\.yaml: unknown key own_lists\.bird\.txt; did you mean birds\.txt"):
        changed.make(published_lists)
    assert changed.read_files() == before


def test_words_of_a_publisher_stay_words_and_the_sums_are_of_every_file(changed: Home) -> None:
    hostile = "x](javascript:alert(1)) <script>alert(1)</script> | {{ 7*7 }}"
    answers = dict.fromkeys(("title", "license", "intended_uses"), hostile)
    (changed.root / "publisher.yaml").write_text(json.dumps({"own_lists": {"odd.jsonl": hostile}, "lists": answers}))
    changed.make(published_lists)
    for name in ("README.md", "LICENSE-NOTES.md"):
        text = (changed.folder / name).read_text().split("---\n", 2)[-1]
        tokens = MarkdownIt("commonmark").enable("table").parse(text)
        inline = [child for token in tokens for child in token.children or []]
        assert not [it for it in inline if it.type == "link_open" and "javascript" in str(it.attrs["href"])]
        assert not [token for token in [*tokens, *inline] if token.type.startswith("html")]
    assert yaml.safe_load((changed.folder / "CITATION.cff").read_text())["title"] == hostile
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=changed.folder, check=True)
    listed = {line.split("  ")[1] for line in (changed.folder / "SHA256SUMS").read_text().splitlines()}
    assert listed == changed.read_files().keys() - {"SHA256SUMS"}


def test_publishing_again_rewrites_nothing_and_says_what_is_open(changed: Home) -> None:
    before = changed.read_files()
    metadata = changed.make(published_lists)
    assert changed.read_files() == before
    assert not list(changed.folder.parent.glob("*.partial"))
    assert {"own_lists.odd.jsonl", "lists.title", "authors"} <= {*metadata["open"].value}
    assert not {"own_lists.birds.txt", "lists.license"} & {*metadata["open"].value}
    assert [name for name, (content, _) in before.items() if str(changed.root).encode() in content] == []


def test_what_is_not_there_or_not_of_the_lake_as_it_is_is_named_and_changes_nothing(changed: Home) -> None:
    before = changed.read_files()
    (changed.root / "nltk_data" / "corpora" / "omw-1.4.zip").rename(changed.root / "omw-1.4.zip")
    with pytest.raises(FileNotFoundError, match=r"omw-1\.4\.zip is missing, whose licence goes along"):
        changed.make(published_lists)
    (changed.root / "omw-1.4.zip").rename(changed.root / "nltk_data" / "corpora" / "omw-1.4.zip")
    changed.make(wikipedia_unigrams, wikipedia_unigrams={"min_count": 2, "min_count_of": {"ga": 9}})
    with pytest.raises(ValueError, match="entries were built of other sources, or for other languages"):
        changed.make(published_lists)
    for name in ("wikipedia_ngrams", "wikipedia_bigrams"):  # as an earlier version made them
        [path] = (changed.root / "lake" / name).glob("*/manifest.json")
        manifest = json.loads(path.read_text(encoding="utf-8"))
        del manifest["inputs"]["origin"]
        path.write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(MissingPartitionError, match=r"^wikipedia_ngrams, wikipedia_bigrams: not made yet, or by a ver"):
        changed.make(published_lists)
    shutil.rmtree(changed.root / "lake" / "entries")
    with pytest.raises(MissingPartitionError, match=r"^entries: not made yet"):
        changed.make(published_lists)
    assert changed.read_files() == before

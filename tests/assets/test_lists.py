"""With `all` every Wikipedia in the folder gives a list by itself, and English is as if it were alone."""

import gzip
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.compute as pc
import pytest

from assets.entries import SOURCES, entries
from assets.metadata import wikipedia_bigrams, wikipedia_ngrams, wikipedia_titles, wikipedia_unigrams, wordnet_synsets
from assets.pool import matching_setup
from assets.queries.languages import choose_languages, sets_clause_marks_apart
from metaclip_dagster.matching.matches import ClauseEngine
from metaclip_dagster.metadata import NUMBERS
from resources.deployments import SAMPLE
from resources.engines.resource import Compute
from resources.lake.resource import Lake
from resources.reports.resource import Reports
from resources.sources.resource import Sources
from tests.resources.exports import export, page, write_wordnets

ASSETS = [wordnet_synsets, wikipedia_ngrams, wikipedia_unigrams, wikipedia_bigrams, wikipedia_titles, entries]
NGRAMS = ["wikipedia_ngrams"]
ENGLISH = "The owl sleeps. The owl hoots. The red owl sleeps in the red barn."
ARTICLES = {
    "en": [("Owl", ENGLISH * 3), ("Barn", "A red barn. " * 9)],
    "simple": [("Bird", "Owls are simple birds. " * 50)],
    "zh": [("猫", "猫在睡觉。" * 5)],
    "zh_yue": [("貓", "隻貓瞓覺。" * 4)],
    "zh_classical": [("貓", "貓者，獸也。" * 3)],
    "be": [("Сава", "Сава спіць у хляве. " * 4)],
    "be_x_old": [("Сава", "Сава спіць. " * 2), ("Стрыж", "Стрыж ляціць. ")],
    "ar": [("بومة", "البومة تنام، البومة تطير؟ " * 3), ("\u200f", "نوم")],
    "hi": [("उल्लू", "उल्लू सोता है। " * 3), ("\u094d", "सोता")],
    "hak": [("Miau", "Miau-è chhoi soi-muk. " * 3)],
    "xx": [("Zzub", "Zzub zzab zzob. " * 3)],
}


def write_dumps(folder: Path, *wikis: str) -> Path:
    folder.mkdir()
    for wiki in wikis:
        dump = export(*(page(title, text) for title, text in ARTICLES[wiki]), wiki=f"{wiki}wiki")
        (folder / f"{wiki}wiki-1-pages-articles.xml").write_bytes(dump)
    views = [
        f"{wiki.replace('_', '-').replace('be-x-old', 'be-tarask')} {title} {number + 1} 0\n"
        for wiki in wikis
        for number, (title, _) in enumerate(ARTICLES[wiki])
    ]
    for hour in ("20260101-000000", "20260101-010000", "20260102-000000"):
        (folder / f"pageviews-{hour}.gz").write_bytes(gzip.compress("".join(views).encode()))
    return folder


def make(
    home: Path, wikis: Path, languages: list[str], only: Sequence[str] = (), /, **config: Any
) -> tuple[Lake, dict[str, Any]]:
    """All lists of a folder of dumps, or only these assets on the way.

    Gives the lake, and the last asset's metadata, into `every` that of each.
    """
    lake = Lake(root=str(home / "lake"))
    sources = Sources(
        nltk_data=str(config.pop("nltk_data", SAMPLE / "nltk_data")),
        parts_of_speech="r",
        wikipedia=str(wikis),
        languages=languages,
        listed=[*config.get("entries", {}).get("own_lists_of", ())],
    )
    reports = Reports(root=str(home / "reports"))
    resources = {"lake": lake, "compute": Compute(lake=lake, workers=1), "sources": sources, "reports": reports}
    every: dict[str, dict[str, Any]] = config.pop("every", {})
    ops: dict[str, Any] = {
        "wikipedia_unigrams": {"min_count": 2},
        "wikipedia_bigrams": {"min_pmi": -9, "min_count": 2},
        "wikipedia_titles": {"min_views": 1},
        "entries": {"languages": languages, "budget": 5_000},
    }
    for name, given in config.items():
        ops[name] = {**ops.get(name, {}), **given}
    with dg.DagsterInstance.ephemeral() as instance:
        run_config = {"ops": {name: {"config": given} for name, given in ops.items() if not only or name in only}}
        result = dg.materialize(
            ASSETS, resources=resources, instance=instance, run_config=run_config, selection=[*only] or None
        )
    for event in result.get_asset_materialization_events():
        shown = event.materialization.metadata.items()
        every["/".join(event.materialization.asset_key.path)] = {name: getattr(it, "value", it) for name, it in shown}
    return lake, every.get("entries", {})


@pytest.fixture(scope="module")
def nltk_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nltk_data")
    shutil.copytree(SAMPLE / "nltk_data", folder, dirs_exist_ok=True)
    return write_wordnets(folder)


@pytest.fixture(scope="module")
def everything(nltk_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    folder = tmp_path_factory.mktemp("all")
    return make(folder, write_dumps(folder / "wikipedia", *ARTICLES), ["all"], nltk_data=nltk_data)[0]


def list_of(lake: Lake, language: str) -> list[tuple[str, str]]:
    rows = lake.read("entries").to_pylist()
    return [(row["entry"], row["source"]) for row in rows if row["language"] == language]


def test_every_wikipedia_of_the_folder_is_in_one_list_and_english_comes_first(everything: Lake) -> None:
    languages = [*dict.fromkeys(everything.read("entries")["language"].to_pylist())]
    assert languages == ["en", "ar", "be", "hi", "zh", "other"]
    other = {entry for entry, _ in list_of(everything, "other")}
    assert {"Miau", "Zzub"} & other
    assert "birds" not in {entry for entry, _ in list_of(everything, "en")}


def test_english_among_all_is_english_alone(everything: Lake, tmp_path: Path) -> None:
    alone, _ = make(tmp_path, write_dumps(tmp_path / "wikipedia", "en"), ["en"])
    english = everything.read("entries").to_pylist()[: alone.manifest("entries").rows]
    assert english == alone.read("entries").to_pylist()
    for table in SOURCES:
        first = [lake.manifest(table).shards[0] for lake in (alone, everything)]
        assert first[0].digest == first[1].digest


def test_wikipedias_of_one_language_are_counted_together(everything: Lake) -> None:
    words = {row["name"]: row["num_occurrences"] for row in everything.read("wikipedia_ngrams").to_pylist()}
    assert words["Сава"] == 4 + 2
    views = {
        (row["language"], row["name"]): row["num_occurrences"] for row in everything.read("title_views").to_pylist()
    }
    assert views["be", "Сава"] == 2 * 3
    assert (views["zh", "貓"], views["zh", "猫"], views["en", "Owl"]) == (2 * 3, 3, 3)


def test_a_language_of_a_few_articles_has_a_list_in_shares_of_what_it_has(everything: Lake) -> None:
    # A tenth of six words, of pairs as many as 4 in 100 words, and 76 in 100 of two titles: at least one of each.
    assert [it for it in list_of(everything, "be") if it[1] != NUMBERS] == [
        ("Сава", "wikipedia_unigrams"),
        ("у хляве", "wikipedia_bigrams"),
        ("Стрыж", "wikipedia_titles"),
    ]


def test_a_language_has_the_names_that_the_multilingual_wordnet_gives_its_synsets(everything: Lake) -> None:
    named = {
        language: [entry for entry, of in list_of(everything, language) if of == SOURCES[0]]
        for language in ("zh", "ar", "be")
    }
    assert named == {"zh": ["决不", "始终地"], "ar": ["أبدا", "أَبَدا"], "be": []}


def test_the_numbers_0_to_99_are_in_each_list_after_the_names_of_wordnet(everything: Lake) -> None:
    numbers = [(str(number), NUMBERS) for number in range(100)]
    for language in everything.read("entries")["language"].unique().to_pylist():
        listed = list_of(everything, language)
        first = sum(source == SOURCES[0] for _, source in listed)
        assert listed[first : first + 100] == numbers
        assert len({entry for entry, _ in listed}) == len(listed)


def test_titles_of_marks_alone_are_no_entries_in_any_script(everything: Lake) -> None:
    titles = {row["entry"] for row in everything.read("wikipedia_titles").to_pylist()}
    assert {"\u094d", "\u200f"} & titles
    assert not {"\u094d", "\u200f"} & {*everything.read("entries")["entry"].to_pylist()}


def test_other_and_clause_marks_can_be_left_out_and_matching_is_told(
    everything: Lake, nltk_data: Path, tmp_path: Path
) -> None:
    shutil.copytree(everything.root, tmp_path / "lake")
    lake = Lake(root=str(tmp_path / "lake"))
    assert sets_clause_marks_apart(lake)
    before = matching_setup(lake)["matcher"].version
    make(
        tmp_path,
        Path(everything.root).parent / "wikipedia",
        ["all"],
        entries={"other": False, "clause_marks": False},
        nltk_data=nltk_data,
    )
    assert "other" not in lake.read("entries")["language"].to_pylist()
    assert not sets_clause_marks_apart(lake)
    assert matching_setup(lake)["matcher"].version != before
    assert not any(isinstance(engine, ClauseEngine) for engine in matching_setup(lake)["matcher"]().engines.values())


def test_a_language_with_a_list_of_its_own_needs_no_wikipedia(tmp_path: Path) -> None:
    wikis = write_dumps(tmp_path / "wikipedia", "en", "be")
    for name in ("yo.txt", "be.txt"):
        (tmp_path / name).write_text("òwìwí\n", "utf-8")
    lists_of = {"own_lists_of": {name: str(tmp_path / f"{name}.txt") for name in ("yo", "be")}}
    for languages in (["all"], ["en", "be", "yo"]):
        config = {"entries": lists_of, "wordnet_synsets": {"multilingual": False}}
        lake, _ = make(tmp_path / languages[0], wikis, languages, **config)
        entries = lake.read("entries")
        assert [*dict.fromkeys(entries["language"].to_pylist())] == ["en", "be", "yo"]
        assert list_of(lake, "yo")[0] == ("òwìwí", "own:yo.txt")
        assert {source for _, source in list_of(lake, "yo")} == {"own:yo.txt", NUMBERS}
        assert {"òwìwí", "Сава"} < {*entries.filter(pc.equal(entries["language"], "be"))["entry"].to_pylist()}


def test_leaving_out_the_only_list_is_refused(everything: Lake) -> None:
    assert choose_languages(everything, ["other"], SOURCES[1:]) == ["other"]
    with pytest.raises(ValueError, match="`other` is the only one, and `other: false` leaves it out"):
        choose_languages(everything, ["other"], SOURCES[1:], other=False)


def test_texts_are_searched_as_before_until_entries_of_an_earlier_version_are_built_again(
    everything: Lake, tmp_path: Path
) -> None:
    shutil.copytree(everything.root, tmp_path / "lake")
    lake = Lake(root=str(tmp_path / "lake"))
    [path] = (tmp_path / "lake").glob("entries/**/manifest.json")
    manifest = json.loads(path.read_text(encoding="utf-8"))
    del manifest["inputs"]["texts"]
    path.write_text(json.dumps(manifest), encoding="utf-8")
    assert not sets_clause_marks_apart(lake)


def test_a_threshold_holds_its_language_however_the_code_is_written(tmp_path: Path) -> None:
    wikis, thresholds = write_dumps(tmp_path / "wikipedia", "en", "zh_yue"), {"min_count_of": {"zh-yue": 1}}
    lake, _ = make(tmp_path, wikis, ["en", "zh-yue"], [*NGRAMS, "wikipedia_unigrams"], wikipedia_unigrams=thresholds)
    candidates, ngrams = (lake.read(name).to_pylist() for name in ("wikipedia_unigrams", "wikipedia_ngrams"))
    words = {row["name"] for row in ngrams if row["language"] == "yue" and " " not in row["name"]}
    assert {row["entry"] for row in candidates if row["language"] == "yue"} == words
    assert len(words) > 1


@pytest.mark.parametrize(
    ("asset", "threshold"),
    [
        ("wikipedia_unigrams", "min_count_of"),
        ("wikipedia_bigrams", "min_pmi_of"),
        ("wikipedia_titles", "min_views_of"),
    ],
)
def test_a_threshold_of_a_language_without_a_list_is_refused(tmp_path: Path, asset: str, threshold: str) -> None:
    wikis = write_dumps(tmp_path / "wikipedia", "en", "be")
    with pytest.raises(ValueError, match=rf"{threshold}: there is no list of ge, yue; take it out"):
        make(tmp_path, wikis, ["en", "be"], [*NGRAMS, asset], **{asset: {threshold: {"zh-yue": 2, "be": 1, "ge": 2}}})


def test_a_wikipedia_without_words_is_named_and_only_its_own_list_goes_without(tmp_path: Path) -> None:
    metadata: dict[str, dict[str, Any]] = {}
    wikis = write_dumps(tmp_path / "wikipedia", "en", "be")
    (wikis / "dewiki-1-pages-articles.xml").write_bytes(export(page("Diskussion:A", "a", ns=1), wiki="dewiki"))
    lake, _ = make(tmp_path, wikis, ["all"], every=metadata, wordnet_synsets={"multilingual": False})
    assert metadata["wikipedia_ngrams"]["without_words"] == ["de"]
    for source in SOURCES[1:]:
        assert metadata[source]["without_candidates"] == ["de"]
        assert metadata[source]["candidates/de"] == 0 < metadata[source]["candidates/be"]
    assert {source for _, source in list_of(lake, "de")} == {NUMBERS}


def test_english_without_words_or_titles_stops_what_follows(tmp_path: Path) -> None:
    wikis = write_dumps(tmp_path / "wikipedia", "en", "be")
    dump = wikis / "enwiki-1-pages-articles.xml"
    with pytest.raises(dg.DagsterError, match="wikipedia_titles: no_empty_list"):
        make(tmp_path, wikis, ["all"], wikipedia_titles={"min_views": 99}, wordnet_synsets={"multilingual": False})
    dump.write_bytes(export(page("Talk:A", "a", ns=1)))
    with pytest.raises(dg.Failure, match=r"'en'; is the dump empty"):
        make(tmp_path, wikis, ["all"], wordnet_synsets={"multilingual": False})


def test_a_dump_that_is_not_there_is_named(tmp_path: Path) -> None:
    wikis = write_dumps(tmp_path / "wikipedia", "en", "be")
    with pytest.raises(FileNotFoundError, match=r"no nnwiki-\*"):
        make(tmp_path, wikis, ["en", "nn"], NGRAMS)
    (wikis / "enwiki-1-pages-articles.xml").unlink()
    with pytest.raises(FileNotFoundError, match="no dump of the English Wikipedia"):
        make(tmp_path, wikis, ["all"], NGRAMS)
    shutil.rmtree(wikis)
    with pytest.raises(FileNotFoundError, match="no dump of any Wikipedia"):
        make(tmp_path, wikis, ["all"], NGRAMS)

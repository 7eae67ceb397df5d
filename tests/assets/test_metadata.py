"""Wikipedia's candidates do not depend on workers and pieces, and need a whole dump of the right wiki."""

import bz2
import gzip
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import dagster as dg
import pytest

from assets.metadata import wikipedia_bigrams, wikipedia_ngrams, wikipedia_titles, wikipedia_unigrams
from resources.deployments import SAMPLE
from resources.engines.resource import Compute
from resources.lake.resource import Lake
from resources.sources.resource import Sources
from tests.resources.exports import export, page

ROOT = Path(__file__).parents[2]
ASSETS = [wikipedia_ngrams, wikipedia_unigrams, wikipedia_bigrams, wikipedia_titles]
NAMES = [asset.key.to_user_string() for asset in ASSETS]
TABLES = ["wikipedia_ngrams", "title_views", *NAMES[1:]]
GERMAN = "[[Datei:Hund.jpg|mini|Bild]]Der '''Hund''' bellt. Der Hund [[Schlaf|schläft]]. [[Kategorie:Hunde]]"


def make(
    wikipedia: Path,
    lake: Path,
    *,
    workers: int = 1,
    languages: tuple[str, ...] = ("en", "de"),
    max_failed_fraction: float = 0.0,
    bigrams: Mapping[str, Any] = MappingProxyType({}),
    share: float = 0.0,
    only: Sequence[str] = NAMES,
    **sources: Any,
) -> Lake:
    """The candidates of a folder of dumps and pageviews, as the graph makes them."""
    tables = Lake(root=str(lake))
    reader = Sources(
        nltk_data="", wikipedia=str(wikipedia), languages=[*languages], **{"piece_bytes": 9_000, **sources}
    )
    config: dict[str, dict[str, Any]] = {
        "wikipedia_ngrams": {"num_buckets": 3},
        "wikipedia_titles": {"num_buckets": 2, "min_views": 1, "in_dump_only": True, "share": share},
        "wikipedia_bigrams": {"min_pmi": -9, "min_count": 2, "share": share, **bigrams},
        "wikipedia_unigrams": {"min_count": 2, "share": share},
    }
    compute = Compute(lake=tables, workers=workers, max_failed_fraction=max_failed_fraction)
    resources = {"lake": tables, "compute": compute, "sources": reader}
    with dg.DagsterInstance.ephemeral() as instance:
        run_config = {"ops": {name: {"config": config[name]} for name in only}}
        dg.materialize(ASSETS, resources=resources, instance=instance, run_config=run_config, selection=only)
    return tables


def versions(lake: Lake) -> dict[str, str]:
    return {table: lake.manifest(table).version for table in TABLES}


@pytest.fixture(scope="module")
def wikipedia(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve real articles, a German one, and two hours of views."""
    folder = tmp_path_factory.mktemp("wikipedia")
    real = bz2.decompress((SAMPLE / "wikipedia" / "enwiki-sample-pages-articles.xml.bz2").read_bytes())
    ends = [match.end() for match in re.finditer(rb"</page>\s*", real)][:12]
    pieces = [real[begin:end] for begin, end in zip([0, *ends], ends, strict=False)] + [b"</mediawiki>\n"]
    (folder / "enwiki-1-pages-articles-multistream.xml.bz2").write_bytes(b"".join(map(bz2.compress, pieces)))
    german = export(page("Hund", GERMAN * 9), page("Köter", redirect="Hund"), wiki="dewiki")
    (folder / "dewiki-1-pages-articles.xml").write_bytes(german)
    for hour, title in enumerate(["Anarchism", "K%C3%B6ter"]):
        lines = f"en Anarchism {hour + 1} 0\nde.m {title} 5 0\nde Datei:Hund.jpg 7 0\nen.b Anarchism 9 0\n"
        (folder / f"pageviews-20260101-0{hour}0000.gz").write_bytes(gzip.compress(lines.encode()))
    return folder


@pytest.fixture(scope="module")
def candidates(wikipedia: Path, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return make(wikipedia, tmp_path_factory.mktemp("lake"))


def test_each_language_has_its_own_words_neighbours_and_titles(candidates: Lake) -> None:
    rows = {
        table: {
            (row["entry"], row["num_occurrences"])
            for row in candidates.read(table).to_pylist()
            if row["language"] == "de"
        }
        for table in TABLES[2:]
    }
    assert rows["wikipedia_unigrams"] == {("Der", 18), ("Hund", 18), ("bellt", 9), ("schläft", 9)}
    assert rows["wikipedia_bigrams"] == {("Der Hund", 18), ("Hund bellt", 9), ("Hund schläft", 9)}
    assert rows["wikipedia_titles"] == {("Hund", 5)}
    assert [shard.key for shard in candidates.manifest("wikipedia_bigrams").shards] == ["en", "de"]
    english = {
        row["entry"]: row["score"] for row in candidates.read("wikipedia_titles").to_pylist() if row["language"] == "en"
    }
    assert english == {"Anarchism": 3.0}


def test_workers_and_pieces_change_nothing(wikipedia: Path, candidates: Lake, tmp_path: Path) -> None:
    assert versions(make(wikipedia, tmp_path, workers=4, piece_bytes=1_000)) == versions(candidates)


def test_another_language_changes_no_candidate_of_the_first(wikipedia: Path, candidates: Lake, tmp_path: Path) -> None:
    alone = make(wikipedia, tmp_path, languages=("en",))
    for table in TABLES[2:]:
        digests = [
            {shard.key: shard.digest for shard in lake.manifest(table).shards}["en"] for lake in (alone, candidates)
        ]
        assert digests[0] == digests[1]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda dump: dump[: len(dump) // 2], "EOFError.*enwiki-1-.*ends early, after the start of page"),
        (lambda dump: bz2.compress(export(page("Talk:A", "a", ns=1))), "wikipedia_ngrams: no_empty_list"),
    ],
)
def test_a_dump_that_is_cut_or_without_articles_fails_by_name(
    wikipedia: Path, tmp_path: Path, damage: Any, says: str
) -> None:
    for source in wikipedia.glob("*"):
        content = source.read_bytes()
        (tmp_path / source.name).write_bytes(damage(content) if source.name.startswith("en") else content)
    with pytest.raises((dg.Failure, dg.DagsterError, ValueError), match=re.compile(says, re.DOTALL)):
        make(tmp_path, tmp_path / "lake", languages=("en",), max_failed_fraction=1.0)


@pytest.mark.parametrize(
    ("source", "fails"),
    [
        ("ngram_parts", "wikipedia_ngrams"),
        ("wikipedia_ngrams", "wikipedia_unigrams"),
        ("view_parts", "title_views"),
        ("title_views", "wikipedia_titles"),
    ],
)
def test_no_sum_and_no_language_may_be_missing_however_many_files_of_a_crawl_may(
    wikipedia: Path, candidates: Lake, tmp_path: Path, source: str, fails: str
) -> None:
    shutil.copytree(candidates.root, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / fails)
    for file in (tmp_path / source).rglob("*.parquet"):
        file.write_bytes(b"")
    asset = "wikipedia_titles" if fails == "title_views" else fails
    with pytest.raises(dg.Failure, match=rf"{fails}/all: \d of \d shards failed"):
        make(wikipedia, tmp_path, max_failed_fraction=1.0, only=[asset])


def test_a_language_whose_pairs_reach_no_threshold_is_told_and_may_have_one_of_its_own(
    wikipedia: Path, tmp_path: Path
) -> None:
    only = ["wikipedia_ngrams", "wikipedia_bigrams"]
    with pytest.raises(dg.Failure, match=r"shard de: ValueError: min_pmi=9: of 54 words in 'de'"):
        make(wikipedia, tmp_path, max_failed_fraction=0.5, bigrams={"min_pmi": 9}, only=only)
    lake = make(wikipedia, tmp_path, bigrams={"min_pmi": 9, "min_pmi_of": {"de": 1}}, only=only)
    scores = {
        language: [row["score"] for row in lake.read("wikipedia_bigrams").to_pylist() if row["language"] == language]
        for language in ("en", "de")
    }
    assert min(scores["en"]) >= 9 > min(scores["de"]) >= 1


def test_another_language_gives_a_share_of_what_it_has_or_what_reaches_a_threshold_of_its_own(
    wikipedia: Path, candidates: Lake, tmp_path: Path
) -> None:
    lake = make(wikipedia, tmp_path, share=0.5)
    entries = {
        table: [row["entry"] for row in lake.read(table).to_pylist() if row["language"] == "de"] for table in TABLES[2:]
    }
    assert entries["wikipedia_unigrams"] == ["Der", "Hund"], "half of four words"
    assert entries["wikipedia_bigrams"] == ["Der Hund", "Hund bellt"], "as many as half of the words"
    assert entries["wikipedia_titles"] == ["Hund"]
    for table in TABLES[2:]:
        english, alone = (
            {shard.key: shard.digest for shard in it.manifest(table).shards}["en"] for it in (lake, candidates)
        )
        assert english == alone, "English is held to the thresholds"

"""Rank candidates for entries from WordNet and Wikipedia (Xu et al. 2023, section 3.1)."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from assets.checks import check_specs, no_empty_list
from assets.choices import AsBefore
from assets.defaults import DEFAULTS
from assets.queries.languages import list_languages, wikis_of
from assets.queries.origins import list_dumps, read_origin, record_origin
from assets.shown import table, top_candidates
from metaclip_dagster.metadata import (
    count_ngrams,
    count_views,
    list_pages,
    rank_bigrams,
    rank_synsets,
    rank_titles,
    rank_unigrams,
    sum_counts,
)
from metaclip_dagster.words.languages import OPEN_MULTILINGUAL, list_names
from resources.deferred import Deferred, defer
from resources.engines.resource import Compute
from resources.lake.resource import Lake
from resources.lake.shard_files import chain_batches
from resources.lake.tables import PartitionManifest
from resources.sources.resource import Sources
from resources.sources.wikipedia import list_unshown


class WordNet(dg.Config, use_attribute_docstrings=True):
    """Which synsets."""

    language: str = Field(default="en", pattern="^[a-z]{2,3}$")
    """Language of its names, as language identification names it."""
    multilingual: bool = True
    """Whether other languages have the names of the Open Multilingual Wordnet, where that has them."""


class NGrams(dg.Config, use_attribute_docstrings=True):
    """How the counting is parted."""

    num_buckets: int = Field(default=DEFAULTS.num_buckets, ge=1)
    """Parts of the sums, by the n-gram's checksum; more of them need less memory and disk at a time."""


class Unigrams(dg.Config, use_attribute_docstrings=True):
    """Which words: of English those seen 100 times (Xu et al. 2023), of others a share (Meta CLIP 2)."""

    min_count: int = Field(default=DEFAULTS.min_count, ge=1)
    """How often a word must stand in the English Wikipedia's running text."""
    min_count_of: dict[str, int] = {}
    """Thresholds of other languages, as in {de: 50}, instead of a share."""
    top: int = Field(default=0, ge=0)
    """The most of each language with a threshold; 0 takes all that reach it."""
    share: float = Field(default=0.1, ge=0, le=1)
    """Of each other language the first of its words, this share of them; 0 holds it to the threshold."""
    most: int = Field(default=251_465, ge=1)
    """The most of each language with a share: as many as the paper's English list has."""


class Bigrams(dg.Config, use_attribute_docstrings=True):
    """Which pairs of words: of English those with a PMI of 30 (Xu et al. 2023), of others a share (Meta CLIP 2)."""

    min_pmi: float = Field(default=DEFAULTS.min_pmi, allow_inf_nan=False)
    """Pointwise mutual information, in bits, that two neighbouring words of English must reach."""
    min_pmi_of: dict[str, float] = {}
    """Thresholds of other languages, as in {de: 26}, instead of a share: none of their pairs reaches a PMI of 30."""
    min_count: int = Field(default=3, ge=1)
    """How often the two must stand beside each other: chance alone gives rare pairs a high PMI."""
    top: int = Field(default=0, ge=0)
    """The most of each language with a threshold; 0 takes all that reach it."""
    share: float = Field(default=0.04, ge=0, le=1)
    """Of each other language the first of its pairs, as many as this share of its words, which is 40 % of a tenth."""
    most: int = Field(default=100_646, ge=1)
    """The most of each language with a share: as many as the paper's English list has."""


class Titles(dg.Config, use_attribute_docstrings=True):
    """Which titles: of English those with 70 views (Xu et al. 2023), of others a share (Meta CLIP 2)."""

    min_views: int = Field(default=DEFAULTS.min_views, ge=0)
    """Views that an English title must have over all pageview files."""
    min_views_of: dict[str, int] = {}
    """Thresholds of other languages, as in {de: 40}, instead of a share."""
    top: int = Field(default=0, ge=0)
    """The most of each language with a threshold; 0 takes all that reach it."""
    share: float = Field(default=0.76, ge=0, le=1)
    """Of each other language the first of its titles, this share of those viewed; 0 holds it to the threshold."""
    most: int = Field(default=61_235, ge=1)
    """The most of each language with a share: as many as the paper's English list has."""
    in_dump_only: bool = DEFAULTS.titles_in_dump_only
    """Whether a title must be an article of the dump."""
    num_buckets: int = Field(default=DEFAULTS.num_buckets, ge=1)
    """Parts of the sums, by the title's checksum; more of them need less memory at a time."""


Make = Callable[..., dg.MaterializeResult]


def _source_asset(
    kinds: Sequence[str] = ("parquet", "duckdb"), deps: Sequence[dg.AssetsDefinition] = ()
) -> Callable[[Make], dg.AssetsDefinition]:
    """`dg.asset` with what all sources of entries have in common."""

    def declare(make: Make) -> dg.AssetsDefinition:
        checks, owners = check_specs(make.__name__, no_empty_list), ["team:data"]
        return dg.asset(deps=deps, group_name="metadata", kinds={*kinds}, owners=owners, check_specs=checks)(make)

    return declare


@_source_asset(kinds=["python", "parquet"])
def wordnet_synsets(
    context: dg.AssetExecutionContext, config: AsBefore[WordNet], lake: Lake, compute: Compute, sources: Sources
) -> dg.MaterializeResult:
    """Every name of a WordNet synset: the things that a dictionary of English groups by meaning.

    Other languages have the names that the Open Multilingual Wordnet gives to the same synsets.

    Next: `entries`, once the sources from Wikipedia are there too.
    """
    choice = config.choose(context, lake)
    first = choice.config.language
    others = {OPEN_MULTILINGUAL[code]: code for code in OPEN_MULTILINGUAL} if choice.config.multilingual else {}
    names: dict[str, dict[str, Any]] = {
        "00000": {"names": sources.synsets(), "language": first, "cut_at_points": True},
        **{
            language: {"names": sources.lemmas(others[language]), "language": language, "cut_at_points": False}
            for language in list_languages(sources)
            if language in others and language != first
        },
    }
    languages = [it["language"] for it in names.values()]
    wordnets = {code: sources.wordnets("" if code == first else others[code]) for code in languages}
    facts = {**choice.facts, **record_origin(wordnets=wordnets)}
    manifest = compute.map_shards(context, rank_synsets, names, whole=True, facts=facts)
    metadata = {**choice.metadata, **top_candidates(lake, "wordnet_synsets")}
    return compute.result(manifest, metadata=metadata, checks=[no_empty_list(manifest)])


@_source_asset()
def wikipedia_ngrams(
    context: dg.AssetExecutionContext, config: NGrams, lake: Lake, compute: Compute, sources: Sources
) -> dg.MaterializeResult:
    """How often each word and each pair of neighbours stands in Wikipedia's running text: no threshold recounts.

    Next: `wikipedia_unigrams` and `wikipedia_bigrams`, which rank these counts.
    """
    dumps = sources.dumps()
    counted = {
        piece: {"pages": pages, "language": language, "not_shown": not_shown}
        for wiki, language in wikis_of(sources).items()
        for not_shown in [list_unshown(dumps.site(wiki))]  # once, for it opens every file of the dump
        for piece, pages in dumps.pages(wiki).items()
    }
    options = config.model_dump()
    # Of a crawl's files a share may fail, for there are others like them; of a dump, and of sums, none may.
    parts = compute.map_shards(context, count_ngrams, counted, table="ngram_parts", options=options, whole=True)
    buckets, facts = _buckets(lake, parts, config.num_buckets), record_origin(dumps=list_dumps(sources))
    manifest = compute.map_shards(context, sum_counts, buckets, whole=True, facts=facts)
    metadata = {**config.model_dump(), **parts.total("seen"), **parts.total("dropped"), **_show_lists(sources)}
    metadata["without_words"] = _list_without_words(parts)
    return compute.result(manifest, beside=[parts], metadata=metadata, checks=[no_empty_list(manifest)])


@_source_asset(deps=[wikipedia_ngrams])
def wikipedia_unigrams(
    context: dg.AssetExecutionContext, config: AsBefore[Unigrams], lake: Lake, compute: Compute, sources: Sources
) -> dg.MaterializeResult:
    """Words of Wikipedia's running text that stand there often enough, by count.

    Next: `entries`, once the other sources are there too.
    """
    choice = config.choose(context, lake)
    limits_of = _limits(choice.config, "min_count", list_languages(sources), least=1)
    ngrams = {language: {**inputs, **limits_of(language)} for language, inputs in _ngrams(lake, sources).items()}
    facts = {**choice.facts, **_record_ngrams(lake, ngrams, limits_of)}
    manifest = compute.map_shards(context, rank_unigrams, ngrams, whole=True, facts=facts)
    metadata = {**choice.metadata, **_count_candidates(manifest), **top_candidates(lake, "wikipedia_unigrams")}
    return compute.result(manifest, metadata=metadata, checks=[no_empty_list(manifest)])


@_source_asset(deps=[wikipedia_ngrams])
def wikipedia_bigrams(
    context: dg.AssetExecutionContext, config: AsBefore[Bigrams], lake: Lake, compute: Compute, sources: Sources
) -> dg.MaterializeResult:
    """Neighbouring words of Wikipedia's running text that stand together more than chance has it, by that (PMI).

    Next: `entries`, once the other sources are there too.
    """
    choice = config.choose(context, lake)
    limits_of = _limits(choice.config, "min_pmi", list_languages(sources), least=-math.inf)
    ngrams = {language: {**inputs, **limits_of(language)} for language, inputs in _ngrams(lake, sources).items()}
    options = choice.config.model_dump(include={"min_count"})
    facts = {**choice.facts, **_record_ngrams(lake, ngrams, limits_of, **options)}
    manifest = compute.map_shards(context, rank_bigrams, ngrams, options=options, whole=True, facts=facts)
    metadata = {**choice.metadata, **_count_candidates(manifest), **top_candidates(lake, "wikipedia_bigrams")}
    return compute.result(manifest, metadata=metadata, checks=[no_empty_list(manifest)])


@_source_asset()
def wikipedia_titles(
    context: dg.AssetExecutionContext, config: AsBefore[Titles], lake: Lake, compute: Compute, sources: Sources
) -> dg.MaterializeResult:
    """Titles of Wikipedia's articles that are read often enough, by views.

    Next: `entries`, once the other sources are there too.
    """
    choice = config.choose(context, lake)
    titles = choice.config
    languages, dumps = wikis_of(sources), sources.dumps()
    limits_of = _limits(titles, "min_views", list_languages(sources), least=0)
    views = {day: {"pageviews": views} for day, views in sources.views(languages).items()}
    options = {"num_buckets": titles.num_buckets}
    parts = compute.map_shards(context, count_views, views, table="view_parts", options=options, whole=True)
    buckets = _buckets(lake, parts, titles.num_buckets)
    summed = compute.map_shards(context, sum_counts, buckets, table="title_views", whole=True)
    listed = {
        piece: {"titles": pages, "language": language}
        for wiki, language in languages.items()
        for piece, pages in dumps.titles(wiki).items()
    }
    pages = compute.map_shards(context, list_pages, listed, table="wikipedia_pages", whole=True)
    pages_of = _pages(lake, listed)
    ranked = {
        language: {
            **{"views": of_language, "pages": pages_of[language], "language": language},
            **limits_of(language),
        }
        for language, of_language in lake.where_each("title_views", "language", list_languages(sources)).items()
    }
    options = titles.model_dump(include={"in_dump_only"})
    limits = {language: limits_of(language) for language in ranked}
    facts = {**choice.facts, **record_origin(dumps=list_dumps(sources), days=[*views], limits=limits, **options)}
    manifest = compute.map_shards(context, rank_titles, ranked, options=options, whole=True, facts=facts)
    counted = {**parts.total("seen"), **parts.total("dropped"), **_count_candidates(manifest)}
    metadata = {**choice.metadata, **counted, **top_candidates(lake, "wikipedia_titles")}
    return compute.result(manifest, beside=[parts, summed, pages], metadata=metadata, checks=[no_empty_list(manifest)])


def _limits(
    config: Unigrams | Bigrams | Titles, threshold: str, languages: Sequence[str], *, least: float
) -> Callable[[str], dict[str, Any]]:
    """What a language's candidates are held to: English and those with a threshold of their own to that, or a share.

    Raises ValueError for a threshold of a language that has no list.
    """
    of_language = {list_names(code)[0]: at_least for code, at_least in getattr(config, f"{threshold}_of").items()}
    if unlisted := sorted(of_language.keys() - {*languages}):
        raise ValueError(
            f"{threshold}_of: there is no list of {', '.join(unlisted)}; take it out, or put the language among those "
            "that have lists (METACLIP_LANGUAGES)"
        )

    def limits_of(language: str) -> dict[str, Any]:
        if language == "en" or language in of_language or not config.share:
            at_least = of_language.get(language, getattr(config, threshold))
            return {threshold: at_least, "top": config.top, "share": None}
        return {threshold: least, "top": config.most, "share": config.share}

    return limits_of


def _show_lists(sources: Sources) -> dict[str, Any]:
    wikis = wikis_of(sources)
    rows = [[name, " ".join(wiki for wiki in wikis if wikis[wiki] == name)] for name in dict.fromkeys(wikis.values())]
    return {
        "lists": table(["language", "Wikipedias"], rows),
        "dumps_not_read": [wiki for wiki in sources.dumps().wikis() if wiki not in wikis],
    }


def _list_without_words(parts: PartitionManifest) -> list[str]:
    """Wikipedias of which no page has a word of running text: their lists have only what other sources name."""
    words = Counter[str]()
    for shard in parts.shards:
        words[shard.key.partition("/")[0]] += shard.seen.get("words", 0)
    return [wiki for wiki, num_words in words.items() if not num_words]


def _buckets(lake: Lake, parts: PartitionManifest, num_buckets: int) -> dict[str, dict[str, Deferred]]:
    rows = lake.where_each(parts.table, "bucket", range(num_buckets))
    return {f"{bucket:05d}": {"parts": deferred} for bucket, deferred in rows.items()}


def _ngrams(lake: Lake, sources: Sources) -> dict[str, dict[str, Any]]:
    rows = lake.where_each("wikipedia_ngrams", "language", list_languages(sources))
    return {language: {"ngrams": ngrams, "language": language} for language, ngrams in rows.items()}


def _record_ngrams(
    lake: Lake, languages: Iterable[str], limits_of: Callable[[str], dict[str, Any]], **options: Any
) -> dict[str, str]:
    """Which dumps the counts are of, as these have it, for the folder may hold others by now."""
    dumps = read_origin(lake, "wikipedia_ngrams").get("dumps", {})
    return record_origin(dumps=dumps, limits={language: limits_of(language) for language in languages}, **options)


def _pages(lake: Lake, listed: Mapping[str, Mapping[str, Any]]) -> dict[str, Deferred]:
    """WIKIPEDIA_PAGES of each language, from its own pieces alone: of 300 languages there are thousands."""
    shards, pieces = lake.shards("wikipedia_pages"), defaultdict(list)
    for piece, its in listed.items():
        pieces[its["language"]].append(shards[piece])
    return {language: defer(chain_batches, *of_language) for language, of_language in pieces.items()}


def _count_candidates(manifest: PartitionManifest) -> dict[str, Any]:
    counts = {f"candidates/{shard.key}": shard.rows for shard in manifest.shards}
    return {**counts, "without_candidates": [shard.key for shard in manifest.shards if not shard.rows]}

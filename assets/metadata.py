"""Rank candidates for entries from WordNet and Wikipedia (Xu et al. 2023, section 3.1)."""

from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from assets.checks import check_specs, no_empty_list
from assets.choices import AsBefore
from assets.defaults import DEFAULTS
from assets.shown import top_candidates
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
from resources.deferred import Deferred
from resources.engines.resource import Compute
from resources.lake.resource import Lake
from resources.lake.tables import PartitionManifest
from resources.sources.resource import Sources
from resources.sources.wikipedia import list_unshown


class WordNet(dg.Config, use_attribute_docstrings=True):
    """Which synsets."""

    language: str = Field(default="en", pattern="^[a-z]{2,3}$")
    """Language of its names, as language identification names it."""


class NGrams(dg.Config, use_attribute_docstrings=True):
    """How the counting is parted."""

    num_buckets: int = Field(default=DEFAULTS.num_buckets, ge=1)
    """Parts of the sums, by the n-gram's checksum; more of them need less memory and disk at a time."""


class Unigrams(dg.Config, use_attribute_docstrings=True):
    """Which words; the paper's threshold is 100 on the whole English Wikipedia."""

    min_count: int = Field(default=DEFAULTS.min_count, ge=1)
    """How often a word must stand in the running text of its language's Wikipedia."""
    top: int = Field(default=0, ge=0)
    """The most of each language; 0 takes all that reach the threshold."""


class Bigrams(dg.Config, use_attribute_docstrings=True):
    """Which pairs of words; the paper's threshold is a PMI of 30."""

    min_pmi: float = Field(default=DEFAULTS.min_pmi, allow_inf_nan=False)
    """Pointwise mutual information, in bits, that two neighbouring words must reach."""
    min_pmi_of: dict[str, float] = {}
    """Thresholds of single languages, as in {de: 26}: of a smaller Wikipedia's pairs none reaches a PMI of 30."""
    min_count: int = Field(default=3, ge=1)
    """How often the two must stand beside each other: chance alone gives rare pairs a high PMI."""
    top: int = Field(default=0, ge=0)
    """The most of each language; 0 takes all that reach the threshold."""


class Titles(dg.Config, use_attribute_docstrings=True):
    """Which titles; the paper's threshold is 70 views."""

    min_views: int = Field(default=DEFAULTS.min_views, ge=0)
    """Views that a title must have over all pageview files."""
    top: int = Field(default=0, ge=0)
    """The most of each language; 0 takes all that reach the threshold."""
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

    Next: `entries`, once the sources from Wikipedia are there too.
    """
    names, choice = {"00000": {"names": sources.synsets()}}, config.choose(context, lake)
    manifest = compute.map_shards(context, rank_synsets, names, options=choice.config.model_dump(), facts=choice.facts)
    metadata = {**choice.metadata, **top_candidates(lake, "wordnet_synsets")}
    return compute.result(manifest, metadata=metadata, checks=[no_empty_list(manifest)])


@_source_asset()
def wikipedia_ngrams(
    context: dg.AssetExecutionContext, config: NGrams, lake: Lake, compute: Compute, sources: Sources
) -> dg.MaterializeResult:
    """How often each word and each pair of neighbours stands in Wikipedia's running text: no threshold recounts.

    Next: `wikipedia_unigrams` and `wikipedia_bigrams`, which rank these counts.
    """
    counted = {
        piece: {"pages": pages, "language": language, "not_shown": list_unshown(site)}
        for language, site in sources.sites().items()
        for piece, pages in sources.pages(language).items()
    }
    options = config.model_dump()
    # Of a crawl's files a share may fail, for there are others like them; of a dump, and of sums, none may.
    parts = compute.map_shards(context, count_ngrams, counted, table="ngram_parts", options=options, whole=True)
    manifest = compute.map_shards(context, sum_counts, _buckets(lake, parts, config.num_buckets), whole=True)
    metadata = {**config.model_dump(), **parts.total("seen"), **parts.total("dropped")}
    return compute.result(manifest, beside=[parts], metadata=metadata, checks=[no_empty_list(manifest)])


@_source_asset(deps=[wikipedia_ngrams])
def wikipedia_unigrams(
    context: dg.AssetExecutionContext, config: AsBefore[Unigrams], lake: Lake, compute: Compute, sources: Sources
) -> dg.MaterializeResult:
    """Words of Wikipedia's running text that stand there often enough, by count.

    Next: `entries`, once the other sources are there too.
    """
    choice, ngrams = config.choose(context, lake), _ngrams(lake, sources)
    options = choice.config.model_dump()
    manifest = compute.map_shards(context, rank_unigrams, ngrams, options=options, whole=True, facts=choice.facts)
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
    bigrams = choice.config
    ngrams = {
        language: {**inputs, "min_pmi": bigrams.min_pmi_of.get(language, bigrams.min_pmi)}
        for language, inputs in _ngrams(lake, sources).items()
    }
    options = bigrams.model_dump(include={"min_count", "top"})
    manifest = compute.map_shards(context, rank_bigrams, ngrams, options=options, whole=True, facts=choice.facts)
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
    views = {file: {"pageviews": views} for file, views in sources.views().items()}
    options = {"num_buckets": titles.num_buckets}
    parts = compute.map_shards(context, count_views, views, table="view_parts", options=options, whole=True)
    buckets = _buckets(lake, parts, titles.num_buckets)
    summed = compute.map_shards(context, sum_counts, buckets, table="title_views", whole=True)
    listed = {
        piece: {"titles": pages, "language": language}
        for language in sources.languages
        for piece, pages in sources.titles(language).items()
    }
    pages = compute.map_shards(context, list_pages, listed, table="wikipedia_pages", whole=True)
    ranked = {
        language: {
            "views": lake.where("title_views", "language", language),
            "pages": lake.where("wikipedia_pages", "language", language),
            "language": language,
        }
        for language in sources.languages
    }
    options = titles.model_dump(exclude={"num_buckets"})
    manifest = compute.map_shards(context, rank_titles, ranked, options=options, whole=True, facts=choice.facts)
    counted = {**parts.total("seen"), **parts.total("dropped"), **_count_candidates(manifest)}
    metadata = {**choice.metadata, **counted, **top_candidates(lake, "wikipedia_titles")}
    return compute.result(manifest, beside=[parts, summed, pages], metadata=metadata, checks=[no_empty_list(manifest)])


def _buckets(lake: Lake, parts: PartitionManifest, num_buckets: int) -> dict[str, dict[str, Deferred]]:
    rows = lake.where_each(parts.table, "bucket", range(num_buckets))
    return {f"{bucket:05d}": {"parts": deferred} for bucket, deferred in rows.items()}


def _ngrams(lake: Lake, sources: Sources) -> dict[str, dict[str, Any]]:
    return {
        language: {"ngrams": lake.where("wikipedia_ngrams", "language", language), "language": language}
        for language in sources.languages
    }


def _count_candidates(manifest: PartitionManifest) -> dict[str, int]:
    return {f"candidates/{shard.key}": shard.rows for shard in manifest.shards}

"""The entries that texts are searched for (Xu et al. 2023, section 3.1)."""

import dagster as dg

from assets.checks import check_specs, no_empty_list
from assets.shown import table, top_candidates
from metaclip_dagster.matching import why_unmatchable
from metaclip_dagster.metadata import (
    build_entries,
    count_bigrams,
    count_unigrams,
    describe_entries,
    rank_synsets,
    rank_titles,
    read_own_entries,
)
from resources.compute import Compute
from resources.deployments import deployment
from resources.lake import Lake
from resources.sources import Sources

SOURCES = ["wordnet_synsets", "wikipedia_unigrams", "wikipedia_bigrams", "wikipedia_titles"]
"""Declared precedence: an entry that several sources name belongs to the first."""

Result = dg.MaterializeResult


class WordNet(dg.Config):
    """Which synsets."""

    language: str = "en"


class Unigrams(dg.Config):
    """Which words; the paper's threshold is 100 on the whole English Wikipedia."""

    min_count: int = deployment().min_count
    language: str = "en"


class Bigrams(dg.Config):
    """Which pairs of words; the paper's threshold is a PMI of 30."""

    min_pmi: float = deployment().min_pmi
    min_count: int = 3
    language: str = "en"


class Titles(dg.Config):
    """Which titles; the paper's threshold is 70 views."""

    min_views: int = deployment().min_views
    language: str = "en"


class Budget(dg.Config):
    """How many entries, and whose come first."""

    budget: int = deployment().budget
    own_lists: list[str] = []
    """Files of your own entries, one a line or a CSV with a column `entry`: they go before all other sources."""


@dg.asset(
    group_name="metadata",
    kinds={"python", "parquet"},
    owners=["team:data"],
    check_specs=check_specs("wordnet_synsets", no_empty_list),
)
def wordnet_synsets(
    context: dg.AssetExecutionContext, config: WordNet, lake: Lake, compute: Compute, sources: Sources
) -> Result:
    """Every name of a WordNet synset: the things that a dictionary of English groups by meaning."""
    names = {"00000": {"names": sources.synsets()}}
    made = compute.map_shards(context, rank_synsets, names, options={"language": config.language})
    told = {**config.model_dump(), **top_candidates(lake, "wordnet_synsets")}
    return compute.result(made, metadata=told, checks=[no_empty_list(made)])


@dg.asset(
    group_name="metadata",
    kinds={"parquet", "duckdb"},
    owners=["team:data"],
    check_specs=check_specs("wikipedia_unigrams", no_empty_list),
)
def wikipedia_unigrams(
    context: dg.AssetExecutionContext, config: Unigrams, lake: Lake, compute: Compute, sources: Sources
) -> Result:
    """Words of Wikipedia's running text that stand there often enough, by count."""
    made = compute.map_shards(
        context, count_unigrams, {"00000": {"pages": sources.pages()}}, options=config.model_dump()
    )
    told = {**config.model_dump(), **top_candidates(lake, "wikipedia_unigrams")}
    return compute.result(made, metadata=told, checks=[no_empty_list(made)])


@dg.asset(
    group_name="metadata",
    kinds={"parquet", "duckdb"},
    owners=["team:data"],
    check_specs=check_specs("wikipedia_bigrams", no_empty_list),
)
def wikipedia_bigrams(
    context: dg.AssetExecutionContext, config: Bigrams, lake: Lake, compute: Compute, sources: Sources
) -> Result:
    """Neighbouring words of Wikipedia's running text that stand together more than chance has it, by that (PMI)."""
    made = compute.map_shards(
        context, count_bigrams, {"00000": {"pages": sources.pages()}}, options=config.model_dump()
    )
    told = {**config.model_dump(), **top_candidates(lake, "wikipedia_bigrams")}
    return compute.result(made, metadata=told, checks=[no_empty_list(made)])


@dg.asset(
    group_name="metadata",
    kinds={"parquet", "duckdb"},
    owners=["team:data"],
    check_specs=check_specs("wikipedia_titles", no_empty_list),
)
def wikipedia_titles(
    context: dg.AssetExecutionContext, config: Titles, lake: Lake, compute: Compute, sources: Sources
) -> Result:
    """Titles of Wikipedia's articles that are read often enough, by views."""
    views = {"00000": {"pageviews": sources.views(), "redirects": sources.redirects()}}
    made = compute.map_shards(context, rank_titles, views, options=config.model_dump())
    told = {**config.model_dump(), **top_candidates(lake, "wikipedia_titles")}
    return compute.result(made, metadata=told, checks=[no_empty_list(made)])


@dg.asset(
    deps=SOURCES,
    group_name="metadata",
    kinds={"python", "parquet"},
    owners=["team:data"],
    check_specs=check_specs("entries", no_empty_list),
)
def entries(
    context: dg.AssetExecutionContext, config: Budget, lake: Lake, compute: Compute, sources: Sources
) -> Result:
    """The list that texts are searched for: sources in declared precedence, each by rank, up to the budget.

    The paper calls it the metadata. Another list makes all matches, and so the whole pool, anew.
    """
    own = [f"own:{url.rsplit('/', 1)[-1]}" for url in config.own_lists]
    for name, url in zip(own, config.own_lists, strict=True):
        shard = {"00000": {"file": sources.own_list(url)}}
        compute.map_shards(context, read_own_entries, shard, table="own_entries", partition=name)
    candidates = {name: lake.table("own_entries", [name]) for name in own} | {
        name: lake.table(name) for name in SOURCES
    }
    options = {"budget": config.budget, "why_unmatchable": why_unmatchable}
    made = compute.map_shards(context, build_entries, {"00000": {"sources": candidates}}, options=options)
    told = describe_entries({name: call() for name, call in candidates.items()}, lake.read("entries"))
    unmatchable = sum(sum(source["unmatchable"].values()) for source in told.values())
    columns = ["candidates", "taken", "already_there", "beyond_budget"]
    by_source = [
        [name, *(source[column] for column in columns), sum(source["unmatchable"].values())]
        for name, source in told.items()
    ]
    shown = {"by_source": table(["source", *columns, "unmatchable"], by_source)}
    metadata = {**config.model_dump(), "sources": told, "unmatchable": unmatchable, **shown}
    return compute.result(made, metadata=metadata, checks=[no_empty_list(made)])

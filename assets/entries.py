"""The entries that texts are searched for: sources in declared precedence, up to each language's budget."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from pydantic import Field, field_validator

from assets.changes import build_before, changed_entries, show_changed_entries
from assets.checks import check_specs, no_empty_list
from assets.choices import AsBefore
from assets.shown import table
from metaclip_dagster.matching import why_unmatchable
from metaclip_dagster.metadata import build_entries, describe_entries, read_own_entries
from metaclip_dagster.reporting.lists.pages import render_entries
from resources.deferred import Deferred
from resources.deployments import deployment
from resources.engines.resource import Compute
from resources.lake.resource import Lake
from resources.lake.tables import PartitionManifest
from resources.reports.resource import Reports
from resources.sources.resource import Sources

SOURCES = ["wordnet_synsets", "wikipedia_unigrams", "wikipedia_bigrams", "wikipedia_titles"]
"""Declared precedence: an entry that several sources name belongs to the first."""

Candidates = dict[str, dict[str, Deferred]]


class Budget(dg.Config, use_attribute_docstrings=True):
    """How many entries, in which languages, and whose come first."""

    budget: int = Field(default=deployment().budget, ge=1)
    """Entries of each language."""
    languages: list[str] = Field(default=[*deployment().languages], min_length=1)
    """Languages that have entries, as language identification names them, in the order of their entries."""
    caps: dict[str, int] = {}
    """The most entries that a source adds to a language; 0 adds none. Your own list is `own:` and its file's name."""
    own_lists: list[str] = []
    """Lists, tables or ontologies of your own, whose suffix tells the format: they go before all other sources."""

    @field_validator("caps")
    @classmethod
    def _check_caps(cls, caps: dict[str, int]) -> dict[str, int]:
        if low := sorted(name for name, cap in caps.items() if cap < 0):
            raise ValueError(f"the cap of {', '.join(low)} is negative; 0 adds no entry of a source")
        return caps


@dg.asset(
    deps=SOURCES,
    group_name="metadata",
    kinds={"python", "parquet"},
    owners=["team:data"],
    check_specs=check_specs("entries", no_empty_list),
)
def entries(
    context: dg.AssetExecutionContext,
    config: AsBefore[Budget],
    lake: Lake,
    compute: Compute,
    sources: Sources,
    reports: Reports,
) -> dg.MaterializeResult:
    """The list that texts are searched for: sources in declared precedence, each by rank, up to the budget.

    The paper calls it the metadata. Another list makes all matches, and so the whole pool, anew.
    """
    before, choice = build_before(lake, "entries"), config.choose(context, lake)
    budget = choice.config
    own = _read_own(context, budget, compute, sources)
    candidates = _candidates(lake, [*own], budget.languages)
    options = {"budget": budget.budget, "caps": budget.caps, "why_unmatchable": why_unmatchable}
    inputs = {"00000": {"languages": candidates}}
    made = compute.map_shards(context, build_entries, inputs, options=options, facts=choice.told)
    called = {language: {name: call() for name, call in named.items()} for language, named in candidates.items()}
    told = describe_entries(called, lake.read("entries"), budget=budget.budget, caps=budget.caps)
    changes = changed_entries(lake, before)
    left_out = [[name, *why] for name, read in own.items() for why in read.total("dropped").most_common()]
    columns = ["list", "why", "rows"]
    lists = {"dropped_of_own_lists": [dict(zip(columns, row, strict=True)) for row in left_out]}
    report = {**budget.model_dump(), "languages": told, "changes": changes, **lists}
    links = reports.write("entries", render_entries(report), report)
    dropped = {"dropped_of_own_lists": table(columns, left_out)} if left_out else {}
    metadata = {**choice.metadata, **_shown(told), **dropped, **show_changed_entries(changes), **links}
    return compute.result(made, metadata=metadata, checks=[no_empty_list(made)])


def _read_own(
    context: dg.AssetExecutionContext, config: Budget, compute: Compute, sources: Sources
) -> dict[str, PartitionManifest]:
    """Make a partition of `own_entries` of each of one's own lists; gives them by name, in order."""
    named = {f"own:{url.rsplit('/', 1)[-1]}": url for url in config.own_lists}
    if len(named) < len(config.own_lists):
        raise ValueError(f"own_lists {', '.join(config.own_lists)}: two files have one name; rename one of them")
    made = {}
    for name, url in named.items():
        shard = {"00000": {"file": sources.own_list(url), "name": url}}
        options = {"languages": config.languages}
        made[name] = compute.map_shards(
            context, read_own_entries, shard, table="own_entries", partition=name, options=options
        )
    return made


def _candidates(lake: Lake, own: Sequence[str], languages: Sequence[str]) -> Candidates:
    """By language, then by source, the rows that only a worker reads, one language after the other."""
    return {
        language: {
            **{name: lake.where("own_entries", "language", language, partitions=[name]) for name in own},
            **{name: lake.where(name, "language", language) for name in SOURCES},
        }
        for language in languages
    }


def _shown(told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What became of each source, for the UI."""
    rows = [(language["language"], source) for language in told for source in language["sources"]]
    fates = ["candidates", "taken", "already_there", "beyond_cap", "beyond_budget"]
    by_source = [
        [name, source["source"], *(source[fate] for fate in fates), sum(source["unmatchable"].values())]
        for name, source in rows
    ]
    cut = [
        [
            name,
            source["source"],
            *(map(_ranked, (source["first"], source["last"]))),
            ", ".join(map(_ranked, source["next"])),
        ]
        for name, source in rows
    ]
    return {
        "by_source": table(["language", "source", *fates, "unmatchable"], by_source),
        "cut": table(["language", "source", "first taken", "last taken", "next"], cut),
        "unmatchable": sum(row[-1] for row in by_source),
        "missing": sum(language["missing"] for language in told),
    }


def _ranked(candidate: Mapping[str, Any] | None) -> str:
    return f"{candidate['entry']} ({candidate['score']:,.6g})" if candidate else "–"

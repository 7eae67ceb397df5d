"""Build the entries that texts are searched for, source by source, up to each language's budget."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from assets.checks import check_specs, no_empty_list
from assets.choices import AsBefore
from assets.defaults import DEFAULTS
from assets.queries.candidates import check_missing, list_candidates
from assets.queries.changes import build_before, compare_entries_to
from assets.queries.identification import identified_languages
from assets.queries.languages import choose_languages, choose_lists, describe_texts
from assets.shown import show_changed_entries, table
from metaclip_dagster.matching import why_unmatchable, why_unmatchable_in_the_paper
from metaclip_dagster.metadata import NUMBERS, build_entries, describe_entries, read_own_entries
from metaclip_dagster.reporting.lists.pages import render_entries
from metaclip_dagster.words.languages import list_names
from resources.deferred import resolve, version_of
from resources.engines.resource import Compute
from resources.files.digests import combine
from resources.lake.resource import Lake
from resources.lake.tables import PartitionManifest
from resources.reports.resource import Reports
from resources.sources.resource import Sources
from resources.variables import LID_176

SOURCES = ["wordnet_synsets", "wikipedia_unigrams", "wikipedia_bigrams", "wikipedia_titles"]
"""The tables that name entries, each ranked by its own score."""
PRECEDENCE = [SOURCES[0], NUMBERS, *SOURCES[1:]]
"""An entry that several sources name belongs to the first. The numbers 0 to 99 stand in the paper's first row."""


class Budget(dg.Config, use_attribute_docstrings=True):
    """How many entries, in which languages, and whose come first."""

    budget: int = Field(default=DEFAULTS.budget, ge=1)
    """Entries of each language."""
    languages: list[str] = Field(default=[*DEFAULTS.languages], min_length=1)
    """Languages that have entries, by their codes, in this order; `all` are those that sources were made for."""
    other: bool = True
    """Whether Wikipedias in languages that no identification names have a list, `other`, for texts without another."""
    clause_marks: bool = True
    """Whether clause marks of other scripts, as Arabic's, are set apart in texts; off, the seven of the paper alone."""
    caps: dict[str, int] = {}
    """The most entries that a source adds to a language; 0 adds none. Your own list is `own:` and its file's name; the
    numbers 0 to 99 are `numbers`."""
    own_lists: list[str] = []
    """Lists, tables or ontologies of your own, whose suffix tells the format: they go before all other sources."""
    own_lists_of: dict[str, str] = choose_lists(DEFAULTS.own_lists, DEFAULTS.languages)
    """The same by the code of the language that each is in, as in `{de: /lists/german.txt}`."""

    @field_validator("caps")
    @classmethod
    def _check_caps(cls, caps: dict[str, int]) -> dict[str, int]:
        """Sorted, for in another order they would be another version."""
        if low := sorted(name for name, cap in caps.items() if cap < 0):
            raise ValueError(f"the cap of {', '.join(low)} is negative; 0 adds no entry of a source")
        return dict(sorted(caps.items()))


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

    The paper calls it the metadata. Another list makes all matches, and so the whole pool, anew. A source that was
    never materialized is left out where the budget is full before it, or its cap is 0.

    Next: read its report, then materialize `coverage` for a look at part of a pool, or `matches` of every snapshot.
    """
    before, choice = build_before(lake, "entries"), config.choose(context, lake)
    budget = choice.config
    asked = _choose_languages(lake, budget)
    if unused := sorted({*budget.own_lists_of} - {*choose_lists(budget.own_lists_of, budget.languages)}):
        context.log.warning(f"own_lists_of: {', '.join(unused)} are not among the languages; their lists are left out")
    own_lists = _read_own_lists(context, _list_files(budget, asked), compute, sources)
    candidates = list_candidates(lake, [*own_lists], PRECEDENCE, asked)
    check_missing(candidates, budget=budget.budget, caps=budget.caps)
    why = why_unmatchable if budget.clause_marks else why_unmatchable_in_the_paper
    options = {"budget": budget.budget, "caps": budget.caps, "why_unmatchable": why, **_identified()}
    facts = {**choice.facts, **describe_texts(asked, clause_marks=budget.clause_marks)}
    inputs = {"00000": {"languages": candidates}}
    manifest = compute.map_shards(context, build_entries, inputs, options=options, facts=facts)
    called = {language: {name: resolve(rows) for name, rows in of.items()} for language, of in candidates.items()}
    languages = describe_entries(called, _read_unmatchable(lake), budget=budget.budget, caps=budget.caps)
    changes, dropped = compare_entries_to(before, lake), _list_dropped(own_lists)
    report = {**budget.model_dump(), "languages": languages, "changes": changes, "dropped_of_own_lists": dropped}
    links = reports.write("entries", render_entries(report), report)
    shown = {**_show_sources(languages), **_show_dropped(dropped), **show_changed_entries(changes)}
    metadata = {**choice.metadata, **shown, **links}
    return compute.result(manifest, metadata=metadata, checks=[no_empty_list(manifest)])


def _identified() -> dict[str, list[str]]:
    """The languages that texts are identified as, where another model than lid.176 says so."""
    return {} if DEFAULTS.language_id == (LID_176,) else {"identified": identified_languages()}


def list_precedence(budget: Budget) -> list[str]:
    """Every source of entries, by precedence: one's own lists, then the others."""
    return [*(_name_own_list(url) for url, _ in _list_files(budget, [])), *PRECEDENCE]


def are_of_their_sources(lake: Lake, budget: Budget) -> bool:
    """Whether the finished ENTRIES are what they would be of the sources that the lake has now, with this config."""
    asked = _choose_languages(lake, budget)
    names = [_name_own_list(url) for url, _ in _list_files(budget, asked)]
    own_lists = [name for name in names if lake.finished("own_entries", [name])]
    candidates = list_candidates(lake, own_lists, PRECEDENCE, asked)
    versions = {"languages": combine([version_of(candidates)])}
    versions |= {"budget": version_of(budget.budget), "caps": version_of(budget.caps)}
    return versions.items() <= lake.manifest("entries").inputs.items()


def _choose_languages(lake: Lake, budget: Budget) -> list[str]:
    lists_of = choose_lists(budget.own_lists_of, budget.languages)
    return choose_languages(lake, budget.languages, SOURCES[1:], listed=[*lists_of], other=budget.other)


def _list_files(budget: Budget, languages: Sequence[str]) -> list[tuple[str, Sequence[str]]]:
    """One's own lists, each with the languages of its entries: one that names none is in the first."""
    lists_of = choose_lists(budget.own_lists_of, budget.languages)
    return [
        *((url, languages) for url in budget.own_lists),
        *((url, [list_names(language)[0]]) for language, url in lists_of.items()),
    ]


def _name_own_list(url: str) -> str:
    return f"own:{url.rsplit('/', 1)[-1]}"


def _list_dropped(own_lists: Mapping[str, PartitionManifest]) -> list[dict[str, Any]]:
    return [
        {"list": name, "why": why, "rows": rows}
        for name, manifest in own_lists.items()
        for why, rows in manifest.total("dropped").most_common()
    ]


def _show_dropped(dropped: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    rows = [[*row.values()] for row in dropped]
    return {"dropped_of_own_lists": table(["list", "why", "rows"], rows)} if rows else {}


def _read_unmatchable(lake: Lake) -> pa.Table:
    """Rows of ENTRIES that no text can hold: of 300 languages all rows would be gigabytes."""
    columns = ["language", "source", "unmatchable"]
    return lake.dataset("entries").to_table(columns=columns, filter=pc.field("unmatchable").is_valid())


def _read_own_lists(
    context: dg.AssetExecutionContext,
    files: Sequence[tuple[str, Sequence[str]]],
    compute: Compute,
    sources: Sources,
) -> dict[str, PartitionManifest]:
    """Make a partition of `own_entries` of each of one's own lists; gives them by name, in order."""
    by_name = {_name_own_list(url): (url, languages) for url, languages in files}
    if len(by_name) < len(files):
        names = ", ".join(url for url, _ in files)
        raise ValueError(f"own_lists {names}: two files have one name; rename one of them")
    manifests = {}
    for name, (url, languages) in by_name.items():
        shard = {"00000": {"file": sources.own_list(url), "name": url}}
        options = {"languages": [*languages]}
        manifests[name] = compute.map_shards(
            context, read_own_entries, shard, table="own_entries", partition=name, options=options
        )
    return manifests


def _show_sources(languages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    rows = [(language["language"], source) for language in languages for source in language["sources"]]
    fates = ["candidates", "taken", "already_there", "no_word", "beyond_cap", "beyond_budget"]
    by_source = [
        [name, source["source"], *(source[fate] for fate in fates), sum(source["unmatchable"].values())]
        for name, source in rows
    ]
    cut = [
        [
            name,
            source["source"],
            *(map(_describe_candidate, (source["first"], source["last"]))),
            ", ".join(map(_describe_candidate, source["next"])),
        ]
        for name, source in rows
    ]
    return {
        "by_source": table(["language", "source", *fates, "unmatchable"], by_source),
        "cut": table(["language", "source", "first taken", "last taken", "next"], cut),
        "unmatchable": sum(row[-1] for row in by_source),
        "missing": sum(language["missing"] for language in languages),
    }


def _describe_candidate(candidate: Mapping[str, Any] | None) -> str:
    return f"{candidate['entry']} ({candidate['score']:,.6g})" if candidate else "–"

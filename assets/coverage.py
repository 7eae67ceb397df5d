"""Report which entries a pool's texts hold, before anything is matched, counted or fetched."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import dagster as dg
import xxhash
from pydantic import Field

from assets.partitions import all_snapshots
from assets.pool import matching_setup, pool_of
from assets.queries.languages import sets_clause_marks_apart
from assets.shown import table
from metaclip_dagster.covering import REASONS, cover_pairs, describe_coverage, merge_coverage, rank_words
from metaclip_dagster.covering.folding import build_searches
from metaclip_dagster.matching import build_matcher, build_matcher_of_the_paper
from metaclip_dagster.reporting.html.numbers import percent
from metaclip_dagster.reporting.lists.pages import render_coverage
from resources.deferred import Deferred, defer
from resources.engines.resource import Compute
from resources.lake.resource import Lake
from resources.lake.tables import PartitionManifest
from resources.reports.resource import Reports

NUM_SHOWN = 20


class Sampling(dg.Config, use_attribute_docstrings=True):
    """How much of the pool is read."""

    share: float = Field(default=1.0, gt=0, le=1)
    """Share of each snapshot's shards, at least one."""
    seed: int = Field(default=0, ge=0)
    """Which shards: those of a smaller share are among those of a larger."""
    top: int = Field(default=1000, ge=0)
    """Words in no entry that are listed, of each language."""


@dg.asset(
    deps=[dg.AssetDep("pairs", partition_mapping=all_snapshots), "entries"],
    group_name="curation",
    kinds={"duckdb", "html"},
    owners=["team:data"],
)
def coverage(
    context: dg.AssetExecutionContext, config: Sampling, lake: Lake, compute: Compute, reports: Reports
) -> dg.MaterializeResult:
    """Which entries the texts hold, why the others match nothing, and which words of the texts are in no entry.

    Made of pairs and entries alone, for a look at a list before a pool is built with it. Pairs that stand in several
    shards count in each.

    Next: change the lists of `entries` if the texts hold too few of them, else materialize `matches`.
    """
    pool = pool_of(context, lake, "pairs", {})
    build = build_matcher if sets_clause_marks_apart(lake) else build_matcher_of_the_paper
    setup = {
        "searches": defer(build_searches, lake.table("entries"), build),
        "identify": matching_setup(lake)["identify"],
    }
    parts = [_cover_snapshot(context, config, compute, key, setup) for key in pool.snapshots]
    read: dict[str, Deferred] = {"parts": lake.stream("coverage_parts", pool.snapshots)}
    words = compute.map_shards(
        context, rank_words, {"00000": read}, table="uncovered_words", options={"top": config.top}, inline=True
    )
    with_entries = {"00000": {**read, "entries": lake.table("entries")}}
    manifest = compute.map_shards(context, merge_coverage, with_entries, inline=True)
    seen = sum((part.total("seen") for part in parts), Counter[str]())
    described = describe_coverage(lake.read("coverage"), lake.read("uncovered_words"), seen)
    listed = {key: len(lake.manifest("pairs", key).shards) for key in pool.snapshots}
    shards = {it.partition: [len(it.shards) + len(it.failed), listed[it.partition]] for it in parts}
    report = {**described, "shards": shards, **config.model_dump()}
    links = reports.write("coverage", render_coverage(report), report)
    shown = {**config.model_dump(), **pool.metadata, **_show_coverage(described), **links}
    return compute.result(manifest, beside=[*parts, words], metadata=shown)


def _cover_snapshot(
    context: dg.AssetExecutionContext, config: Sampling, compute: Compute, snapshot: str, setup: Mapping[str, Deferred]
) -> PartitionManifest:
    """COVERAGE_PARTS of the shards of a snapshot that the config draws."""
    shards = compute.lake.shards("pairs", snapshot)
    drawn = {key: {"pairs": shards[key]} for key in _draw_shards(list(shards), snapshot, config)}
    return compute.map_shards(context, cover_pairs, drawn, table="coverage_parts", partition=snapshot, setup=setup)


def _draw_shards(keys: list[str], snapshot: str, config: Sampling) -> list[str]:
    drawn = sorted(keys, key=lambda key: xxhash.xxh3_64_intdigest(f"{config.seed} {snapshot} {key}".encode()))
    return sorted(drawn[: max(1, round(config.share * len(keys)))])


def _show_coverage(described: Mapping[str, Any]) -> dict[str, Any]:
    columns = ["language", "pairs", "match", "entries", "found", *REASONS]
    rows = [
        [
            its["language"], its["pairs"], percent(its["matched"] / its["pairs"] if its["pairs"] else None),
            its["entries"], its["found"], *(its["why"][why] for why in REASONS),
        ]
        for its in described["languages"]
    ]  # fmt: skip
    near = [
        [its["language"], why, example["entry"], example["source"], example["num_near"]]
        for its in described["languages"]
        for why, examples in its["examples"].items()
        for example in examples[:NUM_SHOWN]
    ]
    words = [
        [its["language"], word["word"], word["num_pairs"]]
        for its in described["languages"]
        for word in its["words"][:NUM_SHOWN]
    ]
    return {
        "pairs": described["pairs"],
        "pairs_matched": described["matched"],
        "by_language": table(columns, rows),
        "entries_without_match": table(["language", "why", "entry", "source", "pairs that are near"], near),
        "words_in_no_entry": table(["language", "word", "pairs"], words),
    }

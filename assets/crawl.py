"""From the crawl to pairs."""

from collections.abc import Callable
from typing import Any, Literal

import dagster as dg

from assets.automation import when_registered
from assets.checks import check_specs, few_broken_records, no_empty_snapshot
from assets.costs import expected_cost
from assets.partitions import snapshots
from assets.shown import kept_and_dropped, sample_pairs
from metaclip_dagster.parsing import BROKEN_RECORDS, parse_rows, parse_warc, parse_wat
from resources.common_crawl import CommonCrawl, draw_archives
from resources.compute import Compute
from resources.lake import Lake

PARSERS: dict[str, Callable[..., Any]] = {"wat": parse_wat, "warc": parse_warc, "pool": parse_rows}


class Crawl(dg.Config):
    """What of a snapshot is read."""

    archive: Literal["wat", "warc"] = "wat"
    """WAT costs a third of the bytes; only WARC carries data-image-title."""
    first: int = 0
    """How many archives are read, from the first of the list; 0 reads all."""
    share: float = 1.0
    """Which share of the archives is read, drawn with `seed`: for a look at a snapshot before all of it is read."""
    seed: int = 0
    max_broken_share: float = 0.01
    """Share of records that may be unreadable before nothing flows on."""


@dg.asset(
    partitions_def=snapshots,
    group_name="crawl",
    kinds={"python", "parquet"},
    owners=["team:data"],
    code_version=str(parse_wat.version),  # type: ignore[attr-defined]  # set by @writes
    check_specs=check_specs("pairs", no_empty_snapshot, few_broken_records),
    automation_condition=when_registered(),
)
def pairs(
    context: dg.AssetExecutionContext, config: Crawl, lake: Lake, compute: Compute, common_crawl: CommonCrawl
) -> dg.MaterializeResult:
    """Every image of the snapshot that its page says something of: one URL with one text.

    A snapshot is one release of Common Crawl, or a pool that others made (`pool-<name>`). Its archives are read file by
    file; no image is fetched here.
    """
    key = context.partition_key
    kind, archives = common_crawl.files(key, config.archive)
    drawn = draw_archives(archives, first=config.first, share=config.share, seed=config.seed)
    read = {"archives_read": len(drawn), "archives_listed": len(archives)}
    told = {name: str(value) for name, value in (config.model_dump() | read).items()}
    made = compute.map_shards(context, PARSERS[kind], drawn, told=told)
    checks = [no_empty_snapshot(made), few_broken_records(made, BROKEN_RECORDS, config.max_broken_share)]
    shown = {
        "kept_and_dropped": kept_and_dropped(made.rows, made.total("dropped")),
        **sample_pairs(lake, key),
        **expected_cost(lake, made),
    }
    return compute.result(made, metadata={**config.model_dump(), **read, **shown}, checks=checks)

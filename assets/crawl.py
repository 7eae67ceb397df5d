"""From the crawl to pairs."""

from collections.abc import Callable, Mapping
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


class Crawl(dg.Config, use_attribute_docstrings=True):
    """What of a snapshot is read. Whatever is not given is as when the partition was last made, at first all its WATs.

    So a rerun that somebody else starts, or a schedule, does not read the whole of what was looked at in part. `first`
    and `share` are one thing: where either is given, the other is not as before but all.
    """

    archive: Literal["as_before", "wat", "warc"] = "as_before"
    """WAT costs a third of the bytes; only WARC carries data-image-title."""
    first: int | None = None
    """How many archives are read, from the first of the list; 0 reads all."""
    share: float | None = None
    """Which share of the archives is read, drawn with `seed`: for a look at a snapshot before all of it is read."""
    seed: int | None = None
    """Which archives a share draws: those of a smaller share are among those of a larger of the same seed."""
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
    before = lake.store("pairs", key).manifest()
    archive, draw = _asked(config, before.inputs if before else {})
    kind, listed = common_crawl.files(key, archive)
    drawn = draw_archives(listed, **draw)
    read = {"archive": archive, **draw, "archives_read": len(drawn), "archives_listed": len(listed)}
    told = {name: str(value) for name, value in read.items()}
    made = compute.map_shards(context, PARSERS[kind], common_crawl.shards(key, drawn), told=told)
    checks = [no_empty_snapshot(made), few_broken_records(made, BROKEN_RECORDS, config.max_broken_share)]
    shown = {
        "kept_and_dropped": kept_and_dropped(made.rows, made.total("dropped")),
        **sample_pairs(lake, key),
        **expected_cost(lake, made),
    }
    return compute.result(made, metadata={**read, "max_broken_share": config.max_broken_share, **shown}, checks=checks)


def _asked(config: Crawl, told: Mapping[str, str]) -> tuple[Literal["wat", "warc"], dict[str, Any]]:
    """Which archives are read, and how they are drawn: as the config says, else as the partition's manifest does."""
    asked = told.get("archive") if config.archive == "as_before" else config.archive
    archive: Literal["wat", "warc"] = "warc" if asked == "warc" else "wat"
    given = config.model_dump(include={"first", "share", "seed"}, exclude_none=True)
    draw = {} if {"first", "share"} & given.keys() else told
    before = {
        "first": int(draw.get("first", 0)),
        "share": float(draw.get("share", 1)),
        "seed": int(told.get("seed", 0)),
    }
    return archive, before | given

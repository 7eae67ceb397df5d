"""Read what hosts said to the crawl's own crawler: robots.txt and tdmrep.json, as it captured them."""

from typing import Any

import dagster as dg
from pydantic import Field

from assets.automation import when_registered
from assets.checks import check_specs, few_broken_records
from assets.choices import AsBefore
from assets.partitions import snapshots
from assets.tags import tag_run
from metaclip_dagster.parsing import BROKEN_RECORDS, read_robots
from resources.crawl.listing import draw_archives
from resources.crawl.resource import CommonCrawl
from resources.engines.resource import Compute
from resources.lake.resource import Lake


class Captures(dg.Config, use_attribute_docstrings=True):
    """Which archives of robots.txt are read. What is not given is as when the partition was last made."""

    first: int = Field(default=0, ge=0)
    """How many, from the first of the list; 0 reads all."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Which share of them, drawn with `seed`."""
    seed: int = Field(default=0, ge=0)
    """Which archives a share takes: those of a smaller share are among those of a larger."""
    max_broken_share: float = Field(default=0.01, ge=0, le=1)
    """Share of records that may be unreadable before nothing flows on."""


@dg.asset(
    partitions_def=snapshots,
    group_name="crawl",
    kinds={"python", "parquet"},
    owners=["team:data"],
    code_version=str(read_robots.version),  # type: ignore[attr-defined]  # set by @writes
    check_specs=check_specs("robots_txt", few_broken_records, partitions=snapshots),
    automation_condition=when_registered(),
)
@tag_run
def robots_txt(
    context: dg.AssetExecutionContext,
    config: AsBefore[Captures],
    lake: Lake,
    compute: Compute,
    common_crawl: CommonCrawl,
) -> dg.MaterializeResult:
    """robots.txt and tdmrep.json of each host, as the crawl captured them: no host is asked again.

    A crawl without a list of such archives, and a pool that others made, have none: the table is then empty.

    Next: `opt_out_signals` of the same snapshot, once it has its matches.
    """
    choice = config.choose(context, lake)
    drawn = choice.config.model_dump(exclude={"max_broken_share"})
    shards, listed = _list_archives(common_crawl, context.partition_key, drawn)
    read = {"archives_read": len(shards) if listed else 0, "archives_listed": listed}
    facts = choice.facts | {name: str(number) for name, number in read.items()}
    manifest = compute.map_shards(context, read_robots, shards, facts=facts)
    check = few_broken_records(manifest, BROKEN_RECORDS, choice.config.max_broken_share if listed else 1.0)
    return compute.result(manifest, metadata={**choice.metadata, **read}, checks=[check])


def _list_archives(common_crawl: CommonCrawl, key: str, drawn: dict[str, Any]) -> tuple[dict[str, dict[str, Any]], int]:
    """How each archive is read, and how many are listed; where none is, a shard that has nothing to read."""
    key = common_crawl.check(key)  # a crawl that is not there has no list either
    has_list = not key.startswith("pool-") and common_crawl.has_paths(key, "robotstxt")
    listed = common_crawl.archives(key, "robotstxt") if has_list else {}
    shards = common_crawl.shards(key, draw_archives(listed, **drawn)) if listed else {}
    return shards or {"none": {"archive": None, "name": "none"}}, len(listed)

"""Parse the crawl's archives into pairs: every image of which its page says something."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import dagster as dg
from pydantic import Field

from assets.automation import when_registered
from assets.checks import check_specs, few_broken_records, no_empty_snapshot
from assets.partitions import snapshots
from assets.queries.costs import expected_cost
from assets.queries.parsers import NUMBERS, PARSERS
from assets.shown import sample_pairs, show_kept_and_dropped, table
from assets.tags import tag_run
from assets.waiting import report_waits
from metaclip_dagster.parsing import BROKEN_RECORDS, parse_wat, read_pool_columns
from resources.crawl.listing import draw_archives, find_archives
from resources.crawl.resource import CommonCrawl
from resources.engines.resource import Compute
from resources.lake.resource import Lake
from resources.lake.tables import PartitionManifest
from resources.web.archives import is_web
from resources.web.client import NO_CONTACT

READ_AGAIN = (
    'materialize this partition again: what failed is tried again, what is there is reused. `again: ["00007"]` in '
    "the config of pairs also reads an archive again that did not fail."
)


class Crawl(dg.Config, use_attribute_docstrings=True):
    """What of a snapshot is read. Whatever is not given is as when the partition was last made, at first all its WATs.

    So a rerun that somebody else starts, or a schedule, does not read the whole of what was looked at in part. `first`
    and `share` are one thing: where either is given, the other is not as before but all.
    """

    archive: Literal["as_before", "wat", "warc"] = "as_before"
    """WAT costs a third of the bytes; only WARC carries data-image-title. At first it is WAT."""
    first: int | None = Field(default=None, ge=0)
    """How many archives are read, from the first of the list; 0 reads all. Null is as before, and at first 0."""
    share: float | None = Field(default=None, gt=0, le=1)
    """Which share of the archives is read, drawn with `seed`: for a look at a snapshot before all of it is read. Null
    is as before, and at first 1."""
    seed: int | None = Field(default=None, ge=0)
    """Which archives a share takes; a larger share holds those of a smaller one. Null is as before, and at first 0."""
    again: list[str] = []
    """Archives to read again although none shows a change, by number (`"00007"`) or by the end of a path."""
    max_broken_share: float | None = Field(default=None, ge=0, le=1)
    """Share of records that may be unreadable before nothing flows on. Null is as before, and at first 0.01."""


@dg.asset(
    partitions_def=snapshots,
    group_name="crawl",
    kinds={"python", "parquet"},
    owners=["team:data"],
    code_version=str(parse_wat.version),  # type: ignore[attr-defined]  # set by @writes
    check_specs=check_specs("pairs", no_empty_snapshot, few_broken_records, partitions=snapshots),
    automation_condition=when_registered(),
)
@tag_run
@report_waits
def pairs(
    context: dg.AssetExecutionContext, config: Crawl, lake: Lake, compute: Compute, common_crawl: CommonCrawl
) -> dg.MaterializeResult:
    """Every image of the snapshot that its page says something of: one URL with one text.

    A snapshot is one release of Common Crawl, or a pool that others made (`pool-<name>`). Its archives are read file by
    file; no image is fetched here.

    Next: `matches` of the same snapshot; `robots_txt` too, where opt-outs of hosts are to count.
    """
    if not common_crawl.contact and is_web(common_crawl.root):
        context.log.warning(NO_CONTACT)
    key = context.partition_key
    before = lake.store("pairs", key).manifest()
    archive, draw, bound = _choose_archives(config, before.inputs if before else {})
    kind, listed = common_crawl.files(key, archive)
    drawn = draw_archives(listed, **draw)
    read = {"archive": archive, **draw, "archives_read": len(drawn), "archives_listed": len(listed)}
    facts = {name: str(value) for name, value in {**read, "max_broken_share": bound}.items()}
    again = find_archives(drawn, config.again)
    manifest = compute.map_shards(context, PARSERS[kind], common_crawl.shards(key, drawn), facts=facts, again=again)
    numbers = _keep_numbers(context, compute, common_crawl, key, drawn)
    checks = [no_empty_snapshot(manifest), few_broken_records(manifest, BROKEN_RECORDS, bound)]
    shown = {
        "kept_and_dropped": show_kept_and_dropped(manifest.rows, manifest.total("dropped")),
        **sample_pairs(lake, key),
        **expected_cost(lake, manifest),
        **_describe_failures(manifest, drawn),
    }
    metadata = {**read, "max_broken_share": bound, **shown, **_count_numbers(numbers)}
    return compute.result(manifest, beside=numbers, metadata=metadata, checks=checks)


def _keep_numbers(
    context: dg.AssetExecutionContext,
    compute: Compute,
    common_crawl: CommonCrawl,
    key: str,
    files: Mapping[str, str],
) -> list[PartitionManifest]:
    """POOL_COLUMNS of the same files, where the pool's line names columns of numbers."""
    if not (shards := common_crawl.number_shards(key, files)):
        return []
    facts = {NUMBERS: json.dumps(common_crawl.pool(key).names.numbers)}
    return [compute.map_shards(context, read_pool_columns, shards, table="pool_columns", facts=facts)]


def _count_numbers(numbers: Sequence[PartitionManifest]) -> dict[str, int]:
    """How many numbers there are of the pairs, and how many are not there, by column and why."""
    counts = {"numbers": sum(manifest.rows for manifest in numbers)} if numbers else {}
    return counts | {f"numbers/{why}": num for it in numbers for why, num in sorted(it.total("dropped").items())}


def _describe_failures(manifest: PartitionManifest, archives: Mapping[str, str]) -> dict[str, Any]:
    if not manifest.failed:
        return {}
    rows = [(number, archives[number], why) for number, why in manifest.failed.items()]
    return {"failed": table(["number", "archive", "why"], rows), "to_read_failed_again": READ_AGAIN}


def _choose_archives(config: Crawl, before: Mapping[str, str]) -> tuple[Literal["wat", "warc"], dict[str, Any], float]:
    """Which archives are read, how they are drawn, and the share of broken records that passes.

    All as the config says, and what it leaves out as the inputs of the manifest `before` say.
    """
    name = before.get("archive") if config.archive == "as_before" else config.archive
    archive: Literal["wat", "warc"] = "warc" if name == "warc" else "wat"
    overrides = config.model_dump(include={"first", "share", "seed"}, exclude_none=True)
    drawn = {} if {"first", "share"} & overrides.keys() else before
    defaults = {
        "first": int(drawn.get("first", 0)),
        "share": float(drawn.get("share", 1)),
        "seed": int(before.get("seed", 0)),
    }
    bound = config.max_broken_share
    return archive, defaults | overrides, float(before.get("max_broken_share", 0.01)) if bound is None else bound

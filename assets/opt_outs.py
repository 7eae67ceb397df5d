"""Gather what speaks against the use of matched pairs: pages' own words, and robots.txt of their hosts."""

import re
from collections.abc import Mapping, Sequence

import dagster as dg
from pydantic import field_validator

from assets.automation import when_changed
from assets.choices import AsBefore
from assets.partitions import snapshots
from assets.policies import AGENTS, ARCHIVES_READ, NO_ARCHIVES, NOT_READ, ROBOTS
from assets.pool import Exchange, group_shards, record_matches, refuse_outdated
from assets.shown import table
from assets.tags import tag_run
from metaclip_dagster.opting_out import gather_host_signals, judge_hosts, read_signals, scatter_hosts, scatter_texts
from metaclip_dagster.signals import SIGNALS
from resources.deferred import Deferred, defer
from resources.engines.resource import Compute
from resources.lake.resource import Lake
from resources.lake.shard_files import chain_batches
from resources.lake.tables import PartitionManifest

_OF_PAIRS = ["pair_id", "url", "page_url", "crawled_at", "page_signals"]


class Asking(Exchange, use_attribute_docstrings=True):
    """On whose behalf robots.txt is asked, and how pairs and their hosts are brought together."""

    agents: list[str] = [
        *("CCBot", "GPTBot", "ClaudeBot", "anthropic-ai", "Google-Extended", "Applebot-Extended"),
        *("meta-externalagent", "Bytespider", "img2dataset", "*"),
    ]
    """Crawlers that gather training data; `*` is one that no robots.txt names. A no to any of them is a signal."""

    @field_validator("agents")
    @classmethod
    def _check_agents(cls, agents: list[str]) -> list[str]:
        if odd := [agent for agent in agents if agent != "*" and not re.fullmatch("[A-Za-z0-9_-]+", agent)]:
            raise ValueError(f"{', '.join(odd)}: no product token of robots.txt, which has letters, digits, _ and -")
        return list(dict.fromkeys(agents))


@dg.asset(
    partitions_def=snapshots,
    deps=["pairs", "matches", "robots_txt"],
    group_name="curation",
    kinds={"parquet", "duckdb"},
    owners=["team:data"],
    automation_condition=when_changed("exclusions", optional=["robots_txt"]),
)
@tag_run
def opt_out_signals(
    context: dg.AssetExecutionContext, config: AsBefore[Asking], lake: Lake, compute: Compute
) -> dg.MaterializeResult:
    """Who says no to the use of which matched pair: in the page, in its response, in robots.txt of either host.

    It leaves no pair out: which signals do is the policy of exclusions. Without robots_txt, pages alone are read.

    Next: name the signals to honour in the config of `exclusions`, and materialize it.
    """
    key, choice = context.partition_key, config.choose(context, lake)
    refuse_outdated(lake, "matches", [key])
    robots = lake.store("robots_txt", key).manifest()
    facts = record_matches(lake, [key]) | choice.facts | _record_robots(robots, choice.config.agents)
    pairs, matches = lake.shards("pairs", key, _OF_PAIRS), lake.shards("matches", key, ["pair_id"])
    pairs = {shard: pairs[shard] for shard in matches}
    asked = _ask_hosts(context, choice.config, compute, pairs, matches) if robots and robots.rows else []
    of_hosts = lake.where_each("host_signals", "shard", matches, partitions=[key]) if asked else {}
    shards = {
        shard: {
            "pairs": pairs[shard],
            "matches": matches[shard],
            "host_signals": of_hosts.get(shard, defer(chain_batches)),
            "snapshot": key,
            "shard": shard,
        }
        for shard in matches
    }
    manifest = compute.map_shards(context, read_signals, shards, facts=facts)
    pairs_with = [(name, manifest.total("seen")[name], says) for name, says in SIGNALS.items()]
    shown = {
        "pairs_with": table(["signal", "matched pairs", "when it stands"], [row for row in pairs_with if row[1]]),
        "robots_txt": f"{robots.rows:,} texts of hosts"
        if robots
        else "not read: materialize robots_txt, then this again",
    }
    return compute.result(manifest, beside=asked, metadata={**choice.metadata, **shown})


def _record_robots(robots: PartitionManifest | None, agents: Sequence[str]) -> dict[str, str]:
    """For the manifest: which robots.txt was asked for whom, and of how many archives where that is not all of them."""
    if robots is None:
        return {ROBOTS: NOT_READ}
    num_read, num_listed = (int(robots.inputs.get(name, 1)) for name in ("archives_read", "archives_listed"))
    part = f"{num_read:,} of {num_listed:,} archives" if num_listed else NO_ARCHIVES
    return {ROBOTS: robots.version, AGENTS: ",".join(agents)} | (
        {} if 0 < num_listed <= num_read else {ARCHIVES_READ: part}
    )


def _ask_hosts(
    context: dg.AssetExecutionContext,
    config: Asking,
    compute: Compute,
    pairs: Mapping[str, Deferred],
    matches: Mapping[str, Deferred],
) -> Sequence[PartitionManifest]:
    """HOST_SIGNALS of the snapshot, last, and the tables on the way: pairs and texts meet in buckets of hosts."""
    lake, key, options = compute.lake, context.partition_key, {"num_buckets": config.num_buckets}
    of_pairs = {"pairs": group_shards(pairs, config.group_size), "matches": group_shards(matches, config.group_size)}
    groups = {group: {name: of_pairs[name][group] for name in of_pairs} for group in of_pairs["pairs"]}
    paths = compute.map_shards(
        context,
        scatter_hosts,
        {group: {**inputs, "snapshot": key} for group, inputs in groups.items()},
        table="host_paths",
        partition=key,
        options=options,
        whole=True,
    )
    archives = group_shards(lake.shards("robots_txt", key), config.group_size)
    texts = compute.map_shards(
        context,
        scatter_texts,
        {group: {"texts": of} for group, of in archives.items()},
        table="host_texts",
        partition=key,
        options=options,
        whole=True,
    )
    numbers = range(config.num_buckets)
    of_bucket = {
        name: lake.where_each(name, "bucket", numbers, partitions=[key]) for name in ("host_paths", "host_texts")
    }
    judged = compute.map_shards(
        context,
        judge_hosts,
        {f"{n:05d}": {"paths": of_bucket["host_paths"][n], "texts": of_bucket["host_texts"][n]} for n in numbers},
        table="host_answers",
        partition=key,
        options={"agents": config.agents},
        whole=True,
    )
    gathered = compute.map_shards(
        context,
        gather_host_signals,
        {"00000": {"signals": lake.stream("host_answers", [key])}},
        table="host_signals",
        partition=key,
        whole=True,
    )
    return [paths, texts, judged, gathered]

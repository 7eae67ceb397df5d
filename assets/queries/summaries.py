"""Collect from the lake what the EU's summary of a subset says, and write the file of its domains."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import duckdb
import pyarrow.csv as pc_csv

from assets.keys import rings_up_to
from assets.queries.provenance import find_outdated
from metaclip_dagster.publishing.domains import describe_hosts, list_hosts, rank_hosts
from metaclip_dagster.publishing.eu_facts import Source, SummaryFacts
from metaclip_dagster.spilling import spilling
from resources.lake.resource import Lake

NUM_SHOWN = 50
"""Hosts of each kind that a summary shows; all are in the file beside it."""


def collect_facts(
    lake: Lake,
    t: str,
    *,
    card: Mapping[str, Any],
    periods: Mapping[str, tuple[str, str]],
    is_sample: bool,
    user_agent: str,
    opt_out_words: Sequence[str],
    domains: BinaryIO,
) -> SummaryFacts:
    """What the lake knows of D(t), with its data card; all hosts are written to `domains`, as CSV.

    Raises ValueError for a card of another version of the subset.
    """
    subset, outdated = lake.manifest("subsets", t), find_outdated(lake)
    if card["provenance"].get("subset") != subset.version:
        raise ValueError(f"the data card of t = {t} is of another version of the subset: materialize data_cards of {t}")
    rings = [ring for ring in lake.finished("images", rings_up_to(t)) if ring not in outdated["images"]]
    is_fetched = len(rings) == len(rings_up_to(t))
    sets = [key for key in lake.finished("training_sets", [t]) if key not in outdated["training_sets"]]
    with spilling() as query:
        rank_hosts(query, lake.dataset("subsets", [t]), lake.dataset("images", rings) if is_fetched else None)
        [(images, text_bytes)] = query.sql("""
            select (select count(*) from (select distinct image_id from subset)), coalesce(sum(strlen(text)), 0)
            from subset
        """).fetchall()
        fetched = query.sql("select count(*) from images where reason is null").fetchall()[0][0] if is_fetched else None
        _write_csv(query, domains)
        pages = describe_hosts(query, "page", "pairs", most=NUM_SHOWN)
        hosts = describe_hosts(query, "image", "bytes" if is_fetched else "pairs", most=NUM_SHOWN)
    return SummaryFacts(
        t=t,
        is_sample=is_sample,
        version=subset.version,
        pairs=subset.rows,
        images=images,
        fetched=fetched,
        text_bytes=int(text_bytes),
        languages={it["language"]: it["subset"] for it in card["languages"] if it["subset"]},
        sources=[
            Source(it["snapshot"], *periods.get(it["snapshot"], ("", "")), it["subset"]) for it in card["snapshots"]
        ],
        head_before=card["entries"]["head_before"],
        head_after=card["entries"]["head_after"],
        stages=card["stages"],
        images_dropped=sum((lake.manifest("images", ring).total("dropped") for ring in rings), Counter[str]()),
        set_dropped=lake.manifest("training_sets", t).total("dropped") if sets else None,
        opt_outs=card["opt_outs"],
        user_agent=user_agent,
        opt_out_words=opt_out_words,
        pages=pages,
        image_hosts=hosts,
    )


def _write_csv(query: duckdb.DuckDBPyConnection, domains: BinaryIO) -> None:
    """All hosts, a batch at a time."""
    hosts = list_hosts(query)
    with pc_csv.CSVWriter(domains, hosts.schema) as writer:
        for batch in hosts:
            writer.write(batch)

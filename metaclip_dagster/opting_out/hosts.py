"""Ask each host's robots.txt and tdmrep.json about the pages and images that matched pairs have there.

Tens of millions of hosts meet millions of pairs through storage, in buckets by host: scatter both, judge a bucket at a
time.
"""

import itertools
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.opting_out.robots import RobotsTxt, compile_disallow
from metaclip_dagster.schemas import HOST_PATHS, HOST_TEXTS, OPT_OUT_SIGNALS, writes
from metaclip_dagster.signals import shorten_value
from metaclip_dagster.spilling import insert, spilling
from metaclip_dagster.urls import URL_NORMALISATION, normalise_url, split_host

_MEMORY = "256MB"
_TEXTS_TOGETHER = 32
"""Rows of texts at a time: each may have 500 KiB."""
_MAX_RULES = 1000
"""Of a tdmrep.json: each is tried on every path."""

Row = dict[str, Any]
Answer = tuple[str, str, str, Any]
"""The signal, without `_page` or `_image`; what is said; where; when it was seen."""


@writes(HOST_PATHS, name="opting_out:scatter_hosts", version=URL_NORMALISATION, rows_together=4096)
def scatter_hosts(
    pairs: Mapping[str, Iterable[pa.RecordBatch]],
    matches: Mapping[str, Iterable[pa.RecordBatch]],
    *,
    snapshot: str,
    num_buckets: int,
) -> Iterator[pa.RecordBatch]:
    """The page and the image of each matched pair of a group of shards, by buckets of their hosts.

    Memory is bounded: they go through the disk.
    """
    with spilling(_MEMORY) as query:
        batches = (
            _list_paths(rows, {"snapshot": snapshot, "shard": shard}, num_buckets)
            for shard, of_shard in pairs.items()
            for rows in _select_matched(of_shard, matches[shard], ["pair_id", "url", "page_url"])
        )
        _store(query, "paths", HOST_PATHS, batches)
        for batch in query.sql("from paths order by all").to_arrow_reader(4096):
            yield batch.cast(HOST_PATHS)


@writes(HOST_TEXTS, name="opting_out:scatter_texts", rows_together=256)
def scatter_texts(texts: Mapping[str, Iterable[pa.RecordBatch]], *, num_buckets: int) -> Iterator[pa.RecordBatch]:
    """ROBOTS_TXT of a group of archives by buckets of hosts. Memory is bounded: they go through the disk."""
    with spilling(_MEMORY) as query:
        _store(query, "texts", HOST_TEXTS, (_add_buckets(batch, num_buckets) for of in texts.values() for batch in of))
        for batch in query.sql("from texts order by bucket, host, kind, url").to_arrow_reader(_TEXTS_TOGETHER):
            yield batch.cast(HOST_TEXTS)


@writes(OPT_OUT_SIGNALS, name="opting_out:judge_hosts")
def judge_hosts(
    paths: Iterable[pa.RecordBatch],
    texts: Iterable[pa.RecordBatch],
    *,
    agents: Sequence[str],
    dropped: Counter[str],
    seen: Counter[str],
) -> Iterator[pa.RecordBatch]:
    """What the hosts of one bucket say of its HOST_PATHS; of several texts of a host the newest counts.

    `seen` counts the `hosts` of the bucket, those `hosts_with_texts`, and `rules_left_out` beyond the bounds; `dropped`
    counts each `bad_tdmrep`, which is no list of rules. Memory is bounded: rows go through the disk, and texts are read
    a few at a time.
    """
    with spilling(_MEMORY) as query:
        _store(query, "paths", HOST_PATHS, paths)
        _store(query, "texts", HOST_TEXTS, texts)
        [(num_hosts,)] = query.sql("select count(distinct host) from paths").fetchall()
        seen["hosts"] += num_hosts
        newest = query.cursor().sql("""
            from texts semi join paths using (host)
            qualify row_number() over (partition by host, kind order by captured_at desc nulls last, url) = 1
            order by host, kind
        """)
        texts_by_host = itertools.groupby(_read_rows(newest, _TEXTS_TOGETHER), itemgetter("host"))
        asked = query.cursor().sql("from paths semi join texts using (host) order by host, path, shard, pair_id, about")
        for (_, texts_of_host), (_, rows) in zip(
            texts_by_host, itertools.groupby(_read_rows(asked, 8192), itemgetter("host")), strict=True
        ):
            seen["hosts_with_texts"] += 1
            judges = [_build_judge(text, agents, dropped, seen) for text in texts_of_host]
            yield from _batch_answers(rows, judges)


def _select_matched(
    pairs: Iterable[pa.RecordBatch], matches: Iterable[pa.RecordBatch], columns: Sequence[str]
) -> Iterator[list[Row]]:
    """The rows of matched pairs, a batch at a time."""
    matched = pa.chunked_array([batch["pair_id"] for batch in matches], pa.uint64()).combine_chunks()
    for batch in pairs:
        yield batch.filter(pc.is_in(batch["pair_id"], matched)).select(columns).to_pylist()


def _list_paths(pairs: Iterable[Row], place: Mapping[str, str], num_buckets: int) -> pa.RecordBatch:
    """HOST_PATHS of some pairs of one shard: of each its image's, and its page's if that has a host."""
    rows: list[Row] = []
    for pair in pairs:
        for about, url in (("image", pair["url"]), ("page", normalise_url(pair["page_url"], "")[0])):
            if url is not None:
                host, path = split_host(url)
                where = {"bucket": _bucket_host(host, num_buckets), "host": host, "path": path}
                rows.append({**where, "about": about, **place, "pair_id": pair["pair_id"]})
    return pa.RecordBatch.from_pylist(rows, HOST_PATHS)


def _bucket_host(host: str, num_buckets: int) -> int:
    return zlib.crc32(host.encode()) % num_buckets


def _add_buckets(texts: pa.RecordBatch, num_buckets: int) -> pa.RecordBatch:
    buckets = pa.array([_bucket_host(host, num_buckets) for host in texts["host"].to_pylist()], pa.uint32())
    return pa.RecordBatch.from_arrays([buckets, *texts.columns], schema=HOST_TEXTS)


def _store(query: duckdb.DuckDBPyConnection, table: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    query.from_arrow(schema.empty_table()).create(table)
    insert(query, table, batches, "*")


def _read_rows(rows: duckdb.DuckDBPyRelation, num_together: int) -> Iterator[Row]:
    for batch in rows.to_arrow_reader(num_together):
        yield from batch.to_pylist()


def _build_judge(
    text: Row, agents: Sequence[str], dropped: Counter[str], seen: Counter[str]
) -> Callable[[str], list[Answer]]:
    """What answers for a path, by one of the host's texts."""
    where = (text["url"], text["captured_at"])
    if text["kind"] == "robots.txt":
        robots = RobotsTxt(text["text"], agents, seen)

        def judge(path: str) -> list[Answer]:
            groups = {"robots_txt": robots.list_disallowed(path), "content_usage_robots": robots.list_unusable(path)}
            return [(name, f"not for {', '.join(tokens)}", *where) for name, tokens in groups.items() if tokens]

        return judge
    rules = _read_tdmrep(text["text"], seen)
    dropped["bad_tdmrep"] += rules is None

    def judge_tdm(path: str) -> list[Answer]:
        # The first rule that fits decides (TDMRep, 2024).
        reserved = next((value for rule, value in rules or () if not rule.can_fetch(f"http://h{path}", "*")), None)
        return [("tdmrep", "tdm-reservation 1", *where)] if reserved else []

    return judge_tdm


def _read_tdmrep(text: str, seen: Counter[str]) -> list[tuple[Any, bool]] | None:
    """Each rule with whether it reserves; None for what is no list of rules."""
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(listed, list):
        return None
    rules = [rule for rule in listed if isinstance(rule, dict) and isinstance(rule.get("location"), str)]
    compiled = [
        (rule, stated.get("tdm-reservation") in (1, "1"))
        for stated in rules[:_MAX_RULES]
        if (rule := compile_disallow(stated["location"])) is not None
    ]
    seen["rules_left_out"] += len(rules) - len(compiled)
    return compiled


def _batch_answers(rows: Iterable[Row], judges: Sequence[Callable[[str], list[Answer]]]) -> Iterator[pa.RecordBatch]:
    """A row for each answer about each pair; each path is asked about once."""
    batch: list[Row] = []
    for path, asked in itertools.groupby(rows, itemgetter("path")):
        answers = [answer for judge in judges for answer in judge(path)]
        for row in asked if answers else ():
            place = {name: row[name] for name in ("snapshot", "shard", "pair_id", "about")}
            for name, value, source, seen_at in answers:
                said = {"value": shorten_value(value), "source": source, "seen_at": seen_at}
                batch.append({**place, "signal": f"{name}_{row['about']}", **said})
            if len(batch) >= 8192:
                yield pa.RecordBatch.from_pylist(batch, OPT_OUT_SIGNALS)
                batch = []
    if batch:
        yield pa.RecordBatch.from_pylist(batch, OPT_OUT_SIGNALS)

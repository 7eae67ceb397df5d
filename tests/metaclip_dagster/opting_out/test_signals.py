"""Each matched pair gets what its page, and the hosts of its page and image, say; a policy takes what it names."""

import json
from collections import Counter
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from metaclip_dagster.opting_out import (
    find_opted_out,
    gather_host_signals,
    judge_hosts,
    read_signals,
    scatter_hosts,
    scatter_texts,
)
from metaclip_dagster.schemas import EXCLUSIONS, HOST_PATHS, HOST_TEXTS, OPT_OUT_SIGNALS, PAIRS, ROBOTS_TXT
from tests.metaclip_dagster.tables import matches_of

SEEN = datetime(2026, 1, 2)
AGENTS = ["CCBot", "*"]
Said = list[tuple[str, int, str, str]]
"""shard, pair_id, signal, value"""


def pair(pair_id: int, url: str, page: str, licence: str | None = None, **signals: str) -> dict[str, Any]:
    said = [{"signal": name, "value": value} for name, value in signals.items()]
    columns = {"pair_id": pair_id, "url": url, "page_url": page, "license": licence, "crawled_at": SEEN}
    return dict.fromkeys(PAIRS.names) | columns | {"page_signals": said}


def text(host: str, said: str, kind: str = "robots.txt", day: int = 1) -> dict[str, Any]:
    url = f"https://{host}/{kind}"
    return {"host": host, "url": url, "kind": kind, "captured_at": datetime(2026, 1, day), "text": said}


def ask(
    shards: dict[str, list[dict[str, Any]]], texts: list[dict[str, Any]], num_buckets: int = 3
) -> tuple[pa.Table, Counter[str]]:
    """OPT_OUT_SIGNALS of the shards, by all stages; all pairs but that of id 99 match."""
    pairs = {key: [pa.RecordBatch.from_pylist(rows, PAIRS)] for key, rows in shards.items()}
    matches = {
        key: [matches_of({row["pair_id"]: [0] for row in rows if row["pair_id"] != 99})] for key, rows in shards.items()
    }
    counts: Counter[str] = Counter()
    paths = pa.Table.from_batches(scatter_hosts(pairs, matches, snapshot="S", num_buckets=num_buckets), HOST_PATHS)
    [one] = [pa.RecordBatch.from_pylist(texts, ROBOTS_TXT)]
    said = pa.Table.from_batches(scatter_texts({"0": [one]}, num_buckets=num_buckets), HOST_TEXTS)
    of_hosts: list[pa.RecordBatch] = []
    for bucket in range(num_buckets):
        asked, answers = (table.filter(pc.equal(table["bucket"], bucket)).to_batches() for table in (paths, said))
        of_hosts += judge_hosts(asked, answers, agents=AGENTS, dropped=counts, seen=counts)
    gathered = pa.Table.from_batches(gather_host_signals(of_hosts), OPT_OUT_SIGNALS)
    tables = [
        read_signals(
            pairs[key],
            matches[key],
            gathered.filter(pc.equal(gathered["shard"], key)).to_batches(),
            snapshot="S",
            shard=key,
            seen=counts,
        )
        for key in shards
    ]
    return pa.concat_tables(tables), counts


def said_in(signals: pa.Table) -> Said:
    return [tuple(row[name] for name in ("shard", "pair_id", "signal", "value")) for row in signals.to_pylist()]


SHARDS = {
    "00000": [
        pair(1, "http://img.example/a/1.png", "http://Page.example:80/x", meta_robots="noai"),
        pair(2, "http://img.example/b/2.png", "http://page.example/y"),
        pair(99, "http://img.example/a/3.png", "http://page.example/x", meta_robots="noai"),
    ],
    "00001": [pair(3, "http://user@img.example/a/1.png", "http://img.example/free/p", "CC-BY-4.0")],
}
TEXTS = [
    text("img.example", "User-agent: *\nDisallow: /", day=1),
    text(
        "img.example",
        "User-agent: CCBot\nDisallow: /a/\nContent-Usage: train-ai=n\nContent-Usage: /free/ train-ai=y",
        day=2,
    ),
    text(
        "page.example",
        '[{"location": "/y", "tdm-reservation": 0}, {"location": "/*", "tdm-reservation": 1}]',
        "tdmrep.json",
    ),
    text("else.example", "User-agent: *\nDisallow: /"),
    text("img.example", "[" * 100_000, "tdmrep.json"),
]


@pytest.mark.parametrize("num_buckets", [1, 7])
def test_every_matched_pair_gets_what_its_page_and_hosts_say(num_buckets: int) -> None:
    signals, counts = ask(SHARDS, TEXTS, num_buckets)
    assert said_in(signals) == [
        ("00000", 1, "content_usage_robots_image", "not for ccbot"),
        ("00000", 1, "meta_robots", "noai"),
        ("00000", 1, "robots_txt_image", "not for ccbot"),
        ("00000", 1, "tdmrep_page", "tdm-reservation 1"),
        ("00000", 2, "content_usage_robots_image", "not for ccbot"),
        ("00001", 3, "content_usage_robots_image", "not for ccbot"),
        ("00001", 3, "robots_txt_image", "not for ccbot"),
    ]
    assert counts["hosts"] == counts["hosts_with_texts"] == 2
    assert (counts["bad_tdmrep"], counts["any"], counts["robots_txt_image"]) == (1, 3, 2)
    sources = {row["signal"]: (row["source"], row["seen_at"], row["about"]) for row in signals.to_pylist()}
    assert sources["robots_txt_image"] == ("https://img.example/robots.txt", datetime(2026, 1, 2), "image")
    assert sources["meta_robots"] == ("http://Page.example:80/x", SEEN, "page")


def test_a_hostile_tdmrep_json_spoils_no_other_hosts_answers() -> None:
    locations = ["/\ud800", "/a\nDisallow: /", "/" + "*" * 101, "http://[", "/x", *["/y"] * 1000]
    rules = json.dumps([7, {"location": 7}, *({"location": path, "tdm-reservation": 1} for path in locations)])
    signals, counts = ask(SHARDS, [*TEXTS[:2], text("page.example", rules, "tdmrep.json")])
    of_tdm = [said for said in said_in(signals) if said[2].startswith("tdmrep")]
    assert of_tdm == [("00000", pair_id, "tdmrep_page", "tdm-reservation 1") for pair_id in (1, 2)]
    assert counts["robots_txt_image"] == 2
    assert counts["rules_left_out"] == 3 + 5, "three that are no rules, and those beyond the first thousand"


def opted_out(opt_outs: list[str], licenses: list[str]) -> list[tuple[int, str]]:
    signals, _ = ask(SHARDS, TEXTS)
    batches = [
        batch
        for key, rows in SHARDS.items()
        for batch in find_opted_out(
            [pa.RecordBatch.from_pylist(rows, PAIRS)],
            [matches_of({row["pair_id"]: [0] for row in rows if row["pair_id"] != 99})],
            signals.filter(pc.equal(signals["shard"], key)).to_batches(),
            opt_outs=opt_outs,
            licenses=licenses,
            snapshot="S",
            shard=key,
        )
    ]
    return [(row["pair_id"], row["reason"]) for row in pa.Table.from_batches(batches, EXCLUSIONS).to_pylist()]


def test_a_policy_leaves_out_what_it_names_by_its_first_reason() -> None:
    assert opted_out([], []) == []
    assert opted_out(["tdmrep_page", "robots_txt_image"], []) == [(1, "tdmrep_page"), (3, "robots_txt_image")]
    assert opted_out(["robots_txt_image", "tdmrep_page"], []) == [(1, "robots_txt_image"), (3, "robots_txt_image")]
    assert opted_out([], ["cc-by-*", "CC0*"]) == [(1, "license"), (2, "license")]
    assert opted_out(["meta_robots"], ["CC0-1.0"]) == [(1, "meta_robots"), (2, "license"), (3, "license")]

"""Laws of the list of domains: every URL is counted once, ranks follow size, and no cell is a formula or a link."""

import csv
import io
import random
from collections import Counter
from urllib.parse import urlsplit

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from pyarrow import csv as arrow_csv

from metaclip_dagster.publishing.domains import describe_hosts, list_hosts, rank_hosts

ODD = [
    None,
    "",
    "ftp://ftp.example/a",
    "http://=cmd|' /C calc'!A0/",
    "http://<script>/x",
    "http://a`b.example/",
    "http://a.example.evil\u202e/",
    "//no.example/x",
    "https://image-1.pool.invalid/x",
]


def table(pages: list[str | None], images: list[str]) -> ds.Dataset:
    return ds.dataset(pa.table({"page_url": pa.array(pages, pa.string()), "url": images}))


def test_ranks_and_sums_are_those_of_a_plain_loop() -> None:
    draw = random.Random(0)
    urls = [f"https://h{draw.randrange(1, 40) // draw.randrange(1, 8)}.example/{i}" for i in range(2_000)]
    counted = Counter(urlsplit(url).hostname for url in urls)
    ranked = sorted(counted.items(), key=lambda item: (-item[1], str(item[0])))
    with duckdb.connect() as query:
        rank_hosts(query, table([*urls], urls[::-1]), None)
        hosts = describe_hosts(query, "page", "pairs", most=5)
        rows = [row for batch in list_hosts(query) for row in batch.to_pylist()]
    assert hosts.rows == tuple(ranked[:5])
    assert (hosts.num, hosts.total, hosts.num_without) == (len(ranked), 2_000, 0)
    assert hosts.num_asked == -(-len(ranked) // 10)
    assert hosts.total_asked == sum(num for _, num in ranked[: hosts.num_asked])
    assert [(row["rank"], row["domain"], row["num"]) for row in rows if row["kind"] == "page"] == [
        (rank, host, num) for rank, (host, num) in enumerate(ranked, 1)
    ]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("HTTP://User:p@ss@A.Example:80/x", "a.example"),
        ("https://b\u00fccher.example?q", "b\u00fccher.example"),
        ("http://[2001:DB8::1]:8080/", "[2001:db8::1]"),
        ("http://h_1.example", "h_1.example"),
    ],
)
def test_a_host_is_read_without_user_port_and_case(url: str, host: str) -> None:
    with duckdb.connect() as query:
        rank_hosts(query, table([url], ["http://i.example/"]), None)
        assert describe_hosts(query, "page", "pairs", most=5).rows == ((host, 1),)


def test_what_is_no_host_is_counted_and_never_listed() -> None:
    with duckdb.connect() as query:
        rank_hosts(query, table([*ODD, "http://a.example/"], ["http://i.example/"] * (len(ODD) + 1)), None)
        hosts = describe_hosts(query, "page", "pairs", most=5)
    assert (hosts.rows, hosts.num, hosts.total, hosts.num_without) == ((("a.example", 1),), 1, 1, len(ODD))


def test_a_spreadsheet_takes_no_domain_for_a_formula() -> None:
    pages: list[str | None] = ["http://-2+3.example/", "http://-cmd.example/", "http://@sum.example/", "http://+1/"]
    file = io.BytesIO()
    with duckdb.connect() as query:
        rank_hosts(query, table(pages, ["http://i.example/"] * 4), None)
        batches = [*list_hosts(query)]
    with arrow_csv.CSVWriter(file, batches[0].schema) as writer:
        for batch in batches:
            writer.write(batch)
    cells = [cell for row in csv.reader(io.StringIO(file.getvalue().decode())) for cell in row]
    assert "'-cmd.example" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


def test_images_that_are_fetched_are_ranked_by_bytes_and_failed_ones_have_none() -> None:
    images = {
        "url": [f"http://{name}.example/" for name in ("few", "many", "many", "gone")],
        "size": pa.array([1_000, 10, 10, None], pa.uint64()),
        "reason": [None, None, None, "http_404"],
    }
    with duckdb.connect() as query:
        rank_hosts(query, table([None], ["http://few.example/"]), ds.dataset(pa.table(images)))
        hosts = describe_hosts(query, "image", "bytes", most=5)
    assert (hosts.rows, hosts.total) == ((("few.example", 1_000), ("many.example", 20)), 1_020)


def test_a_subset_of_nothing_has_no_hosts() -> None:
    with duckdb.connect() as query:
        rank_hosts(query, table([], []), None)
        hosts = describe_hosts(query, "page", "pairs", most=5)
        assert (hosts.num, hosts.total, hosts.num_asked, hosts.rows) == (0, 0, 0, ())
        listed = list_hosts(query).read_all()
        assert (listed.num_rows, listed.column_names) == (0, ["kind", "rank", "domain", "num"])

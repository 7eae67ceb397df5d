"""Rank the hosts that a subset's pages and images come from, by how much comes from each: SUBSETS, IMAGES -> hosts."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

Kind = Literal["page", "image"]

SHARE, SHARE_OF_SMALL, MOST_OF_SMALL = 0.1, 0.05, 1_000
"""Of all domain names the template asks for this share of the largest; of a small provider for less, and no more."""


@dataclass(frozen=True)
class Hosts:
    """All hosts of one kind, and the first of them."""

    unit: str
    """What is counted: pairs, or bytes of images."""
    num: int
    total: int
    num_asked: int
    """How many make up the share that the template asks for."""
    total_asked: int
    num_asked_of_small: int
    rows: tuple[tuple[str, int], ...]
    """The largest, each with its number."""
    num_without: int
    """Pairs or images whose URL has no host that can be listed."""


def rank_hosts(query: duckdb.DuckDBPyConnection, subset: ds.Dataset, images: ds.Dataset | None) -> None:
    """Fill a table `hosts` (kind, rank, host, num) from SUBSETS, and from the IMAGES of it where they are fetched.

    Pages are ranked by pairs, images by the bytes that were fetched, or else by pairs. What is no host of letters,
    digits, dots, hyphens and underscores (or an IPv6 address) is counted under the empty name, which has no rank; so is
    what was made up for an image without an address. Memory is the connection's: DuckDB spills.
    """
    query.execute(_HOST_OF)
    query.register("subset", subset)
    query.execute("""
        create or replace table counted as
        select 'page' as kind, host_of(page_url) as host, count(*)::ubigint as num from subset group by host
    """)
    if images is None:
        query.execute("insert into counted select 'image', host_of(url) as host, count(*) from subset group by host")
    else:
        query.register("images", images)
        query.execute("""
            insert into counted
            select 'image', host_of(url) as host, sum(size) from images where reason is null group by host
        """)
    query.execute("""
        create or replace table hosts as
        select kind, case when host <> '' then
                row_number() over (partition by kind order by host = '', num desc, host) end as rank, host, num
        from counted
    """)


def describe_hosts(query: duckdb.DuckDBPyConnection, kind: Kind, unit: str, *, most: int) -> Hosts:
    """What `rank_hosts` ranked of one kind, with its first `most` rows."""

    def ask(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return query.execute(sql, [kind, *parameters]).fetchall()

    [(num, total)] = ask("select count(rank), coalesce(sum(num) filter (host <> ''), 0) from hosts where kind = ?")
    [(without,)] = ask("select coalesce(sum(num), 0) from hosts where kind = ? and host = ''")
    num_asked = math.ceil(SHARE * num)
    [(asked,)] = ask("select coalesce(sum(num), 0) from hosts where kind = ? and rank <= ?", num_asked)
    rows = ask("select host, num from hosts where kind = ? and rank <= ? order by rank", most)
    of_small = min(math.ceil(SHARE_OF_SMALL * num), MOST_OF_SMALL)
    counted = tuple((host, int(number)) for host, number in rows)
    return Hosts(unit, num, int(total), num_asked, int(asked), of_small, counted, int(without))


def list_hosts(query: duckdb.DuckDBPyConnection) -> pa.RecordBatchReader:
    """All ranked hosts for a CSV, in order: kind, rank, domain, num. A spreadsheet takes none for a formula."""
    listed = query.sql("""
        select kind, rank, case when host[1] in ('=', '+', '-', '@') then '''' || host else host end as domain, num
        from hosts where rank is not null order by kind desc, rank
    """)
    return listed.to_arrow_reader(65_536)


# Without user, password and port; letters of any script, since pages' own URLs are kept as the crawl has them. Nothing
# answers at .invalid (RFC 6761).
_HOST_OF = r"""
    create or replace temp macro host_of(url) as
    regexp_replace(lower(regexp_extract(coalesce(url, ''),
        '^https?://(?:[^/?#\\]*@)?([\pL\pM\pN._-]+|\[[0-9A-Fa-f:.]+\])(?:[:/?#\\]|$)', 1, 'i')), '^.*\.invalid$', '')
"""

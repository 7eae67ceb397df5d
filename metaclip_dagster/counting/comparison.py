"""Compare how many pairs match each entry on two sides (pools, subsets, published counts), by shares of all matches."""

from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.counting.published import PUBLISHED

VERDICTS = ("richer", "poorer", "alike", "absent here", "absent there", "absent in both")

NUM_LISTED = 25
FEWEST_MATCHES = 20
"""An entry is listed by its ratio where each side has so many, or would by the other's share: fewer may be chance."""

_COLUMNS = (
    ("language", pa.string(), "Language of the entry"),
    ("entry", pa.string(), "The entry"),
    ("here", pa.uint64(), "Pairs that match it on the first side; null where that side's list lacks it"),
    ("there", pa.uint64(), "Pairs that match it on the second side; null where that side's list lacks it"),
    ("share_here", pa.float64(), "Its share of all matches of the first side"),
    ("share_there", pa.float64(), "Its share of all matches of the second side"),
    ("log2_ratio", pa.float64(), "Base 2 logarithm of share_here / share_there; null where one of them is 0"),
    ("verdict", pa.string(), f"{', '.join(VERDICTS)}; alike is within a factor of 2"),
)
COMPARISON = pa.schema([pa.field(name, kind, metadata={"description": says}) for name, kind, says in _COLUMNS])


def compare_shares(here: pa.Table, there: pa.Table, *, names: tuple[str, str]) -> pa.Table:
    """The COMPARISON of two tables of counts (`language`, `entry`, `num_pairs`), by language, then entry.

    Only languages that both have are compared, and shares are of the matches in these. Raises ValueError, with the
    `names` of both, where a side has no match in them.
    """
    with duckdb.connect(config={"threads": 1}) as query:
        query.register("all_here", here.select(PUBLISHED.names))
        query.register("all_there", there.select(PUBLISHED.names))
        query.sql("create table here as select * from all_here semi join all_there using (language)")
        query.sql("create table there as select * from all_there semi join all_here using (language)")
        sums = query.sql("select (select sum(num_pairs) from here), (select sum(num_pairs) from there)").fetchall()[0]
        if not all(sums):
            languages = query.sql("select string_agg(distinct language, ', ') from here").fetchall()[0][0] or "none"
            raise ValueError(
                f"{' and '.join(names)}: in the languages that both have ({languages}) one has no match, so there is "
                "nothing to compare: name counts of these languages"
            )
        compared = query.sql(
            """with sides as (
                   select coalesce(h.language, t.language) as language, coalesce(h.entry, t.entry) as entry,
                          h.num_pairs as here, t.num_pairs as there,
                          coalesce(h.num_pairs, 0) / ?::double as share_here,
                          coalesce(t.num_pairs, 0) / ?::double as share_there
                   from here as h full join there as t on h.language = t.language and h.entry = t.entry
               )
               select *, case when share_here > 0 and share_there > 0 then log2(share_here / share_there) end
                      as log2_ratio,
                      case when share_here = 0 and share_there = 0 then 'absent in both'
                           when share_here = 0 then 'absent here' when share_there = 0 then 'absent there'
                           when log2_ratio > 1 then 'richer' when log2_ratio < -1 then 'poorer' else 'alike' end
                      as verdict
               from sides order by language, entry""",
            params=sums,
        ).to_arrow_table()
    return compared.cast(COMPARISON)


def describe_comparison(comparison: pa.Table) -> dict[str, Any]:
    """Sums by verdict and language, the overlap of the two, and the entries that differ most, as strict JSON.

    The overlap is the sum of each entry's lesser share: 1 where both distributions are the same, 0 where they share no
    entry.
    """
    here, there = (pc.coalesce(comparison[name], pa.scalar(0, pa.uint64())) for name in ("here", "there"))
    expected_here = pc.multiply(comparison["share_there"], pc.sum(here).cast(pa.float64()))
    expected_there = pc.multiply(comparison["share_here"], pc.sum(there).cast(pa.float64()))
    fewest = pc.min_element_wise(
        pc.max_element_wise(here.cast(pa.float64()), expected_here),
        pc.max_element_wise(there.cast(pa.float64()), expected_there),
    )
    difference = pc.subtract(comparison["share_here"], comparison["share_there"])
    listed = comparison.append_column("difference", difference).append_column("fewest", fewest)
    is_sure, verdict = pc.field("fewest") >= FEWEST_MATCHES, pc.field("verdict")
    lesser = pc.min_element_wise(comparison["share_here"], comparison["share_there"])
    by_verdict = {row["verdict"]: row for row in _sum_up(comparison, "verdict")}
    nothing = {"entries": 0, "here": 0, "there": 0, "share_here": 0.0, "share_there": 0.0}
    return {
        "entries": comparison.num_rows,
        "here": pc.sum(here).as_py(),
        "there": pc.sum(there).as_py(),
        "overlap": pc.sum(lesser).as_py(),
        "verdicts": [{"verdict": name, **nothing, **by_verdict.get(name, {})} for name in VERDICTS],
        "languages": _sum_up(comparison, "language"),
        "lists": {
            "more": _list_top(listed, pc.field("difference") > 0, "difference", "descending"),
            "less": _list_top(listed, pc.field("difference") < 0, "difference", "ascending"),
            "richest": _list_top(listed, is_sure & (pc.field("log2_ratio") > 0), "log2_ratio", "descending"),
            "poorest": _list_top(listed, is_sure & (pc.field("log2_ratio") < 0), "log2_ratio", "ascending"),
            "absent_here": _list_top(listed, verdict == "absent here", "share_there", "descending"),
            "absent_there": _list_top(listed, verdict == "absent there", "share_here", "descending"),
        },
    }


def _sum_up(comparison: pa.Table, by: str) -> list[dict[str, Any]]:
    names = ("here", "there", "share_here", "share_there")
    sums = comparison.group_by(by).aggregate([([], "count_all"), *((name, "sum") for name in names)]).sort_by(by)
    return [
        {by: row[by], "entries": row["count_all"], **{name: row[f"{name}_sum"] or 0 for name in names}}
        for row in sums.to_pylist()
    ]


def _list_top(listed: pa.Table, condition: pc.Expression, by: str, order: str) -> list[dict[str, Any]]:
    rows = listed.filter(condition).sort_by([(by, order), ("language", "ascending"), ("entry", "ascending")])
    top: list[dict[str, Any]] = rows.select(COMPARISON.names).slice(0, NUM_LISTED).to_pylist()
    return top

"""Compare two builds of entries, counts or a subset, or any two sets of pairs: what only one has, and what moved."""

from collections.abc import Iterable
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as ds

from metaclip_dagster.spilling import spilling

NUM_SAMPLES = 20
NUM_EXAMPLES = 24
"""Pairs that only one side has are shown, each of another image."""
MOST_PAIRS = 5_000_000
"""Pairs of a subset that are compared one by one; of a larger subset only a sample is, drawn by pair_id, a hash."""

_JOIN = """
    create table joined as
    select coalesce(a.language, b.language) as language, coalesce(a.entry, b.entry) as entry,
           coalesce(a.source, b.source) as source, b.source as source_before, b.rank as rank_before, a.rank as rank,
           case when b.entry is null then 'added' when a.entry is null then 'removed' else 'moved' end as change
    from after as a full join before as b on a.language = b.language and a.entry = b.entry
    where (a.source, a.rank) is distinct from (b.source, b.rank)"""


def compare_entries(before: pa.Table, after: pa.Table) -> dict[str, Any]:
    """Entries added, removed, and moved (in another source or at another rank), by language and source, with samples.

    An entry is its language and its words. What was removed counts for the source that had it.
    """
    with _connect(before, after) as query:
        query.sql(_JOIN)
        rows = query.sql(
            """select language, source, count(*) filter (change = 'added') as added,
                      count(*) filter (change = 'removed') as removed, count(*) filter (change = 'moved') as moved
               from joined group by all order by all"""
        )
        samples = query.sql(
            """select change, language, entry, source_before, rank_before, source, rank from joined
               window of_change as (partition by change order by coalesce(rank, rank_before), language, entry)
               qualify row_number() over of_change <= ?
               order by change, coalesce(rank, rank_before), language, entry""",
            params=[NUM_SAMPLES],
        )
        by_source, sample_rows = rows.to_arrow_table().to_pylist(), samples.to_arrow_table().to_pylist()
    return {
        "before": before.num_rows,
        "after": after.num_rows,
        **{change: sum(row[change] for row in by_source) for change in ("added", "removed", "moved")},
        "by_source": by_source,
        "samples": sample_rows,
    }


def compare_counts(before: pa.Table, after: pa.Table) -> dict[str, Any]:
    """How many entries have another count than before, and those whose count moved most; one not listed counts 0."""
    with _connect(before, after) as query:
        query.sql(
            """create table moved as
               select coalesce(a.language, b.language) as language, coalesce(a.entry, b.entry) as entry,
                      coalesce(b.entry_count, 0)::bigint as before, coalesce(a.entry_count, 0)::bigint as after
               from after as a full join before as b on a.language = b.language and a.entry = b.entry
               where a.entry_count is distinct from b.entry_count"""
        )
        [(changed,)] = query.sql("select count(*) from moved where before <> after").fetchall()
        largest = query.sql(
            "select * from moved where before <> after order by abs(after - before) desc, language, entry limit ?",
            params=[NUM_SAMPLES],
        ).to_arrow_table()
    return {"changed": changed, "largest": largest.to_pylist()}


def compare_subsets(
    before: Iterable[pa.RecordBatch], after: Iterable[pa.RecordBatch], *, num_pairs: int
) -> dict[str, Any]:
    """How many pairs joined, left and stayed, by pair_id; `num_pairs` says how many the larger subset has.

    Above MOST_PAIRS the three are estimates from a sample of the pair_ids, of which `share` says how large it is.
    """
    one_in = max(1, -(-num_pairs // MOST_PAIRS))
    ids_before, ids_after = _sample_ids(before, one_in), _sample_ids(after, one_in)
    stayed = len(np.intersect1d(ids_before, ids_after, assume_unique=True))
    return {
        "joined": (len(ids_after) - stayed) * one_in,
        "left": (len(ids_before) - stayed) * one_in,
        "stayed": stayed * one_in,
        "share": 1 / one_in,
    }


def compare_pairs(here: ds.Dataset, there: ds.Dataset) -> dict[str, Any]:
    """How many pairs and images both sides have, and only one; with examples of the pairs that only one has.

    The sides are rows of ADMISSIONS or SUBSETS; only the latter have texts, and so examples. These have the lowest
    pair_ids, which are hashes: a sample that every run draws alike.
    """
    with spilling() as query:
        rows = {"here": query.from_arrow(here), "there": query.from_arrow(there)}
        ids = {
            side: rows[side].project(f"pair_id, {_name_images(dataset)} as image_id")
            for side, dataset in (("here", here), ("there", there))
        }
        counts: dict[str, Any] = {}
        for what, column in (("pairs", "pair_id"), ("images", "image_id")):
            each = {side: ids[side].project(column).distinct() for side in ids}
            num_here, num_there = (_count(each[side]) for side in each)
            both = _count(each["here"].join(each["there"], column, "semi"))
            counts[what] = {"both": both, "only_here": num_here - both, "only_there": num_there - both}
        examples = {
            f"only_{side}": _draw_examples(rows[side], ids[other]) if "text" in dataset.schema.names else []
            for side, other, dataset in (("here", "there", here), ("there", "here", there))
        }
    return {**counts, "examples": examples}


def _name_images(pairs: ds.Dataset) -> str:
    """An image's id in hexadecimal digits, as SUBSETS has it; ADMISSIONS has bytes."""
    return "image_id" if pa.types.is_string(pairs.schema.field("image_id").type) else "lower(hex(image_id))"


def _count(relation: duckdb.DuckDBPyRelation) -> int:
    [(number,)] = relation.count("*").fetchall()
    return int(number)


def _draw_examples(rows: duckdb.DuckDBPyRelation, others: duckdb.DuckDBPyRelation) -> list[dict[str, Any]]:
    first: dict[str, dict[str, Any]] = {}
    alone = rows.join(others.project("pair_id"), "pair_id", "anti")
    columns = "pair_id, image_id, url, text, language, entry_ids, admitted_at"
    drawn = alone.project(columns).order("pair_id").limit(8 * NUM_EXAMPLES).to_arrow_table()
    for row in drawn.to_pylist():
        first.setdefault(row["image_id"], {**row, "pair_id": str(row["pair_id"])})
    return [*first.values()][:NUM_EXAMPLES]


def _connect(before: pa.Table, after: pa.Table) -> duckdb.DuckDBPyConnection:
    query = duckdb.connect(config={"threads": 1})
    query.register("before", before)
    query.register("after", after)
    return query


def _sample_ids(batches: Iterable[pa.RecordBatch], one_in: int) -> npt.NDArray[np.uint64]:
    columns = (batch["pair_id"].to_numpy() for batch in batches)
    return np.concatenate([np.zeros(0, np.uint64), *(ids[ids % np.uint64(one_in) == 0] for ids in columns)])

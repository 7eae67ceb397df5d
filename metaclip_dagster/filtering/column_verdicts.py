"""Decide which pairs a training set leaves out by the numbers that their pool has of them."""

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.filters import read_limits
from metaclip_dagster.schemas import PAIR_VERDICTS, POOL_COLUMNS, writes
from metaclip_dagster.urls import bucket_images


@writes(PAIR_VERDICTS, name="filtering:judge_columns", rows_together=4096)
def judge_columns(
    subset: Mapping[str, Iterable[pa.RecordBatch]],
    columns: Mapping[str, Iterable[pa.RecordBatch]],
    *,
    limits: Mapping[str, Mapping[str, float]],
    num_buckets: int,
    seen: Counter[str],
) -> pa.Table:
    """The pairs of a group of SUBSETS shards with a number outside its limits, or without one, bucket by bucket.

    `columns` are POOL_COLUMNS of the same shards, as far as there are any: of a pair that two pools have, the one that
    the subset has it from counts. `limits` are by column; a pair goes for the first that holds. `seen` counts `pairs`
    and those that go by reason. Holds the group's rows. Raises ValueError for limits that are no limits.
    """
    parts = [PAIR_VERDICTS.empty_table()]
    for shard, batches in subset.items():
        pairs = _gather(batches, pa.schema({"image_id": pa.string(), "pair_id": pa.uint64()}))
        numbers = _gather(columns.get(shard, ()), POOL_COLUMNS)
        is_in = np.ones(pairs.num_rows, np.bool_)
        seen["pairs"] += pairs.num_rows
        for column, of_column in limits.items():
            low, high = read_limits(column, of_column)
            there = numbers.filter(pc.equal(numbers["column"], column)).combine_chunks()
            at = pc.index_in(pairs["pair_id"], there["pair_id"])
            values = there["value"].take(at).combine_chunks()
            measured = values.fill_null(np.nan).to_numpy()
            is_missing = np.isnan(measured)
            for reason, holds in (
                (f"missing_{column}", is_missing),
                (f"filtered_{column}", ~is_missing & ~((measured >= low) & (measured <= high))),
            ):
                [rows] = np.nonzero(is_in & holds)
                is_in[rows] = False
                seen[reason] += len(rows)
                parts.append(_list_verdicts(pairs.take(rows), reason, values.take(pa.array(rows)), num_buckets))
    return pa.concat_tables(parts).sort_by([(name, "ascending") for name in ("bucket", "image_id", "pair_id")])


def _gather(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_batches([batch.select(schema.names).cast(schema) for batch in batches], schema)


def _list_verdicts(pairs: pa.Table, reason: str, measured: pa.Array, num_buckets: int) -> pa.Table:
    columns = {
        "bucket": bucket_images(pairs["image_id"].to_pylist(), num_buckets),
        "image_id": pairs["image_id"],
        "pair_id": pairs["pair_id"],
        "reason": pa.repeat(reason, pairs.num_rows),
        "measured": measured,
    }
    return pa.table(columns, PAIR_VERDICTS)

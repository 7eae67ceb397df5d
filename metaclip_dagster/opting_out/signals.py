"""Put together what hosts, and what pages themselves, say of each matched pair: OPT_OUT_SIGNALS."""

from collections import Counter
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.schemas import OPT_OUT_SIGNALS, writes
from metaclip_dagster.spilling import ROWS, spilling

_MEMORY = "256MB"


@writes(OPT_OUT_SIGNALS, name="opting_out:gather_host_signals")
def gather_host_signals(signals: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """A snapshot's signals out of all buckets of hosts, sorted by shard, so that a shard finds its own side by side."""
    with spilling(_MEMORY) as query:
        query.register("signals", pa.RecordBatchReader.from_batches(OPT_OUT_SIGNALS, iter(signals)))
        for batch in query.sql("from signals order by all").to_arrow_reader(ROWS):
            yield batch.cast(OPT_OUT_SIGNALS)


@writes(OPT_OUT_SIGNALS, name="opting_out:read_signals")
def read_signals(
    pairs: Iterable[pa.RecordBatch],
    matches: Iterable[pa.RecordBatch],
    host_signals: Iterable[pa.RecordBatch] = (),
    *,
    snapshot: str,
    shard: str,
    seen: Counter[str],
) -> pa.Table:
    """All signals of one shard's matched pairs, sorted by pair: its pages' own, and those of hosts.

    Holds the shard's signals. `seen` counts the pairs that each signal is about, and those with `any`.
    """
    matched = pa.chunked_array([batch["pair_id"] for batch in matches], pa.uint64()).combine_chunks()
    tables = [OPT_OUT_SIGNALS.empty_table(), *map(_as_table, host_signals)]
    for batch in pairs:
        has_signals = pc.fill_null(pc.greater(pc.list_value_length(batch["page_signals"]), 0), False)
        chosen = batch.filter(pc.and_(has_signals, pc.is_in(batch["pair_id"], matched)))
        rows = [
            {
                "snapshot": snapshot,
                "shard": shard,
                "pair_id": row["pair_id"],
                "about": "page",
                **signal,
                "source": row["page_url"],
                "seen_at": row["crawled_at"],
            }
            for row in chosen.select(["pair_id", "page_url", "crawled_at", "page_signals"]).to_pylist()
            for signal in row["page_signals"]
        ]
        tables.append(pa.Table.from_pylist(rows, OPT_OUT_SIGNALS))
    signals = pa.concat_tables(tables)
    order = ("pair_id", "signal", "about", "value", "source", "seen_at")
    pairs_of_signals = signals.group_by("signal").aggregate([("pair_id", "count_distinct")]).to_pylist()
    seen.update({row["signal"]: row["pair_id_count_distinct"] for row in pairs_of_signals})
    seen["any"] += pc.count_distinct(signals["pair_id"]).as_py()
    return signals.sort_by([(name, "ascending") for name in order])


def _as_table(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch.cast(OPT_OUT_SIGNALS)])

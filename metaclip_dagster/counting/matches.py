"""Count the pairs of the pool that match each entry: MATCHES, EXCLUSIONS -> ENTRY_COUNTS.

Xu et al. 2023, section 3.3.
"""

from collections import Counter
from collections.abc import Iterable

import duckdb
import numpy as np
import pyarrow as pa

from metaclip_dagster.schemas import ENTRY_COUNTS, SNAPSHOT_COUNTS, writes

MOST_ENTRIES = 1 << 26
"""More than any list holds: Meta CLIP 2's has some 27 million entries in all languages."""


@writes(SNAPSHOT_COUNTS, name="counting:count_entries")
def count_entries(pool: Iterable[pa.RecordBatch], *, snapshot: str, seen: Counter[str]) -> pa.Table:
    """How many pairs of the pool match each entry, where any does (Xu et al. 2023, §3.3).

    Memory is 8 bytes an entry, whatever the pool. `seen` counts the `pairs` and their `matches` apart from the
    entries, for a check of their sums. Raises ValueError for an entry_id that no list of entries can have.
    """
    counts = np.zeros(0, np.int64)
    num_entries = 0
    for batch in pool:
        entries = batch["entry_ids"].flatten().to_numpy()
        seen["pairs"] += batch.num_rows
        seen["matches"] += len(entries)
        num_entries = max(num_entries, int(entries.max(initial=0)) + 1)
        if num_entries > MOST_ENTRIES:
            raise ValueError(f"{snapshot}: entry {num_entries - 1} cannot be; run matches again for this snapshot")
        if num_entries > len(counts):
            fewer, counts = counts, np.zeros(max(num_entries, 2 * len(counts)), np.int64)  # 0 takes no memory
            counts[: len(fewer)] = fewer
        np.add.at(counts, entries, 1)
    entry_ids = np.flatnonzero(counts[:num_entries])
    columns = [pa.repeat(pa.scalar(snapshot), len(entry_ids)), entry_ids, counts[entry_ids]]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, SNAPSHOT_COUNTS, strict=True)], SNAPSHOT_COUNTS)


@writes(ENTRY_COUNTS, name="counting:merge_counts")
def merge_counts(counts: Iterable[pa.RecordBatch], *, entries: pa.Table) -> pa.Table:
    """One row an entry, in their order: its count in the whole pool, 0 included, and snapshot by snapshot.

    Raises ValueError if an entry was counted that `entries` does not have: the matches are of another list.
    """
    with duckdb.connect(config={"threads": 1}) as query:
        query.register("counts", pa.RecordBatchReader.from_batches(SNAPSHOT_COUNTS, iter(counts)))
        query.register("entries", entries.select(["entry_id", "entry", "language"]))
        query.sql(
            "create table merged as select snapshot, entry_id, sum(entry_count)::ubigint as n from counts group by all"
        )
        strange = query.sql("select min(entry_id) from merged anti join entries using (entry_id)").fetchall()
        if strange[0][0] is not None:
            raise ValueError(
                f"entry {strange[0][0]} was counted, but there are {entries.num_rows} entries: "
                "the matches belong to another version of entries; run matches again for every snapshot"
            )
        merged = query.sql(
            """select entry_id, any_value(entry) as entry, any_value(language) as language,
                      coalesce(sum(n), 0)::ubigint as entry_count,
                      coalesce(list({'snapshot': snapshot, 'entry_count': n} order by snapshot)
                               filter (n is not null), []) as snapshot_counts
               from entries left join merged using (entry_id) group by entry_id order by entry_id"""
        ).to_arrow_table()
    return merged.cast(ENTRY_COUNTS)

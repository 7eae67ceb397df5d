"""Count the pairs of the pool that match each entry: MATCHES, EXCLUSIONS -> ENTRY_COUNTS.

Xu et al. 2023, section 3.3.
"""

from collections import Counter
from collections.abc import Iterable

import duckdb
import numpy as np
import pyarrow as pa

from metaclip_dagster.counting.published import PUBLISHED, PublishedCounts
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


@writes(ENTRY_COUNTS, name="counting:merge_counts", version=2)
def merge_counts(
    counts: Iterable[pa.RecordBatch],
    *,
    entries: pa.Table,
    published: PublishedCounts | None = None,
    seen: Counter[str] | None = None,
) -> pa.Table:
    """One row an entry, in their order: its count in the whole pool, 0 included, and snapshot by snapshot.

    Balancing draws with `balanced_to`: the entry's own count, or the published one where there are `published` counts
    and it is in them, but never 0 for an entry that the pool has. `seen` counts `published_entries`, and those of
    ENTRIES that are `absent_from_published`, with their matches.

    Raises:
        ValueError: an entry was counted that `entries` does not have, so the matches are of another list; or fewer than
            half of the entries with a match are in `published`, so that is of another list.

    """
    with duckdb.connect(config={"threads": 1}) as query:
        query.register("counts", pa.RecordBatchReader.from_batches(SNAPSHOT_COUNTS, iter(counts)))
        query.register("entries", entries.select(["entry_id", "entry", "language"]))
        query.register("published", published.table if published else PUBLISHED.empty_table())
        query.sql(
            "create table merged as select snapshot, entry_id, sum(entry_count)::ubigint as n from counts group by all"
        )
        strange = query.sql("select min(entry_id) from merged anti join entries using (entry_id)").fetchall()
        if strange[0][0] is not None:
            raise ValueError(
                f"entry {strange[0][0]} was counted, but there are {entries.num_rows} entries: "
                "the matches belong to another version of entries; run matches again for every snapshot"
            )
        query.sql(
            """create table counted as
               select entry_id, any_value(entry) as entry, any_value(language) as language,
                      coalesce(sum(n), 0)::ubigint as entry_count,
                      coalesce(list({'snapshot': snapshot, 'entry_count': n} order by snapshot)
                               filter (n is not null), []) as snapshot_counts
               from entries left join merged using (entry_id) group by entry_id"""
        )
        if published:
            _check_list(query, published, Counter() if seen is None else seen)
        merged = query.sql(
            """select entry_id, entry, language, entry_count,
                      greatest(coalesce(num_pairs, entry_count), least(entry_count, 1))::ubigint as balanced_to,
                      snapshot_counts
               from counted left join published using (language, entry) order by entry_id"""
        ).to_arrow_table()
    return merged.cast(ENTRY_COUNTS)


def _check_list(query: duckdb.DuckDBPyConnection, published: PublishedCounts, seen: Counter[str]) -> None:
    """Count which entries the published counts lack; raises ValueError if they are of another list."""
    [(matched, has_match, absent, absent_matches)] = query.sql(
        """select count_if(entry_count > 0), count_if(entry_count > 0 and num_pairs is not null),
                  count_if(num_pairs is null), coalesce(sum(entry_count) filter (num_pairs is null), 0)::bigint
           from counted left join published using (language, entry)"""
    ).fetchall()
    if 2 * has_match < matched:
        raise ValueError(
            f"{published.name}: of {matched:,} entries that the pool matches only {has_match:,} are in it, so it is of "
            "another list of entries: name counts of this list, or make entries of the list that the counts are of "
            "(own_lists), or leave counts_from empty"
        )
    seen["published_entries"] += published.table.num_rows
    seen["absent_from_published"] += absent
    seen["matches_absent_from_published"] += absent_matches

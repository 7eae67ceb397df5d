"""No pair twice, and the lowest place owns it."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip_dagster.deduplicating import exclude, find_duplicates, gather_exclusions, pair_ids, scatter_pairs
from metaclip_dagster.deduplicating import exclusions as module
from metaclip_dagster.schemas import EXCLUSIONS, PLACES
from tests.metaclip_dagster.tables import matches_of

Crawl = dict[str, dict[str, list[int]]]
"""snapshot -> shard -> pair ids, none twice in a shard."""

crawls = st.dictionaries(
    st.sampled_from(["S-01", "S-02", "S-10"]),
    st.dictionaries(
        st.sampled_from(["00000", "00001", "00002"]), st.lists(st.integers(0, 12), unique=True), min_size=1
    ),
    min_size=1,
)


def find(crawl: Crawl, num_buckets: int, group_size: int) -> tuple[list[tuple[str, str, int]], Counter[str]]:
    """Exclusions by the three stages, for every snapshot in key order."""
    places = []
    for snapshot, shards in crawl.items():
        keys = list(shards)
        for start in range(0, len(keys), group_size):
            group = {key: [matches_of({p: [0] for p in shards[key]})] for key in keys[start : start + group_size]}
            places += list(scatter_pairs(group, snapshot=snapshot, num_buckets=num_buckets))
    whole = pa.Table.from_batches(places, PLACES)
    seen: Counter[str] = Counter()
    judged = []
    for bucket in range(num_buckets):
        tally: Counter[str] = Counter()
        bucket_places = whole.filter(pc.equal(whole["bucket"], bucket))
        judged += list(find_duplicates(bucket_places.to_batches(), seen=tally))
        seen += tally
    duplicates = [
        (row["snapshot"], row["shard"], row["pair_id"])
        for snapshot in sorted(crawl)
        for row in pa.Table.from_batches(gather_exclusions(judged, snapshot=snapshot), EXCLUSIONS).to_pylist()
    ]
    return duplicates, seen


def find_naively(crawl: Crawl) -> list[tuple[str, str, int]]:
    owned: set[int] = set()
    excluded = []
    for snapshot in sorted(crawl):
        for shard in sorted(crawl[snapshot]):
            for pair in sorted(crawl[snapshot][shard]):
                if pair in owned:
                    excluded.append((snapshot, shard, pair))
                owned.add(pair)
    return excluded


@settings(max_examples=20)
@given(crawls, st.integers(1, 5), st.integers(1, 3), st.sampled_from([0, 10, 100]))
def test_the_exchange_gives_what_a_loop_in_place_order_gives(
    crawl: Crawl, num_buckets: int, group_size: int, most_in_memory: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MOST_PLACES", most_in_memory)
        exclusions, seen = find(crawl, num_buckets, group_size)
    assert exclusions == find_naively(crawl)
    pairs = [pair for shards in crawl.values() for ids in shards.values() for pair in ids]
    assert seen == Counter({"places": len(pairs), "distinct_pairs": len(set(pairs))}) - Counter()


def test_a_large_bucket_gives_the_batches_in_memory_that_a_database_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = np.random.default_rng(0).integers(0, 1 << 16, (9, 20_000), np.uint64) << np.uint64(48)
    places = []
    for number, ids in enumerate(map(np.unique, drawn)):
        names = [pa.repeat(pa.scalar(name), len(ids)) for name in (f"S-{9 - number % 2}", f"{number:05d}")]
        columns = [pa.repeat(pa.scalar(0, pa.uint32()), len(ids)), pa.array(ids), *names]
        places.append(pa.RecordBatch.from_arrays(columns, schema=PLACES))
    in_memory = list(find_duplicates(places, seen=Counter()))
    monkeypatch.setattr(module, "_MOST_PLACES", 100_000)
    assert list(find_duplicates(places, seen=Counter())) == in_memory
    assert len(in_memory) > 1


def test_exclude_removes_what_is_excluded_and_nothing_else() -> None:
    excluded = pa.RecordBatch.from_pydict(
        {"snapshot": ["S"] * 2, "shard": ["0"] * 2, "pair_id": [2, 99], "reason": ["duplicate"] * 2}, schema=EXCLUSIONS
    )
    [left] = exclude([matches_of({1: [0], 2: [0], 3: [1]})], pair_ids([excluded]))
    assert left["pair_id"].to_pylist() == [1, 3]
    [all_left] = exclude([matches_of({1: [0]})], pair_ids([]))
    assert all_left.num_rows == 1

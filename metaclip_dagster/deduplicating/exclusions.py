"""Find copies of pairs across all snapshots, and leave out all but the first: MATCHES -> EXCLUSIONS.

Of equal pairs the one at the lowest place, (snapshot, shard, row), stays, whatever order snapshots were added in.
Places that are taken down go first: what is left is what would be there had they never been crawled. Repeats inside a
shard are gone since it was parsed. Across shards the pairs are exchanged through storage in buckets by pair_id: scatter
every group of shards into buckets, look for repeats a bucket at a time, gather what was found by snapshot.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.deduplicating.takedowns import TAKEN_DOWN, TakedownIndex, flag_taken_down
from metaclip_dagster.schemas import EXCLUSIONS, PLACES, named, writes
from metaclip_dagster.spilling import ROWS, spilling
from metaclip_dagster.urls import URL_NORMALISATION

DUPLICATE = "duplicate"
_MEMORY = "256MB"
"""What DuckDB may take before it writes to the disk."""
_MOST_PLACES = 1 << 21
"""Of a bucket that is judged in memory, some 85 bytes each."""
_NAMES = pa.dictionary(pa.int32(), pa.string())
_ENCODED = pa.schema([PLACES.field("bucket"), PLACES.field("pair_id"), ("snapshot", _NAMES), ("shard", _NAMES)])


@writes(EXCLUSIONS, name="deduplicating:find_takedowns", version=URL_NORMALISATION)
def find_takedowns(
    pairs: Iterable[pa.RecordBatch],
    matches: Iterable[pa.RecordBatch],
    *,
    takedowns: TakedownIndex,
    snapshot: str,
    shard: str,
) -> Iterator[pa.RecordBatch]:
    """The shard's matches that a list of takedowns names. Holds 8 bytes a match of the shard."""
    matched = pa.array(pair_ids(matches))
    for batch in pairs:
        ids = batch["pair_id"].filter(pc.and_(flag_taken_down(batch, takedowns), pc.is_in(batch["pair_id"], matched)))
        place = [pa.repeat(pa.scalar(name), len(ids)) for name in (snapshot, shard)]
        yield pa.RecordBatch.from_arrays([*place, ids, pa.repeat(pa.scalar(TAKEN_DOWN), len(ids))], schema=EXCLUSIONS)


@writes(PLACES, name="deduplicating:scatter_pairs")
def scatter_pairs(
    matches: Mapping[str, Iterable[pa.RecordBatch]], *, snapshot: str, num_buckets: int
) -> Iterator[pa.RecordBatch]:
    """The places of a group of shards, bucket by bucket. Holds 24 bytes a pair of the group."""
    ids, shards = [np.zeros(0, np.uint64)], [np.zeros(0, np.int32)]
    for index, batches in enumerate(matches.values()):
        ids.append(pair_ids(batches))
        shards.append(np.full(len(ids[-1]), index, np.int32))
    pair_id, shard, names = np.concatenate(ids), np.concatenate(shards), pa.array(list(matches), pa.string())
    bucket = (pair_id % np.uint64(num_buckets)).astype(np.uint32)
    order = np.argsort(bucket, kind="stable")
    for of_bucket in np.split(order, np.flatnonzero(np.diff(bucket[order])) + 1):
        columns = [
            pa.array(bucket[of_bucket]),
            pa.array(pair_id[of_bucket]),
            pa.repeat(pa.scalar(snapshot), len(of_bucket)),
            names.take(pa.array(shard[of_bucket])),
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=PLACES)


@writes(EXCLUSIONS, name="deduplicating:find_duplicates")
def find_duplicates(places: Iterable[pa.RecordBatch], *, seen: Counter[str]) -> Iterator[pa.RecordBatch]:
    """Every place of a bucket that is not its pair's lowest; `places` must hold the bucket whole.

    A bucket of up to two million places is judged in memory, a larger one by a database that writes to the disk.

    `seen` counts the bucket's `places` and its `distinct_pairs`.
    """
    arriving, bucket, num_places = iter(places), list[pa.RecordBatch](), 0
    for batch in arriving:
        bucket.append(_encode_names(batch))
        num_places += len(batch)
        if num_places > _MOST_PLACES:
            before = (_decode_names(bucket.pop(0)) for _ in range(len(bucket)))
            yield from _find_with_database(chain(before, arriving), seen)
            return
    yield from _find_in_memory(bucket, seen)


@writes(EXCLUSIONS, name="deduplicating:gather_exclusions")
def gather_exclusions(exclusions: Iterable[pa.RecordBatch], *, snapshot: str) -> Iterator[pa.RecordBatch]:
    """A snapshot's own exclusions out of all buckets, sorted by shard, so that a shard finds its own side by side."""
    with spilling(_MEMORY) as query:
        query.register("exclusions", pa.RecordBatchReader.from_batches(EXCLUSIONS, iter(exclusions)))
        yield from _cast_batches(
            query.sql(
                "select * from exclusions where snapshot = ? order by shard, pair_id, reason", params=[snapshot]
            ).to_arrow_reader(ROWS)
        )


@named("deduplicating:pair_ids")
def pair_ids(exclusions: Iterable[pa.RecordBatch]) -> npt.NDArray[np.uint64]:
    """The ids of the pairs in EXCLUSIONS, or in any table with pair_id: one array, in the order of the rows."""
    return np.concatenate([np.zeros(0, np.uint64), *(batch["pair_id"].to_numpy() for batch in exclusions)])


@named("deduplicating:exclude")
def exclude(matches: Iterable[pa.RecordBatch], excluded: npt.NDArray[np.uint64]) -> Iterator[pa.RecordBatch]:
    """The shard's share of the pool: its matches without the excluded pairs."""
    excluded_ids = pa.array(excluded, pa.uint64())
    for batch in matches:
        yield batch.filter(pc.invert(pc.is_in(batch["pair_id"], excluded_ids)))


def _cast_batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    for batch in reader:
        yield pa.RecordBatch.from_arrays(batch.columns, schema=EXCLUSIONS)


def _find_with_database(places: Iterable[pa.RecordBatch], seen: Counter[str]) -> Iterator[pa.RecordBatch]:
    with spilling(_MEMORY) as query:
        query.register("arriving", pa.RecordBatchReader.from_batches(PLACES, iter(places)))
        query.sql("create table places as select pair_id, snapshot, shard from arriving")
        counted = query.sql("select count(*), count(distinct pair_id) from places").fetchall()
        seen["places"], seen["distinct_pairs"] = counted[0]
        yield from _cast_batches(
            query.sql(
                """select snapshot, shard, pair_id, ? as reason from places
                   qualify row_number() over (partition by pair_id order by snapshot, shard) > 1
                   order by snapshot, shard, pair_id""",
                params=[DUPLICATE],
            ).to_arrow_reader(ROWS)
        )


def _find_in_memory(bucket: list[pa.RecordBatch], seen: Counter[str]) -> Iterator[pa.RecordBatch]:
    """Find them by sorting ids, then the places of those ids that come again."""
    table = pa.Table.from_batches(bucket, _ENCODED).unify_dictionaries().combine_chunks()
    ids, shards = table["pair_id"].to_numpy(), table["shard"].combine_chunks()
    place = _rank_names(table["snapshot"].combine_chunks()) * len(shards.dictionary) + _rank_names(shards)
    order = np.argsort(ids)
    is_next = np.diff(ids[order]) == 0
    is_repeated = np.zeros(len(ids), np.bool)
    is_repeated[1:] |= is_next
    is_repeated[:-1] |= is_next
    rows = order[is_repeated]
    rows = rows[np.lexsort((place[rows], ids[rows]))]
    rows = rows[1:][np.diff(ids[rows]) == 0]
    seen["places"], seen["distinct_pairs"] = len(ids), len(ids) - len(rows)
    rows = rows[np.lexsort((ids[rows], place[rows]))]
    for start in range(0, len(rows), ROWS):
        [batch] = table.take(rows[start : start + ROWS]).combine_chunks().to_batches()
        decoded = _decode_names(batch)
        reason = pa.repeat(pa.scalar(DUPLICATE), len(batch))
        yield pa.RecordBatch.from_arrays(
            [*map(decoded.column, ("snapshot", "shard", "pair_id")), reason], schema=EXCLUSIONS
        )


def _encode_names(places: pa.RecordBatch) -> pa.RecordBatch:
    """With snapshots and shards as numbers: a few names, each on many rows."""
    names = [places[name].dictionary_encode() for name in ("snapshot", "shard")]
    return pa.RecordBatch.from_arrays([places["bucket"], places["pair_id"], *names], schema=_ENCODED)


def _decode_names(places: pa.RecordBatch) -> pa.RecordBatch:
    names = [places[name].dictionary_decode() for name in ("snapshot", "shard")]
    return pa.RecordBatch.from_arrays([places["bucket"], places["pair_id"], *names], schema=PLACES)


def _rank_names(column: pa.DictionaryArray) -> npt.NDArray[np.int64]:
    """The place of each row's name among all names in order."""
    names = column.dictionary.to_pylist()
    ranks = np.empty(len(names), np.int64)
    ranks[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    of_rows: npt.NDArray[np.int64] = ranks[column.indices.to_numpy()]
    return of_rows

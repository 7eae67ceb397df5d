"""Decide which images a training set leaves out: bad scores, copies of test images, near duplicates."""

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.filtering.bands import count_differing_bits, find_distinct, find_nearest
from metaclip_dagster.filtering.hashes import Looks, Rows
from metaclip_dagster.filters import name_reason, read_limits, read_scores
from metaclip_dagster.schemas import IMAGE_SCORES, IMAGE_VERDICTS, NEAR_IMAGES, SAMPLE_HASHES, writes
from metaclip_dagster.urls import bucket_images


@writes(IMAGE_VERDICTS, name="filtering:judge_images", version=2, rows_together=4096)
def judge_images(
    rings: Mapping[str, Iterable[pa.RecordBatch]],
    samples: Iterable[pa.RecordBatch],
    near: Iterable[pa.RecordBatch],
    *,
    filters: Mapping[str, Mapping[str, float]],
    near_duplicate_distance: int | None,
    leakage_distance: int | None,
    remove_leakage: bool,
    num_buckets: int,
    seen: Counter[str],
) -> pa.Table:
    """Every image of a bucket that a training set leaves out, and every one that is near a task's image.

    `rings` are IMAGE_SCORES of the bucket in the set's rings, the smallest t first; `samples` SAMPLE_HASHES of all
    tasks; `near` NEAR_IMAGES of the bucket. An image goes for the first of these that holds:

    - a score lies outside its filter's limits, `at_least` and `at_most`: `filtered_<name>`;
    - it is near a task's image, and `remove_leakage`: `benchmark`;
    - it is near an earlier image that neither removed: `near_duplicate`. Earlier is of a smaller ring, and in a ring
      of a lower id. So a verdict never depends on larger rings, and filtered sets stay nested in t.

    Memory holds the rows of all. Raises ValueError for limits that are no limits, or an image without a score.
    """
    scored = gather_rings(rings)
    verdicts = VerdictList(scored["image_id"].combine_chunks(), num_buckets, seen)
    tests = pa.Table.from_batches(samples, SAMPLE_HASHES)
    apply_rules(scored, tests, verdicts, filters, leakage_distance, remove_leakage=remove_leakage)
    if near_duplicate_distance is not None:
        _add_near_duplicates(scored, pa.Table.from_batches(near, NEAR_IMAGES), verdicts)
    return verdicts.table()


def apply_rules(
    scored: pa.Table,
    tests: pa.Table,
    verdicts: "VerdictList",
    filters: Mapping[str, Mapping[str, float]],
    leakage_distance: int | None,
    *,
    remove_leakage: bool,
) -> None:
    """Note the images that filters leave out, and those that are near a task's."""
    for name, limits in filters.items():
        values, (low, high) = read_scores(scored["scores"].combine_chunks(), name), read_limits(name, limits)
        verdicts.add(name_reason(name), ~((values >= low) & (values <= high)), values)
    if leakage_distance is not None:
        looks, test_looks = stack_looks(scored), stack_looks(tests)
        names = pc.binary_join_element_wise(tests["task"], tests["sample"].cast(pa.string()), "/").combine_chunks()
        nearest = find_nearest(looks, test_looks, leakage_distance)
        bits = count_differing_bits(looks, test_looks, nearest)
        verdicts.add("benchmark", nearest >= 0, bits, _name_nearest(names, nearest), removes=remove_leakage)


def stack_looks(rows: pa.Table) -> Looks:
    """The hash and the colours of every row."""
    return np.stack([rows[name].to_numpy() for name in _LOOK], axis=1)


def gather_rings(rings: Mapping[str, Iterable[pa.RecordBatch]]) -> pa.Table:
    """All images, the smallest ring first, in a ring by id; one that moved between rings counts in the first.

    The column `ring` has the number of its ring, from 0.
    """
    columns = ["image_id", *_LOOK, "scores"]
    schema = pa.schema([IMAGE_SCORES.field(name) for name in columns])
    streams = ((batch.select(columns) for batch in batches) for batches in rings.values())
    tables = [pa.Table.from_batches(stream, schema).sort_by("image_id") for stream in streams]
    numbers = pa.array(np.repeat(np.arange(len(tables), dtype=np.uint8), [table.num_rows for table in tables]))
    scored = pa.concat_tables(tables).append_column("ring", numbers).combine_chunks()
    _, first = np.unique(scored["image_id"].to_numpy(zero_copy_only=False), return_index=True)
    return scored.take(np.sort(first))


_LOOK = ("phash", "colours")


class VerdictList:
    """IMAGE_VERDICTS while they are collected: an image is left out for one reason, the first that holds."""

    def __init__(self, ids: pa.Array, num_buckets: int, seen: Counter[str]) -> None:
        self._ids, self._num_buckets, self._seen = ids, num_buckets, seen
        self._parts = [IMAGE_VERDICTS.empty_table()]
        self.is_out = np.zeros(len(ids), np.bool_)
        seen["images"] += len(ids)

    def add(
        self,
        reason: str,
        holds: npt.NDArray[np.bool_],
        measured: npt.NDArray[np.float64],
        near: pa.Array | None = None,
        *,
        removes: bool = True,
    ) -> None:
        """Note the images of which the reason holds, and that were not left out before."""
        [rows] = np.nonzero(holds & ~self.is_out)
        ids = self._ids.take(pa.array(rows))
        columns = {
            "bucket": bucket_images(ids.to_pylist(), self._num_buckets),
            "image_id": ids,
            "reason": pa.repeat(reason, len(ids)),
            "measured": measured[rows],
            "near": pa.nulls(len(ids), pa.string()) if near is None else near.take(pa.array(rows)),
            "left_out": pa.repeat(removes, len(ids)),
        }
        self._parts.append(pa.table(columns, IMAGE_VERDICTS))
        self._seen[reason] += len(ids)
        if removes:
            self.is_out |= holds

    def table(self) -> pa.Table:
        """IMAGE_VERDICTS, by bucket and image."""
        return pa.concat_tables(self._parts).sort_by([("bucket", "ascending"), ("image_id", "ascending")])


def _name_nearest(names: pa.Array, nearest: Rows) -> pa.Array:
    """The name of what is nearest to each image, null where nothing is near (-1)."""
    return names.take(pa.array(nearest, mask=nearest < 0))


def _add_near_duplicates(scored: pa.Table, near: pa.Table, verdicts: VerdictList) -> None:
    """Note the images near an earlier one: of each look in the bucket, `near` has what its first image is near."""
    [rows] = np.nonzero(~verdicts.is_out)
    first, look_of_row = find_distinct(stack_looks(scored)[rows])
    ids = scored["image_id"].combine_chunks()
    near = near.sort_by([(name, "ascending") for name in ("image_id", "ring", "near")]).combine_chunks()
    place = pc.index_in(ids.take(pa.array(rows[first])), near["image_id"].combine_chunks())
    place_of_row = pc.fill_null(place, -1).to_numpy()[look_of_row]
    copied = np.where(first[look_of_row] < np.arange(len(rows)), rows[first][look_of_row], -1)
    nearest = np.full(len(ids), -1)  # among all images of the bucket, and behind them those that are near one
    nearest[rows] = np.where(place_of_row >= 0, len(ids) + place_of_row, copied)
    names = pa.concat_arrays([ids, near["near"].combine_chunks()])
    bits = np.concatenate([np.zeros(len(ids)), near["bits"].to_numpy()])
    measured = np.where(nearest >= 0, bits[nearest], 0) if len(ids) else bits
    verdicts.add("near_duplicate", nearest >= 0, measured, _name_nearest(names, nearest))

"""Find the images that look like an earlier one, however many there are: in buckets by bands of their hashes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa

from metaclip_dagster.filtering.bands import count_differing_bits, find_distinct, find_nearest_earlier, hash_band
from metaclip_dagster.filtering.verdicts import VerdictList, apply_rules, gather_rings, stack_looks
from metaclip_dagster.schemas import IMAGE_LOOKS, NEAR_IMAGES, SAMPLE_HASHES, writes
from metaclip_dagster.urls import bucket_images


@writes(IMAGE_LOOKS, name="filtering:scatter_looks", rows_together=4096)
def scatter_looks(
    scores: Mapping[str, Mapping[str, Iterable[pa.RecordBatch]]],
    samples: Iterable[pa.RecordBatch],
    *,
    filters: Mapping[str, Mapping[str, float]],
    near_duplicate_distance: int,
    leakage_distance: int | None,
    remove_leakage: bool,
    num_bands: int,
    num_parts: int,
) -> Iterator[pa.RecordBatch]:
    """The looks of images that no other rule leaves out, once a band of the hash, by what the band has.

    `scores` are IMAGE_SCORES of some of the image store's buckets, of each those of the set's rings, the smallest t
    first. Of images of a bucket that look the same only the first is there. Each band has `num_parts` buckets, and
    only the first `near_duplicate_distance` + 1 bands are needed: of two near hashes, one is the first that both share.
    Memory holds the rows of all.
    """
    tests = pa.Table.from_batches(samples, SAMPLE_HASHES)
    parts = []
    for rings in scores.values():
        scored = gather_rings(rings)
        verdicts = VerdictList(scored["image_id"].combine_chunks(), 1, Counter())
        distance = leakage_distance if remove_leakage else None
        apply_rules(scored, tests, verdicts, filters, distance, remove_leakage=remove_leakage)
        [rows] = np.nonzero(~verdicts.is_out)
        first, _ = find_distinct(stack_looks(scored)[rows])
        parts.append(scored.take(rows[first]).select(["ring", "image_id", "phash", "colours"]))
    together = pa.concat_tables(parts).combine_chunks()
    looks = stack_looks(together)
    for band in range(near_duplicate_distance + 1):
        part = (hash_band(looks, band, num_bands) * np.uint64(num_parts)) >> np.uint64(32)
        order = np.argsort(part, kind="stable")
        bucket = pa.array(band * num_parts + part[order].astype(np.uint32))
        yield from together.take(order).add_column(0, "bucket", bucket).cast(IMAGE_LOOKS).to_batches()


@writes(NEAR_IMAGES, name="filtering:find_near_images", rows_together=4096)
def find_near_images(
    looks: Iterable[pa.RecordBatch], *, band: int, near_duplicate_distance: int, num_bands: int, num_buckets: int
) -> pa.Table:
    """Of one bucket of IMAGE_LOOKS, each image that is near an earlier one, with the first of those; by buckets.

    Earlier is of a smaller ring, and in a ring of a lower id. Memory holds the bucket, at some 200 bytes a row.
    """
    rows = pa.Table.from_batches(looks, IMAGE_LOOKS).sort_by([("ring", "ascending"), ("image_id", "ascending")])
    stacked = stack_looks(rows)
    nearest = find_nearest_earlier(stacked, near_duplicate_distance, num_bands=num_bands, band=band)
    [copies] = np.nonzero(nearest >= 0)
    ids, earlier = rows["image_id"].take(copies), rows.take(nearest[copies])
    columns = {
        "bucket": bucket_images(ids.to_pylist(), num_buckets),
        "image_id": ids,
        "ring": earlier["ring"],
        "near": earlier["image_id"],
        "bits": count_differing_bits(stacked, stacked, nearest)[copies],
    }
    return pa.table(columns, NEAR_IMAGES).sort_by([("bucket", "ascending"), ("image_id", "ascending")])

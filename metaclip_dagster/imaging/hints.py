"""Gather what is known of images before they are fetched: digests that pools list, and when pages were crawled."""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.schemas import FETCH_HINTS, writes
from metaclip_dagster.urls import URL_NORMALISATION, bucket_images, image_id_of, normalise_url

PoolRow = tuple[object, Sequence[object], object, int, str | None, *tuple[Any, ...]]
"""A row of a pool, as `parse_rows` takes it."""

SAME, CHANGED, LOST = "same", "changed", "gone"
GONE = frozenset({"http_404", "http_410", "dns"})
"""Reasons of images that are not there any more, as far as anyone can tell from one asking."""


class Hint(NamedTuple):
    """What is known of one image."""

    digests: frozenset[str] = frozenset()
    crawled_at: datetime | None = None


NO_HINT = Hint()


@writes(FETCH_HINTS, name="imaging:scatter_digests", version=URL_NORMALISATION, rows_together=4096)
def scatter_digests(
    rows: Iterable[PoolRow | str],
    *,
    num_buckets: int,
    dropped: Counter[str],
) -> Iterator[pa.RecordBatch]:
    """The digest of each row of a pool's file, by the bucket of its image: rows as in `parse_rows`, digests as texts.

    Rows that bring their image along have none: it need not be fetched. `dropped` counts rows that could not be read,
    `no_url`, and `no_digest` where the text is neither SHA-256 nor MD5. Memory is bounded.
    """
    digests = _list_digests(rows, dropped)
    while chunk := list(islice(digests, _ROWS_SORTED)):
        image_ids, values = zip(*chunk, strict=True)
        yield from _scatter({"image_id": image_ids, "digest": values}, num_buckets)


@writes(FETCH_HINTS, name="imaging:scatter_crawl_times", rows_together=4096)
def scatter_crawl_times(
    shards: Mapping[str, Mapping[str, Iterable[pa.RecordBatch]]], *, num_buckets: int
) -> Iterator[pa.RecordBatch]:
    """When a page with each image of a group of SUBSETS shards was first crawled, by the image's bucket.

    Each shard has the `subset` and the `pairs` that it was selected from. Images of unknown time are left out.
    """
    times = [FETCH_HINTS.empty_table().select(["image_id", "crawled_at"])]
    for shard in shards.values():
        ids = pa.chunked_array([batch["pair_id"] for batch in shard["subset"]], pa.uint64())
        for batch in shard["pairs"]:
            chosen = batch.filter(pc.and_(pc.is_in(batch["pair_id"], ids), pc.is_valid(batch["crawled_at"])))
            image_ids = pa.array([image.hex() for image in chosen["image_id"].to_pylist()], pa.string())
            times.append(pa.table({"image_id": image_ids, "crawled_at": chosen["crawled_at"]}))
    first = pa.concat_tables(times).group_by("image_id").aggregate([("crawled_at", "min")])
    columns = {"image_id": first["image_id"].to_pylist(), "crawled_at": first["crawled_at_min"].to_pylist()}
    yield from _scatter(columns, num_buckets)


def read_hints(hints: Iterable[pa.RecordBatch], image_ids: Collection[str]) -> dict[str, Hint]:
    """What FETCH_HINTS know of these images; of several times the first."""
    wanted_ids, known = pa.array(list(image_ids), pa.string()), dict[str, Hint]()
    for batch in hints:
        for row in batch.filter(pc.is_in(batch["image_id"], wanted_ids)).to_pylist():
            before = known.get(row["image_id"], NO_HINT)
            times = [time for time in (before.crawled_at, row["crawled_at"]) if time]
            digests = before.digests | ({row["digest"]} if row["digest"] else frozenset())
            known[row["image_id"]] = Hint(digests, min(times, default=None))
    return known


def hash_as_listed(data: bytes, hint: Hint) -> str | None:
    """The MD5 of the bytes, if one is listed; null else, as SHA-256 is known of all."""
    if any(len(digest) == _MD5_DIGITS for digest in hint.digests):
        return hashlib.md5(data, usedforsecurity=False).hexdigest()
    return None


def compare_digests(row: Mapping[str, Any], hint: Hint) -> str | None:
    """Whether an image came as its pool lists it: `same`, `changed`, `gone`; None where nothing can be compared.

    `row` has fetched_sha256 and fetched_md5 where they are known, and the reason of a failure. Of several digests, for
    pools may have seen the image at different times, one need agree.
    """
    if not hint.digests:
        return None
    came = {digest for name in ("fetched_sha256", "fetched_md5") if (digest := row.get(name))}
    if came & hint.digests:
        return SAME
    if {len(digest) for digest in came} & {len(digest) for digest in hint.digests}:
        return CHANGED
    return LOST if row.get("reason") in GONE else None


_DIGEST = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")
_MD5_DIGITS = 32
_ROWS_SORTED = 1 << 18


def _list_digests(
    rows: Iterable[PoolRow | str],
    dropped: Counter[str],
) -> Iterator[tuple[str, str]]:
    for row in rows:
        if isinstance(row, str):
            dropped[row] += 1
            continue
        src, texts, _, _, address, *_ = row
        if address:
            continue
        url = normalise_url(src.replace("\0", ""), "")[0] if isinstance(src, str) else None
        digest = str(texts[0]).strip().lower() if texts else ""
        if url is None:
            dropped["no_url"] += 1
        elif not _DIGEST.fullmatch(digest):
            dropped["no_digest"] += 1
        else:
            yield image_id_of(url).hex(), digest


def _scatter(columns: Mapping[str, Sequence[Any]], num_buckets: int) -> Iterator[pa.RecordBatch]:
    buckets = bucket_images(columns["image_id"], num_buckets)
    num_rows = len(columns["image_id"])
    filled = [columns.get(name, [None] * num_rows) for name in FETCH_HINTS.names[1:]]
    table = pa.Table.from_arrays([pa.array(buckets), *map(pa.array, filled)], FETCH_HINTS.names).cast(FETCH_HINTS)
    yield from table.sort_by([("bucket", "ascending"), ("image_id", "ascending")]).to_batches()

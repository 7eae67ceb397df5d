"""Fetch the images that the store lacks, and keep those that training can read: IMAGE_TEXTS -> IMAGES."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.imaging.checking import check_image
from metaclip_dagster.imaging.fetches import STORED
from metaclip_dagster.imaging.fetching import FetchImages, Fetching, Place, remember_checks
from metaclip_dagster.imaging.forms import Form
from metaclip_dagster.imaging.hints import CHANGED, NO_HINT, Hint, compare_digests, read_hints
from metaclip_dagster.imaging.rewriting import judge_forms, rewrite_images
from metaclip_dagster.schemas import IMAGES, writes


class Bucket(Protocol):
    """What the store holds of one bucket, while nobody else writes there."""

    def index(self) -> pa.Table: ...  # noqa: D102
    def append(self, images: Iterable[tuple[dict[str, Any], bytes | None]]) -> None: ...  # noqa: D102


class Store(Protocol):
    """Images by bucket. With `retry_failed`, a failure that it holds is one more image to fetch.

    With `fetch_again`, so is an image that it holds with too few pixels, or too low a quality, for the form asked for.
    """

    @property
    def segment_images(self) -> int: ...  # noqa: D102
    @property
    def retry_failed(self) -> bool: ...  # noqa: D102
    @property
    def fetch_again(self) -> bool: ...  # noqa: D102
    def read(self, tar: str, offset: int, size: int) -> bytes: ...  # noqa: D102
    def bucket(self, number: int, schema: pa.Schema) -> AbstractContextManager[Bucket]: ...  # noqa: D102


@writes(IMAGES, name="imaging:gather_images", version=4)
def gather_images(
    texts: Iterable[pa.RecordBatch],
    *,
    store: Store,
    fetch: FetchImages,
    bucket: int,
    thresholds_below: Mapping[str, float],
    dropped: Counter[str],
    seen: Counter[str],
    form: str = "",
    hints: Iterable[pa.RecordBatch] = (),
    second_source: str = "",
    fetch_only_same: bool = False,
    max_bytes: int = 20 << 20,
    max_pixels: int = 25_000_000,
) -> Iterator[pa.RecordBatch]:
    """Every image of one bucket's ring, sorted by id: where it lies in the store, or the reason why it does not.

    `texts` are the bucket's IMAGE_TEXTS at t. An image is in t's ring unless one of them has `admitted_at` below
    `thresholds_below`, its language's t on the rung below ({} on the lowest). Only what the store lacks is fetched.
    `form` is what the store is to keep, as Form.parse reads it: images that it holds in another are written again from
    what is stored, in segments of their own; where that has too little, they stay until they are fetched again.
    Where `hints`, FETCH_HINTS, list digests, `fetch_only_same` drops what came with another, as `changed`: new bytes
    are not stored, and of those that the store has the row says so. What is gone is asked for at `second_source`, a
    pattern as in `fill_pattern`; the store's index says of each image which source it came from.
    Memory holds the bucket's rows and one image. `seen` counts the ring's `images`, those `fetched` now, those `held`
    before, those `rewritten` now and `in_another_form` still, and of those fetched the `credentials_unread`: they have
    a C2PA manifest that cannot be read; of what the second source was asked, how it answered. `dropped` counts the
    failures of both. Raises ValueError if a URL stays unanswered.
    """
    ring = _list_ring(texts, thresholds_below)
    ids = pa.array(list(ring), pa.string())
    check_image_once = partial(check_image, form=Form.parse(form), max_bytes=max_bytes, max_pixels=max_pixels)
    known = read_hints(hints, ring.keys())
    fetching = Fetching(fetch, remember_checks(check_image_once), form, second_source, fetch_only_same, known)
    fetched: set[str] = set()
    rewritten: set[str] = set()
    while True:
        with store.bucket(bucket, STORED) as stored:
            rows = stored.index()
            rows = rows.filter(pc.is_in(rows["image_id"], ids))
            rewritable, too_small = judge_forms(rows, form)
            if to_rewrite := [row for row in rewritable if row["image_id"] not in rewritten][: store.segment_images]:
                rewritten.update(row["image_id"] for row in to_rewrite)
                stored.append(rewrite_images(to_rewrite, store.read, check_image_once, form, seen))
                continue
            settled = rows.filter(pc.is_valid(rows["tar"])) if store.retry_failed else rows
            not_asked_for = set(settled["image_id"].to_pylist()) - (too_small if store.fetch_again else set())
            missing = sorted(ring.keys() - not_asked_for - fetched)
            if not missing:
                break
            segment = missing[: store.segment_images]
            stored.append(fetching.fetch_images({image_id: ring[image_id] for image_id in segment}, seen))
        fetched.update(segment)
    seen.update(images=len(ring), fetched=len(fetched), held=len(ring) - len(fetched))
    if num_other := len(rewritable) + len(too_small):
        seen["in_another_form"] = num_other
    if fetch_only_same:
        rows = _leave_out_changed(rows, known)
    dropped.update(rows["reason"].drop_null().to_pylist())
    yield from rows.select(IMAGES.names).sort_by("image_id").to_batches(max_chunksize=8192)


def _list_ring(texts: Iterable[pa.RecordBatch], thresholds_below: Mapping[str, float]) -> dict[str, Place]:
    """The URL of each image that the next smaller t does not have, and the address to fetch it by."""
    images: dict[str, Place] = {}
    below: set[str] = set()
    for batch in texts:
        columns = (batch[name].to_pylist() for name in ("image_id", "url", "pool_address"))
        for image_id, url, address in zip(*columns, strict=True):
            if address or image_id not in images:  # a pool's file has it nearer than the web
                images[image_id] = Place(url, address or url)
        languages = batch["language"].dictionary_encode()
        thresholds = [thresholds_below.get(language, 0.0) for language in languages.dictionary.to_pylist()]
        t = np.array(thresholds, np.float64)[languages.indices.to_numpy()]
        is_below = pa.array(batch["admitted_at"].to_numpy() < t)
        below.update(batch["image_id"].filter(is_below).to_pylist())
    return {image_id: image for image_id, image in images.items() if image_id not in below}


def _leave_out_changed(rows: pa.Table, hints: Mapping[str, Hint]) -> pa.Table:
    """The rows without those images that are stored with other bytes than their pool lists."""
    columns = rows.select(["image_id", "fetched_sha256", "fetched_md5"]).to_pylist()
    verdicts = (compare_digests(row, hints.get(row["image_id"], NO_HINT)) for row in columns)
    picked = pc.and_(pa.array([verdict == CHANGED for verdict in verdicts], pa.bool_()), pc.is_valid(rows["tar"]))
    for name in _OF_STORED:
        at, kind = rows.schema.get_field_index(name), rows.schema.field(name)
        instead = pa.scalar(CHANGED if name == "reason" else None, kind.type)
        rows = rows.set_column(at, kind, pc.if_else(picked, instead, rows[name]))
    return rows


_OF_STORED = tuple(
    name for name in IMAGES.names if name not in {"image_id", "url", "fetched_sha256", "fetched_size", "opt_outs"}
)

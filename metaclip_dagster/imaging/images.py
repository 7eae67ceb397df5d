"""Fetch the images of a ring that the store lacks, keep those that training can read, say why there are no others."""

import hashlib
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.imaging.checking import BadImageError, CheckedImage, check_image
from metaclip_dagster.schemas import IMAGES, writes

Fetch = Callable[[Sequence[str]], Iterator[tuple[str, bytes | str]]]
"""Answers each of the URLs once, in any order: its bytes, or in a word why there are none."""


class Bucket(Protocol):
    """What the store holds of one bucket, while nobody else writes there."""

    def index(self) -> pa.Table: ...  # noqa: D102
    def append(self, images: Iterable[tuple[dict[str, Any], bytes | None]]) -> None: ...  # noqa: D102


class Store(Protocol):
    """Images by bucket. With `retry_failed`, a failure that it holds is one more image to fetch."""

    @property
    def segment_images(self) -> int: ...  # noqa: D102
    @property
    def retry_failed(self) -> bool: ...  # noqa: D102
    def bucket(self, number: int, schema: pa.Schema) -> AbstractContextManager[Bucket]: ...  # noqa: D102


@writes(IMAGES, name="imaging:gather_images", version=2)
def gather_images(
    texts: Iterable[pa.RecordBatch],
    *,
    store: Store,
    fetch: Fetch,
    bucket: int,
    thresholds_below: Mapping[str, float],
    dropped: Counter[str],
    seen: Counter[str],
    max_bytes: int = 20 << 20,
    max_pixels: int = 25_000_000,
) -> Iterator[pa.RecordBatch]:
    """Every image of one bucket's ring, sorted by id: where it lies in the store, or the reason why it does not.

    `texts` are the bucket's IMAGE_TEXTS at t. An image is in t's ring unless one of them has `admitted_at` below
    `thresholds_below`, its language's t on the rung below ({} on the lowest). Only what the store lacks is fetched.
    Memory holds the bucket's rows and one image. `seen` counts the ring's `images`, those `fetched` now and those
    `held` before; `dropped` counts the failures of both.
    """
    wanted = _ring(texts, thresholds_below)
    ids = pa.array(list(wanted), pa.string())
    check = _remember(partial(check_image, max_bytes=max_bytes, max_pixels=max_pixels))
    fetched: set[str] = set()
    while True:
        with store.bucket(bucket, IMAGES) as held:
            rows = held.index()
            rows = rows.filter(pc.is_in(rows["image_id"], ids))
            settled = rows.filter(pc.is_valid(rows["tar"])) if store.retry_failed else rows
            missing = sorted(wanted.keys() - set(settled["image_id"].to_pylist()) - fetched)
            if not missing:
                break
            segment = missing[: store.segment_images]
            held.append(_fetch_images({image_id: wanted[image_id] for image_id in segment}, fetch, check))
        fetched.update(segment)
    seen.update(images=len(wanted), fetched=len(fetched), held=len(wanted) - len(fetched))
    dropped.update(rows["reason"].drop_null().to_pylist())
    yield from rows.sort_by("image_id").to_batches(max_chunksize=8192)


_REMEMBERED_IMAGES, _REMEMBERED_BYTES = 4096, 64 << 20


def _ring(texts: Iterable[pa.RecordBatch], thresholds_below: Mapping[str, float]) -> dict[str, tuple[str, str]]:
    """The URL of each image that the next smaller t does not have, and the address to fetch it by."""
    images: dict[str, tuple[str, str]] = {}
    below: set[str] = set()
    for batch in texts:
        columns = (batch[name].to_pylist() for name in ("image_id", "url", "pool_address"))
        for image_id, url, address in zip(*columns, strict=True):
            if address or image_id not in images:  # a pool's file has it nearer than the web
                images[image_id] = (url, address or url)
        languages = batch["language"].dictionary_encode()
        known = [thresholds_below.get(language, 0.0) for language in languages.dictionary.to_pylist()]
        t = np.array(known, np.float64)[languages.indices.to_numpy()]
        is_below = pa.array(batch["admitted_at"].to_numpy() < t)
        below.update(batch["image_id"].filter(is_below).to_pylist())
    return {image_id: image for image_id, image in images.items() if image_id not in below}


def _remember(check: Callable[[bytes], CheckedImage]) -> Callable[[bytes], tuple[str, CheckedImage | str]]:
    """SHA-256, and the image or the reason, for payloads that many URLs share found out once; memory is bounded.

    Of an image that stays as it is only the numbers are kept.
    """
    known: OrderedDict[str, CheckedImage | str] = OrderedDict()
    held = 0

    def look(data: bytes) -> tuple[str, CheckedImage | str]:
        nonlocal held
        digest = hashlib.sha256(data).hexdigest()
        if digest in known:
            known.move_to_end(digest)
        else:
            try:
                made = check(data)
                known[digest] = replace(made, data=b"") if made.data is data else made
            except BadImageError as bad:
                known[digest] = str(bad)
            held += _size(known[digest])
        found = known[digest]
        while len(known) > _REMEMBERED_IMAGES or held > _REMEMBERED_BYTES:
            held -= _size(known.popitem(last=False)[1])
        return digest, replace(found, data=data) if isinstance(found, CheckedImage) and not found.data else found

    return look


def _size(found: CheckedImage | str) -> int:
    return len(found.data) if isinstance(found, CheckedImage) else 0


def _fetch_images(
    images: Mapping[str, tuple[str, str]],
    fetch: Fetch,
    check: Callable[[bytes], tuple[str, CheckedImage | str]],
) -> Iterator[tuple[dict[str, Any], bytes | None]]:
    """For each image, as its address is answered: what an IMAGES row can tell before it is stored, and the bytes."""
    waiting: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for image_id, (url, address) in images.items():  # a page may name a pool's address, which is then two images'
        waiting[address].append({"image_id": image_id, "url": url})
    addresses = list(waiting)
    for address, answer in fetch(addresses):
        digest, checked = (None, answer) if isinstance(answer, str) else check(answer)
        for image in waiting.pop(address):
            row = image | {"fetched_sha256": digest}
            if isinstance(checked, CheckedImage):
                yield row | {"format": checked.format, "width": checked.width, "height": checked.height}, checked.data
            else:
                yield row | {"reason": checked}, None
    if waiting:
        raise ValueError(
            f"the image host left {len(waiting)} of {len(addresses)} URLs unanswered, {next(iter(waiting))} among "
            "them; it must give bytes or a reason for each"
        )

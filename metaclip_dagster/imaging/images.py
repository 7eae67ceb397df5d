"""Fetch the images that the store lacks, and keep those that training can read: IMAGE_TEXTS -> IMAGES."""

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
from metaclip_dagster.imaging.credentials import SIGNAL, CredentialsError, read_training_mining
from metaclip_dagster.imaging.forms import Form
from metaclip_dagster.imaging.rewriting import judge_forms, rewrite_images
from metaclip_dagster.schemas import IMAGES, writes
from metaclip_dagster.signals import list_signals, read_header_signals

Headers = tuple[tuple[str, str], ...]
Answer = bytes | str | tuple[bytes | str, Headers]
FetchImages = Callable[[Sequence[str]], Iterator[tuple[str, Answer] | tuple[str, Answer, float]]]
"""Takes URLs and answers each of them once, in any order: with its bytes, or in a word with why there are none.

Where the response has headers that speak of the image's use, the answer is a pair of that and these headers. Behind the
answer come the seconds that it took, where they are known.
"""


Signals = list[dict[str, str]]
CheckOnce = Callable[[bytes], tuple[str, CheckedImage | str, Signals | None]]
"""Gives the SHA-256 of bytes, the image or why it is none, and what its manifest says; None where it is unreadable."""


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
    max_bytes: int = 20 << 20,
    max_pixels: int = 25_000_000,
) -> Iterator[pa.RecordBatch]:
    """Every image of one bucket's ring, sorted by id: where it lies in the store, or the reason why it does not.

    `texts` are the bucket's IMAGE_TEXTS at t. An image is in t's ring unless one of them has `admitted_at` below
    `thresholds_below`, its language's t on the rung below ({} on the lowest). Only what the store lacks is fetched.
    `form` is what the store is to keep, as Form.parse reads it: images that it holds in another are written again from
    what is stored, in segments of their own; where that has too little, they stay until they are fetched again.
    Memory holds the bucket's rows and one image. `seen` counts the ring's `images`, those `fetched` now, those `held`
    before, those `rewritten` now and `in_another_form` still, and of those fetched the `credentials_unread`: they have
    a C2PA manifest that cannot be read. `dropped` counts the failures of both. Raises ValueError if a URL stays
    unanswered.
    """
    ring = _list_ring(texts, thresholds_below)
    ids = pa.array(list(ring), pa.string())
    check_image_once = partial(check_image, form=Form.parse(form), max_bytes=max_bytes, max_pixels=max_pixels)
    check = _remember_checks(check_image_once)
    fetched: set[str] = set()
    rewritten: set[str] = set()
    while True:
        with store.bucket(bucket, IMAGES) as stored:
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
            stored.append(_fetch_images({image_id: ring[image_id] for image_id in segment}, fetch, check, form, seen))
        fetched.update(segment)
    seen.update(images=len(ring), fetched=len(fetched), held=len(ring) - len(fetched))
    if num_other := len(rewritable) + len(too_small):
        seen["in_another_form"] = num_other
    dropped.update(rows["reason"].drop_null().to_pylist())
    yield from rows.sort_by("image_id").to_batches(max_chunksize=8192)


_REMEMBERED_IMAGES, _REMEMBERED_BYTES = 4096, 64 << 20


def _list_ring(texts: Iterable[pa.RecordBatch], thresholds_below: Mapping[str, float]) -> dict[str, tuple[str, str]]:
    """The URL of each image that the next smaller t does not have, and the address to fetch it by."""
    images: dict[str, tuple[str, str]] = {}
    below: set[str] = set()
    for batch in texts:
        columns = (batch[name].to_pylist() for name in ("image_id", "url", "pool_address"))
        for image_id, url, address in zip(*columns, strict=True):
            if address or image_id not in images:  # a pool's file has it nearer than the web
                images[image_id] = (url, address or url)
        languages = batch["language"].dictionary_encode()
        thresholds = [thresholds_below.get(language, 0.0) for language in languages.dictionary.to_pylist()]
        t = np.array(thresholds, np.float64)[languages.indices.to_numpy()]
        is_below = pa.array(batch["admitted_at"].to_numpy() < t)
        below.update(batch["image_id"].filter(is_below).to_pylist())
    return {image_id: image for image_id, image in images.items() if image_id not in below}


def _remember_checks(check: Callable[[bytes], CheckedImage]) -> CheckOnce:
    """`check` that looks at bytes which many URLs share once, as at the manifest in them.

    Memory is bounded: of an image that stays as it is only the numbers are remembered.
    """
    results: OrderedDict[str, tuple[CheckedImage | str, Signals | None]] = OrderedDict()
    num_bytes = 0

    def check_once(data: bytes) -> tuple[str, CheckedImage | str, Signals | None]:
        nonlocal num_bytes
        digest = hashlib.sha256(data).hexdigest()
        if digest in results:
            results.move_to_end(digest)
        else:
            try:
                checked = check(data)
                results[digest] = replace(checked, data=b"") if checked.data is data else checked, _read_manifest(data)
            except BadImageError as bad:
                results[digest] = str(bad), []
            num_bytes += _count_bytes(results[digest][0])
        result, signals = results[digest]
        while len(results) > _REMEMBERED_IMAGES or num_bytes > _REMEMBERED_BYTES:
            num_bytes -= _count_bytes(results.popitem(last=False)[1][0])
        if isinstance(result, CheckedImage) and not result.data:
            result = replace(result, data=data)
        return digest, result, signals

    return check_once


def _count_bytes(result: CheckedImage | str) -> int:
    return len(result.data) if isinstance(result, CheckedImage) else 0


def _fetch_images(
    images: Mapping[str, tuple[str, str]],
    fetch: FetchImages,
    check: CheckOnce,
    form: str,
    seen: Counter[str],
) -> Iterator[tuple[dict[str, Any], bytes | None]]:
    """For each image, as its address is answered: what an IMAGES row can tell before it is stored, and the bytes."""
    waiting: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for image_id, (url, address) in images.items():  # a page may name a pool's address, which is then two images'
        waiting[address].append({"image_id": image_id, "url": url})
    addresses = list(waiting)
    for address, answered, *_ in fetch(addresses):
        answer, headers = answered if isinstance(answered, tuple) else (answered, ())
        digest, checked, of_image = (None, answer, []) if isinstance(answer, str) else check(answer)
        if of_image is None:
            seen["credentials_unread"] += 1
        opt_outs = read_header_signals(headers, "image") + (of_image or [])
        for image in waiting.pop(address):
            size = None if isinstance(answer, str) else len(answer)
            row = image | {"fetched_sha256": digest, "fetched_size": size, "opt_outs": opt_outs}
            if isinstance(checked, CheckedImage):
                yield row | checked.columns() | {"form": form}, checked.data
            else:
                yield row | {"reason": checked}, None
    if waiting:
        raise ValueError(
            f"the image host left {len(waiting)} of {len(addresses)} URLs unanswered, {next(iter(waiting))} among "
            "them; it must give bytes or a reason for each"
        )


def _read_manifest(data: bytes) -> Signals | None:
    """The signal of an image as it came, for one that is written anew has lost its manifest; None: it is unreadable."""
    try:
        said = read_training_mining(data)
    except CredentialsError:
        return None
    return list_signals([(SIGNAL, said)]) if said else []

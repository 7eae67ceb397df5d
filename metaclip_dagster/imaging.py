"""Fetch the images of a ring that the store lacks, keep those that training can read, say why there are no others."""

import hashlib
import io
import re
import threading
import warnings
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.schemas import IMAGES, writes

if TYPE_CHECKING:
    from PIL import Image

Fetch = Callable[[Sequence[str]], Iterator[tuple[str, bytes | str]]]
"""Answers each of the URLs once, in any order: its bytes, or in a word why there are none."""


class BadImageError(Exception):
    """Bytes that training cannot use; the only argument is the reason, as it is counted in `dropped`."""


@dataclass(frozen=True)
class CheckedImage:
    """An image that every loader reads alike: its bytes, jpg, png or webp, and its pixels across and down."""

    data: bytes
    format: str
    width: int
    height: int


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


@writes(IMAGES)
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


def check_image(data: bytes, *, max_bytes: int = 20 << 20, max_pixels: int = 25_000_000) -> CheckedImage:
    """The image as it came, byte for byte, unless it is transparent: then on white, without loss, in its own format.

    Loaders drop alpha, so that what it hid comes out, mostly black. Size and kind are judged by the header, before any
    pixel is decoded; then all are decoded once, by the library that training reads with.

    Raises:
        BadImageError: `empty`, `too_large`, `not_an_image`, `unsupported_format` (JPEG, PNG and WebP are opened, and
            nothing else), `unsupported_mode` (16 bits or floats in one channel, which no two loaders scale alike),
            `too_many_pixels`, `too_small`, `too_complex`, `animated` or `undecodable`.

    """
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415  # what reads the graph must not load it

    if not data:
        raise BadImageError("empty")
    if len(data) > max_bytes:
        raise BadImageError("too_large")
    # A progressive JPEG may hold any number of scans, each of 75 bytes and a pass over all pixels: hours in a file.
    if data.startswith(b"\xff\xd8") and data.count(b"\xff\xda") > _MAX_SCANS:
        raise BadImageError("too_complex")
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
                _check_header(image, max_pixels)
                image.load()
                flat = _flatten(image)
                kind = _FORMATS[str(image.format)]
        except BadImageError:
            raise
        except Image.DecompressionBombError:
            raise BadImageError("too_many_pixels") from None
        except UnidentifiedImageError:
            raise BadImageError("unsupported_format" if _OTHER_FORMATS.match(data) else "not_an_image") from None
        except MemoryError:
            raise  # the pixels are bounded above: this machine's memory is at fault
        except Exception:  # Pillow's parsers raise whatever their arithmetic runs into
            raise BadImageError("undecodable") from None
        return CheckedImage(data if flat is None else _encode(flat, kind), kind, *image.size)


# Warning filters belong to the process: one thread at a time may set them aside.
_QUIET = threading.Lock()
_FORMATS = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp"}  # MPO: a JPEG with more pictures after it
_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK"}
_OTHER_FORMATS = re.compile(
    rb"GIF8|BM|II\*\0|MM\0\*|\0\0[\1\2]\0|8BPS|%!PS|....ftyp|\0\0\0\x0cJXL |\xff\x0a|\0\0\0\x0cjP|"
    rb"\s*(<\?xml[^>]*>\s*)?(<!--.{,512}?-->\s*)?<svg",
    re.DOTALL,
)
_MIN_SIDE = 4  # below are counting pixels and spacers
_MAX_SCANS = 100
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


def _remember(check: Callable[[bytes], CheckedImage]) -> Callable[[bytes], CheckedImage | str]:
    """The image or the reason, for payloads that many URLs share found out once; memory is bounded.

    Of an image that stays as it is only the numbers are kept.
    """
    known: OrderedDict[bytes, CheckedImage | str] = OrderedDict()
    held = 0

    def look(data: bytes) -> CheckedImage | str:
        nonlocal held
        digest = hashlib.sha256(data).digest()
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
        return replace(found, data=data) if isinstance(found, CheckedImage) and not found.data else found

    return look


def _size(found: CheckedImage | str) -> int:
    return len(found.data) if isinstance(found, CheckedImage) else 0


def _fetch_images(
    images: Mapping[str, tuple[str, str]], fetch: Fetch, check: Callable[[bytes], CheckedImage | str]
) -> Iterator[tuple[dict[str, Any], bytes | None]]:
    """For each image, as its address is answered: what an IMAGES row can tell before it is stored, and the bytes."""
    waiting: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for image_id, (url, address) in images.items():  # a page may name a pool's address, which is then two images'
        waiting[address].append({"image_id": image_id, "url": url})
    addresses = list(waiting)
    for address, answer in fetch(addresses):
        found = answer if isinstance(answer, str) else check(answer)
        for row in waiting.pop(address):
            if isinstance(found, CheckedImage):
                yield row | {"format": found.format, "width": found.width, "height": found.height}, found.data
            else:
                yield row | {"reason": found}, None
    if waiting:
        raise ValueError(
            f"the image host left {len(waiting)} of {len(addresses)} URLs unanswered, {next(iter(waiting))} among "
            "them; it must give bytes or a reason for each"
        )


def _check_header(image: "Image.Image", max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise BadImageError("too_many_pixels")
    if min(image.size) < _MIN_SIDE:
        raise BadImageError("too_small")
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise BadImageError("animated")
    if image.mode not in _MODES:
        raise BadImageError("unsupported_mode")


def _flatten(image: "Image.Image") -> "Image.Image | None":
    """The image on white; None where nothing of it is transparent."""
    from PIL import Image  # noqa: PLC0415

    if not image.has_transparency_data:
        return None
    with image.convert("RGBA") as pixels:
        alpha = pixels.getchannel("A")
        if alpha.getextrema() == (255, 255):
            return None
        flat = Image.new("RGB", image.size, "white")
        flat.paste(pixels, mask=alpha)
        return flat


def _encode(image: "Image.Image", kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **({"lossless": True} if kind == "webp" else {}))
    return file.getvalue()

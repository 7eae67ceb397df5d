"""Say how each image of a ring was fetched: from where, in how many seconds, and whether it is what its pool lists."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.imaging.hints import NO_HINT, compare_digests, read_hints
from metaclip_dagster.schemas import FETCHES, IMAGES, writes
from metaclip_dagster.urls import split_host

STORED = pa.schema(
    [
        *IMAGES,
        pa.field("source", pa.string()),  # as in FETCHES
        pa.field("seconds", pa.float32()),  # as in FETCHES
        pa.field("fetched_md5", pa.string()),  # of the bytes as they came, where a pool lists it
    ]
)
"""What the store's index has of an image: its row of IMAGES, and what differs from one fetching to the next."""


class Bucket(Protocol):
    """What the store holds of one bucket."""

    def index(self) -> pa.Table: ...  # noqa: D102


class Store(Protocol):
    """Images by bucket."""

    def bucket(self, number: int, schema: pa.Schema) -> AbstractContextManager[Bucket]: ...  # noqa: D102


@writes(FETCHES, name="imaging:describe_fetches")
def describe_fetches(
    buckets: Mapping[str, Mapping[str, Any]], *, store: Store, seen: Counter[str]
) -> Iterator[pa.RecordBatch]:
    """A row for each image of some buckets of a ring, bucket by bucket, in the order of IMAGES.

    Each bucket has its number `bucket`, its `images` and, where there are any, FETCH_HINTS as `hints`. `seen` counts
    what was compared. Waits for whoever writes to a bucket.
    """
    for bucket in buckets.values():
        with store.bucket(bucket["bucket"], STORED) as stored:
            rows = stored.index()
        images = pa.Table.from_batches(bucket["images"], IMAGES)
        rows = rows.filter(pc.is_in(rows["image_id"], images["image_id"].combine_chunks()))
        yield from _describe(images, rows, bucket.get("hints", ()), seen)


def _describe(
    images: pa.Table, rows: pa.Table, hints: Iterable[pa.RecordBatch], seen: Counter[str]
) -> Iterator[pa.RecordBatch]:
    known = read_hints(hints, images["image_id"].to_pylist())
    of_fetching = {row["image_id"]: row for row in rows.select(["image_id", *_OF_FETCHING]).to_pylist()}
    described = []
    columns = ["image_id", "url", "fetched_sha256", "fetched_size", "reason"]
    for image in images.select(columns).to_pylist():
        row = dict.fromkeys(_OF_FETCHING) | of_fetching.get(image["image_id"], {}) | image
        row |= {"host": split_host(image["url"])[0] if image["url"] else None}  # null of what was taken down
        row["compared"] = compare_digests(row, known.get(image["image_id"], NO_HINT))
        if row["compared"]:
            seen[row["compared"]] += 1
        described.append(row)
    yield from pa.Table.from_pylist(described, FETCHES).to_batches()


_OF_FETCHING = tuple(STORED.names[len(IMAGES) :])

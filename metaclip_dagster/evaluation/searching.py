"""Find the images whose embeddings are nearest to that of a text or a picture, by comparing it with every one."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from metaclip_dagster.clip_models import Embeddings


class Hit(NamedTuple):
    """An image, and how near it is."""

    image_id: str
    similarity: float
    """Cosine of the two embeddings, -1 to 1."""


def find_nearest(query: Embeddings, embeddings: Iterable[pa.RecordBatch], *, limit: int) -> tuple[list[Hit], int]:
    """The `limit` images that are nearest to the query, the nearest first, equal ones by id; and of how many.

    `query` is one row; `embeddings` are IMAGE_EMBEDDINGS. Every row is looked at, and memory holds one batch. Raises
    ValueError for embeddings of another size: another model made them.
    """
    hits, num_images = list[Hit](), 0
    for batch in embeddings:
        similarity = _unpack(batch["embedding"], query.shape[1]) @ query[0]
        num_images += len(similarity)
        least = np.partition(similarity, -limit)[-limit] if len(similarity) > limit else -np.inf
        if len(hits) == limit:
            least = max(least, hits[-1].similarity)
        rows = np.flatnonzero(similarity >= least)
        hits += map(Hit, batch["image_id"].take(pa.array(rows)).to_pylist(), similarity[rows].tolist())
        hits = sorted(hits, key=lambda hit: (-hit.similarity, hit.image_id))[:limit]
    return hits, num_images


def _unpack(column: pa.BinaryArray, size: int) -> Embeddings:
    """A row for each value, in float32."""
    offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
    if not (np.diff(offsets) == 2 * size).all():
        raise ValueError(f"embeddings of this set are not of {size} numbers, as the model's are: embed it again")
    if not len(column):
        return np.empty((0, size), np.float32)
    data = memoryview(column.buffers()[2])[offsets[0] : offsets[-1]]
    return np.frombuffer(data, "<f2").reshape(len(column), size).astype(np.float32)

"""Score and hash every image of the store, and hash the images of zero-shot tasks."""

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from metaclip_dagster.filtering.hashes import mean_colours, perceptual_hash
from metaclip_dagster.filters import Scorer
from metaclip_dagster.pictures import to_rgb
from metaclip_dagster.schemas import IMAGE_SCORES, SAMPLE_HASHES, writes

if TYPE_CHECKING:
    from PIL import Image


class Store(Protocol):
    """The image store, as far as scoring reads it."""

    def read(self, tar: str, offset: int, size: int) -> bytes: ...  # noqa: D102


@writes(IMAGE_SCORES, name="filtering:score_images", version=2)
def score_images(
    images: Iterable[pa.RecordBatch],
    known: Iterable[pa.RecordBatch],
    *,
    store: Store,
    scorers: Mapping[str, Scorer],
    seen: Counter[str],
) -> Iterator[pa.RecordBatch]:
    """Hash and score every image of a bucket's IMAGES that the store holds; the same bytes once.

    `known` are IMAGE_SCORES of earlier runs, whose scores are taken over and change no row. `seen` counts the images
    `scored` now. Memory holds the rows of both, and one image.
    """
    scored = {row["sha256"]: row for batch in known for row in batch.to_pylist()}
    for batch in images:
        rows = [_score_image(row, scored, store, scorers, seen) for row in batch.to_pylist() if row["tar"]]
        yield pa.RecordBatch.from_pylist(rows, IMAGE_SCORES)


@writes(SAMPLE_HASHES, name="filtering:hash_samples", version=2)
def hash_samples(samples: Iterable[Any], *, task: str, decode: Callable[[Any], "Image.Image"]) -> pa.Table:
    """Hash and colours of every test image of a task, numbered as the task has them; memory holds one image."""
    looks = (_hash_image(decode(sample)) for sample in samples)
    rows = [{"task": task, "sample": number, **look} for number, look in enumerate(looks)]
    return pa.Table.from_pylist(rows, SAMPLE_HASHES)


def _score_image(
    row: Mapping[str, Any], scored: dict[str, Any], store: Store, scorers: Mapping[str, Scorer], seen: Counter[str]
) -> dict[str, Any]:
    from PIL import Image  # noqa: PLC0415  # what reads the graph must not load it

    earlier = scored.get(row["sha256"])
    scores = {score["filter"]: score["score"] for score in earlier["scores"]} if earlier else {}
    look = {name: earlier[name] for name in _LOOK} if earlier else {}
    if earlier is None or scorers.keys() - scores.keys():
        with Image.open(io.BytesIO(store.read(row["tar"], row["offset"], row["size"]))) as opened:
            image = to_rgb(opened)
        look = _hash_image(image)
        scores |= {name: score(image) for name, score in scorers.items() if name not in scores}
        seen["scored"] += 1
    score_list = [{"filter": name, "score": scores[name]} for name in sorted(scorers)]
    scored_row = {"image_id": row["image_id"], "sha256": row["sha256"], **look, "scores": score_list}
    scored[row["sha256"]] = scored_row
    return scored_row


_LOOK = ("phash", "colours")


def _hash_image(image: "Image.Image") -> dict[str, int]:
    return {"phash": perceptual_hash(image), "colours": mean_colours(image)}

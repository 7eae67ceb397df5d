"""Decide which images a training set leaves out: bad scores, near duplicates, copies of test images."""

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.filtering.hashes import (
    Looks,
    count_differing_bits,
    find_nearest,
    find_nearest_earlier,
    mean_colours,
    perceptual_hash,
)
from metaclip_dagster.filters import Scorer
from metaclip_dagster.pictures import to_rgb
from metaclip_dagster.schemas import IMAGE_SCORES, IMAGE_VERDICTS, SAMPLE_HASHES, writes
from metaclip_dagster.urls import bucket_images

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


@writes(IMAGE_VERDICTS, name="filtering:judge_images", version=2, rows_together=4096)
def judge_images(
    rings: Mapping[str, Iterable[pa.RecordBatch]],
    samples: Iterable[pa.RecordBatch],
    *,
    filters: Mapping[str, Mapping[str, float]],
    near_duplicate_distance: int | None,
    leakage_distance: int | None,
    remove_leakage: bool,
    num_buckets: int,
    seen: Counter[str],
) -> pa.Table:
    """Every image of a training set that is left out, and every one that is near a task's image, by bucket.

    `rings` are IMAGE_SCORES of the set's rings, the smallest t first; `samples` SAMPLE_HASHES of all tasks. An image
    goes for the first of these that holds:

    - a score lies outside its filter's limits, `at_least` and `at_most`: `filtered_<name>`;
    - it is near a task's image, and `remove_leakage`: `benchmark`;
    - it is near an earlier image that neither removed: `near_duplicate`. Earlier is of a smaller ring, and in a ring
      of a lower id. So a verdict never depends on larger rings, and filtered sets stay nested in t.

    Memory holds the rows of all. Raises ValueError for limits that are no limits, or an image without a score.
    """
    scored = _gather_rings(rings)
    ids, looks = scored["image_id"].combine_chunks(), _stack_looks(scored)
    verdicts = _VerdictList(ids, num_buckets, seen)
    for name, limits in filters.items():
        values, (low, high) = _read_scores(scored["scores"].combine_chunks(), name), _read_limits(name, limits)
        verdicts.add(f"filtered_{name.rpartition(':')[2].lower()}", ~((values >= low) & (values <= high)), values)
    if leakage_distance is not None:
        tests = pa.Table.from_batches(samples, SAMPLE_HASHES)
        names = pc.binary_join_element_wise(tests["task"], tests["sample"].cast(pa.string()), "/").combine_chunks()
        test_looks = _stack_looks(tests)
        nearest = find_nearest(looks, test_looks, leakage_distance)
        bits = count_differing_bits(looks, test_looks, nearest)
        verdicts.add("benchmark", nearest >= 0, bits, _name_nearest(names, nearest), removes=remove_leakage)
    if near_duplicate_distance is not None:
        [rows] = np.nonzero(~verdicts.is_out)
        among = find_nearest_earlier(looks[rows], near_duplicate_distance)
        nearest = np.full(len(looks), -1)
        nearest[rows[among >= 0]] = rows[among[among >= 0]]
        bits = count_differing_bits(looks, looks, nearest)
        verdicts.add("near_duplicate", nearest >= 0, bits, _name_nearest(ids, nearest))
    return verdicts.table()


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


def _stack_looks(rows: pa.Table) -> Looks:
    return np.stack([rows[name].to_numpy() for name in _LOOK], axis=1)


def _gather_rings(rings: Mapping[str, Iterable[pa.RecordBatch]]) -> pa.Table:
    """All images, the smallest ring first, in a ring by id; one that moved between rings counts in the first."""
    columns = ["image_id", *_LOOK, "scores"]
    schema = pa.schema([IMAGE_SCORES.field(name) for name in columns])
    streams = ((batch.select(columns) for batch in batches) for batches in rings.values())
    scored = pa.concat_tables(
        pa.Table.from_batches(stream, schema).sort_by("image_id") for stream in streams
    ).combine_chunks()
    _, first = np.unique(scored["image_id"].to_numpy(zero_copy_only=False), return_index=True)
    return scored.take(np.sort(first))


class _VerdictList:
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


def _read_scores(scores: pa.ListArray, name: str) -> npt.NDArray[np.float64]:
    """The score that the filter of this name gave each image. Raises ValueError where an image has none."""
    flat = scores.flatten()
    of_filter = flat.field("score").filter(pc.equal(flat.field("filter"), name))
    if len(of_filter) != len(scores):
        raise ValueError(
            f"{len(scores) - len(of_filter)} of {len(scores)} images have no score of {name}; score them again"
        )
    return np.asarray(of_filter, np.float64)


def _read_limits(name: str, limits: Mapping[str, float]) -> tuple[float, float]:
    if not limits or limits.keys() - {"at_least", "at_most"}:
        raise ValueError(f"filter {name}: give at_least, at_most or both as numbers, not {dict(limits)}")
    return limits.get("at_least", -np.inf), limits.get("at_most", np.inf)


def _name_nearest(names: pa.Array, nearest: npt.NDArray[np.int64]) -> pa.Array:
    """The name of what is nearest to each image, null where nothing is near (-1)."""
    return names.take(pa.array(nearest, mask=nearest < 0))

"""Measure exact search: its time and memory, and whether a model finds the right drawing on a finished sample.

python -m benchmarks.bench_searching [--images N] [--queries N] [--home F] [--json]

--images   made-up embeddings of 512 numbers, of which a tenth is searched first
--queries  images of each training set that are looked for by one of their own texts
--home     of a demo that ran there; without one, that of this checkout. Sets that nobody has searched yet are left out

For a text of a training set, right is the one image that the text was drawn with, though others may have the same text.
The model was trained on these pairs. For a task's test images, right is the one of the class that is searched by name,
among all test images; training never saw them. The baseline is chance, 10 of all images; each value's 95 % interval by
Wilson's score stands in its name.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import numpy as np
import pyarrow as pa

from assets.keys import CELLS, Cell
from benchmarks.measure import Row, flat, in_fresh_process, options, peak_mb, print_rows, row
from metaclip_dagster.evaluation import LoadedModel, load_model, read_task
from metaclip_dagster.evaluation.embedding import embed_picture, embed_text
from metaclip_dagster.evaluation.images import decode_image, read_samples
from metaclip_dagster.evaluation.searching import find_nearest
from metaclip_dagster.schemas import IMAGE_EMBEDDINGS
from resources.deployments import SAMPLE, deployment
from resources.lake.resource import Lake
from resources.lake.tables import PartitionManifest, ShardManifest

SIZE, AMONG, BATCH = 512, 10, 8192


def main() -> None:
    """Print what was measured."""
    parser = options(__doc__)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--home", type=Path, default=deployment().home)
    args = parser.parse_args()
    print_rows([*measure(args.images), *find_drawings(args.home, args.queries)], args.json)


def measure(num_images: int) -> list[Row]:
    """CPU seconds of one search, reading included, and the peak of memory beside that of a tenth."""
    with TemporaryDirectory() as folder:
        lake = Lake(root=folder)
        for name, num in (("few", num_images // 10), ("many", num_images)):
            store = lake.store("image_embeddings", name)
            written = store.commit("0", "f", IMAGE_EMBEDDINGS, draw_embeddings(num), row_group=BATCH)
            shard = ShardManifest("0", "f", *written)
            store.finish(PartitionManifest("image_embeddings", name, shard.digest, 0, (shard,)))
        (_, few_mb), (seconds, many_mb) = (in_fresh_process(_search, folder, name) for name in ("few", "many"))
    source = f"{num_images:,} embeddings of {SIZE} numbers, made up"
    return [
        row("one search, exact, on one core", seconds, "CPU s", input=source),
        flat("peak memory of a search", few_mb, many_mb, input=source),
    ]


def draw_embeddings(num_images: int) -> Iterator[pa.RecordBatch]:
    """Vectors of length 1 in random directions, as IMAGE_EMBEDDINGS."""
    generator = np.random.default_rng(0)
    for start in range(0, num_images, BATCH):
        num = min(BATCH, num_images - start)
        vectors = generator.standard_normal((num, SIZE), np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        columns = [[f"{start + at:024x}" for at in range(num)], [it.tobytes() for it in vectors.astype("<f2")]]
        yield pa.RecordBatch.from_arrays(list(map(pa.array, columns)), schema=IMAGE_EMBEDDINGS)


def _search(folder: str, name: str) -> tuple[float, float]:
    [query] = (np.frombuffer(it, "<f2").astype(np.float32) for it in next(draw_embeddings(1))["embedding"].to_pylist())
    started = process_time()
    hits, _ = find_nearest(query[None], Lake(root=folder).stream("image_embeddings", [name])(), limit=AMONG)
    seconds = process_time() - started
    assert len(hits) == AMONG
    return seconds, peak_mb()


def find_drawings(home: Path, num_queries: int) -> Iterator[Row]:
    """For each cell whose set is embedded, how often the right image is among the first ten."""
    lake = Lake(root=str(home / "lake"))
    for key in lake.finished("image_embeddings", CELLS):
        cell, [trained] = Cell.of(key), lake.read("checkpoints", [key]).to_pylist()
        model = load_model(f"local-dir:{home / 'checkpoints' / trained['path']}")
        yield from _find_by_own_text(lake, cell, model, num_queries)
        for folder in sorted((SAMPLE / "tasks").iterdir()):
            yield _find_test_images(folder, cell, model)


def _find_by_own_text(lake: Lake, cell: Cell, model: LoadedModel, num_queries: int) -> Iterator[Row]:
    embeddings = lake.read("image_embeddings", [cell.key]).combine_chunks().to_batches()
    rows = lake.read("training_sets", [cell.training_set]).sort_by("image_id").to_pylist()
    drawn = random.Random(0).sample(rows, min(num_queries, len(rows)))
    texts = [min(text["text"] for text in image["texts"]) for image in drawn]
    ids = [image["image_id"] for image in drawn]
    name = f"{cell.training_set}, {cell.model}: an image of the set by its own text"
    yield _row(name, _count_found(embeddings, model, texts, ids), len(ids), len(rows), "images of training sets")


def _find_test_images(folder: Path, cell: Cell, model: LoadedModel) -> Row:
    task = read_task(str(folder))
    samples = list(read_samples(task))
    vectors = [embed_picture(decode_image(sample), model)[0].astype("<f2").tobytes() for sample in samples]
    ids = [f"{at:06}" for at in range(len(samples))]
    embeddings = [pa.RecordBatch.from_arrays([pa.array(ids), pa.array(vectors)], schema=IMAGE_EMBEDDINGS)]
    texts = [task.templates[0].replace("{c}", task.class_names[sample.class_id]) for sample in samples]
    name = f"{cell.training_set}, {cell.model}: a test image of {task.name} by its class"
    return _row(name, _count_found(embeddings, model, texts, ids), len(ids), len(ids), "test images of the sample")


def _count_found(
    embeddings: Sequence[pa.RecordBatch], model: LoadedModel, texts: Sequence[str], ids: Sequence[str]
) -> int:
    nearest = (find_nearest(embed_text(text, model), embeddings, limit=AMONG)[0] for text in texts)
    return sum(right in {hit.image_id for hit in hits} for right, hits in zip(ids, nearest, strict=True))


def _row(name: str, num_right: int, num_queries: int, num_images: int, source: str) -> Row:
    share, chance = num_right / num_queries, AMONG / num_images
    low, high = _wilson(num_right, num_queries)
    described = f"{name}, {100 * low:.1f} to {100 * high:.1f}"
    return row(described, 100 * share, "% in 10", 100 * chance, share / chance, input=source)


def _wilson(num_right: int, num: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    share = num_right / num
    middle = (share + z * z / (2 * num)) / (1 + z * z / num)
    half = z / (1 + z * z / num) * np.sqrt(share * (1 - share) / num + z * z / (4 * num * num))
    return float(middle - half), float(middle + half)


if __name__ == "__main__":
    main()

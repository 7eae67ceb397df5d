"""Compare the training loader on an object store with the same loader on a folder: wall and CPU seconds by turns.

python -m benchmarks.bench_loader [--images N] [--tars N] [--rounds N] [--s3 URL] [--json]

--s3   a folder of a bucket to write to and to read from; without it, moto's server in a process of its own on loopback

JPEGs of 256 px. One process loads, without workers; what the server spends is not in its CPU seconds, but shares the
machine's cores. Each number is the least of the rounds. Decoding is by open_clip's transform for training. Of reading,
the bytes alone, asked for by fsspec one block after the other, say what the limit is.
"""

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.bench_training import _text, _write_tar
from benchmarks.measure import Row, options, print_rows, row
from metaclip_dagster.balancing import uniform
from metaclip_dagster.schemas import TRAINING_SETS
from metaclip_dagster.training import SetFile, TrainingPlan, recipe_of
from metaclip_dagster.training.loading import ImageTexts
from metaclip_dagster.training.tars import BLOCK_BYTES
from resources.files.object_store import connect, settings
from tests.live import reserve_port

SIDE, NUM_DRAWN = 256, 64


def main() -> None:
    """Print what was measured."""
    parser = options(__doc__)
    parser.add_argument("--images", type=int, default=3_000)
    parser.add_argument("--tars", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--s3", metavar="URL")
    args = parser.parse_args()
    with TemporaryDirectory() as name, _serve() if args.s3 is None else nullcontext(args.s3) as url:
        print_rows(measure(Path(name), url, args.images, args.tars, args.rounds), args.json)


def measure(folder: Path, url: str, num_images: int, num_tars: int, rounds: int) -> list[Row]:
    """Give the rows; the loaders' samples are asserted to be the same."""
    local = _write_set(folder, num_images, num_tars)
    filesystem, root = connect(url, {})
    filesystem.put(f"{local.images}/", f"{root}/", recursive=True)
    stored = replace(local, images=url, image_options=settings(url, {}))
    cached = replace(stored, cache=str(folder / "cache"), cache_gb=1000.0)
    num_bytes = sum(path.stat().st_size for path in Path(local.images).iterdir())
    ways: dict[str, Callable[[], int]] = {
        "folder": lambda: _read(local),
        "s3": lambda: _read(stored),
        "cache": lambda: _read(cached),
        "bytes alone": lambda: _ask(filesystem, root, local),
        "folder, decoded": lambda: _decode(local),
        "s3, decoded": lambda: _decode(stored),
    }
    assert list(_samples(local)) == list(_samples(stored))
    seconds = {name: np.full((rounds, 2), np.inf) for name in ways}
    for turn in range(-1, rounds):  # the first turn only warms up, and fills the cache
        for name in ways if turn % 2 else reversed(ways):
            wall, cpu = time.perf_counter(), time.process_time()
            assert ways[name]() == (num_bytes if name == "bytes alone" else num_images)
            if turn >= 0:
                seconds[name][turn] = time.perf_counter() - wall, time.process_time() - cpu
    least = {name: spent.min(axis=0) for name, spent in seconds.items()}
    where = "moto on loopback" if "127.0.0.1" in os.environ.get("AWS_ENDPOINT_URL", "") else "a bucket"
    source = (
        f"{num_images:,} JPEGs of {SIDE} px in {num_tars} tars, {num_bytes / 1e6:,.0f} MB, on {where}; one process, "
        f"the least of {rounds} turns each, at a load of {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores"
    )
    rows = []
    for title, name, than in [
        ("read from S3, beside a folder", "s3", "folder"),
        ("read from the cache, beside a folder", "cache", "folder"),
        ("read from S3, beside its bytes alone", "s3", "bytes alone"),
        ("read and decoded from S3, beside a folder", "s3, decoded", "folder, decoded"),
    ]:
        amount, what = (num_images, "images") if "decoded" in name else (num_bytes / 1e6, "MB")
        for unit, ours, theirs in zip(("s", "CPU s"), least[name], least[than], strict=True):
            rows.append(row(title, amount / ours, f"{what}/{unit}", amount / theirs, theirs / ours, input=source))
    return rows


def _read(job: TrainingPlan) -> int:
    return sum(1 for _ in _samples(job))


def _decode(job: TrainingPlan) -> int:
    from open_clip.transform import image_transform  # noqa: PLC0415  # seconds
    from PIL import Image  # noqa: PLC0415

    transform = image_transform(224, is_train=True, mean=(0.5,) * 3, std=(0.5,) * 3)
    return sum(len(transform(Image.open(io.BytesIO(sample["jpg"])))) // 3 for sample in _samples(job))


def _ask(filesystem: Any, root: str, job: TrainingPlan) -> int:
    """Bytes of all tars, asked for a block at a time."""
    num_bytes = 0
    for tar, _ in job.tars:
        size = filesystem.info(f"{root}/{tar}")["size"]
        for start in range(0, size, BLOCK_BYTES):
            num_bytes += len(filesystem.cat_file(f"{root}/{tar}", start=start, end=min(size, start + BLOCK_BYTES)))
    return num_bytes


def _samples(job: TrainingPlan) -> Iterator[dict[str, Any]]:
    return ImageTexts(job, uniform)([{"url": str(number)} for number in range(len(job.tars))])


def _write_set(folder: Path, num_images: int, num_tars: int) -> TrainingPlan:
    """The images as a store, with a training set beside it; a job on both."""
    random, rows, names = np.random.default_rng(0), [], []
    pictures = [_draw(random) for _ in range(NUM_DRAWN)]
    for tar in range(num_tars):
        names.append(f"{tar:05d}.tar")
        images = range(tar, num_images, num_tars)
        rows += [{"tar": names[-1], "image_id": f"{it:024x}", "texts": [_text(it, f"text {it}")]} for it in images]
        _write_tar(folder / "images" / names[-1], [(f"{it:024x}.jpg", pictures[it % NUM_DRAWN]) for it in images])
    pq.write_table(pa.Table.from_pylist(rows, TRAINING_SETS), folder / "rows.parquet")
    recipe, seed = recipe_of("tiny")
    return TrainingPlan(
        training_set="noise",
        model="tiny",
        recipe=recipe,
        seed=seed,
        budget=recipe.batch_size,
        images=str(folder / "images"),
        shards=(SetFile(str(folder / "rows.parquet"), tuple(names)),),
        uniform="metaclip_dagster.balancing:uniform",
    )


def _draw(random: np.random.Generator) -> bytes:
    """A JPEG of some 20 kB, which takes about as long to decode as a photo of its size."""
    from PIL import Image  # noqa: PLC0415

    coarse = Image.fromarray(random.integers(0, 256, (32, 32, 3), np.uint8)).resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC
    )
    noise = random.normal(0, 6, (SIDE, SIDE, 3))
    file = io.BytesIO()
    Image.fromarray(np.clip(np.asarray(coarse) + noise, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


@contextmanager
def _serve() -> Iterator[str]:
    """Run moto's server in a process of its own, and give a URL in its empty bucket."""
    with reserve_port() as port:
        command = [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            os.environ |= {
                "AWS_ACCESS_KEY_ID": "key",
                "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            }
            try:
                filesystem = connect("s3://images", {})[0]
                filesystem.mkdir("images")  # retried until the server is up
                yield "s3://images/store"
            finally:
                server.terminate()


if __name__ == "__main__":
    main()

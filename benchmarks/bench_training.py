"""Compare training on the image store's tars with open_clip_train on a plain WebDataset of the same pairs.

python -m benchmarks.bench_training [--images N] [--pairs N] [--rounds N] [--json]

Drawings of 64 px as WebP, three texts each; the tiny recipe, one process that loads and trains, pinned to one core.
The baseline of the first row reads tars of images and one text each, with the same optimizer and memory format; that of
the second is open_clip_train as it comes. Runs take turns, and CPU seconds count.
"""

import io
import logging
import os
import tarfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measure import Row, in_fresh_process, options, print_rows, row, take_turns
from metaclip_dagster.schemas import TRAINING_SETS
from metaclip_dagster.training import SetFile, TrainingPlan, recipe_of
from metaclip_dagster.training.arguments import build_arguments
from metaclip_dagster.training.running import run_faster, run_open_clip

NUM_TARS, WORDS = 16, ["red", "green", "small", "large", "round", "bright", "dark", "happy", "sad", "waving"]


def main() -> None:
    """Print what was measured."""
    parser = options(__doc__)
    parser.add_argument("--images", type=int, default=2_000)
    parser.add_argument("--pairs", type=int, default=2_560)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    print_rows(in_fresh_process(measure, args.images, args.pairs, args.rounds), args.json)


def measure(num_images: int, num_pairs: int, rounds: int) -> list[Row]:
    """Give the rows: through our loader against a plain one, and against open_clip_train as it comes."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with TemporaryDirectory() as name:
        folder = Path(name)
        job = _write_both(folder, num_images)
        seconds = np.zeros((rounds, 3))
        for turn in range(-1, rounds):  # the first turn only warms up
            budget = num_pairs if turn >= 0 else job.recipe.batch_size
            sized = replace(job, budget=budget, out=str(folder / f"{turn}"))
            ways = (_train_ours, _train_plain, _train_as_it_comes)
            spent, _ = take_turns(turn, *(partial(way, sized) for way in ways))
            if turn >= 0:
                seconds[turn] = spent
    trained, plain, as_it_comes = num_pairs / np.median(seconds, axis=0)
    _, than_plain, than_it_comes = np.median(
        seconds / seconds[:, :1], axis=0
    )  # by turns: the machine may change its pace
    source = f"{num_images:,} drawings, {num_pairs:,} pairs a run, medians of {rounds}"
    return [
        row("from the store's tars, against a plain WebDataset", trained, "pairs/s", plain, than_plain, input=source),
        row("against open_clip_train as it comes", trained, "pairs/s", as_it_comes, than_it_comes, input=source),
    ]


def _train_ours(job: TrainingPlan) -> None:
    seen: list[float] = []
    run_open_clip(replace(job, out=f"{job.out}-ours"), lambda numbers: seen.append(numbers["pairs_seen"]))
    assert seen[-1] == job.budget
    _forget_logs()


def _train_plain(job: TrainingPlan) -> None:
    with run_faster():
        _train_as_it_comes(replace(job, out=f"{job.out}-plain"))


def _train_as_it_comes(job: TrainingPlan) -> None:
    from open_clip_train.main import main as train  # noqa: PLC0415  # seconds

    tars = f"{job.images}-plain/{{00000..{NUM_TARS - 1:05d}}}.tar"
    assert train([*build_arguments(job), "--train-data", tars, "--report-to", ""]) is None
    _forget_logs()


def _forget_logs() -> None:
    """open_clip_train adds handlers at each start."""
    for handler in list(logging.root.handlers):
        logging.root.removeHandler(handler)
        handler.close()


def _write_both(folder: Path, num_images: int) -> TrainingPlan:
    """The images as a store with a training set beside it, and again as tars with one text each; a job on the first."""
    random, rows, names = np.random.default_rng(0), [], []
    for tar in range(NUM_TARS):
        members = []
        names.append(f"{tar:05d}.tar")
        for image in range(tar, num_images, NUM_TARS):
            words = [" ".join(random.choice(WORDS, 8)) for _ in range(3)]
            rows.append(
                {"tar": names[-1], "image_id": f"{image:024x}", "texts": [_text(image, word) for word in words]}
            )
            members.append((f"{image:024x}", _draw(random), words[0].encode()))
        _write_tar(folder / "images" / names[-1], [(f"{key}.webp", image) for key, image, _ in members])
        plain = [member for key, image, text in members for member in ((f"{key}.webp", image), (f"{key}.txt", text))]
        _write_tar(folder / "images-plain" / names[-1], plain)
    pq.write_table(pa.Table.from_pylist(rows, TRAINING_SETS), folder / "rows.parquet")
    recipe, seed = recipe_of("tiny")
    return TrainingPlan(
        training_set="drawings",
        model="tiny",
        recipe=replace(recipe, epochs=1),
        seed=seed,
        budget=recipe.batch_size,
        images=str(folder / "images"),
        shards=(SetFile(str(folder / "rows.parquet"), tuple(names)),),
        uniform="metaclip_dagster.balancing:uniform",
    )


def _text(image: int, text: str) -> dict[str, Any]:
    return {"pair_id": image, "text": text, "language": "en", "entry_ids": [0], "admitted_at": 0.0}


def _draw(random: np.random.Generator) -> bytes:
    from PIL import Image, ImageDraw  # noqa: PLC0415

    picture, file = Image.new("RGB", (64, 64), "white"), io.BytesIO()
    for left, top in random.integers(0, 48, (6, 2)).tolist():
        colour = tuple(random.integers(0, 256, 3).tolist())
        ImageDraw.Draw(picture).ellipse((left, top, left + 16, top + 14), colour)
    picture.save(file, "WEBP", lossless=True)
    return file.getvalue()


def _write_tar(path: Path, members: list[tuple[str, bytes]]) -> None:
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


if __name__ == "__main__":
    main()

"""A small image store with a training set beside it, and jobs that train on it."""

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from metaclip_dagster.balancing import keep_probability
from metaclip_dagster.schemas import TRAINING_SETS
from metaclip_dagster.training import Online, Recipe, SetFile, TrainingPlan

NUM_TARS, IMAGES_A_TAR = 8, 100
SUFFIXES = ("png", "webp", "jpg")
NAMES = [f"{k % 4:05d}/{k:05d}.tar" for k in range(NUM_TARS)]
ENTRY_COUNT = np.array([4000.0, 10.0, 400.0, 90.0])
THRESHOLDS = {"en": 100.0, "de": 30.0}
BATCH = 32
RECIPE = Recipe("rn32s", batch_size=BATCH, lr=2e-3, wd=0.1, warmup=5, epochs=3, least_scale=0.8, log_every=2)


def image_id_of(image: int) -> str:
    return f"{image * 0x9E3779B97F4A7C15 % 2**64:016x}{image:08x}"


def texts_of(image: int) -> list[dict[str, Any]]:
    """A head text for every image, a tail text for every 50th, one between for every tenth, a German one for some."""
    kinds = [("en", [0])] + [("en", [0, 1])] * (image % 50 == 0) + [("en", [2])] * (image % 10 == 0)
    kinds += [("de", [3])] * (image % 4 == 1)
    return [
        {"pair_id": image * 8 + k, "text": f"{image} {k}", "language": language, "entry_ids": ids, "admitted_at": 0.0}
        for k, (language, ids) in enumerate(kinds)
    ]


def in_set(image: int) -> bool:
    """An eighth of the store's images is not in the set."""
    return image % 8 != 3


def images_of(tar: int) -> range:
    return range(tar * IMAGES_A_TAR, (tar + 1) * IMAGES_A_TAR)


IN_SET = [image for tar in range(NUM_TARS) for image in images_of(tar) if in_set(image)]


def chances() -> np.ndarray[Any, np.dtype[np.float64]]:
    """The probability that each image of the set has an admitted text, drawn online."""

    def misses(text: dict[str, Any]) -> float:
        return 1 - keep_probability(ENTRY_COUNT[text["entry_ids"]], THRESHOLDS[text["language"]])

    return np.array([1 - np.prod([misses(text) for text in texts_of(image)]) for image in IN_SET])


def build_set(folder: Path) -> Path:
    """NUM_TARS tars of drawings, and two Parquet files of rows, of which the first holds all tars but two."""
    for tar, name in enumerate(NAMES):
        members = [(f"{image_id_of(image)}.{SUFFIXES[image % 3]}", draw(image)) for image in images_of(tar)]
        write_tar(folder / "images" / name, members)
    (folder / "draw.npz").parent.mkdir(exist_ok=True)
    np.savez(folder / "draw.npz", entry_key=np.arange(1, 5, dtype=np.uint64) * 977, entry_count=ENTRY_COUNT)
    for shard, tars in enumerate((range(NUM_TARS - 2), range(NUM_TARS - 2, NUM_TARS))):
        rows = [
            {"tar": NAMES[tar], "image_id": image_id_of(image), "texts": texts_of(image)}
            for tar in tars
            for image in images_of(tar)
            if in_set(image)
        ]
        pq.write_table(pa.Table.from_pylist(rows, TRAINING_SETS), folder / f"{shard:05d}.parquet", row_group_size=150)
    return folder


def job_of(folder: Path, out: Path | str = "", **changed: Any) -> TrainingPlan:
    """Nine steps of 32 pairs, unless told otherwise."""
    parts: dict[str, Any] = {
        "training_set": "20",
        "model": "tiny",
        "recipe": RECIPE,
        "seed": 0,
        "budget": 9 * BATCH,
        "images": str(folder / "images"),
        "shards": (
            SetFile(str(folder / "00000.parquet"), tuple(NAMES[:-2])),
            SetFile(str(folder / "00001.parquet"), tuple(NAMES[-2:])),
        ),
        "uniform": "metaclip_dagster.balancing:uniform",
        "out": str(out),
    }
    return TrainingPlan(**{**parts, **changed})


def mixture_of(folder: Path, **changed: Any) -> TrainingPlan:
    """Six tars of a crawl, and two of our own."""
    sources = (
        SetFile(str(folder / "00000.parquet"), tuple(NAMES[:-2]), "crawl"),
        SetFile(str(folder / "00001.parquet"), tuple(NAMES[-2:]), "ours"),
    )
    return job_of(folder, **{"shards": sources, "mixture": {"crawl": 7, "ours": 3}, **changed})


def is_ours(text: str) -> bool:
    return int(text.split(maxsplit=1)[0]) >= IMAGES_A_TAR * (len(NAMES) - 2)


def online(folder: Path) -> Online:
    return Online(THRESHOLDS, str(folder / "draw.npz"))


def draw(image: int) -> bytes:
    """A disc whose colour and size are the image's own, in the format that its suffix will name."""
    picture = Image.new("RGB", (32, 32), "white")
    size = 4 + image % 11
    colour = (image * 7 % 256, image * 29 % 256, image * 53 % 256)
    ImageDraw.Draw(picture).ellipse((16 - size, 16 - size, 16 + size, 16 + size), fill=colour)
    file = io.BytesIO()
    picture.save(file, ("PNG", "WEBP", "JPEG")[image % 3])
    return file.getvalue()


def write_tar(path: Path, members: Sequence[tuple[str, bytes]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))

"""Time what filters ask of an image, and find copies and near ones among the sample's drawings.

python -m benchmarks.bench_filtering [--images N] [--hashes N] [--json]

Images a CPU second on one core, from bytes in memory, decoding included: of the sample's drawings (48 pixels) and of a
photo's size (noise of 1024 x 768 as JPEG); the baseline is decoding alone. --hashes: as many random ones are compared,
each with all before it, at a distance of 3 bits.
"""

import io
import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from PIL import Image

from benchmarks.measure import Row, in_fresh_process, options, peak_mb, print_rows, resident_mb, row
from metaclip_dagster.evaluation import read_task
from metaclip_dagster.evaluation.images import decode_image, read_samples
from metaclip_dagster.filtering.bands import find_nearest, find_nearest_earlier
from metaclip_dagster.filtering.hashes import Looks, mean_colours, perceptual_hash
from metaclip_dagster.filters import Nsfw, aspect, shorter_side
from resources.deployments import SAMPLE

DISTANCE = 6
SIDES = (36, 64, 96, 200)


def main() -> None:
    """Print what was measured."""
    parser = options(__doc__)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--hashes", type=int, default=1_000_000)
    args = parser.parse_args()
    tasks = [read_task(SAMPLE / "tasks" / name) for name in ("twemoji", "twemoji-unseen")]
    samples = [sample for task in tasks for sample in read_samples(task)]
    photo = io.BytesIO()
    Image.effect_noise((1024, 768), 50).convert("RGB").save(photo, "JPEG", quality=85)
    rows = _time("drawings", [sample.image for sample in samples[: args.images]])
    rows += _time("photos", [photo.getvalue()] * args.images)
    rows += _find([decode_image(sample) for sample in samples])
    rows += in_fresh_process(_compare, args.hashes)
    rows.append(row("memory of the NSFW model", in_fresh_process(_memory_of_nsfw), "MB"))
    described = f"{len(samples):,} drawings, of which {args.images:,} are timed, and a photo as often"
    print_rows([{**one, "input": described} for one in rows], args.json)


def _time(name: str, images: Sequence[bytes]) -> list[Row]:
    nsfw = Nsfw()
    scorers: dict[str, Callable[[Image.Image], float]] = {
        "perceptual hash and colours": lambda image: perceptual_hash(image) + mean_colours(image),
        "shorter side and aspect": lambda image: shorter_side(image) + aspect(image),
        "NSFW": nsfw,
    }
    _, plain = (_rate(images, lambda image: 0) for _ in range(2))  # the first one warms up
    rates = {what: _rate(images, score) for what, score in scorers.items()}
    return [row(f"{what}, {name}", rate, "images/s", plain, rate / plain) for what, rate in rates.items()]


def _rate(images: Sequence[bytes], score: Callable[[Image.Image], float]) -> float:
    started = time.process_time()
    for data in images:
        with Image.open(io.BytesIO(data)) as opened:
            score(opened.convert("RGB"))
    return len(images) / (time.process_time() - started)


def _find(drawings: Sequence[Image.Image]) -> list[Row]:
    drawn = _looks(drawings)
    rows = [
        row(f"drawings within {DISTANCE} bits of another one", 100 * _share(find_nearest_earlier(drawn, DISTANCE)), "%")
    ]
    for side in SIDES:
        nearest = find_nearest(_looks(drawing.resize((side, side)) for drawing in drawings), drawn, DISTANCE)
        rows.append(row(f"found of copies resized to {side} pixels, at {DISTANCE} bits", 100 * _share(nearest), "%"))
    return rows


def _looks(images: Iterable[Image.Image]) -> Looks:
    return np.array([(perceptual_hash(image), mean_colours(image)) for image in images], np.uint64)


def _share(nearest: np.ndarray) -> float:
    return float((nearest >= 0).mean())


def _compare(num_hashes: int) -> list[Row]:
    looks = np.random.default_rng(0).integers(0, 2**60, (num_hashes, 2), dtype=np.uint64)
    before, started = resident_mb(), time.process_time()
    find_nearest_earlier(looks, 3)
    spent = time.process_time() - started
    bytes_each = (peak_mb() - before) * 2**20 / num_hashes
    return [row(f"{num_hashes:,} hashes, each with all", spent, "s"), row("memory of that", bytes_each, "bytes/hash")]


def _memory_of_nsfw() -> float:
    before, nsfw = resident_mb(), Nsfw()
    nsfw(Image.new("RGB", (640, 480)))
    return peak_mb() - before


if __name__ == "__main__":
    main()

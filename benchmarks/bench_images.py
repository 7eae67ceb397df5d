"""Compare fetching images with img2dataset, on the clean part of a loopback web.

python -m benchmarks.bench_images --img2dataset PYTHON [--images N] [--rounds N] [--json]

PYTHON is the interpreter of a virtual environment with `img2dataset==1.47.0`. One process each, 64 connections, JPEGs
of 512 px, a tar for each 1,000. Ours checks each by decoding it, and stores it as it came or with a shorter side of
256 px. img2dataset is run three times: as it comes but for resizing, which decodes and encodes, with
disable_all_reencoding, which looks at nothing, and resizing to 256 px. Both encode JPEGs at quality 95. Runs take
turns, and the fastest of each counts; what a run over ten images takes, imports and all, goes off.
"""

import io
import json
import os
import resource
import subprocess
import sys
from collections import Counter
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measure import Row, options, print_rows, row
from metaclip_dagster.imaging import gather_images
from metaclip_dagster.schemas import IMAGE_TEXTS
from metaclip_dagster.urls import image_id_of
from resources.images.asking import ImageWeb
from resources.images.store import open_image_store
from resources.images.web import open_image_web

FEW = 10
_THEIRS = """
import json, resource, sys, time
from img2dataset import download
started = time.monotonic()
download(url_list=sys.argv[1], input_format="parquet", url_col="url", output_folder=sys.argv[2],
         output_format="webdataset", processes_count=1, thread_count=64,
         resize_mode="keep_ratio" if sys.argv[3] == "resized" else "no", image_size=256, resize_only_if_bigger=True,
         disable_all_reencoding=sys.argv[3] == "kept", number_sample_per_shard=1000, enable_wandb=False)
spent = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([time.monotonic() - started, sum(one.ru_utime + one.ru_stime for one in spent)]))
"""


def main() -> None:
    """Print what was measured."""
    parser = options(__doc__)
    parser.add_argument("--img2dataset", required=True, help="the Python of a virtual environment that has it")
    parser.add_argument("--images", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    print_rows(measure(args.img2dataset, args.images, args.rounds), args.json)


def measure(python: str, num_images: int, rounds: int) -> list[Row]:
    """Give wall and CPU rows: images a second, ours against img2dataset's."""
    context = get_context("spawn")
    ports: Any = context.Queue()
    server = context.Process(target=_serve, args=(ports,), daemon=True)
    server.start()
    root = f"http://127.0.0.1:{ports.get()}"
    spent: dict[str, list[Any]] = {"ours": [], "decoded": [], "kept": [], "ours resized": [], "resized": []}
    with TemporaryDirectory() as name:
        for turn in range(rounds):
            for who in sorted(spent, reverse=bool(turn % 2)):
                folders = {num: Path(name, f"{who}-{turn}-{num}".replace(" ", "-")) for num in (FEW, num_images)}
                few, many = (_fetch(who, python, root, num, folder) for num, folder in folders.items())
                spent[who].append((many, few))
    server.terminate()
    source = f"{num_images:,} JPEGs of 512 px, the fastest of {rounds}"
    fastest = {who: np.subtract(*np.min(seconds, axis=0)) for who, seconds in spent.items()}
    return [
        row(
            f"images fetched a second of {what}, {against}",
            (num_images - FEW) / fastest[ours][at],
            "images/s",
            (num_images - FEW) / fastest[theirs][at],
            fastest[theirs][at] / fastest[ours][at],
            input=source,
        )
        for ours, theirs, against in _AGAINST
        for at, what in enumerate(("time", "CPU time"))
    ]


_AGAINST = (
    ("ours", "decoded", "img2dataset decodes too"),
    ("ours", "kept", "img2dataset looks at nothing"),
    ("ours resized", "resized", "both resize to 256 px"),
)


def _fetch(who: str, python: str, root: str, num_images: int, folder: Path) -> tuple[float, float]:
    urls = [f"{root}/{folder.name}/{number}.jpg" for number in range(num_images)]
    folder.mkdir()
    if who.startswith("ours"):
        context = get_context("spawn")
        answer: Any = context.Queue()
        process = context.Process(
            target=_ours, args=(urls, str(folder), "256,jpg,95" if "resized" in who else "", answer)
        )
        process.start()
        result = answer.get()
        process.join()
        return result[0], result[1]
    pq.write_table(pa.table({"url": urls}), folder / "urls.parquet")
    finished = subprocess.run(
        [python, "-c", _THEIRS, str(folder / "urls.parquet"), str(folder / "out"), who],
        capture_output=True, text=True, check=True, env={**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"},
    )  # fmt: skip
    stats = [json.loads(path.read_text(encoding="utf-8")) for path in (folder / "out").glob("*_stats.json")]
    assert sum(one["successes"] for one in stats) == num_images
    result = json.loads(finished.stdout.strip().splitlines()[-1])
    return result[0], result[1]


def _ours(urls: list[str], folder: str, form: str, answer: Any) -> None:
    rows = [
        {"bucket": 0, "image_id": image_id_of(url).hex(), "url": url, "pair_id": number, "text": "", "language": "en",
         "entry_ids": [0], "admitted_at": 0.0}
        for number, url in enumerate(urls)
    ]  # fmt: skip
    port = int(urls[0].split("/")[2].rpartition(":")[2])
    web = ImageWeb(allowed=frozenset({("127.0.0.1", port)}), connections_per_host=64)
    texts, dropped = pa.RecordBatch.from_pylist(rows, schema=IMAGE_TEXTS), Counter[str]()
    store, fetch = open_image_store(folder, segment_images=1000), open_image_web(web)
    before, started = resource.getrusage(resource.RUSAGE_SELF), monotonic()
    num_answered = sum(
        batch.num_rows
        for batch in gather_images(
            [texts], store=store, fetch=fetch, bucket=0, thresholds_below={}, dropped=dropped, seen=Counter(), form=form
        )
    )
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert (num_answered, dropped) == (len(urls), Counter())
    answer.put((monotonic() - started, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))


def _serve(ports: Any) -> None:
    from aiohttp import web  # noqa: PLC0415
    from PIL import Image, ImageFilter  # noqa: PLC0415

    random = np.random.default_rng(0)
    pictures = []
    for _ in range(16):
        file = io.BytesIO()
        noise = Image.fromarray(random.integers(0, 256, (64, 64, 3), np.uint8)).resize((512, 512))
        noise.filter(ImageFilter.GaussianBlur(3)).save(file, "JPEG", quality=88)
        pictures.append(file.getvalue())

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=pictures[hash(request.path) % 16], content_type="image/jpeg")

    async def tell(_: web.Application) -> None:
        ports.put(runner_port)

    import socket  # noqa: PLC0415

    listening = socket.create_server(("127.0.0.1", 0))
    runner_port = listening.getsockname()[1]
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    app.on_startup.append(tell)
    sys.stdout = sys.stderr
    web.run_app(app, sock=listening, print=None, access_log=None)


if __name__ == "__main__":
    main()

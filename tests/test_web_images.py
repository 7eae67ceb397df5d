"""Images of a hostile web into the store: each failure has its reason, and memory is bounded."""

import multiprocessing
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from metaclip_dagster.imaging import gather_images
from metaclip_dagster.schemas import IMAGE_TEXTS
from metaclip_dagster.urls import image_id_of
from resources.images.asking import ImageWeb
from resources.images.store import open_image_store
from resources.images.web import open_image_web
from tests.image_hosts import ImageHosts, image_hosts

pytestmark = pytest.mark.night


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageHosts]:
    with image_hosts(tmp_path_factory.mktemp("hosts")) as running:
        yield running


def asking(hosts: ImageHosts) -> ImageWeb:
    return ImageWeb(
        allowed=hosts.allowed, connections_per_host=32, total_seconds=3.0, max_bytes=3 << 20, failures_of_host=10_000
    )


def texts_of(urls: list[str]) -> pa.RecordBatch:
    """One text an image, as IMAGE_TEXTS has them, all in bucket 0."""
    rows = [
        {"bucket": 0, "image_id": image_id_of(url).hex(), "url": url, "language": "en", "admitted_at": 0.5}
        for url in urls
    ]
    return pa.RecordBatch.from_pylist(rows, schema=IMAGE_TEXTS)


def gather(root: Path, urls: list[str], web: ImageWeb, segment: int = 50) -> tuple[pa.Table, Counter[str]]:
    dropped: Counter[str] = Counter()
    batches = gather_images(
        [texts_of(urls)],
        store=open_image_store(str(root), segment_images=segment),
        fetch=open_image_web(web),
        bucket=0,
        thresholds_below={},
        dropped=dropped,
        seen=Counter(),
    )
    return pa.Table.from_batches(batches, gather_images.writes), dropped  # type: ignore[attr-defined]  # set by @writes


def peak_memory(
    root: Path, urls: list[str], web: ImageWeb, answer: "multiprocessing.Queue[tuple[int, Counter[str]]]"
) -> None:
    _, dropped = gather(root, urls, web, segment=3000)
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
    answer.put((int(peak) // 1024, dropped))


def test_three_thousand_urls_in_under_500_megabytes(hosts: ImageHosts, tmp_path: Path) -> None:
    kinds = {"ok": 2400, "status/404": 250, "html": 150, "bomb": 40, "gzip": 20, "large": 60, "endless": 40, "drip": 10,
             "cut": 30}  # fmt: skip
    urls = [f"{hosts.root}/{kind}/{number}" for kind, times in kinds.items() for number in range(times)]
    random.Random(1).shuffle(urls)
    spawn = multiprocessing.get_context("spawn")
    answer: multiprocessing.Queue[tuple[int, Counter[str]]] = spawn.Queue()
    worker = spawn.Process(target=peak_memory, args=(tmp_path / "store", urls, asking(hosts), answer))
    worker.start()
    megabytes, dropped = answer.get(timeout=300)
    worker.join()
    assert dropped == {
        "http_404": 250, "not_an_image": 150 + 20, "too_many_pixels": 40, "too_large": 60 + 40, "timeout": 10,
        "incomplete": 30,
    }  # fmt: skip
    assert megabytes < 500

"""The mini sample's images on S3, behind failing requests and with killed writers: as in a folder, nothing twice."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from assets.keys import THRESHOLDS, TRAINING_SETS
from assets.queries.pictures import read_pictures
from assets.queries.rungs import measure
from commands.export import export_training_set
from commands.purge import take_down
from resources.crawl.mini import mini_deployment
from resources.deployments import Deployment
from resources.images.store import ImageStore
from resources.lake.resource import Lake
from tests.graphs import copy_home, open_graph
from tests.s3 import BUCKET, by_chance, no_faults, serving_by_environment

pytestmark = pytest.mark.night
ROOT = Path(__file__).parents[1]
SEGMENT = 20
FETCHING = """
import os, sys
from pathlib import Path
from resources.crawl.mini import mini_deployment
from resources.images import host
from resources.images.store import ImageStore
from tests.mini import make_training_sets
mini, home, log, left = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
read, prepare = host._fetch, ImageStore.__init__
def prepare_small(self, *args, **options):
    prepare(self, *args, **options)
    object.__setattr__(self, "segment_images", 20)
    object.__setattr__(self, "lease_seconds", 1.0)
def fetch(*args):
    global left
    for url, answer in read(*args):
        with log.open("a") as file:
            file.write(f"{url}\\n")
        left -= 1
        if not left:
            os.kill(os.getpid(), 9)
        yield url, answer
ImageStore.__init__, host._fetch = prepare_small, fetch
make_training_sets(mini_deployment(mini, home, os.environ))
"""


def gather(mini: Path, home: Path, log: Path, *kills: int, **variables: str) -> None:
    """Make images and training sets, killed each time after so many images, and then to the end."""
    for left in (*kills, 0):
        command = [sys.executable, "-c", FETCHING, str(mini), str(home), str(log), str(left)]
        run = subprocess.run(command, cwd=ROOT, env=os.environ | variables, check=False, capture_output=True, text=True)
        assert run.returncode == (-9 if left else 0), run.stderr[-3000:]


@pytest.fixture(scope="module")
def both(
    mini: Path, curated: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Deployment, Deployment]]:
    """One deployment with images in a folder, and one with them on S3; both have a log of what the host was asked."""
    home = tmp_path_factory.mktemp("both")
    local, remote = (copy_home(curated, home / name) for name in ("local", "remote"))
    with serving_by_environment() as proxy:
        gather(mini, local.home, home / "local.log")
        proxy.plan = by_chance(2026, 0.02)
        gather(mini, remote.home, home / "remote.log", 5, 47, METACLIP_IMAGES=f"s3://{BUCKET}/images")
        assert sum(num for fault, num in proxy.met.items() if fault != "none") > 5
        proxy.plan = no_faults
        assert not (remote.home / "images").exists()
        variables = {"METACLIP_IMAGES": f"s3://{BUCKET}/images"}
        yield local, mini_deployment(mini, remote.home, variables)


def read_tables(where: Deployment) -> dict[str, Any]:
    lake = Lake(root=where.lake)
    names = {"images": THRESHOLDS, "image_texts": THRESHOLDS, "training_sets": TRAINING_SETS}
    return {f"{name} {key}": lake.read(name, [key]).to_pydict() for name, keys in names.items() for key in keys}


def test_tables_are_those_of_a_folder_and_nothing_that_is_stored_was_fetched_twice(
    both: tuple[Deployment, Deployment],
) -> None:
    local, remote = both
    assert read_tables(remote) == read_tables(local)
    asked, again = (Counter((it.home.parent / f"{it.home.name}.log").read_text().split()) for it in both)
    assert set(asked.values()) == {1}
    assert asked.keys() == again.keys()
    # A killed writer's open segment alone: of the first kill 5 images, and of the second what came after whole ones.
    twice = [url for url, num in again.items() if num > 1]
    assert 0 < len(twice) <= 2 * SEGMENT
    assert max(again.values()) <= 3


def test_reports_exports_and_predictions_read_the_store_where_it_lies(
    both: tuple[Deployment, Deployment], tmp_path: Path
) -> None:
    local, remote = both
    lake = Lake(root=local.lake)
    ids = lake.read("images", ["20"])["image_id"].to_pylist()[:40]
    shown = [read_pictures(lake, where.images, dict.fromkeys(ids, "")) for where in both]
    assert shown[0] == shown[1]
    assert any(picture.thumbnail for picture in shown[1].values())
    assert measure(local, lake, "50") == measure(remote, lake, "50")
    for where in both:
        export_training_set(where, "20", tmp_path / where.home.name / "set", images_per_tar=1000)
    files = [
        {path.name: path.read_bytes() for path in (tmp_path / where.home.name).rglob("*") if path.is_file()}
        for where in both
    ]
    assert files[0] == files[1]
    store = ImageStore(remote.images)
    for tar in store.tars():
        store.check(tar)


def test_another_form_is_written_from_what_is_stored_and_what_failed_is_asked_for_again(
    both: tuple[Deployment, Deployment],
) -> None:
    for where in both:
        with open_graph(replace(where, image_form="16,jpg,90")) as graph:
            again: dict[str, Any] = {"ops": {"images": {"config": {"retry_failed": True}}}}
            for t in THRESHOLDS:
                graph.make(["images"], t, **again)
                seen, dropped = (graph.lake.manifest("images", t).total(name) for name in ("seen", "dropped"))
                assert seen["rewritten"] > 0
                assert seen["fetched"] == dropped.total()
            for key in TRAINING_SETS:
                graph.make(["training_sets"], key)
    assert read_tables(both[1]) == read_tables(both[0])


def test_a_purge_blanks_there_what_it_blanks_in_a_folder_with_its_receipt(
    both: tuple[Deployment, Deployment],
) -> None:
    rows = Lake(root=both[0].lake).read("images", ["20"])
    stored = rows.filter(pc.is_valid(rows["tar"])).to_pylist()[0]
    reports = []
    for where in both:
        listed = f"kind,value,reason,request\nimage_sha256,{stored['sha256']},asked,r-1\n"
        where.takedowns.write_text(listed, encoding="utf-8")
        reports.append(take_down(where))
    names = ("pairs", "images", "tables")
    assert [reports[0][name] for name in names] == [reports[1][name] for name in names]
    assert reports[1]["images"]["images"] > 0
    assert len(reports[1]["receipts"]) == len(reports[0]["receipts"]) > 0
    data = ImageStore(both[1].images).read(stored["tar"], stored["offset"], stored["size"])
    assert data == bytes(stored["size"])

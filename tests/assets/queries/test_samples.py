"""The sweep's test images: each thumbnail is of its own image, and where there is none, the page says why."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from assets.queries.samples import read_samples_of_sweep
from metaclip_dagster.evaluation import read_task
from metaclip_dagster.evaluation.images import decode_image, read_samples
from metaclip_dagster.reporting.html.thumbnails import encode_thumbnail
from resources.tasks.resource import ZeroShot
from tests.metaclip_dagster.training_sets import write_tar
from tests.metaclip_dagster.zero_shot import classified, write_task

HELPED, HURT = [4, 1], [2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tars = [classified([0, 1, 1]), classified([0, 0, 1, 1])]
    return write_task(tmp_path / "birds", tars, classnames="owl\ntit\n")


def sweep_of(folder: Path) -> dict[str, Any]:
    sides = {
        name: [{"sample": n, "class_name": f"name {n}"} for n in of_side]
        for name, of_side in (("helped", HELPED), ("hurt", HURT))
    }
    images = {"task": "birds", **sides}
    return {"tasks": [{"task": "birds", "version": read_task(folder).version}], "classes": {"images": images}}


def test_each_thumbnail_is_of_the_image_with_its_number(folder: Path) -> None:
    pictures = read_samples_of_sweep(ZeroShot(checkpoints="", deployed=[str(folder)]), sweep_of(folder))
    samples = list(read_samples(read_task(folder)))
    assert {number: (it.image_id, it.text, it.thumbnail, it.note) for number, it in pictures.items()} == {
        n: (f"birds/{n}", f"name {n}", encode_thumbnail(decode_image(samples[n])), "") for n in (1, 2, 4)
    }


@pytest.mark.parametrize("damage", ["gone", "unlisted", "changed", "broken"])
def test_a_task_that_cannot_be_read_costs_the_pictures_and_not_the_sweep(folder: Path, damage: str) -> None:
    sweep = sweep_of(folder)
    if damage == "gone":
        shutil.rmtree(folder)
    elif damage == "changed":
        write_tar(folder / "test" / "0.tar", classified([1, 1, 1, 1]))
    elif damage == "broken":
        write_tar(folder / "test" / "0.tar", [("a.cls", b"0"), ("a.png", b"no image"), ("b.cls", b"0")])
        sweep["tasks"][0]["version"] = read_task(folder).version
    zero_shot = ZeroShot(checkpoints="", deployed=[] if damage == "unlisted" else [str(folder)])
    shown = {(it.thumbnail, it.note) for it in read_samples_of_sweep(zero_shot, sweep).values()}
    assert shown == {(None, "its task was changed or is gone")}


def test_a_sweep_without_images_asks_for_no_task() -> None:
    for classes in (None, {"images": None}):
        assert read_samples_of_sweep(ZeroShot(checkpoints=""), {"classes": classes, "tasks": []}) == {}

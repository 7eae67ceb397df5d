"""Trainings whose images lie in an object store: the weights that the folder gives, and the budget after a kill."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from metaclip_dagster.balancing import uniform
from metaclip_dagster.schemas import TRAINING_SETS
from metaclip_dagster.training import SetFile, TrainingPlan
from metaclip_dagster.training.jobs import check_images
from metaclip_dagster.training.loading import ImageTexts
from resources.files.object_store import connect, settings
from resources.images.store import ImageStore
from tests.metaclip_dagster.training_sets import BATCH, RECIPE, build_set, image_id_of, job_of, texts_of
from tests.resources.images.test_image_store import append, row
from tests.resources.trainers import ended, gone, result_of, seen, starting, wait_for, write_job
from tests.s3 import BUCKET, Proxy, by_chance, no_faults, serving_by_environment

URL = f"s3://{BUCKET}/images"
EPOCH = 8 * BATCH


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def proxy(folder: Path) -> Iterator[Proxy]:
    with serving_by_environment() as proxy:
        filesystem, root = connect(URL, {})
        filesystem.put(f"{folder}/images/", f"{root}/", recursive=True)
        yield proxy


@pytest.fixture(scope="module")
def start(proxy: Proxy) -> Iterator[Callable[[Path], psutil.Process]]:
    with starting() as start_one:
        yield start_one


@pytest.mark.night
def test_a_training_on_the_store_gives_the_weights_that_the_folder_gives_and_resumes(
    folder: Path, proxy: Proxy, start: Callable[[Path], psutil.Process], tmp_path: Path
) -> None:
    recipe = replace(RECIPE, log_every=1)

    def job(name: str) -> TrainingPlan:
        return job_of(folder, tmp_path / name, recipe=recipe, budget=3 * EPOCH, loader_workers=1)

    stored: dict[str, Any] = {
        "images": URL,
        "image_options": settings(URL, {}),
        "cache": str(tmp_path / "cache"),
        "cache_gb": 0.001,
    }
    proxy.plan = by_chance(1, 0.02)
    trainers = [start(write_job(job("local"))), start(write_job(replace(job("s3"), **stored)))]
    killed = write_job(replace(job("killed"), **stored))
    trainer = start(killed)
    wait_for(lambda: seen(killed.parent) > EPOCH)
    processes = [trainer, *trainer.children()]
    trainer.kill()
    wait_for(lambda: gone(processes), 10)
    trainers.append(start(killed))
    for trainer in trainers:
        wait_for(lambda trainer=trainer: ended(trainer))  # type: ignore[misc]  # mypy knows no defaults of lambdas
    local, on_s3, resumed = (result_of(tmp_path / name) for name in ("local", "s3", "killed"))
    assert (on_s3["sha256"], on_s3["losses"]) == (local["sha256"], local["losses"])
    assert resumed["pairs_seen"] == resumed["budget"] == 3 * EPOCH
    assert [pairs for pairs, _ in resumed["losses"]] == [BATCH * step for step in range(1, 25)]
    assert sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) <= 1_000_000 + 10


def test_tars_of_a_store_with_leases_are_found_again_after_a_purge(proxy: Proxy, tmp_path: Path) -> None:
    proxy.plan = no_faults
    store = ImageStore(f"s3://{BUCKET}/leased", lease_seconds=0.6)
    append(store, *(row(image_id_of(it), b"an image" * it) for it in (1, 2)))
    [tar] = store.tars()
    pq.write_table(
        pa.Table.from_pylist([{"tar": tar, "image_id": image_id_of(1), "texts": texts_of(1)[:1]}], TRAINING_SETS),
        tmp_path / "rows.parquet",
    )
    job = job_of(tmp_path, images=str(store.root), shards=(SetFile(str(tmp_path / "rows.parquet"), (tar,)),))

    def read() -> list[bytes]:
        """As a training does that begins now, with the job that an asset would write now."""
        reopened = ImageStore(store.root)
        placed = replace(job, objects=reopened.locate([tar]), image_options=reopened.connection)
        assert check_images(replace(placed, recipe=replace(RECIPE, batch_size=1))) == {tar: 1}
        return [sample["png"] for sample in ImageTexts(placed, uniform)._read(*placed.tars[0])]

    assert read() == [b"an image"]
    begun = ImageTexts(replace(job, objects=store.locate([tar]), image_options=store.connection), uniform)
    store.forget(lambda rows: pc.equal(rows["image_id"], image_id_of(2)), "taken down")
    with pytest.raises(
        FileNotFoundError, match="missing; if a purge has replaced it meanwhile, run the partition again"
    ):
        list(begun._read(*begun.tars[0]))
    assert read() == [b"an image"]
    assert (ImageStore(tmp_path).locate([tar]), ImageStore(tmp_path).connection) == ({}, {})

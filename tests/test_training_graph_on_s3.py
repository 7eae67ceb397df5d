"""Images of the mini sample in a bucket that fails requests: tables, and a training's weights, as from a folder."""

import shutil
from pathlib import Path

import pytest

from assets.keys import THRESHOLDS
from resources.deployments import Deployment
from tests.graphs import copy_home, open_graph
from tests.s3 import BUCKET, by_chance, serving_by_environment
from tests.test_training_graph import CELLS, TRAINING


@pytest.mark.night
def test_a_checkpoint_of_images_in_a_bucket_is_that_of_images_in_a_folder(imaged: Deployment, tmp_path: Path) -> None:
    with serving_by_environment() as proxy:
        proxy.plan = by_chance(1, 0.02)
        local = copy_home(imaged, tmp_path / "local", ("lake", "images"))
        stored = copy_home(imaged, tmp_path / "s3", ("lake",), images_url=f"s3://{BUCKET}/images/mini")
        for table in ("images", "training_sets"):
            shutil.rmtree(stored.home / "lake" / table, ignore_errors=True)
        results = []
        for where in (local, stored):
            with open_graph(where) as graph:
                for t in THRESHOLDS[::-1]:  # as `imaged` did: a ring's tars are numbered as they come
                    graph.make(["images"], t)
                graph.make(["training_sets"], "20")
                cache = {"trainer": {"config": {"cache": str(tmp_path / "cache"), "cache_gb": 0.01}}}
                graph.make(["checkpoints"], CELLS[0].key, **TRAINING, resources=cache)
                tables = [("images", "20"), ("training_sets", "20"), ("checkpoints", CELLS[0].key)]
                results.append([graph.lake.read(table, [key]) for table, key in tables])
    for local_table, stored_table in zip(*results, strict=True):
        assert local_table.equals(stored_table)
    assert any((tmp_path / "cache").glob("*.block"))

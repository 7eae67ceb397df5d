"""A WebDataset in an object store: what the folder would hold, and what others' programs train on as they come."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metaclip_dagster.training.arguments import build_arguments
from resources.files.exports import new_place, write_webdataset
from resources.files.object_store import connect
from tests.metaclip_dagster.training_sets import BATCH, RECIPE, draw, job_of
from tests.s3 import BUCKET, Proxy, by_chance, no_faults, serving_by_environment

NUM_IMAGES = 90
COPY = "import fsspec, shutil, sys; shutil.copyfileobj(fsspec.open(sys.argv[1]).open(), sys.stdout.buffer)"

TRAIN = """if True:
    import sys
    from metaclip_dagster.training.exporting import read_architecture
    read_architecture("rn32s", "")  # small enough for a test
    from open_clip_train.main import main
    sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    with serving_by_environment() as proxy:
        yield proxy


def samples() -> Iterator[dict[str, Any]]:
    for image in range(NUM_IMAGES):
        yield {"__key__": f"{image:024x}", "jpg": draw(image), "txt": f"drawing {image}"}


def test_an_exported_set_is_that_of_a_folder_and_is_never_written_over(proxy: Proxy, tmp_path: Path) -> None:
    url = f"s3://{BUCKET}/sets/20"
    proxy.plan = by_chance(3, 0.02)
    for each in (url, tmp_path / "20"):
        with new_place(each) as place:
            assert write_webdataset(samples(), place, images_per_tar=20) == NUM_IMAGES
    proxy.plan = no_faults
    filesystem, root = connect(url, {})
    stored = {path.rsplit("/", 1)[1]: filesystem.cat_file(path) for path in filesystem.find(root)}
    assert stored == {path.name: path.read_bytes() for path in (tmp_path / "20").iterdir()}
    assert json.loads(stored["sizes.json"]) == {f"{tar:05d}.tar": 20 if tar < 4 else 10 for tar in range(5)}
    with pytest.raises(FileExistsError, match=f"{url} is not empty"), new_place(url):
        pass


@pytest.mark.night
def test_open_clip_as_it_comes_trains_on_an_exported_set(proxy: Proxy, tmp_path: Path) -> None:
    url = f"s3://{BUCKET}/sets/trained"
    write_webdataset(samples(), url, images_per_tar=20)
    tars = f"pipe:{sys.executable} -c '{COPY}' {url}/{{00000..00004}}.tar"
    plan = job_of(tmp_path, tmp_path / "out", recipe=RECIPE, budget=6 * BATCH)
    command = [sys.executable, "-c", TRAIN, *build_arguments(plan), "--train-data", tars, "--report-to", ""]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    log = (tmp_path / "out" / "run" / "out.log").read_text("utf-8")
    assert "Handling webdataset error" not in log
    assert "Train Epoch: 2" in log


def test_a_set_that_fails_midway_has_no_lists(proxy: Proxy) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        for sample in samples():
            yield sample
            assert sample["txt"] != "drawing 30", "midway"

    url = f"s3://{BUCKET}/sets/broken"
    with pytest.raises(AssertionError, match="midway"), new_place(url) as place:
        write_webdataset(broken(), place, images_per_tar=20)
    filesystem, root = connect(url, {})
    assert [path.rsplit("/", 1)[1] for path in filesystem.find(root)] == ["00000.tar"]

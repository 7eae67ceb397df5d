"""A mixture goes through the graph as a t does: its subset, images, training set, job and export."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from assets.queries.mixtures import describe_mixture, source_of
from metaclip_dagster.training import TrainingPlan
from metaclip_dagster.training.jobs import check_images
from resources.deployments import REPOSITORY, Deployment
from resources.lake.resource import Lake
from tests.graphs import SNAPSHOTS, copy_home

FIRST, SECOND = SNAPSHOTS
MIXTURES: dict[str, Any] = {
    "whole": {"all": {"snapshots": ["SAMPLE-*"], "t": "20"}},
    "thrice": {
        "old": {"snapshots": [FIRST], "t": "20"},
        "new": {"snapshots": [SECOND], "t": "inf", "weight": 3},
    },
    "lost": {"crawl": {"snapshots": ["SAMPLE-*"], "t": "20"}, "ours": {"snapshots": ["pool-ours"], "t": "inf"}},
    "empty": {"old": {"snapshots": [FIRST], "t": "20"}, "new": {"snapshots": [SECOND], "t": "1e-09"}},
}
PROGRAM = """
import json, os, sys; from pathlib import Path
import dagster as dg
from assets.jobs import Training, prepare_job; from assets.keys import Cell
from commands import export
from resources.crawl.mini import mini_deployment; from metaclip_dagster.training import TrainingPlan
from metaclip_dagster.training.jobs import check_images
from resources.deployments import deployment
from tests.graphs import SNAPSHOTS, open_graph
where = mini_deployment(Path(sys.argv[1]), deployment().home, os.environ)
with open_graph(where, *SNAPSHOTS) as graph:
    for key in ("mix-whole", "mix-thrice"):
        graph.make(["subsets"], key)
        graph.make(["image_texts", "images"], key)
        graph.make(["training_sets"], key)
    for key in ("mix-lost", "mix-empty"):
        try:
            graph.make(["subsets"], key)
        except dg.Failure as error:
            print(error.description)
    trainer, images = (graph.definitions.resources[name] for name in ("trainer", "image_store"))
    _, job = prepare_job(graph.lake, trainer, images, Cell("mix-thrice", "tiny"), Training())
(where.home / "job.json").write_text(json.dumps(job))
print(export.export_training_set(where, "mix-thrice", where.home / "export", images_per_tar=100))
"""


@pytest.fixture(scope="module")
def home(mini: Path, imaged: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mixtures made in a process of their own, for partitions are fixed at import."""
    home = tmp_path_factory.mktemp("mixtures") / "sample"
    copy_home(imaged, home, ("lake", "images"))
    (home / "mixtures.json").write_text(json.dumps(MIXTURES), encoding="utf-8")
    environment = {**os.environ, "METACLIP_DEPLOYMENT": "sample", "METACLIP_DATA": str(home.parent)}
    command = [sys.executable, "-c", PROGRAM, str(mini)]
    run = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-5000:]
    (home / "said").write_text(run.stdout, encoding="utf-8")
    return home


@pytest.fixture(scope="module")
def lake(home: Path) -> Lake:
    return Lake(root=str(home / "lake"))


def rows_of(lake: Lake, key: str) -> list[dict[str, Any]]:
    return sorted(lake.read("training_sets", [key]).to_pylist(), key=lambda row: (row["image_id"], str(row)))


def test_one_source_of_all_snapshots_and_weight_one_is_the_set_of_its_t(lake: Lake) -> None:
    assert rows_of(lake, "mix-whole") == rows_of(lake, "20")
    shards = {
        key: {it.key.rpartition("/")[2]: it.digest for it in lake.manifest("training_sets", key).shards}
        for key in ("mix-whole", "20")
    }
    assert shards["mix-whole"] == shards["20"], "to the byte"


def test_each_source_is_its_snapshots_at_its_own_t(lake: Lake) -> None:
    pairs = {
        (row["snapshot"], row["pair_id"])
        for t, snapshot in (("20", FIRST), ("inf", SECOND))
        for row in lake.read("subsets", [t]).to_pylist()
        if row["snapshot"] == snapshot
    }
    subset = lake.read("subsets", ["mix-thrice"]).to_pylist()
    assert {(row["snapshot"], row["pair_id"]) for row in subset} == pairs
    assert len(subset) == len(pairs)
    of_source: dict[str, set[int]] = {"old": set(), "new": set()}
    for key, batches in lake.shards("training_sets", "mix-thrice").items():
        for batch in batches():
            of_source[source_of(key)] |= {text["pair_id"] for texts in batch["texts"].to_pylist() for text in texts}
    assert all(of_source.values())
    for source, snapshot in (("old", FIRST), ("new", SECOND)):
        assert of_source[source] <= {pair for key, pair in pairs if key == snapshot}


def test_nothing_is_fetched_that_the_store_has(lake: Lake) -> None:
    seen = lake.manifest("images", "mix-thrice").total("seen")
    assert seen["fetched"] == 0
    assert seen["images"] == lake.manifest("images", "mix-thrice").rows


def test_the_job_has_each_source_by_itself_in_its_share(home: Path, lake: Lake) -> None:
    old, new = describe_mixture(lake.manifest("training_sets", "mix-thrice"), 8 * 32)
    assert (old.asked, new.asked, old.t, new.t, old.factor, new.factor) == ("weight 1", "weight 3", "20", "inf", 1, 3)
    assert old.pairs_seen + new.pairs_seen == 8 * 32
    assert new.pairs_seen == pytest.approx(8 * 32 * 3 * new.images / (3 * new.images + old.images), abs=1)
    plan = TrainingPlan.from_json(json.loads((home / "job.json").read_text(encoding="utf-8")))
    assert plan.mixture["new"] * old.images == 3 * new.images * plan.mixture["old"]
    assert check_images(plan).total() == old.images + new.images


def test_an_export_has_a_folder_for_each_source_and_says_how_others_train_on_it(home: Path, lake: Lake) -> None:
    sources = describe_mixture(lake.manifest("training_sets", "mix-thrice"), 1)
    for source in sources:
        images = set[str]()
        for path in (home / "export" / source.name).glob("*.tar"):
            with tarfile.open(path) as tar:
                images |= {name.partition(".")[0] for name in tar.getnames()}
        assert len(images) == source.images
    page = (home / "export" / "README.md").read_text(encoding="utf-8")
    assert '--train-data "old/{00000..00000}.tar::new/{00000..00001}.tar"' in page
    assert "--train-data-upsampling-factors 1::3" in page
    described = json.loads((home / "export" / "mixture.json").read_text(encoding="utf-8"))
    assert {name: it["share"] for name, it in described.items()} == {it.name: it.share for it in sources}


def test_a_source_that_is_not_there_or_has_nothing_is_named(home: Path) -> None:
    said = (home / "said").read_text(encoding="utf-8")
    assert f"mix-lost: ours: the pool has no snapshot pool-ours, but {FIRST}, {SECOND}; register it" in said
    assert f"mix-empty: no pair is left of new ({SECOND}) at t = 1e-09: take a larger t, or leave the source" in said


def test_the_page_of_the_set_has_its_sources(home: Path, lake: Lake) -> None:
    page = (home / "reports" / "training_set_mix-thrice.html").read_text(encoding="utf-8")
    assert page.index("<h2>Sources of the mixture") < page.index("weight 3") < page.index("<h2>All reasons")
    described = json.loads((home / "reports" / "training_set_mix-thrice.json").read_text(encoding="utf-8"))
    assert [it["pairs_seen"] for it in described["sources"]] == [
        it.pairs_seen for it in describe_mixture(lake.manifest("training_sets", "mix-thrice"), 20_480)
    ]

"""Laws of the graph below the subsets: images, training sets, checkpoints, scores and the sweep, on the mini sample."""

import json
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest

import demo
import export
from assets.partitions import THRESHOLDS, TRAINING_SETS, Cell
from definitions import bind
from resources.deployments import Deployment
from resources.lake import Lake
from tests.mini import mini_deployment

STEPS = 20
RECIPE = {"batch_size": 32, "epochs": 2, "warmup": 2, "log_every": 2}
TRAINING = {"ops": {"checkpoints": {"config": {"pairs_to_see": STEPS * 32, "recipe": RECIPE}}}}
CELLS = [Cell(name, "tiny") for name in ("20", "inf", "online-20")]


class Graph:
    """The mini sample's graph with curation done, and an instance of its own."""

    def __init__(self, where: Deployment, instance: dg.DagsterInstance) -> None:
        self.where, self.instance, self.lake = where, instance, Lake(root=where.lake)

    def make(self, names: list[str], partition: str | None = None, **config: Any) -> dg.ExecuteInProcessResult:
        return demo.materialize(bind(self.where), self.instance, names, partition, config)

    def segments(self) -> list[dict[str, Any]]:
        """Every row of every index of the image store."""
        return [
            row for path in sorted(self.where.images.glob("*/*.parquet")) for row in pq.read_table(path).to_pylist()
        ]


@pytest.fixture(scope="module")
def trained(mini: Path, made: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    """Everything below the subsets made once, a third of the sweep's cells trained; not to be changed."""
    home = tmp_path_factory.mktemp("trained")
    shutil.copytree(made.lake, home / "lake")
    with dg.DagsterInstance.ephemeral() as instance:
        graph = Graph(mini_deployment(mini, home), instance)
        for t in reversed(THRESHOLDS):  # in whatever order rings are asked for
            graph.make(["images"], t)
        for key in TRAINING_SETS:
            graph.make(["training_sets"], key)
        for cell in CELLS:
            graph.make(["checkpoints", "scores"], cell.key, **TRAINING)
        graph.make(["sweep"])
        yield graph


def ids(lake: Lake, key: str) -> set[str]:
    return set(lake.read("training_sets", [key])["image_id"].to_pylist())


def test_rings_part_the_images_and_none_is_read_twice_from_the_source(trained: Graph) -> None:
    rows = trained.segments()
    assert len(rows) == len({row["image_id"] for row in rows})
    rings = [trained.lake.read("images", [t])["image_id"].to_pylist() for t in THRESHOLDS]
    wanted = set(trained.lake.read("subsets", ["inf"])["image_id"].to_pylist())
    assert (
        sorted(image for ring in rings for image in ring) == sorted(wanted) == sorted(row["image_id"] for row in rows)
    )
    fetched = sum((trained.lake.manifest("images", t).total("seen") for t in THRESHOLDS), Counter[str]())
    assert (fetched["fetched"], fetched["held"]) == (len(wanted), 0)


def test_a_training_set_is_its_subset_minus_the_failed_images(trained: Graph) -> None:
    failed = {row["image_id"] for row in trained.segments() if row["reason"]}
    for t in THRESHOLDS:
        subset = trained.lake.read("subsets", [t]).to_pylist()
        kept = {(row["image_id"], row["pair_id"], row["text"]) for row in subset if row["image_id"] not in failed}
        rows = trained.lake.read("training_sets", [t]).to_pylist()
        assert kept == {(row["image_id"], text["pair_id"], text["text"]) for row in rows for text in row["texts"]}
        tally = trained.lake.manifest("training_sets", t).total("seen")
        assert tally["pairs"] == len(kept)
        assert sum(trained.lake.manifest("training_sets", t).total("dropped").values()) == len(subset) - len(kept)


def test_training_sets_are_nested_and_online_ones_hold_the_pool(trained: Graph) -> None:
    assert ids(trained.lake, "20") < ids(trained.lake, "100") <= ids(trained.lake, "inf")
    assert {ids(trained.lake, key) == ids(trained.lake, "inf") for key in TRAINING_SETS if "online" in key} == {True}


def test_a_second_run_fetches_and_trains_nothing(trained: Graph) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.where.home.rglob("*") if path.is_file()}
    cell = CELLS[0].key
    for names, key in ((["images"], "20"), (["training_sets"], "20"), (["checkpoints", "scores"], cell)):
        trained.make(names, key, **(TRAINING if key == cell else {}))
    grown = {path for path in trained.where.home.rglob("*") if path.is_file()} - set(before)
    assert not {path.name for path in grown if path.suffix in (".tar", ".parquet", ".safetensors", ".pt")}
    checkpoints = [path for path in before if path.name == "open_clip_model.safetensors"]
    assert {path.stat().st_mtime_ns == before[path] for path in checkpoints} == {True}


def test_an_inserted_rung_and_a_refresh_fetch_nothing_that_the_store_holds(trained: Graph, tmp_path: Path) -> None:
    shutil.copytree(trained.where.lake, tmp_path / "lake")
    (tmp_path / "images").symlink_to(trained.where.images)
    with dg.DagsterInstance.ephemeral() as instance:
        again = Graph(replace(trained.where, home=tmp_path), instance)
        shutil.rmtree(tmp_path / "lake" / "images" / "inf")  # as if this rung had never been there
        again.make(["images"], "inf")
        tally = again.lake.manifest("images", "inf").total("seen")
    assert (tally["fetched"], tally["held"]) == (0, tally["images"])


def test_failures_alone_are_asked_for_again(trained: Graph, tmp_path: Path) -> None:
    shutil.copytree(trained.where.lake, tmp_path / "lake")
    shutil.copytree(trained.where.images, tmp_path / "images")
    with dg.DagsterInstance.ephemeral() as instance:
        again = Graph(replace(trained.where, home=tmp_path), instance)
        retry = {"ops": {"images": {"config": {"retry_failed": True}}}}
        again.make(["images"], "inf", **retry)
        manifest = again.lake.manifest("images", "inf")
    assert manifest.total("seen")["fetched"] == sum(manifest.total("dropped").values()) > 0


def test_a_checkpoint_saw_its_budget_and_is_loaded_by_whoever_has_open_clip(trained: Graph) -> None:
    for cell in CELLS:
        [row] = trained.lake.read("checkpoints", [cell.key]).to_pylist()
        assert (row["pairs_seen"], row["budget"]) == (STEPS * 32, STEPS * 32)
        assert (row["training_set"], row["model"], row["seed"]) == (cell.training_set, "tiny", 0)
    folder = trained.where.checkpoints / row["path"]
    code = f"import open_clip; print(open_clip.create_model_and_transforms('local-dir:{folder}')[0].visual.image_size)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert "32" in told.stdout


def test_scores_stand_beside_chance_for_every_task_and_class(trained: Graph) -> None:
    rows = trained.lake.read("scores", [CELLS[0].key]).to_pylist()
    [top1] = [row for row in rows if (row["part"], row["metric"]) == ("all", "acc1")]
    assert (top1["task"], top1["num_classes"], top1["num_images"]) == ("twemoji-unseen", 122, 122)
    assert top1["chance"] == pytest.approx(1 / 122)
    classes = trained.lake.read("class_scores", [CELLS[0].key])
    assert sum(classes["acc1"].to_pylist()) == pytest.approx(top1["score"] * 122)


def test_the_sweep_works_while_cells_are_missing_and_names_them(trained: Graph) -> None:
    told = json.loads((trained.where.reports / "sweep.json").read_text(encoding="utf-8"))
    assert {cell["training_set"] for cell in told["cells"]} == {cell.training_set for cell in CELLS}
    assert "tiny on 100" in told["missing"]
    assert "tiny on 20" not in told["missing"]
    facts = {row["training_set"]: row for row in told["sets"]}
    subset = trained.lake.manifest("subsets", "20").rows
    assert (facts["20"]["pairs_in_subset"], facts["20"]["pairs"]) == (
        subset,
        trained.lake.manifest("training_sets", "20").total("seen")["pairs"],
    )


def test_a_ring_that_was_not_fetched_is_named(trained: Graph, tmp_path: Path) -> None:
    shutil.copytree(trained.where.lake, tmp_path / "lake")
    shutil.rmtree(tmp_path / "lake" / "images" / "20")
    with dg.DagsterInstance.ephemeral() as instance:
        again = Graph(replace(trained.where, home=tmp_path), instance)
        with pytest.raises(dg.Failure, match="images of t = 20 are not there"):
            again.make(["training_sets"], "100")


def test_a_store_is_not_read_with_another_number_of_buckets(trained: Graph) -> None:
    again = Graph(replace(trained.where, image_buckets=5), trained.instance)
    with pytest.raises(dg.Failure, match="has 4 buckets, not 5"):
        again.make(["images"], "20")


def test_a_set_too_small_for_a_batch_fails_before_anything_is_trained(trained: Graph) -> None:
    config = {
        "ops": {"checkpoints": {"config": {"pairs_to_see": 65_536, "recipe": {"batch_size": 65_536, "epochs": 1}}}}
    }
    with pytest.raises(dg.Failure, match="fewer than its batch"):
        trained.make(["checkpoints"], CELLS[0].key, **config)


def test_exports_hold_the_subset_and_the_set_as_other_tools_read_them(trained: Graph, tmp_path: Path) -> None:
    export.export_subset(trained.where, "20", tmp_path / "subset")
    files = sorted((tmp_path / "subset").iterdir())
    assert sum(pq.read_metadata(path).num_rows for path in files) == trained.lake.manifest("subsets", "20").rows
    export.export_training_set(trained.where, "20", tmp_path / "set", images_per_tar=100)
    sizes = json.loads((tmp_path / "set" / "sizes.json").read_text(encoding="utf-8"))
    for name, size in sizes.items():
        with tarfile.open(tmp_path / "set" / name) as tar:
            assert len({member.partition(".")[0] for member in tar.getnames()}) == size
    assert sum(sizes.values()) == len(ids(trained.lake, "20"))
    with pytest.raises(FileExistsError, match="is there already"):
        export.export_subset(trained.where, "20", tmp_path / "subset")

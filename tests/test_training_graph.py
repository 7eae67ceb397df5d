"""Laws of the graph below the subsets: images, training sets, checkpoints, scores and the sweep, on the mini sample."""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from PIL import Image

from assets.checks import of_one_pool
from assets.jobs import Training, prepare_job
from assets.keys import THRESHOLDS, TRAINING_SETS, Cell
from assets.queries.provenance import find_outdated
from assets.queries.rungs import thresholds_of
from assets.queries.sweeps import make_sweep
from assets.queries.tars import list_tars
from commands import export
from metaclip_dagster.reporting.sweeps.comparisons import bar_above
from metaclip_dagster.training.exporting import MODELS, WEIGHTS
from metaclip_dagster.training.tokenizing import TOKENIZER, TOKENIZER_CONFIG
from metaclip_dagster.words.spacing import space_marks
from resources.deployments import Deployment
from resources.images.resource import Images
from resources.images.store import open_image_store
from resources.lake.resource import Lake
from resources.models.resource import Trainer
from tests.graphs import SNAPSHOTS, Graph, copy_home, open_graph
from tests.metaclip_dagster.tokenizers import build_tokenizer

STEPS = 8
RECIPE = {"batch_size": 32, "epochs": 2, "warmup": 2, "log_every": 2}
TRAINING = {"ops": {"checkpoints": {"config": {"pairs_to_see": STEPS * 32, "recipe": RECIPE}}}}
CELLS = [Cell(name, "tiny") for name in ("20", "inf", "online-20")]


def segments(where: Deployment) -> list[dict[str, Any]]:
    """Every row of every index of the image store."""
    return [row for path in sorted(Path(where.images).glob("*/*.parquet")) for row in pq.read_table(path).to_pylist()]


@pytest.fixture(scope="module")
def trained(imaged: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    """Everything below the subsets made once, a third of the sweep's cells trained; not to be changed."""
    with open_graph(copy_home(imaged, tmp_path_factory.mktemp("trained"), ("lake", "images"))) as graph:
        for cell in CELLS:
            graph.make(["checkpoints", "scores"], cell.key, **TRAINING)
        graph.make(["sweep", "concepts"])
        yield graph


def ids(lake: Lake, key: str) -> set[str]:
    return set(lake.read("training_sets", [key])["image_id"].to_pylist())


def test_rings_part_the_images_and_none_is_read_twice_from_the_source(trained: Graph) -> None:
    rows = segments(trained.where)
    assert len(rows) == len({row["image_id"] for row in rows})
    rings = [trained.lake.read("images", [t])["image_id"].to_pylist() for t in THRESHOLDS]
    wanted = set(trained.lake.read("subsets", ["inf"])["image_id"].to_pylist())
    assert (
        sorted(image for ring in rings for image in ring) == sorted(wanted) == sorted(row["image_id"] for row in rows)
    )
    fetched = sum((trained.lake.manifest("images", t).total("seen") for t in THRESHOLDS), Counter[str]())
    assert (fetched["fetched"], fetched["held"]) == (len(wanted), 0)


def test_a_training_set_is_its_subset_minus_the_failed_images(trained: Graph) -> None:
    failed = {row["image_id"] for row in segments(trained.where) if row["reason"]}
    for t in THRESHOLDS:
        subset = trained.lake.read("subsets", [t]).to_pylist()
        expected = {(row["image_id"], row["pair_id"], row["text"]) for row in subset if row["image_id"] not in failed}
        rows = trained.lake.read("training_sets", [t]).to_pylist()
        assert expected == {(row["image_id"], text["pair_id"], text["text"]) for row in rows for text in row["texts"]}
        tally = trained.lake.manifest("training_sets", t).total("seen")
        assert tally["pairs"] == len(expected)
        assert sum(trained.lake.manifest("training_sets", t).total("dropped").values()) == len(subset) - len(expected)


def test_training_sets_are_nested_and_online_ones_hold_the_pool(trained: Graph) -> None:
    assert ids(trained.lake, "20") < ids(trained.lake, "100") <= ids(trained.lake, "inf")
    assert {ids(trained.lake, key) == ids(trained.lake, "inf") for key in TRAINING_SETS if "online" in key} == {True}


def test_a_second_run_fetches_and_trains_nothing(trained: Graph) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.where.home.rglob("*") if path.is_file()}
    cell = CELLS[0].key
    for names, key in ((["image_texts", "images"], "20"), (["training_sets"], "20"), (["checkpoints", "scores"], cell)):
        trained.make(names, key, **(TRAINING if key == cell else {}))
    grown = {path for path in trained.where.home.rglob("*") if path.is_file()} - set(before)
    assert not {path.name for path in grown if path.suffix in (".tar", ".parquet", ".safetensors", ".pt")}
    checkpoints = [path for path in before if path.name == "open_clip_model.safetensors"]
    assert {path.stat().st_mtime_ns == before[path] for path in checkpoints} == {True}


def test_failures_alone_are_asked_for_again(trained: Graph, tmp_path: Path) -> None:
    with open_graph(copy_home(trained.where, tmp_path, ("lake", "images"))) as again:
        retry = {"ops": {"images": {"config": {"retry_failed": True}}}}
        again.make(["images"], "inf", **retry)
        manifest = again.lake.manifest("images", "inf")
    assert manifest.total("seen")["fetched"] == sum(manifest.total("dropped").values()) > 0


def test_a_checkpoint_saw_its_budget(trained: Graph) -> None:
    for cell in CELLS:
        [row] = trained.lake.read("checkpoints", [cell.key]).to_pylist()
        assert (row["pairs_seen"], row["budget"]) == (STEPS * 32, STEPS * 32)
        assert (row["training_set"], row["model"], row["seed"]) == (cell.training_set, "tiny", 0)


def test_scores_stand_beside_chance_for_every_task_and_class(trained: Graph) -> None:
    rows = trained.lake.read("scores", [CELLS[0].key]).to_pylist()
    [top1] = [row for row in rows if (row["part"], row["metric"]) == ("all", "acc1")]
    assert (top1["task"], top1["num_classes"], top1["num_images"]) == ("twemoji-unseen", 122, 122)
    assert top1["chance"] == pytest.approx(1 / 122)
    classes = trained.lake.read("class_scores", [CELLS[0].key])
    assert sum(classes["acc1"].to_pylist()) == pytest.approx(top1["score"] * 122)
    predictions = trained.lake.read("sample_predictions", [CELLS[0].key])
    assert predictions["rank"].to_pylist().count(0) == pytest.approx(top1["score"] * 122)


def test_the_sweep_works_while_cells_are_missing_and_names_them(trained: Graph) -> None:
    sweep = json.loads((trained.where.reports / "sweep.json").read_text(encoding="utf-8"))
    assert {cell["training_set"] for cell in sweep["cells"]} == {cell.training_set for cell in CELLS}
    assert "tiny on 100" in sweep["missing"]
    assert "tiny on 20" not in sweep["missing"]
    facts = {row["training_set"]: row for row in sweep["sets"]}
    subset = trained.lake.manifest("subsets", "20").rows
    assert (facts["20"]["pairs_in_subset"], facts["20"]["pairs"]) == (
        subset,
        trained.lake.manifest("training_sets", "20").total("seen")["pairs"],
    )


def test_the_sweep_compares_image_by_image_where_cells_were_scored_so_and_names_the_others(
    trained: Graph, tmp_path: Path
) -> None:
    lake = copied(trained, tmp_path)
    [whole] = report(lake, tmp_path)["comparisons"]
    assert whole["unanswered"] == []
    lead = whole["best"]["mean"] - whole["control"]["mean"]
    differences = {(row["training_set"], row["part"]): row["difference"] for row in whole["paired"]}
    assert differences[whole["best"]["training_set"], "all"] == pytest.approx(lead)
    shutil.rmtree(folder_of(lake, "sample_predictions", CELLS[0].key))  # as where it was scored by an older version
    [old] = report(lake, tmp_path)["comparisons"]
    assert old["unanswered"] == [f"tiny on {CELLS[0].training_set}"]
    assert old["best"] == whole["best"]


def test_further_languages_have_a_table_of_their_own_and_change_no_other_score(trained: Graph, tmp_path: Path) -> None:
    home = copy_home(trained.where, tmp_path / "home", ("lake",), ("checkpoints", "images"))
    task = Path(shutil.copytree(trained.where.tasks[0], tmp_path / "tasks" / Path(trained.where.tasks[0]).name))
    names = (task / "classnames.txt").read_text(encoding="utf-8").splitlines()
    shutil.rmtree(task / "languages")
    (task / "languages" / "de").mkdir(parents=True)
    german = "".join(f"{name} auf Deutsch\n" if at >= 10 else "\n" for at, name in enumerate(names))
    (task / "languages" / "de" / "classnames.txt").write_text(german, encoding="utf-8")
    zero_shot = {"zero_shot": {"config": {"folders": [str(task)], "languages": ["all"]}}}
    cells = [cell for cell in CELLS if cell.training_set in ("20", "inf")]
    with open_graph(home) as graph:
        for cell in cells:
            graph.make(["scores"], cell.key, resources=zero_shot)
        graph.make(["sweep", "concepts"], resources=zero_shot)
        for cell in cells:
            before, after = (it.lake.read("scores", [cell.key]).to_pylist() for it in (trained, graph))
            rows = {language: [row for row in after if row["language"] == language] for language in ("en", "de")}
            assert [row | {"task_version": ""} for row in rows["en"]] == [row | {"task_version": ""} for row in before]
            assert {(row["num_classes"], row["num_images"]) for row in rows["de"] if row["part"] == "all"} == {
                (112, 112)
            }
        sweep = json.loads((home.reports / "sweep.json").read_text(encoding="utf-8"))
        counts, subset = graph.lake.read("entry_counts"), graph.lake.read("subsets", ["20"])
    table = {(row["language"], row["training_set"]): row for row in sweep["languages"]}
    assert table.keys() == {(language, t) for language in ("de", "en") for t in ("20", "inf")}
    english = pc.equal(counts["language"], "en")
    assert table["en", "20"]["matches"] == pc.sum(counts.filter(english)["entry_count"]).as_py()
    assert (table["en", "20"]["t"], table["en", "20"]["entries"]) == (20, counts.filter(english).num_rows)
    assert table["en", "20"]["pairs"] == subset["language"].to_pylist().count("en")
    alone = json.loads((trained.where.reports / "sweep.json").read_text(encoding="utf-8"))
    assert alone["languages"] == []
    for one in (alone, sweep):
        of_sets = {row["training_set"]: row["scores"] for row in one["recipes"][0]["sets"]}
        one["compared"] = [of_sets[t] for t in ("20", "inf")]
    assert sweep["compared"] == alone["compared"]


def test_a_ring_that_was_not_fetched_is_named(trained: Graph, tmp_path: Path) -> None:
    with open_graph(copy_home(trained.where, tmp_path)) as again:
        shutil.rmtree(tmp_path / "lake" / "images" / "20")
        with pytest.raises(dg.Failure, match="images of t = 20 are not there"):
            again.make(["training_sets"], "100")


def test_a_store_is_not_read_with_another_number_of_buckets(trained: Graph) -> None:
    again = Graph(replace(trained.where, image_buckets=5), trained.instance)
    for name in ("image_texts", "images", "training_sets"):
        with pytest.raises(dg.Failure, match="has 4 buckets, not 5"):
            again.make([name], "20")


FORCE = {"resources": {"compute": {"config": {"force": True, "max_failed_fraction": 0.5}}}}


def test_a_lost_tar_fails_its_bucket_by_name_and_is_fetched_anew(trained: Graph, tmp_path: Path) -> None:
    where = copy_home(trained.where, tmp_path, ("lake", "images"), max_failed_fraction=0.5)
    tar = sorted((tmp_path / "images").glob("*/*.tar"))[-1]
    tar.write_bytes(tar.read_bytes()[:-512])
    with open_graph(where) as again:
        again.make(["images"], "20", **FORCE)
        assert "not as long as its index says" in again.lake.manifest("images", "20").failed[tar.parent.name]
        with pytest.raises(dg.Failure, match=rf"images of t = 20 lack buckets.*: {tar.parent.name} \(1 in all\)"):
            again.make(["training_sets"], "100")
        for path in (tar, tar.with_suffix(".parquet")):  # the way out that the error names
            path.unlink()
        for t in THRESHOLDS:
            again.make(["images"], t, **FORCE)
        for key in TRAINING_SETS:
            again.make(["training_sets"], key)
            assert ids(again.lake, key) == ids(trained.lake, key)
            tars = set(again.lake.read("training_sets", [key])["tar"].to_pylist())
            assert all((tmp_path / "images" / name).exists() for name in tars)


def test_pairs_that_are_lost_on_the_way_from_the_subset_are_missed(trained: Graph, tmp_path: Path) -> None:
    where = copy_home(trained.where, tmp_path, ("lake",), ("images",), max_failed_fraction=0.5)
    damaged = max((tmp_path / "lake" / "subsets" / "20" / "data").iterdir(), key=lambda path: path.stat().st_size)
    damaged.write_bytes(b"no Parquet")
    by_one = {"ops": {"image_texts": {"config": {"group_size": 1}}}}
    with open_graph(where) as again:
        with pytest.raises(dg.DagsterError, match="every_pair_scattered"):
            again.make(["image_texts"], "20", **by_one)
        with pytest.raises(dg.DagsterError, match="every_pair_accounted_for"):
            again.make(["training_sets"], "20")


def test_texts_of_another_subset_are_refused_with_the_way_out(trained: Graph, tmp_path: Path) -> None:
    lake = copied(trained, tmp_path)
    rewrite(lake, "subsets", "20", version="another")
    with open_graph(replace(trained.where, home=tmp_path)) as again:
        for name in ("images", "training_sets"):
            with pytest.raises(dg.Failure, match=r"image_texts of t = 20 .* materialize image_texts of 20 first"):
                again.make([name], "20")
        again.make(["image_texts", "images"], "20")


def test_a_lake_whose_texts_were_made_on_the_way_is_reused_whole(trained: Graph, tmp_path: Path) -> None:
    lake = copied(trained, tmp_path)
    inputs = dict(lake.manifest("image_texts", "20").inputs)
    del inputs["read subsets/20"]  # as images and training_sets made it before it was an asset
    rewrite(lake, "image_texts", "20", inputs=inputs)
    before = set(Path(lake.root).rglob("*.parquet"))
    with open_graph(replace(trained.where, home=tmp_path)) as again:
        for name in ("image_texts", "images", "training_sets"):
            [event] = again.make([name], "20").get_asset_materialization_events()
            metadata = event.materialization.metadata
            assert metadata["reused_shards"].value == metadata["shards"].value
    assert set(Path(lake.root).rglob("*.parquet")) == before


def test_online_balancing_is_refused_once_the_counts_are_not_those_of_the_set(trained: Graph, tmp_path: Path) -> None:
    with open_graph(copy_home(trained.where, tmp_path, ("lake",), ("images",))) as again:
        again.instance.add_dynamic_partitions("snapshot", ["SAMPLE-2026-01"])  # the other one was taken out
        for name in ("exclusions", "entry_counts"):
            again.make([name])
        with pytest.raises(
            dg.Failure, match="online-20 was made with other entries or entry_counts than there are now"
        ):
            again.make(["checkpoints"], "tiny|online-20", **TRAINING)


def test_another_precision_trains_in_a_folder_of_its_own(trained: Graph) -> None:
    trainers = [Trainer(root="/", precision=precision) for precision in ("", "fp32", "bf16")]
    images = Images.model_construct(root="/images")
    folders = [prepare_job(trained.lake, trainer, images, CELLS[0], Training())[0] for trainer in trainers]
    assert folders[0] == folders[1] != folders[2]


def test_a_job_that_is_prepared_again_spoils_no_tokenizer_that_a_training_reads(trained: Graph, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe"
    recipe.mkdir()
    build_tokenizer().save(str(recipe / TOKENIZER))
    trainer, images = Trainer(root=str(tmp_path)), Images.model_construct(root="/images")
    training = Training(recipe={"tokenizer": str(recipe)})
    folder, job = prepare_job(trained.lake, trainer, images, CELLS[0], training)
    copies = [Path(job["tokenizer"], name) for name in (TOKENIZER, TOKENIZER_CONFIG)]
    before = [(path.stat().st_ino, path.read_bytes()) for path in copies]
    assert prepare_job(trained.lake, trainer, images, CELLS[0], training) == (folder, job)
    for path, (inode, content) in zip(copies, before, strict=True):
        assert path.read_bytes() == content
        assert path.stat().st_ino != inode, "a file that is open keeps what it had"
    assert {*Path(job["tokenizer"]).iterdir()} == {*copies}


def test_a_set_too_small_for_a_batch_fails_before_anything_is_trained(trained: Graph) -> None:
    config = {
        "ops": {"checkpoints": {"config": {"pairs_to_see": 65_536, "recipe": {"batch_size": 65_536, "epochs": 1}}}}
    }
    with pytest.raises(dg.Failure, match="fewer than its batch"):
        trained.make(["checkpoints"], CELLS[0].key, **config)


def test_exports_hold_the_subset_and_the_set_as_other_tools_read_them(trained: Graph, tmp_path: Path) -> None:
    export.export_subset(trained.where, "20", tmp_path / "subset")
    files = sorted((tmp_path / "subset").glob("*.parquet"))
    assert sum(pq.read_metadata(path).num_rows for path in files) == trained.lake.manifest("subsets", "20").rows
    export.export_training_set(trained.where, "20", tmp_path / "set", images_per_tar=100)
    sizes = json.loads((tmp_path / "set" / "sizes.json").read_text(encoding="utf-8"))
    for name, size in sizes.items():
        with tarfile.open(tmp_path / "set" / name) as tar:
            assert len({member.partition(".")[0] for member in tar.getnames()}) == size
    assert sum(sizes.values()) == len(ids(trained.lake, "20"))
    said = export.export_model(trained.where, CELLS[0].training_set, CELLS[0].model, tmp_path / "model")
    assert "its image tower is a ResNet" in said
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "open_clip_config.json",
        "open_clip_model.safetensors",
    }
    with pytest.raises(FileExistsError, match="is there already"):
        export.export_subset(trained.where, "20", tmp_path / "subset")


def test_a_store_that_is_to_keep_smaller_images_gives_smaller_sets_and_exports_and_drops_the_larger_ones(
    imaged: Deployment, tmp_path: Path
) -> None:
    where = copy_home(imaged, tmp_path / "home", ("lake", "images"), image_form="32,jpg,95")
    before = list_tars(Lake(root=imaged.lake))
    with open_graph(where) as smaller:
        for t in THRESHOLDS:
            smaller.make(["images"], t)
            seen = smaller.lake.manifest("images", t).total("seen")
            assert (seen["fetched"], seen["in_another_form"], seen["rewritten"] > 0) == (0, 0, True)
        for key in TRAINING_SETS:
            smaller.make(["training_sets"], key)
            assert ids(smaller.lake, key) == ids(Lake(root=imaged.lake), key)
        store, after = open_image_store(where.images), list_tars(smaller.lake)
    assert before.isdisjoint(after)
    assert set(store.drop_superseded(after)) == before
    export.export_training_set(where, "20", tmp_path / "set", images_per_tar=1000)
    with tarfile.open(tmp_path / "set" / "00000.tar") as tar:
        contents = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]  # no folder
    described = [json.loads(content) for name, content in contents.items() if name.endswith(".json")]
    assert {image["image_id"] for image in described} == ids(Lake(root=imaged.lake), "20")
    for image in described:
        with Image.open(io.BytesIO(contents[f"{image['image_id']}.jpg"])) as stored:
            assert stored.size == (image["width"], image["height"])
            assert (stored.format, min(stored.size)) == (
                "JPEG",
                min(32, image["original_width"], image["original_height"]),
            )


def test_a_published_model_is_what_was_trained_with_the_scores_it_has(trained: Graph, tmp_path: Path) -> None:
    import open_clip
    from huggingface_hub import ModelCard

    where = copy_home(trained.where, tmp_path, ("lake",), ("checkpoints", "images"))
    with open_graph(where) as again:
        again.make(["published_models"], CELLS[0].key)
    folder = where.published / "models" / CELLS[0].training_set / CELLS[0].model
    names = {"README.md", "SHA256SUMS", "open_clip_config.json", "open_clip_model.safetensors"}
    assert {path.name for path in folder.iterdir()} == names  # transformers has no such architecture
    card = ModelCard.load(folder / "README.md")
    rows = trained.lake.read("scores", [CELLS[0].key]).to_pylist()
    scores = {row["metric"]: row["score"] for row in rows if row["part"] == "all"}
    results = {it.metric_type: it.metric_value for it in card.data.eval_results}
    assert results["acc1"] == pytest.approx(scores["acc1"], abs=1e-6)
    assert "its image tower is a ResNet" in card.content.replace("\\", "")
    open_clip.create_model_and_transforms(f"local-dir:{folder}")


def copied(trained: Graph, home: Path) -> Lake:
    """A lake of one's own to damage; trainings and images are the graph's."""
    return Lake(root=copy_home(trained.where, home, ("lake",), ("checkpoints", "images")).lake)


def folder_of(lake: Lake, table: str, partition: str) -> Path:
    return Path(lake.root, table, quote(partition, safe=""))


def rewrite(lake: Lake, table: str, partition: str, **changes: Any) -> None:
    """Change fields of a partition's manifest, as a run with other inputs would."""
    path = folder_of(lake, table, partition) / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(manifest | changes), encoding="utf-8")


def report(lake: Lake, home: Path) -> dict[str, Any]:
    return make_sweep(lake, Trainer(root=str(home / "checkpoints")), baselines=[], notes={})


def why_not(sweep: dict[str, Any]) -> dict[str, str | None]:
    return {cell["training_set"]: cell["not_compared"] for cell in sweep["cells"]}


def test_the_report_counts_every_manifest_once_and_tells_baselines_tails_failures_and_notes(
    trained: Graph, tmp_path: Path
) -> None:
    import open_clip

    lake = copied(trained, tmp_path)
    open_clip.add_model_config(MODELS)  # a baseline's architecture is one that open_clip knows
    [row] = lake.read("checkpoints", [CELLS[0].key]).to_pylist()
    weights = shutil.copy(trained.where.checkpoints / row["path"] / WEIGHTS, tmp_path / "w.safetensors")
    keys = [f"{row['architecture']}:{weights}", "ViT-B-32-quickgelu:metaclip_400m"]
    with open_graph(replace(trained.where, home=tmp_path), *SNAPSHOTS) as again:
        again.instance.add_dynamic_partitions("baseline", keys)
        [check] = again.make(["baselines"], keys[0]).get_asset_check_evaluations()
        again.make(["sweep"])
    sweep = json.loads((again.where.reports / "sweep.json").read_text(encoding="utf-8"))

    spent = Counter[str]()
    for path in Path(lake.root).glob("*/*/manifest.json"):
        shards = json.loads(path.read_text(encoding="utf-8"))["shards"]
        spent[path.parts[-3]] += sum(shard["cpu_seconds"] for shard in shards)
    trainings = [Trainer(root=str(again.where.checkpoints)).result(row["path"]) or {} for row in
                 (lake.read("checkpoints", [cell.key]).to_pylist()[0] for cell in CELLS)]  # fmt: skip
    spent["checkpoints"] = sum(training["cpu_seconds"] for training in trainings)
    assert {stage["stage"]: stage["cpu_seconds"] for stage in sweep["costs"]} == pytest.approx(dict(spent))

    [baseline] = sweep["baselines"]
    cell_scores = [score for score in lake.read("scores", [CELLS[0].key]).to_pylist() if score["metric"] == "main"]
    [main] = [score for score in baseline["scores"] if score["metric"] == "main"]
    assert (baseline["model"], main["mean"]) == (keys[0], cell_scores[0]["score"])  # they are that cell's weights
    assert check.passed == (main["mean"] > bar_above(main["chance"]))
    assert f"baseline {keys[1]}" in sweep["missing"]

    facts = {row["training_set"]: row for row in sweep["sets"]}
    counts = lake.read("entry_counts")["entry_count"].to_numpy()
    subset_entries = lake.read("subsets", ["20"])["entry_ids"].combine_chunks().flatten().to_numpy()
    assert facts["20"]["tail_before"] == pytest.approx(counts[counts <= 20].sum() / counts.sum())
    assert facts["20"]["tail_after"] == pytest.approx((counts[subset_entries] <= 20).mean())
    assert facts["online-20"]["tail_after"] == facts["20"]["tail_after"]
    assert facts["inf"]["tail_before"] is None
    for name, rings in (("20", ["20"]), ("online-20", THRESHOLDS)):
        reasons = Counter(reason for reason in lake.read("images", rings)["reason"].to_pylist() if reason)
        assert facts[name]["failed"] == reasons
    assert sweep["provenance"]["training_sets 20"] == lake.manifest("training_sets", "20").version
    assert sweep["provenance"]["entries"] == lake.manifest("entries").version
    assert sweep["tasks"][0]["note"].startswith("Twemoji's drawings of 122 names")


def test_the_report_tells_what_is_left_when_a_ring_or_a_training_is_gone(trained: Graph, tmp_path: Path) -> None:
    lake = copied(trained, tmp_path)
    whole = report(lake, tmp_path)
    shutil.rmtree(folder_of(lake, "images", "100"))  # as after a rung was inserted, whose ring nobody asked for yet
    (tmp_path / "checkpoints").unlink()
    left = report(lake, tmp_path)
    assert [row["pairs"] for row in left["sets"]] == [row["pairs"] for row in whole["sets"]]
    assert {stage["stage"] for stage in whole["costs"]} - {stage["stage"] for stage in left["costs"]} == {"checkpoints"}
    assert {bool(cell["losses"]) for cell in whole["cells"]} == {True}
    assert {bool(cell["losses"]) for cell in left["cells"]} == {False}
    assert left["recipes"] == whole["recipes"]


def test_a_subset_of_another_pool_costs_its_tail_and_nothing_else(trained: Graph, tmp_path: Path) -> None:
    lake = copied(trained, tmp_path)
    whole = {row["training_set"]: row for row in report(lake, tmp_path)["sets"]}
    shutil.rmtree(folder_of(lake, "subsets", "20"))
    shutil.copytree(folder_of(lake, "subsets", "inf"), folder_of(lake, "subsets", "20"))
    manifest = json.loads((folder_of(lake, "subsets", "20") / "manifest.json").read_text(encoding="utf-8"))
    rewrite(lake, "subsets", "20", shards=2 * manifest["shards"])  # more pairs than the pool has now
    left = {row["training_set"]: row for row in report(lake, tmp_path)["sets"]}
    assert left["100"] == whole["100"]
    assert left["20"] == whole["20"] | {"tail_before": None, "tail_after": None}


def test_scores_of_other_weights_and_cells_of_another_set_are_named_and_not_compared(
    trained: Graph, tmp_path: Path
) -> None:
    lake = copied(trained, tmp_path)
    assert set(why_not(report(lake, tmp_path)).values()) == {None}
    inputs = dict(lake.manifest("scores", CELLS[0].key).inputs)
    rewrite(lake, "scores", CELLS[0].key, inputs=inputs | {"model": f"local-dir:x {'0' * 64}"})
    rewrite(lake, "training_sets", CELLS[1].training_set, version="made again of another pool")
    shutil.rmtree(folder_of(lake, "class_scores", CELLS[2].key))
    assert why_not(report(lake, tmp_path)) == {
        "20": "has scores of other weights: score it again",
        "inf": "was trained on another version of its set: train it again",
        "online-20": "is trained but not scored",
    }


def test_failed_images_are_those_of_the_set_though_its_rings_were_fetched_anew(trained: Graph, tmp_path: Path) -> None:
    lake = copied(trained, tmp_path)
    whole = {row["training_set"]: row["failed"] for row in report(lake, tmp_path)["sets"]}
    shards = json.loads((folder_of(lake, "images", "20") / "manifest.json").read_text(encoding="utf-8"))["shards"]
    rewrite(lake, "images", "20", shards=[shard | {"dropped": {"http_404": 7}} for shard in shards])
    assert {row["training_set"]: row["failed"] for row in report(lake, tmp_path)["sets"]} == whole


def test_cells_of_a_set_of_another_pool_are_apart_and_the_check_says_so(trained: Graph, tmp_path: Path) -> None:
    lake = copied(trained, tmp_path)
    assert of_one_pool(report(lake, tmp_path)).passed
    other = {
        "pool version": json.dumps({"snapshots": ["SAMPLE-2026-03"], "entries": "e" * 32, "entry_counts": "c" * 32})
    }
    for table, key in (("training_sets", "20"), ("checkpoints", CELLS[0].key)):
        rewrite(lake, table, key, inputs=dict(lake.manifest(table, key).inputs) | other)
    sweep = report(lake, tmp_path)
    assert why_not(sweep) == {
        "20": "is of another pool (snapshots SAMPLE-2026-03; entries eeeeeeee; counts cccccccc)",
        "inf": None,
        "online-20": None,
    }
    assert [row["training_set"] for row in sweep["other_sets"]] == ["20"]
    assert sweep["other_sets"][0]["tail_before"] is None
    assert not of_one_pool(sweep).passed


def test_what_is_made_of_an_older_subset_is_outdated_down_to_the_scores(trained: Graph, tmp_path: Path) -> None:
    lake, trained_cells = copied(trained, tmp_path), {cell.key for cell in CELLS}
    assert not any(find_outdated(lake).values())
    ring = dict(lake.manifest("images", "100").inputs)
    rewrite(lake, "images", "100", inputs=ring | {"rung below": "50"})  # as after a rung was taken out
    outdated = find_outdated(lake)
    assert outdated["images"] == {"100": "the ring begins at 20 now"}
    assert set(outdated["training_sets"]) == set(TRAINING_SETS) - {"20"}
    rewrite(lake, "images", "100", inputs=ring)
    rewrite(lake, "subsets", "20", version="another")
    outdated = find_outdated(lake)
    assert outdated["images"] == {"20": "subsets of 20 were made anew"}
    assert outdated["training_sets"]["20"] == "subsets of 20 were made anew"
    assert outdated["training_sets"]["100"] == "images of 20 are outdated"
    assert set(outdated["checkpoints"]) == set(outdated["scores"]) == trained_cells
    rewrite(lake, "entry_counts", "all", version="of another pool")
    assert set(find_outdated(lake)["subsets"]) == set(THRESHOLDS)


def test_a_subset_that_changed_shows_on_the_graph_below_it(trained: Graph, tmp_path: Path) -> None:
    lake = copied(trained, tmp_path)
    rewrite(lake, "images", "20", inputs=dict(lake.manifest("images", "20").inputs) | {"read subsets/20": "older"})
    with open_graph(replace(trained.where, home=tmp_path), *SNAPSHOTS) as again:
        again.make(["subsets"], "100")
        for asset in ("images", "training_sets", "checkpoints", "scores", "sweep"):
            key = dg.AssetCheckKey(dg.AssetKey(asset), "up_to_date")
            [last] = again.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
            assert last.evaluation is not None
            assert not last.evaluation.passed, asset


def test_where_scores_are_finished_those_of_classes_are_too(trained: Graph, tmp_path: Path) -> None:
    lake, key = copied(trained, tmp_path), CELLS[0].key
    shutil.rmtree(folder_of(lake, "scores", key))
    shutil.rmtree(Path(lake.root, "class_scores"))
    Path(lake.root, "class_scores").touch()  # nothing can be written below it
    with (
        open_graph(replace(trained.where, home=tmp_path)) as again,
        pytest.raises(NotADirectoryError, match="class_sc"),
    ):
        again.make(["scores"], key)
    assert lake.finished("scores", [key]) == []


def test_names_of_classes_are_counted_in_every_set_as_plain_python_counts_them(trained: Graph, tmp_path: Path) -> None:
    """Of a task whose classes are named with words that stand in many texts, in few, twice in one, or in capitals."""
    rows = trained.lake.read("training_sets", ["20"]).to_pylist()
    words = Counter(word for row in rows for pair in row["texts"] for word in pair["text"].split() if word.isalpha())
    names = {*list(words)[:20], *(word for word, _ in words.most_common(20))}
    for name in {*names, *map(str.upper, names)}:
        (tmp_path / "words" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "words" / name / "0.png")
    where = copy_home(trained.where, tmp_path / "home", ("lake",), ("checkpoints",))
    with open_graph(replace(where, tasks=(*where.tasks, str(tmp_path / "words")))) as graph:
        graph.make(["scores"], CELLS[0].key)
        graph.make(["concepts"])
    report = json.loads((where.reports / "concepts.json").read_text("utf-8"))
    t = thresholds_of(trained.lake, "20")
    assert [row["training_set"] for row in report["sets"]] == ["20", "100", "inf", "online-20"]
    for training_set in ("20", "online-20"):
        rows = trained.lake.read("training_sets", [training_set]).to_pylist()
        pairs = [pair for row in rows for pair in row["texts"]]
        if training_set.startswith("online-"):
            pairs = [pair for pair in pairs if pair["admitted_at"] < t[pair["language"]]]
        texts = [space_marks(pair["text"]) for pair in pairs]
        lower_texts = [text.lower() for text in texts]
        [facts] = [row for row in report["sets"] if row["training_set"] == training_set]
        assert facts["pairs"] == len(pairs)
        [task] = [task for task in report["tasks"] if task["task"] == "words"]
        counts = [(row["pairs"][training_set], row["any_case"][training_set]) for row in task["classes"]]
        spaced = [f" {row['class_name']} " for row in task["classes"]]
        assert counts == [
            (sum(name in text for text in texts), sum(name.lower() in text for text in lower_texts)) for name in spaced
        ]
        assert sum(num > 1 for num, _ in counts) > 10
        assert any(num < num_any_case for num, num_any_case in counts)


def test_the_report_on_concepts_takes_the_cells_of_the_sweep_and_names_the_others(
    trained: Graph, tmp_path: Path
) -> None:
    report = json.loads((trained.where.reports / "concepts.json").read_text("utf-8"))
    assert {(fit["recipe"], fit["training_set"]) for task in report["tasks"] for fit in task["fits"]} == {
        ("tiny", cell.training_set) for cell in CELLS
    }
    where = copy_home(trained.where, tmp_path, ("lake",), ("checkpoints",))
    with open_graph(where) as again:
        shutil.rmtree(again.where.home / "lake" / "class_scores" / quote(CELLS[0].key, safe=""))
        again.make(["concepts"])
        assert again.lake.manifest("name_texts").shards == trained.lake.manifest("name_texts").shards, "reused"
        report = json.loads((where.reports / "concepts.json").read_text("utf-8"))
        assert report["left_out"] == ["tiny on 20 is trained but not scored"]
        assert "online-20" in {fit["training_set"] for fit in report["tasks"][0]["fits"]}
        for table in ("training_sets", "subsets"):
            shutil.rmtree(again.where.home / "lake" / table)
        again.make(["concepts"])
    report = json.loads((where.reports / "concepts.json").read_text("utf-8"))
    assert report["tasks"] == []
    assert "tiny on inf: neither its training set nor its subset is there" in report["left_out"]


def test_a_recipe_reads_by_the_pools_tokenizer_and_its_checkpoint_is_outdated_by_another(
    imaged: Deployment, tmp_path: Path
) -> None:
    config = {**TRAINING["ops"]["checkpoints"]["config"], "recipe": {**RECIPE, "tokenizer": "pool"}}
    by_pool = {"ops": {"checkpoints": {"config": config}}}
    cell = Cell("20", "tiny")
    with open_graph(copy_home(imaged, tmp_path, ("lake",), ("images",)), *SNAPSHOTS) as graph:
        with pytest.raises(dg.Failure, match="tokenizer is not made yet; materialize it first"):
            graph.make(["checkpoints"], cell.key, **by_pool)
        graph.make(["tokenizer"], ops={"tokenizer": {"config": {"vocab_size": 300}}})
        [tokenizer] = graph.lake.read("tokenizer").to_pylist()
        graph.make(["checkpoints", "scores"], cell.key, **by_pool)
        [row] = graph.lake.read("checkpoints", [cell.key]).to_pylist()
        assert json.loads(row["recipe"])["tokenizer"] == tokenizer["sha256"]
        model = graph.where.checkpoints / row["path"]
        assert (model / TOKENIZER).read_bytes() == tokenizer["tokenizer"]
        code = (
            "import json, sys, open_clip, transformers\n"
            "name, texts = sys.argv[1], ['a red bicycle', 'ein Fahrrad', '自転車']\n"
            "open_clip.create_model_and_transforms('local-dir:' + name)\n"
            "print(json.dumps([open_clip.get_tokenizer('local-dir:' + name)(texts).tolist(), "
            "transformers.AutoTokenizer.from_pretrained(name)(texts).input_ids]))"
        )
        home = tmp_path / "empty"
        home.mkdir()
        environment = {"HOME": str(home), "HF_HUB_OFFLINE": "1", "PATH": os.environ["PATH"]}
        printed = subprocess.run(
            [sys.executable, "-c", code, str(model)], cwd=home, env=environment, check=True, capture_output=True
        ).stdout
        of_open_clip, of_transformers = json.loads(printed)
        for padded, ids in zip(of_open_clip, of_transformers, strict=True):
            shared = min(len(padded), len(ids)) - 1  # open_clip cuts at its context, before the end
            assert padded[:shared] == ids[:shared]
        assert not any(find_outdated(graph.lake)["checkpoints"].values())
        graph.make(["tokenizer"], ops={"tokenizer": {"config": {"vocab_size": 280}}})
        outdated = find_outdated(graph.lake)
        assert outdated["checkpoints"] == {cell.key: "the pool's tokenizer was made anew"}
        assert {*outdated["scores"]} == {cell.key}
        with pytest.raises(ValueError, match="take 258 to"):
            graph.make(["tokenizer"], ops={"tokenizer": {"config": {"vocab_size": 100}}})

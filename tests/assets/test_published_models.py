"""Laws of published models: both libraries load the folder alike, and its card says what the lake says."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from assets.keys import Cell
from metaclip_dagster.schemas import CHECKPOINTS, SCORES
from metaclip_dagster.training.exporting import CONFIG, WEIGHTS, export_checkpoint
from metaclip_dagster.training.transformers_folder import FILES
from resources.deployments import Deployment
from resources.published.folders import check_folder
from resources.takedowns.taking_down import FLAG
from tests.graphs import SNAPSHOTS, Graph, copy_home, open_graph
from tests.lakes import commit

CELL = Cell("20", "tiny")
RECIPE = {"architecture": "small-vit", "batch_size": 32, "lr": 0.002}


def build_model(folder: Path) -> str:
    """A small ViT of random weights, exported as a training exports it; gives their sha256."""
    import open_clip
    import torch

    text = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
    vision = {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16, "mlp_ratio": 4.9231}
    architecture = {"embed_dim": 24, "quick_gelu": True, "vision_cfg": vision, "text_cfg": text}
    config = folder.parent / "small-vit.json"
    config.write_text(json.dumps(architecture), "utf-8")
    open_clip.add_model_config(config)
    torch.manual_seed(0)
    return export_checkpoint({"state_dict": open_clip.create_model("small-vit").state_dict()}, "small-vit", folder)


def score_row(task: str, score: float, **changed: object) -> dict[str, object]:
    return {
        **{"task": task, "part": "all", "metric": "acc1", "score": score, "chance": 0.25, "num_classes": 4},
        **{"num_images": 40, "training_set": "20", "model": "tiny", "seed": 0, "pairs_seen": 256, "task_version": "0"},
        **changed,
    }


def write_cell(graph: Graph, cell: Cell, sha256: str, *, score: float, seed: int = 0, recipe: object = None) -> None:
    """A cell as if it had been trained and scored."""
    row = {"training_set": cell.training_set, "model": cell.model, "seed": seed, "path": "20/tiny/0123/model"}
    row |= {"architecture": "small-vit", "pairs_seen": 256, "budget": 256, "loss": 2.5, "sha256": sha256}
    row |= {"recipe": json.dumps(recipe or RECIPE), "set_version": graph.lake.manifest("training_sets", "20").version}
    commit(graph.lake, "checkpoints", cell.key, pa.RecordBatch.from_pylist([row], CHECKPOINTS))
    rows = [score_row("emoji|x", score), score_row("emoji|x", score, metric="main"), score_row("<b>", 0.3)]
    batch = pa.RecordBatch.from_pylist(rows, SCORES)
    commit(graph.lake, "scores", cell.key, batch, model=f"local {sha256}")


@pytest.fixture
def graph(imaged: Deployment, tmp_path: Path) -> Iterator[Graph]:
    """A home with one trained cell, of random weights."""
    with open_graph(copy_home(imaged, tmp_path / "home"), *SNAPSHOTS) as graph:
        folder = graph.where.checkpoints / "20" / "tiny" / "0123"
        folder.mkdir(parents=True)
        write_cell(graph, CELL, build_model(folder / "model"), score=0.5)
        yield graph


def publish(graph: Graph) -> tuple[Path, str]:
    graph.make(["published_models"], CELL.key)
    folder = graph.where.published / "models" / "20" / "tiny"
    return folder, (folder / "README.md").read_text("utf-8")


def test_both_libraries_load_the_folder_and_give_equal_logits(graph: Graph) -> None:
    import open_clip
    import torch
    from PIL import Image
    from transformers import CLIPModel, CLIPProcessor

    folder, card = publish(graph)
    of_transformers = CLIPModel.from_pretrained(folder, local_files_only=True).eval()
    processor = CLIPProcessor.from_pretrained(folder, local_files_only=True)
    of_open_clip, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    texts = ["a photo of a dog", "Two CATS' toys, 3.5 m"]
    pixels = preprocess(Image.effect_mandelbrot((48, 40), (-2, -1, 1, 1), 50).convert("RGB"))[None]
    inputs = processor(text=texts, return_tensors="pt", padding=True)
    with torch.inference_mode():
        images, of_texts, scale = of_open_clip.eval()(pixels, open_clip.get_tokenizer(f"local-dir:{folder}")(texts))
        logits = of_transformers(**inputs, pixel_values=pixels).logits_per_image
    assert torch.allclose(logits, scale * images @ of_texts.T, atol=1e-5)
    assert "CLIPModel.from_pretrained" in card
    assert {path.name for path in folder.iterdir()} == {*FILES, WEIGHTS, CONFIG, "README.md", "SHA256SUMS"}
    assert not [path for path in folder.iterdir() if path.suffix in (".pt", ".bin", ".pkl")]


def test_the_card_says_what_the_lake_says(graph: Graph) -> None:
    from huggingface_hub import ModelCard

    (graph.where.publisher).write_text(
        "model_card: {license: mit, dataset: some-org/pairs, intended_uses: 'a [test](x)'}", "utf-8"
    )
    folder, text = publish(graph)
    check_folder(folder)
    card = ModelCard.load(folder / "README.md")
    assert (card.data.license, card.data.library_name, card.data.datasets) == ("mit", "open_clip", ["some-org/pairs"])
    results = {(it.dataset_name, it.metric_type): it.metric_value for it in card.data.eval_results}
    assert results == {("emoji|x", "acc1"): 0.5, ("<b>", "acc1"): 0.3}
    manifest = graph.lake.manifest("training_sets", "20")
    assert f"| images in the set | {manifest.rows} |" in text
    assert f"| pairs with an image at hand, in the set | {manifest.total('seen')['pairs']} |" in text
    assert f"training set `{manifest.version}`" in text
    assert all(f"| {name.replace('_', chr(92) + '_')} | `{value}` |" in text for name, value in RECIPE.items())
    assert "A toy" in text
    assert "<b>" not in text.split("\n---\n", 1)[1]
    assert "[test](x)" not in text


def test_the_card_names_the_languages_that_alone_were_trained_on(graph: Graph) -> None:
    assert "alone, and on images that have one" not in publish(graph)[1]
    sha256 = graph.lake.read("checkpoints", [CELL.key])["sha256"][0].as_py()
    write_cell(graph, CELL, sha256, score=0.5, recipe={**RECIPE, "languages": "en"})
    assert "trained on the texts in `en` alone, and on images that have one" in publish(graph)[1]


def test_mean_and_spread_are_over_the_seeds_of_one_recipe(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    others = [Cell("20", "tiny-s1"), Cell("20", "tiny-s2")]
    write_cell(graph, others[0], "1" * 64, score=0.7, seed=1)
    write_cell(graph, others[1], "2" * 64, score=0.0, seed=2, recipe={**RECIPE, "lr": 1.0})
    _, text = publish(graph)
    [row] = [line for line in text.splitlines() if line.startswith("| emoji") and "top-1" in line]
    assert row.replace("\\", "").endswith("| 0.5000 | 0.2500 | 0.6000 | 0.1414 | 2 | 40 |")


def test_equal_inputs_give_equal_bytes_and_what_lay_there_is_gone(graph: Graph) -> None:
    folder, _ = publish(graph)
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "pytorch_model.bin").write_bytes(b"not ours")
    publish(graph)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first


def test_pairs_taken_down_since_are_said(graph: Graph) -> None:
    flag = graph.where.checkpoints / "20" / "tiny" / "0123" / FLAG
    for pairs, says in ((7, "7 pairs of its set were taken down since"), (None, "set that it was trained on is gone")):
        flag.write_text(json.dumps({"pairs": pairs}), "utf-8")
        assert says in publish(graph)[1]


def test_weights_that_are_not_the_trainings_are_refused_and_nothing_is_left(graph: Graph) -> None:
    model = graph.where.checkpoints / "20" / "tiny" / "0123" / "model"
    shutil.copy(model / "open_clip_config.json", model / "open_clip_model.safetensors")
    with pytest.raises(ValueError, match="not those that CHECKPOINTS has"):
        publish(graph)
    assert not (graph.where.published / "models" / "20" / "tiny").exists()


def test_scores_of_other_weights_are_refused(graph: Graph) -> None:
    commit(graph.lake, "scores", CELL.key, pa.RecordBatch.from_pylist([score_row("x", 1.0)], SCORES))
    with pytest.raises(ValueError, match="of other weights: materialize its scores"):
        publish(graph)


@pytest.mark.parametrize(
    ("answers", "says"),
    [("dataset: 'a b'", "must be a repository's ORG/NAME"), ("licence: mit", "did you mean license")],
)
def test_a_publisher_who_errs_is_told_which_key(graph: Graph, answers: str, says: str) -> None:
    graph.where.publisher.write_text(f"model_card: {{{answers}}}", "utf-8")
    with pytest.raises(ValueError, match=says):
        publish(graph)


def test_what_nobody_has_said_is_open(graph: Graph) -> None:
    _, text = publish(graph)
    front = yaml.safe_load(text.split("---\n")[1])
    assert (front["license"], "datasets" in front) == ("unknown", False)
    assert text.count("Open: nobody has answered this yet.") == 3

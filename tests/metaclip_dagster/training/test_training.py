"""Recipes, refusals, arguments and exports: what can be known of a training without one."""

import inspect
import json
import math
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip_dagster.schemas import CHECKPOINTS
from metaclip_dagster.training import (
    RECIPES,
    Online,
    SetFile,
    TrainingPlan,
    change_recipe,
    describe_checkpoint,
    export_checkpoint,
    recipe_of,
    train,
)
from metaclip_dagster.training.arguments import build_arguments
from metaclip_dagster.training.exporting import MODELS, count_steps, read_checkpoint
from metaclip_dagster.training.jobs import PRECISIONS, check_images, check_sizes
from metaclip_dagster.training.running import read_curve
from metaclip_dagster.training.transformers_folder import write_for_transformers
from tests.metaclip_dagster.training_sets import IN_SET, NAMES, RECIPE, build_set, job_of, online

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_set(tmp_path_factory.mktemp("set"))


def test_a_models_name_gives_its_recipe_and_seed() -> None:
    assert recipe_of("tiny") == (RECIPES["tiny"], 0)
    assert recipe_of("ViT-B-32-quickgelu-s12") == (RECIPES["ViT-B-32-quickgelu"], 12)
    for name in ("tiny-s0", "tiny-s01", "tiny-s", "rn32s", "-s1", "", "tiny\n-s1"):
        with pytest.raises(ValueError, match="no recipe for"):
            recipe_of(name)


def test_the_english_recipes_are_the_papers() -> None:
    # Xu et al. 2023, table 12; weight decay and betas as its code has them, H/14 included: only version 1.2 of H/14,
    # which is not here, was trained with weight decay 0.1 and beta2 0.95.
    english = {name: recipe for name, recipe in RECIPES.items() if name.endswith("-quickgelu")}
    assert list(english) == [f"ViT-{size}-quickgelu" for size in ("B-32", "B-16", "L-14", "H-14")]
    for name, recipe in english.items():
        assert (recipe.batch_size, recipe.warmup, recipe.beta1, recipe.eps) == (32_768, 2_000, 0.9, 1e-6)
        is_large = name.startswith(("ViT-L", "ViT-H"))
        assert recipe.lr == (4e-4 if is_large else 5e-4)
        assert (recipe.wd, recipe.beta2) == (0.2, 0.98)


def test_the_worldwide_recipes_are_those_of_meta_clip_2() -> None:
    # arXiv 2507.22062 and its release, for H/14; the other sizes take its values.
    worldwide = [recipe for name, recipe in RECIPES.items() if name.startswith("ViT") and name.endswith("-worldwide")]
    assert len(worldwide) == 5
    for recipe in worldwide:
        assert (recipe.lr, recipe.wd, recipe.beta2, recipe.warmup) == (4e-4, 0.1, 0.95, 2_000)
        assert (recipe.beta1, recipe.eps) == (0.9, 1e-6)
        assert recipe.batch_size == 384 * 196
        budget = 29_440_868_352  # as docs/operations.md has it: whole steps of every epoch for 8 loader workers
        assert round(budget / 12.8e9, 1) == 2.3
        assert budget % (recipe.epochs * recipe.batch_size * 8) == 0
        assert budget / recipe.epochs == pytest.approx(920e6, rel=1e-4)


@pytest.mark.parametrize(
    ("size", "vocabulary", "width", "millions"),
    [
        ("B-32", 901_629, 512, 588),
        ("B-16", 901_629, 512, 586),
        ("L-14", 250_100, 768, 582),
        ("H-14", 901_629, 1024, 1859),
        ("bigG-14", 901_629, 1280, 3630),
    ],
)
def test_each_worldwide_model_builds_with_its_tokenizers_vocabulary(
    size: str, vocabulary: int, width: int, millions: int
) -> None:
    import open_clip
    import torch

    open_clip.add_model_config(MODELS)
    recipe = RECIPES[f"ViT-{size}-worldwide"]
    text = open_clip.get_model_config(recipe.architecture)["text_cfg"]
    # Tokens of XLM-V and mT5, and the ids of their </s>.
    expected = {901_629: ("facebook/xlm-v-base", 2), 250_100: ("google/mt5-base", 1)}[vocabulary]
    assert (text["hf_tokenizer_name"], text["eos_id"]) == expected
    with torch.device("meta"):
        model = open_clip.create_model(recipe.architecture, device="meta")
    assert model.token_embedding.weight.shape == (vocabulary, width)
    assert (model.context_length, model.text_pool_type) == (77, "eos")
    assert round(sum(weight.numel() for weight in model.parameters()) / 1e6) == millions


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"batchsize": 32, "lrate": 1}, "a recipe has no batchsize, lrate; it has architecture, batch_size, lr,"),
        ({"lr": "5e-4"}, r"lr of a recipe is a number from 0 on \(in YAML with a point: 5\.0e-4\), not '5e-4'"),
        ({"lr": math.nan}, "lr of a recipe is a number from 0 on .*, not nan"),
        ({"wd": math.inf}, "wd of a recipe is a number from 0 on .*, not inf"),
        ({"wd": -0.1}, "wd of a recipe is"),
        ({"lr": True}, "lr of a recipe is"),
        ({"beta2": 1.5}, "beta2 of a recipe is a number from 0 to 1"),
        ({"batch_size": 32.0}, "batch_size of a recipe is a whole number of at least 1, not 32.0"),
        ({"batch_size": "32"}, "batch_size of a recipe is"),
        ({"epochs": True}, "epochs of a recipe is a whole number of at least 1, not True"),
        ({"epochs": 0}, "epochs of a recipe is"),
        ({"accum_freq": None}, "accum_freq of a recipe is"),
        ({"warmup": -1}, "warmup of a recipe is a whole number of at least 0"),
        ({"grad_checkpointing": 1}, "grad_checkpointing of a recipe is true or false, not 1"),
        ({"architecture": 32}, "architecture of a recipe is a name, not 32"),
    ],
)
def test_a_change_that_no_recipe_takes_is_refused_by_name(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        change_recipe(RECIPES["tiny"], changes)


def test_a_change_leaves_the_other_fields_and_their_types() -> None:
    changes = {"lr": 1, "warmup": 0, "grad_checkpointing": True, "architecture": "rn32s"}
    changed = change_recipe(RECIPES["tiny"], changes)
    assert changed == replace(RECIPES["tiny"], **changes)  # type: ignore[arg-type]  # values of several types
    assert type(changed.lr) is float
    assert change_recipe(RECIPES["tiny"], {}) == RECIPES["tiny"]


def test_open_clip_knows_the_recipes_architectures_with_quick_gelu() -> None:
    import open_clip

    open_clip.add_model_config(MODELS)
    for name, recipe in RECIPES.items():
        if name != "ViT-bigG-14-worldwide":  # which open_clip has with GELU, as its weights of that model are
            assert open_clip.get_model_config(recipe.architecture)["quick_gelu"]


def test_a_job_is_the_same_after_json(folder: Path) -> None:
    for job in (job_of(folder), job_of(folder, online=online(folder))):
        read_back = json.loads(json.dumps({**asdict(job), "train": "somebody else's"}, allow_nan=False))
        assert TrainingPlan.from_json(read_back) == job


@settings(max_examples=50)
@given(
    budget=st.integers(1, 10**6),
    batch=st.integers(1, 64),
    epochs=st.integers(1, 5),
    workers=st.integers(0, 4),
    accum=st.integers(1, 3),
    ranks=st.integers(1, 3),
)
def test_a_budget_is_refused_unless_open_clip_spends_it_exactly(
    *, budget: int, batch: int, epochs: int, workers: int, accum: int, ranks: int
) -> None:
    recipe = replace(RECIPE, batch_size=batch * ranks * accum, epochs=epochs, accum_freq=accum)
    job = job_of(Path("set"), budget=budget, recipe=recipe, loader_workers=workers, ranks=ranks)

    def spent(budget: int) -> int:  # open_clip_train.data.get_wds_dataset
        batches = math.ceil(math.ceil(budget // epochs / (batch * ranks)) / max(1, workers)) * max(1, workers)
        return batches // accum * epochs * recipe.batch_size

    try:
        check_sizes(job)
        assert spent(budget) == budget
    except ValueError as error:
        nearest = int(str(error).rsplit(" ", 1)[1].replace(",", ""))
        assert nearest != budget
        check_sizes(replace(job, budget=nearest))
        assert spent(nearest) == nearest


def test_what_cannot_end_well_is_refused_with_a_way_out(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"32 pairs does not divide into 3 ranks x 1 accumulated parts; 33 would"):
        check_sizes(job_of(folder, ranks=3))
    with pytest.raises(ValueError, match="precision amp skips steps"):
        check_sizes(job_of(folder, precision="amp"))
    with pytest.raises(ValueError, match="no precision 'fp23': take one of fp32, amp_bf16, "):
        check_sizes(job_of(folder, precision="fp23"))
    unbounded = Online({"en": math.inf, "de": 3.0}, "draw.npz")
    with pytest.raises(ValueError, match=r"needs a finite t, which en has not"):
        check_sizes(job_of(folder, online=unbounded))
    assert check_images(job_of(folder)).total() == len(IN_SET)
    with pytest.raises(ValueError, match="lies in 8 tars, too few for 9 loaders"):
        check_images(job_of(folder, loader_workers=9))
    with pytest.raises(
        ValueError, match=r"has 700 images, and of its 2 loaders one may get only 3\d\d, fewer than its"
    ):
        check_images(job_of(folder, recipe=replace(RECIPE, batch_size=400), loader_workers=2))
    first, second = job_of(folder).shards
    with pytest.raises(ValueError, match=r"do not name the same tars; 00001/00005\.tar is in one only"):
        check_images(job_of(folder, shards=(replace(first, tars=first.tars[:-1]), second)))
    with pytest.raises(ValueError, match="a tar is named twice"):
        check_images(job_of(folder, shards=(first, first, second)))


@pytest.mark.parametrize("left", [0, 512, 5_000, -512, -1])
def test_a_tar_that_was_cut_short_is_refused_before_training(folder: Path, tmp_path: Path, left: int) -> None:
    whole = (folder / "images" / NAMES[0]).read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[:-10_240][:left] if left < 0 else whole[:left])
    job = job_of(tmp_path, images=str(tmp_path), shards=(SetFile("rows.parquet", ("cut.tar",)),))
    with pytest.raises(ValueError, match=r"cut.tar ends without .*; restore it, or delete it and its"):
        check_images(job)
    (tmp_path / "cut.tar").unlink()
    with pytest.raises(FileNotFoundError, match=r"cut.tar: missing; restore it, or .* images of every t with force"):
        check_images(job)


def test_no_rank_trains_a_job_of_another_number_of_ranks(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the job is for 2 ranks, and 1 were started"):
        train(asdict(job_of(folder, tmp_path, ranks=2)), print)


def test_steps_that_were_redone_count_once_in_the_curve(tmp_path: Path) -> None:
    lines = [
        json.dumps({"pairs_seen": seen, "loss": loss})
        for seen, loss in [(1, 9), (2, 8), (3, 7), (2, 6), (3, 5), (4, 4)]
    ]
    lines.insert(3, lines[5][:-9])  # a line that a kill cut short
    (tmp_path / "metrics.jsonl").write_text("\n".join([*lines, lines[0][:5]]))
    assert [(row["pairs_seen"], row["loss"]) for row in read_curve(tmp_path)] == [(1, 9), (2, 6), (3, 5), (4, 4)]


def test_open_clip_train_reads_the_arguments_as_they_are_meant(folder: Path) -> None:
    from open_clip_train.params import parse_args

    recipe = replace(RECIPES["ViT-H-14-quickgelu"], accum_freq=4)
    job = job_of(folder, "/out", recipe=recipe, ranks=8, loader_workers=6, device="cuda", precision="amp_bf16", seed=3)
    args = parse_args(build_arguments(job))
    assert (args.batch_size, args.accum_freq, args.grad_checkpointing) == (1024, 4, True)
    assert (args.lr, args.beta1, args.beta2, args.eps, args.wd, args.warmup) == (4e-4, 0.9, 0.98, 1e-6, 0.2, 2_000)
    assert (args.train_data, args.workers, args.seed, args.epochs) == ("{0..7}", 6, 3, 32)
    assert (args.device, args.precision, args.dist_backend, args.aug_cfg) == (
        "cuda",
        "amp_bf16",
        "nccl",
        {"scale": (0.9, 1.0)},
    )
    assert all([args.local_loss, args.gather_with_grad, args.save_most_recent])
    assert (args.resume, args.logs, args.name, args.lr_scheduler) == ("latest", "/out", "run", "cosine")
    for precision in PRECISIONS:
        assert parse_args(build_arguments(replace(job, precision=precision))).precision == precision


def test_the_names_that_are_replaced_are_those_that_open_clip_train_uses() -> None:
    import open_clip_train.main as trainer
    from open_clip_train import data

    main = inspect.getsource(trainer.main)
    for used in (
        "= get_data(",
        "= create_model_and_transforms(",
        "= optim.AdamW(",
        "= tensorboard.SummaryWriter(args.tensorboard_path)",
        "= torch.nn.parallel.DistributedDataParallel(model, device_ids=[device], ",
    ):
        assert used in main, used
    assert "            tarfile_to_samples_nothrow,  #" in inspect.getsource(data.get_wds_dataset)


def checkpoint_of(steps: tuple[int, ...] = (7, 7), **weights: Any) -> dict[str, Any]:
    import open_clip
    import torch

    open_clip.add_model_config(MODELS)
    torch.manual_seed(0)
    model = open_clip.create_model("rn32s", output_dict=True).to(memory_format=torch.channels_last)
    named = {f"module.{name}": value for name, value in (model.state_dict() | weights).items()}
    return {
        "epoch": 1,
        "state_dict": named,
        "optimizer": {"state": {k: {"step": torch.tensor(float(n))} for k, n in enumerate(steps)}},
    }


LOAD = """
import open_clip, sys, torch
model, _, preprocess = open_clip.create_model_and_transforms("local-dir:" + sys.argv[1])
tokens = open_clip.get_tokenizer("local-dir:" + sys.argv[1])(["a red apple"])
weights = torch.load(sys.argv[2], weights_only=True)["state_dict"]
assert all(torch.equal(value, weights["module." + name]) for name, value in model.state_dict().items())
assert type(model.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU"
assert not any("metaclip" in name for name in sys.modules)
print(*tokens.shape, *preprocess.transforms[-1].mean)
"""


def test_an_exported_model_loads_where_nothing_of_ours_is_known(tmp_path: Path) -> None:
    import torch

    torch.save(checkpoint_of(), tmp_path / "epoch_latest.pt")
    checkpoint = read_checkpoint(tmp_path / "epoch_latest.pt")
    assert count_steps(checkpoint) == 7
    first = export_checkpoint(checkpoint, "rn32s", tmp_path / "model")
    assert export_checkpoint(checkpoint, "rn32s", tmp_path / "model") == first
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "open_clip_config.json",
        "open_clip_model.safetensors",
    ]
    assert (tmp_path / "model" / "open_clip_model.safetensors").stat().st_mode & 0o444 == 0o444
    command = [sys.executable, "-W", "error", "-c", LOAD, str(tmp_path / "model"), str(tmp_path / "epoch_latest.pt")]
    printed = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert printed.split() == ["1", "16", "0.48145466", "0.4578275", "0.40821073"]


def test_transformers_gives_the_logits_that_open_clip_gives(tmp_path: Path) -> None:
    import open_clip
    import torch
    from PIL import Image
    from transformers import CLIPModel, CLIPProcessor

    text = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
    vision = {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16, "mlp_ratio": 4.9231}
    architecture = {"embed_dim": 24, "quick_gelu": True, "vision_cfg": vision, "text_cfg": text}
    (tmp_path / "small-vit.json").write_text(json.dumps(architecture), "utf-8")
    open_clip.add_model_config(tmp_path / "small-vit.json")
    torch.manual_seed(0)
    state = open_clip.create_model("small-vit").state_dict()
    export_checkpoint({"state_dict": state}, "small-vit", tmp_path / "model")
    write_for_transformers(tmp_path / "model", tmp_path / "model")

    of_transformers = CLIPModel.from_pretrained(tmp_path / "model").eval()
    processor = CLIPProcessor.from_pretrained(tmp_path / "model")
    of_open_clip, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'model'}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{tmp_path / 'model'}")
    texts = ["a photo of a dog", "Two CATS' toys, 3.5 m", "né"]
    image = Image.effect_mandelbrot((48, 40), (-2, -1, 1, 1), 50).convert("RGB")
    inputs = processor(text=texts, images=image, return_tensors="pt", padding=True)
    pixels = preprocess(image)[None]
    assert torch.allclose(inputs["pixel_values"], pixels, atol=0.03)  # it resizes 8-bit numbers in another order
    with torch.inference_mode():
        expected = of_open_clip.eval()(pixels, tokenizer(texts))
        logits = of_transformers(**inputs | {"pixel_values": pixels}).logits_per_image
    assert torch.allclose(logits, expected[2] * expected[0] @ expected[1].T, atol=1e-5)


def test_an_architecture_that_transformers_lacks_is_named(tmp_path: Path) -> None:
    import open_clip

    open_clip.add_model_config(MODELS)
    export_checkpoint({"state_dict": open_clip.create_model("rn32s").state_dict()}, "rn32s", tmp_path / "model")
    with pytest.raises(ValueError, match="its image tower is a ResNet"):
        write_for_transformers(tmp_path / "model", tmp_path)


def test_what_is_no_checkpoint_is_refused_and_never_run(tmp_path: Path) -> None:
    import torch

    from tests.metaclip_dagster.training.test_loading import Bomb

    mark, path = tmp_path / "ran", tmp_path / "epoch_latest.pt"
    for content in (b"", b"no checkpoint", b"PK\x03\x04 nor a zip"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is no checkpoint of open_clip_train"):
            read_checkpoint(path)
    others: list[Any] = [Bomb(mark), {"state_dict": {}}, [1]]
    for odd in others:
        torch.save(odd, path)
        with pytest.raises(ValueError, match="is no checkpoint of open_clip_train"):
            read_checkpoint(path)
    assert not mark.exists()
    with pytest.raises(ValueError, match=r"disagree about its steps: \[7, 8\]"):
        count_steps(checkpoint_of(steps=(7, 8)))
    with pytest.raises(ValueError, match="1 weights are not finite, logit_scale among them"):
        export_checkpoint(checkpoint_of(logit_scale=torch.tensor(math.nan)), "rn32s", tmp_path / "model")
    with pytest.raises(ValueError, match="has an architecture 'rn33s'"):
        export_checkpoint(checkpoint_of(), "rn33s", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_result_is_one_row_of_checkpoints() -> None:
    result = {
        "training_set": "online-20",
        "model": "tiny-s1",
        "architecture": "rn32s",
        "seed": 1,
        "path": "/checkpoints/online-20/tiny-s1/model",
        "pairs_seen": 288,
        "budget": 288,
        "loss": 3.5,
        "sha256": "ab",
        "recipe": "{}",
        "set_version": "cd",
        "losses": [[32, 3.6], [288, 3.5]],
    }
    [row] = describe_checkpoint(result, root="/checkpoints").to_pylist()
    assert row == {name: result[name] for name in CHECKPOINTS.names} | {"path": "online-20/tiny-s1/model"}

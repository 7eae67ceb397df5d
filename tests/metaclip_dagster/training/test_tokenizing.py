"""A tokenizer that is a file: what it must be, and that training, scoring and readers elsewhere use the same one."""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from metaclip_dagster.clip_models import load_model
from metaclip_dagster.training import RECIPES, TrainingPlan, describe_recipe, export_checkpoint, read_tokenizer
from metaclip_dagster.training.exporting import MODELS, read_architecture
from metaclip_dagster.training.running import train
from metaclip_dagster.training.tokenizing import TOKENIZER, find_tokenizer, render_tokenizer
from metaclip_dagster.training.transformers_folder import copy_for_loaders, write_for_transformers
from tests.metaclip_dagster.tokenizers import SPECIAL, TEXTS, build_tokenizer, write_files
from tests.metaclip_dagster.training_sets import RECIPE, build_set, job_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "bpe"
    path.mkdir()
    build_tokenizer().save(str(path / TOKENIZER))
    return path


def test_a_tokenizer_says_what_a_text_tower_must_know_of_it(folder: Path) -> None:
    tokenizer = read_tokenizer(folder)
    assert (tokenizer.num_ids, tokenizer.end_id, tokenizer.end, tokenizer.pad) == (300, 2, "</s>", "<pad>")
    text = read_architecture("rn32s", str(folder))["text_cfg"]
    assert text == read_architecture("rn32s")["text_cfg"] | {
        "vocab_size": 300,
        "pool_type": "eos",
        "eos_id": 2,
        "hf_tokenizer_name": str(folder),
    }


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "is no file; name the folder of a tokenizer.json"),
        (b"", r"is no tokenizer \(EOF while parsing"),
        (b"\xff\xfe", r"is no tokenizer \('utf-8' codec"),
        (b"{}", r"is no tokenizer \("),
        (b'{"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}', r"is no tokenizer \("),
        (b"[" * 100_000, r"is no tokenizer \("),
        (build_tokenizer(None).to_str().encode(), "gives texts no token of their own at the end"),
        (build_tokenizer("<s> $A").to_str().encode(), "gives texts no token of their own at the end"),
        (build_tokenizer("</s> $A </s>").to_str().encode(), "gives texts no token of their own at the end"),
    ],
)
def test_what_is_no_tokenizer_is_refused_by_name(tmp_path: Path, content: bytes | None, reason: str) -> None:
    if content is not None:
        (tmp_path / TOKENIZER).write_bytes(content)
    with pytest.raises(ValueError, match=rf"tokenizer\.json: {reason}"):
        read_tokenizer(tmp_path)


def test_a_recipe_without_a_tokenizer_is_described_as_before() -> None:
    assert "tokenizer" not in describe_recipe(RECIPES["tiny"])
    changed = replace(RECIPES["tiny"], tokenizer="ab")
    assert describe_recipe(changed) == describe_recipe(RECIPES["tiny"]) | {"tokenizer": "ab"}


def test_a_tokenizer_that_no_hub_has_is_named_with_a_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match=r"tokenizer facebook/xlm-v-base is neither in .* name a folder"):
        find_tokenizer({"hf_tokenizer_name": "facebook/xlm-v-base"})
    assert find_tokenizer({}) is None


LOAD = """
import json, open_clip, sys
model, _, preprocess = open_clip.create_model_and_transforms("local-dir:" + sys.argv[1])
tokens = open_clip.get_tokenizer("local-dir:" + sys.argv[1])(json.loads(sys.argv[2]))
assert not any("metaclip_dagster" in name for name in sys.modules)
print(json.dumps(tokens.tolist()))
"""


def test_training_scoring_and_readers_elsewhere_read_texts_alike(folder: Path, tmp_path: Path) -> None:
    tokenizer = read_tokenizer(folder)
    write_files(tmp_path / "tokenizer", render_tokenizer(tokenizer))
    recipe = replace(RECIPE, tokenizer=tokenizer.sha256)
    out = tmp_path / "out"
    out.mkdir()
    plan = job_of(build_set(tmp_path / "set"), out, recipe=recipe, tokenizer=str(tmp_path / "tokenizer"))
    job = json.loads(json.dumps(asdict(plan)))
    assert TrainingPlan.from_json(job) == plan
    result = train(job, lambda numbers: None)
    assert result is not None
    assert result["pairs_seen"] == plan.budget
    model = Path(result["path"])
    assert read_tokenizer(model).sha256 == tokenizer.sha256
    assert str(tmp_path) not in (model / "open_clip_config.json").read_text("utf-8")

    texts = [*TEXTS, "", "long " * 100]
    loaded = load_model(f"local-dir:{model}")
    tokens = loaded.tokenizer(texts).tolist()
    rust = build_tokenizer()
    rust.enable_truncation(16)
    rust.enable_padding(pad_id=1, pad_token="<pad>", length=16)
    assert tokens == [encoding.ids for encoding in rust.encode_batch(texts)]
    assert all(2 in row for row in tokens)
    assert loaded.model.token_embedding.weight.shape[0] == 300
    command = [sys.executable, "-W", "error", "-c", LOAD, str(model), json.dumps(texts)]
    printed = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert json.loads(printed) == tokens

    (tmp_path / "tokenizer" / TOKENIZER).write_text(build_tokenizer(size=280).to_str(), "utf-8")
    with pytest.raises(ValueError, match="is not the recipe's: somebody changed it"):
        train(job, lambda numbers: None)


@pytest.mark.parametrize("pad", ["<pad>", "</s>"])
def test_texts_are_filled_up_and_cut_on_the_right_whatever_side_the_file_names(tmp_path: Path, pad: str) -> None:
    from open_clip.tokenizer import HFTokenizer

    tokenizer = build_tokenizer()
    tokenizer.enable_padding(direction="left", pad_id=SPECIAL.index(pad), pad_token=pad)
    tokenizer.enable_truncation(512, direction="left")
    tokenizer.save(str(tmp_path / TOKENIZER))
    write_files(tmp_path / "written", render_tokenizer(read_tokenizer(tmp_path)))
    short, long = HFTokenizer(str(tmp_path / "written"), context_length=16)(["dog", "start " + "long " * 40]).tolist()
    assert (short[0], short[-1]) == (0, SPECIAL.index(pad))  # at the first end its embedding is read off
    assert long == [*build_tokenizer().encode("start " + "long " * 40).ids[:15], 2]


def test_a_text_that_holds_the_end_token_does_not_end_there(folder: Path, tmp_path: Path) -> None:
    from open_clip.tokenizer import HFTokenizer

    write_files(tmp_path / "written", render_tokenizer(read_tokenizer(folder)))
    [tokens] = HFTokenizer(str(tmp_path / "written"), context_length=16)(["dog </s> red"]).tolist()
    assert tokens.count(2) == 1
    assert len(tokens[: tokens.index(2)]) > len(build_tokenizer("$A").encode("dog  red").ids)


@pytest.mark.parametrize("spoil", ["auto_map", "class", "none", "kwargs", "config", "larger", "end", "panic"])
def test_a_folder_whose_tokenizer_is_not_as_exported_is_refused(folder: Path, tmp_path: Path, spoil: str) -> None:
    import open_clip

    open_clip.add_model_config(MODELS)
    model = tmp_path / "model"
    (tmp_path / "small.json").write_text(json.dumps(read_architecture("rn32s", str(folder))), "utf-8")
    open_clip.add_model_config(tmp_path / "small.json")
    state = {"state_dict": open_clip.create_model("small").state_dict()}
    export_checkpoint(state, "rn32s", model, tokenizer=str(folder))
    path = model / ("open_clip_config.json" if spoil == "kwargs" else "tokenizer_config.json")
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    reason = "would load code or files from elsewhere; refused"
    if spoil in ("larger", "end", "panic"):
        other = build_tokenizer("</s> $A <s>" if spoil == "end" else "<s> $A </s>", 320 if spoil == "larger" else 300)
        (model / TOKENIZER).write_text("{}" if spoil == "panic" else other.to_str(), "utf-8")
        reason = (
            "its tokenizer cannot be read: .*Export the model again"
            if spoil == "panic"
            else "is not the one .* has 300 tokens and ends texts with token 2;"
        )
    elif spoil == "none":
        path.unlink()
    elif spoil == "config":
        (model / "config.json").write_text('{"auto_map": {"AutoConfig": "evil.Config"}}', "utf-8")
    else:
        if spoil == "auto_map":
            content["auto_map"] = {"AutoTokenizer": ["evil.Tokenizer", None]}
        elif spoil == "class":
            content["tokenizer_class"] = "Evil"
        else:
            content["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"trust_remote_code": True}
        path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(ValueError, match=reason):
        load_model(f"local-dir:{model}")


def test_transformers_gives_the_logits_of_a_model_with_its_own_tokenizer(folder: Path, tmp_path: Path) -> None:
    import open_clip
    import torch
    from PIL import Image
    from transformers import AutoModel, AutoProcessor

    text = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
    vision = {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16}
    (tmp_path / "vit32.json").write_text(
        json.dumps({"embed_dim": 24, "quick_gelu": True, "vision_cfg": vision, "text_cfg": text}), "utf-8"
    )
    open_clip.add_model_config(tmp_path / "vit32.json")
    (tmp_path / "vit32bpe.json").write_text(json.dumps(read_architecture("vit32", str(folder))), "utf-8")
    open_clip.add_model_config(tmp_path / "vit32bpe.json")
    torch.manual_seed(0)
    of_open_clip = open_clip.create_model("vit32bpe").eval()
    # As an architecture that names its tokenizer: XLM-V's by name goes the same way.
    export_checkpoint({"state_dict": of_open_clip.state_dict()}, "vit32bpe", tmp_path / "model")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert copy_for_loaders(tmp_path / "model", elsewhere) == ""
    write_for_transformers(tmp_path / "model", tmp_path / "model")

    model, processor = AutoModel.from_pretrained(elsewhere).eval(), AutoProcessor.from_pretrained(elsewhere)
    assert type(model).__name__ == "MetaClip2Model"
    image = Image.effect_mandelbrot((32, 32), (-2, -1, 1, 1), 50).convert("RGB")
    texts = [*TEXTS, "long " * 100]
    inputs = processor(text=texts, images=image, return_tensors="pt", padding=True, truncation=True)
    tokens = open_clip.get_tokenizer(f"local-dir:{elsewhere}")(texts)
    with torch.inference_mode():
        expected = of_open_clip.encode_text(tokens, normalize=True)
        of_transformers = model(**inputs).text_embeds
    assert torch.allclose(expected, of_transformers, atol=1e-5)

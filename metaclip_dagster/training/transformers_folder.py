"""Write an exported model as a folder that transformers loads: weights, configs and CLIP's tokenizer."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metaclip_dagster.training.exporting import CONFIG, WEIGHTS
from metaclip_dagster.training.tokenizing import TOKENIZER, TOKENIZER_CONFIG

if TYPE_CHECKING:
    import torch

# Where open_clip's weights stand in transformers, outside the blocks; a projection stands there transposed.
_OUTSIDE = {
    "logit_scale": "logit_scale",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "text_projection": "text_projection.weight",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
    "visual.proj": "visual_projection.weight",
}
_BLOCKS = {"transformer": "text_model", "visual.transformer": "vision_model"}
_BLOCK = re.compile(r"((?:visual\.)?transformer)\.resblocks\.(\d+)\.(.+)\.(weight|bias)")
_IN_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_IN_PROJECTION = re.compile(r"((?:visual\.)?transformer)\.resblocks\.(\d+)\.attn\.in_proj_(weight|bias)")
_START, _END = "<|startoftext|>", "<|endoftext|>"
# Fields of open_clip's config that are spelled out below; another one means a model that CLIPModel is not.
_UNDERSTOOD = {
    "vision_cfg": {"image_size", "layers", "width", "head_width", "mlp_ratio", "patch_size"},
    "text_cfg": {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"},
}
_OF_TOKENIZER = {"hf_tokenizer_name", "tokenizer_kwargs", "pool_type", "eos_id"}


def copy_for_loaders(model: Path, folder: Path) -> str:
    """Copy an exported model's weights and config, safetensors and JSON, and write what transformers loads beside them.

    Gives why transformers cannot load it, empty where it can.
    """
    for name in (WEIGHTS, CONFIG, TOKENIZER, TOKENIZER_CONFIG):
        if name in (WEIGHTS, CONFIG) or (model / name).exists():
            shutil.copyfile(model / name, folder / name)
    try:
        write_for_transformers(folder, folder)
    except ValueError as error:
        return str(error)
    return ""


FILES = (
    "config.json",
    "merges.txt",
    "model.safetensors",
    "preprocessor_config.json",
    "tokenizer_config.json",
    "vocab.json",
)
"""What `write_for_transformers` writes; beside a tokenizer.json no vocab.json and merges.txt."""


def write_for_transformers(model: Path, folder: Path) -> None:
    """Write what `transformers.CLIPModel` and `CLIPProcessor` load from a folder that `export_checkpoint` wrote.

    A model with a tokenizer.json is a `MetaClip2Model`, which is CLIPModel with any end token. Raises ValueError for an
    architecture that neither has: they are two plain transformers.
    """
    from safetensors.torch import load_file, save_file  # noqa: PLC0415

    exported = json.loads((model / CONFIG).read_text("utf-8"))
    config = _translate_config(exported["model_cfg"])
    weights = dict(_translate_weights(load_file(model / WEIGHTS)))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)  # safetensors lets nobody else read it
    size, preprocess = config["vision_config"]["image_size"], exported["preprocess_cfg"]
    files: dict[str, Any] = {
        "config.json": config,
        "preprocessor_config.json": {
            "image_processor_type": "CLIPImageProcessor",
            "processor_class": "CLIPProcessor",
            "size": {"shortest_edge": size},
            "crop_size": {"height": size, "width": size},
            "resample": 3,  # bicubic
            "image_mean": preprocess["mean"],
            "image_std": preprocess["std"],
            **dict.fromkeys(["do_convert_rgb", "do_resize", "do_center_crop", "do_rescale", "do_normalize"], True),
        },
    }
    most_tokens = {"model_max_length": config["text_config"]["max_position_embeddings"]}
    if config["model_type"] == "clip":
        files |= _describe_clips_tokenizer(folder, most_tokens)
    else:
        files[TOKENIZER_CONFIG] = json.loads((model / TOKENIZER_CONFIG).read_text("utf-8")) | most_tokens
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1, ensure_ascii=False), "utf-8")


def _describe_clips_tokenizer(folder: Path, most_tokens: Mapping[str, int]) -> dict[str, Any]:
    from open_clip.tokenizer import SimpleTokenizer  # noqa: PLC0415  # seconds, and the graph's definitions reach this

    tokenizer = SimpleTokenizer()
    merges = ["#version: 0.2", *map(" ".join, tokenizer.bpe_ranks)]
    (folder / "merges.txt").write_text("\n".join(merges) + "\n", "utf-8")
    names = {"bos_token": _START, "eos_token": _END, "unk_token": _END, "pad_token": _END}
    return {
        TOKENIZER_CONFIG: {"tokenizer_class": "CLIPTokenizer", **most_tokens, **names},
        # open_clip has other names for the last two, which transformers' own tokenizer looks for.
        "vocab.json": {token: number for number, token in enumerate([*list(tokenizer.encoder)[:-2], _START, _END])},
    }


def _translate_config(model: Mapping[str, Any]) -> dict[str, Any]:
    vision, text = model["vision_cfg"], model["text_cfg"]
    end_id = text.get("eos_id") if text.get("hf_tokenizer_name") and text.get("pool_type") == "eos" else None
    if end_id is not None:
        text = {name: value for name, value in text.items() if name not in _OF_TOKENIZER}
        model = {**model, "text_cfg": text}
    odd = sorted(
        {*(model.keys() - {"embed_dim", "quick_gelu", *_UNDERSTOOD})}.union(
            *(model[part].keys() - understood for part, understood in _UNDERSTOOD.items())
        )
    )
    if odd or not isinstance(vision["layers"], int):
        raise ValueError(
            f"transformers' CLIPModel has no such architecture ({', '.join(odd) or 'its image tower is a ResNet'}): "
            "only open_clip can load it"
        )
    same = {"hidden_act": "quick_gelu" if model.get("quick_gelu") else "gelu", "projection_dim": model["embed_dim"]}
    vocabulary = text.get("vocab_size", 49_408)
    special = (vocabulary - 2, vocabulary - 1) if end_id is None else (end_id, end_id)
    return {
        "architectures": ["CLIPModel" if end_id is None else "MetaClip2Model"],
        "model_type": "clip" if end_id is None else "metaclip_2",
        "projection_dim": model["embed_dim"],
        "text_config": same
        | _translate_tower(text, text["heads"])
        | {"vocab_size": vocabulary, "max_position_embeddings": text.get("context_length", 77)}
        | {"bos_token_id": special[0], "eos_token_id": special[1], "pad_token_id": special[1]},
        "vision_config": same
        | _translate_tower(vision, vision["width"] // vision.get("head_width", 64))
        | {"image_size": vision["image_size"], "patch_size": vision["patch_size"]},
    }


def _translate_tower(tower: Mapping[str, Any], heads: int) -> dict[str, int]:
    width = tower["width"]
    return {
        "hidden_size": width,
        "intermediate_size": int(width * tower.get("mlp_ratio", 4)),
        "num_hidden_layers": tower["layers"],
        "num_attention_heads": heads,
    }


def _translate_weights(weights: Mapping[str, "torch.Tensor"]) -> Iterator[tuple[str, "torch.Tensor"]]:
    for name, value in weights.items():
        if name in _OUTSIDE:
            yield _OUTSIDE[name], value.T.contiguous() if name in {"text_projection", "visual.proj"} else value
        elif block := _BLOCK.fullmatch(name):
            tower, number, part, kind = block.groups()
            yield f"{_BLOCKS[tower]}.encoder.layers.{number}.{_IN_BLOCK[part]}.{kind}", value
        elif projection := _IN_PROJECTION.fullmatch(name):
            tower, number, kind = projection.groups()
            for part, third in zip("qkv", value.chunk(3), strict=True):
                yield f"{_BLOCKS[tower]}.encoder.layers.{number}.self_attn.{part}_proj.{kind}", third.contiguous()
        elif name != "attn_mask":  # a constant
            raise ValueError(f"transformers' CLIPModel has no weight for {name}; only open_clip can load this model")

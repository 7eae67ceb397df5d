"""Small zero-shot tasks and models, written to disk for tests of their evaluation."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tests.metaclip_dagster.training_sets import write_tar

MODEL = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}

Members = Sequence[tuple[str, bytes]]


def export_model(folder: Path, seed: int = 0) -> Path:
    """Weights as training exports them, drawn at random."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    state = open_clip.CLIP(**MODEL).state_dict()
    # As drawn, all images are alike to it, and one name is the nearest to all.
    for name in state:
        if name.startswith("visual.transformer") and name.endswith("weight") and "ln" not in name:
            state[name] *= 10
    folder.mkdir(parents=True)
    save_file({name: value.contiguous() for name, value in state.items()}, folder / "open_clip_model.safetensors")
    config = {"model_cfg": MODEL, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def draw(seed: int, suffix: str = "png", mode: str = "RGB") -> bytes:
    """An image of its own colours."""
    generator = np.random.default_rng(seed)
    image = Image.fromarray(generator.integers(0, 256, (4, 4, 3), np.uint8)).resize((20, 24)).convert(mode)
    return encode(image, suffix)


def encode(image: Image.Image, suffix: str = "png") -> bytes:
    stream = io.BytesIO()
    image.save(stream, {"jpg": "JPEG"}.get(suffix, suffix.upper()))
    return stream.getvalue()


def classified(classes: Sequence[int], suffix: str = "png") -> list[tuple[str, bytes]]:
    """A sample for each number, of that class."""
    return [
        member
        for at, number in enumerate(classes)
        for member in [(f"s{at:04}.cls", str(number).encode()), (f"s{at:04}.{suffix}", draw(at, suffix))]
    ]


def write_task(folder: Path, tars: Sequence[Members], **texts: str) -> Path:
    """A task in CLIP_benchmark's layout; `texts` are its text files, whose suffix is .txt unless they are groups."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, members in enumerate(tars):
        write_tar(folder / "test" / f"{number}.tar", members)
    (folder / "test").mkdir(exist_ok=True)
    (folder / "test" / "nshards.txt").write_text(f"{len(tars)}\n", encoding="utf-8")
    for name, text in texts.items():
        suffix = "tsv" if name == "groups" else "txt"
        (folder / f"{name}.{suffix}").write_text(text, encoding="utf-8")
    return folder

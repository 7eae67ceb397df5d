"""Load a CLIP model, by its name in open_clip, from an exported folder, or from a file of weights, and embed by it."""

import difflib
import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch
    from PIL import Image

Embeddings = npt.NDArray[np.float32]
"""Vectors of length 1, a row each."""

LOCAL = "local-dir:"
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


@dataclass(frozen=True)
class LoadedModel:
    """A model with what it needs to read images and texts, and what its evaluations gave so far."""

    model: Any  # open_clip's own classes share no type
    preprocess: "Callable[[Image.Image], torch.Tensor]"
    tokenizer: "Callable[[list[str]], torch.Tensor]"
    device: str
    evaluations: dict[Any, Any] = field(default_factory=dict)  # by task and languages, which are a stage's own


def load_model(name: str, pretrained: str | None = None, *, device: str = "cpu") -> LoadedModel:
    """Load a model in float32 for evaluation.

    `name` is `local-dir:FOLDER` of open_clip_config.json and open_clip_model.safetensors; or an architecture that
    open_clip knows, with `pretrained` one of its tags, whose weights are fetched into the Hub's cache unless they are
    there, or a file of weights. Of a file only weights are read: nothing in it can run. Raises ValueError for what is
    unknown or cannot be read, FileNotFoundError for weights that are neither in the cache nor within reach.
    """
    import open_clip  # noqa: PLC0415  # seconds, and the graph's definitions reach this module

    if name.startswith(LOCAL):
        weights, options = _open_folder(Path(name.removeprefix(LOCAL))), dict[str, Any]()
        pretrained = None
    else:
        weights, options = _find_weights(name, pretrained)
        pretrained = str(weights)
    wanted = (
        "Wanted is a .safetensors file, or a checkpoint of open_clip_train or of another trainer that holds tensors "
        "and nothing that would run"
    )
    with _explain_errors(name, f"{weights}: cannot be read as weights of {name}", wanted):
        model, preprocess = open_clip.create_model_from_pretrained(name, pretrained, weights_only=True, **options)
    with _explain_errors(name, f"{name}: its tokenizer cannot be read", "Export the model again, or fetch it whole"):
        tokenizer = open_clip.get_tokenizer(name)
    if name.startswith(LOCAL) and isinstance(tokenizer, open_clip.tokenizer.HFTokenizer):
        _check_tokenizer(weights.parent, model, tokenizer)
    return LoadedModel(model.to(device).eval(), preprocess, tokenizer, device)


def digest_model(name: str, pretrained: str | None = None) -> str:
    """What a model's embeddings follow from: sha256 of its weights, and of a folder's config and tokenizer too.

    Weights that only a tag names are fetched as `load_model` fetches them. Raises as it does.
    """
    if name.startswith(LOCAL):
        folder = _open_folder(Path(name.removeprefix(LOCAL))).parent
        files = sorted(path for path in folder.iterdir() if path.suffix in {".safetensors", ".json", ".txt"})
    else:
        files = [_find_weights(name, pretrained)[0]]
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(f"{path.name if len(files) > 1 else name} ".encode())
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def encode(encoder: Any, inputs: "Sequence[torch.Tensor] | torch.Tensor", model: LoadedModel) -> Embeddings:
    """Embeddings by `encode_image` or `encode_text` of the model; raises ValueError for what is not finite."""
    import torch  # noqa: PLC0415  # seconds, and the graph's definitions reach this module

    together = inputs if isinstance(inputs, torch.Tensor) else torch.stack(list(inputs))
    with torch.inference_mode():
        embeddings: Embeddings = encoder(together.to(model.device), normalize=True).float().cpu().numpy()
    if not np.isfinite(embeddings).all():
        raise ValueError("the model gives embeddings that are not finite; did its training diverge?")
    return embeddings


@contextmanager
def _explain_errors(name: str, failure: str, way_out: str) -> Iterator[None]:
    """Raise ValueError for whatever a reader meets in a file that is not what it should be."""
    try:
        yield
    except ImportError as error:
        raise ValueError(f"{name}: its text tower or tokenizer needs a package that is not here: {error}") from error
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__module__ != "pyo3_runtime":  # a panic of tokenizers' Rust
            raise
        reason = str(error).strip().partition("\n")[0][:300]
        raise ValueError(f"{failure}: {reason}. {way_out}") from error


def _open_folder(folder: Path) -> Path:
    config, weights = folder / "open_clip_config.json", folder / "open_clip_model.safetensors"
    for file in (config, weights):
        if not file.is_file():
            raise ValueError(f"{folder}: has no {file.name}; name a folder that training exported")
    try:
        text = json.loads(config.read_text("utf-8"))["model_cfg"]["text_cfg"]
        foreign = {key for key in text if key.startswith(("hf_", "tokenizer_"))}
        if "hf_tokenizer_name" in foreign and _is_own_tokenizer(folder):
            foreign.remove("hf_tokenizer_name")
            if text.get("tokenizer_kwargs", {}).keys() <= {"clean"}:
                foreign.discard("tokenizer_kwargs")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{config}: describes no model ({error!r}); export the model again") from error
    if foreign:
        raise ValueError(f"{config}: {', '.join(sorted(foreign))} would load code or files from elsewhere; refused")
    return weights


def _is_own_tokenizer(folder: Path) -> bool:
    """Whether the folder holds a tokenizer as training exports it, which names neither code nor other files."""
    file, config, of_model = (folder / name for name in ("tokenizer.json", "tokenizer_config.json", "config.json"))
    if not (file.is_file() and config.is_file()):
        return False
    if of_model.exists() and "auto_map" in json.loads(of_model.read_text("utf-8")):  # transformers looks there too
        return False
    content: dict[str, Any] = json.loads(config.read_text("utf-8"))
    names = {"tokenizer_class", "eos_token", "pad_token", "padding_side", "truncation_side", "model_max_length"}
    names |= {"split_special_tokens"}
    return content.keys() <= names and bool(content.get("tokenizer_class") == "PreTrainedTokenizerFast")


def _check_tokenizer(folder: Path, model: Any, tokenizer: Any) -> None:
    """Raise ValueError for a tokenizer that the text tower was not fitted to: its ids would end a process on a GPU."""
    num_tokens, end_id = model.token_embedding.num_embeddings, model.text_eos_id
    largest = max(tokenizer.tokenizer.get_vocab().values())
    tokens = tokenizer(["", "a"])
    of_none, of_letter = (tokens == end_id).int().argmax(1).tolist()  # where the tower reads a text off: behind it
    if largest >= num_tokens or not of_none < of_letter:
        raise ValueError(
            f"{folder}/tokenizer.json: is not the one that the model was trained with, which has {num_tokens:,} tokens "
            f"and ends texts with token {end_id}; this one has ids up to {largest:,}. Export the model again"
        )


def _find_weights(name: str, pretrained: str | None) -> tuple[Path, dict[str, Any]]:
    """The file, and what open_clip must be told of a tag's preprocessing once it is handed the file itself."""
    import open_clip  # noqa: PLC0415

    architectures = open_clip.list_models()
    if name not in architectures:
        raise ValueError(f"open_clip knows no model {name!r}{_suggest_names(name, architectures)}")
    tags = open_clip.list_pretrained_tags_by_model(name)
    if pretrained is None:
        raise ValueError(f"{name}: name its weights, a file or one of open_clip's tags: {', '.join(tags) or 'none'}")
    tag = open_clip.get_pretrained_cfg(name, pretrained)
    if not tag:
        file = Path(pretrained)
        if not file.is_file():
            raise ValueError(
                f"{name}: {pretrained!r} is neither a file nor one of its tags{_suggest_names(pretrained, tags)}"
            )
        if file.suffix not in SUFFIXES:
            raise ValueError(f"{file}: is none of {', '.join(SUFFIXES)}; weights are read from these only")
        return file, {}
    is_quick = bool(tag.get("quick_gelu"))
    if is_quick != bool(open_clip.get_model_config(name).get("quick_gelu")):
        other = f"{name}-quickgelu" if is_quick else name.removesuffix("-quickgelu")
        raise ValueError(f"{name}: {pretrained} was trained with another activation; its model is {other}")
    options = {f"image_{key}": tag[key] for key in ("mean", "std", "interpolation", "resize_mode") if key in tag}
    return _fetch(name, pretrained, tag), options


def _suggest_names(name: str, names: Iterable[str]) -> str:
    lowered = {each.lower(): each for each in names}
    near = difflib.get_close_matches(name.lower(), lowered, n=5, cutoff=0.4) or sorted(lowered)[:20]
    return f"; near it are {', '.join(lowered[each] for each in near)}" if near else "; it has none"


def _fetch(name: str, tag: str, source: dict[str, str]) -> Path:
    """Weights from the Hub's cache, else from the Hub; a Hub that is out of reach is asked once, for seconds."""
    import open_clip  # noqa: PLC0415
    from huggingface_hub import constants, try_to_load_from_cache  # noqa: PLC0415

    repository, _, file = source.get("hf_hub", "").rpartition("/")
    # open_clip's own order: safetensors first, whatever the tag names.
    for candidate in (f"{Path(file).stem or 'open_clip_model'}.safetensors", file or "open_clip_pytorch_model.bin"):
        cached = try_to_load_from_cache(repository, candidate) if repository else None
        if isinstance(cached, str):
            return Path(cached)
    way_out = (
        f"Fetch them where there is a network (`hf download {repository or tag}`) and set HF_HUB_CACHE to that cache "
        f"(now {constants.HF_HUB_CACHE}), or name a file of weights instead of the tag"
    )
    if constants.HF_HUB_OFFLINE:
        raise FileNotFoundError(f"{name}: weights {tag!r} are not in the cache, and HF_HUB_OFFLINE is set. {way_out}")
    if not _is_reachable(constants.ENDPOINT):
        raise FileNotFoundError(f"{name}: weights {tag!r} are not in the cache, and the Hub does not answer. {way_out}")
    try:
        return Path(open_clip.download_pretrained(source))
    except Exception as error:  # whatever a client of the network raises
        raise FileNotFoundError(f"{name}: weights {tag!r} could not be fetched: {error}. {way_out}") from error


def _is_reachable(url: str) -> bool:
    """One request instead of the client's own retries, which last a minute."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=10).close()  # noqa: S310  # the Hub
    except urllib.error.HTTPError as error:
        error.close()  # it answers
    except OSError:
        return False
    return True

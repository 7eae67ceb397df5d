"""Fit a text tower to a tokenizer that is a file: tokenizer.json, as the library `tokenizers` writes it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
MOST_BYTES, MOST_TOKENS = 1 << 28, 4_000_000
"""Four times XLM-V's, the largest that CLIP was trained with."""
_PADS = ("<pad>", "[PAD]", "<|pad|>")


@dataclass(frozen=True)
class TextTokenizer:
    """A tokenizer's file, and what a text tower must know of it."""

    content: bytes
    num_ids: int
    """One more than its largest token id: rows that an embedding needs."""
    end_id: int
    """The token that ends every text, where the text tower reads off its embedding."""
    end: str
    pad: str
    """What fills a short text up. Texts are read causally, so nothing before it sees it."""

    @property
    def sha256(self) -> str:
        """The file's digest."""
        return hashlib.sha256(self.content).hexdigest()


def read_tokenizer(folder: Path) -> TextTokenizer:
    """Read the tokenizer.json of a folder; nothing beside it is read, and no code is run.

    Raises ValueError for a file that is no tokenizer, or one that gives texts no end of their own, and
    ModuleNotFoundError without the package tokenizers.
    """
    path = folder / TOKENIZER
    if not path.is_file():
        raise ValueError(f"{path}: is no file; name the folder of a tokenizer.json, as the library tokenizers saves it")
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"{path}: has more than {MOST_BYTES:,} bytes; is it a tokenizer?")
    try:
        return parse_tokenizer(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def parse_tokenizer(content: bytes) -> TextTokenizer:
    """What a tokenizer.json holds; raises ValueError as `read_tokenizer` does."""
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415  # only such a tokenizer needs it
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("a tokenizer.json is read by transformers: pip install transformers") from error

    try:
        tokenizer = Tokenizer.from_str(content.decode("utf-8"))
        tokenizer.no_truncation()
        texts = [tokenizer.encode(text).ids for text in ("", "a", "a photo of a dog")]
        ids = tokenizer.get_vocab(with_added_tokens=True)
        padding = (tokenizer.padding or {}).get("pad_token")
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__module__ != "pyo3_runtime":  # a panic of its Rust
            raise
        reason = str(error).partition("\n")[0][:200]
        raise ValueError(f"is no tokenizer ({reason}); wanted is a file that Tokenizer.save wrote") from error
    ends = {text[-1] if text else None for text in texts}
    end_id = ends.pop()
    if ends or end_id is None or any(text.index(end_id) != len(text) - 1 for text in texts):
        raise ValueError(
            "gives texts no token of their own at the end, where CLIP reads a text off; give it a post-processor, such "
            'as TemplateProcessing(single="$A </s>", special_tokens=[("</s>", ID)])'
        )
    num_ids = max(ids.values()) + 1
    if num_ids > MOST_TOKENS:
        raise ValueError(f"has token ids up to {num_ids - 1:,}, and at most {MOST_TOKENS:,} are embedded")
    end = tokenizer.id_to_token(end_id) or ""
    pad = next((token for token in (padding, *_PADS) if token in ids), end)
    return TextTokenizer(content, num_ids, end_id, end, pad)


def render_tokenizer(tokenizer: TextTokenizer) -> dict[str, bytes]:
    """What the files hold, by name, that transformers, and so open_clip, loads a tokenizer from."""
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": tokenizer.end,
        "pad_token": tokenizer.pad,
    }
    # Whatever sides the file names: a text is read off at the first of its ends, and a pad may be one too.
    config |= dict.fromkeys(["padding_side", "truncation_side"], "right")
    config |= {"split_special_tokens": True}  # a page that writes </s> would end its text there
    return {TOKENIZER: tokenizer.content, TOKENIZER_CONFIG: json.dumps(config, indent=1, ensure_ascii=False).encode()}


def fit_architecture(architecture: Mapping[str, Any], tokenizer: TextTokenizer, source: str) -> dict[str, Any]:
    """open_clip's config of an architecture whose text tower reads this tokenizer's ids; `source` names its folder.

    Raises ValueError where the text tower is a language model, which has a tokenizer of its own.
    """
    text = dict(architecture["text_cfg"])
    if text.get("hf_model_name"):
        raise ValueError(f"its text tower is {text['hf_model_name']}, which reads no other tokenizer than its own")
    for name in ("tokenizer_kwargs", "tokenizer_mode"):
        text.pop(name, None)
    text |= {"vocab_size": tokenizer.num_ids, "pool_type": "eos", "eos_id": tokenizer.end_id}
    return {**architecture, "text_cfg": {**text, "hf_tokenizer_name": source}}


def find_tokenizer(text: Mapping[str, Any]) -> TextTokenizer | None:
    """The tokenizer that a `text_cfg` names, a folder or a repository of the Hub; None where it is CLIP's own.

    Raises ValueError where it is neither here nor within reach.
    """
    name = text.get("hf_tokenizer_name")
    if not name:
        return None
    if Path(name).is_dir():
        return read_tokenizer(Path(name))
    from transformers import AutoTokenizer  # noqa: PLC0415  # seconds

    try:
        backend = AutoTokenizer.from_pretrained(name, trust_remote_code=False).backend_tokenizer
    except Exception as error:  # whatever a client of the network raises
        reason = str(error).strip().partition("\n")[0][:200]
        raise ValueError(
            f"the tokenizer {name} is neither in the Hub's cache nor within reach ({reason}); fetch it where there is "
            f"a network (`hf download {name}`), or name a folder with its tokenizer.json as the recipe's `tokenizer`"
        ) from error
    return parse_tokenizer(backend.to_str().encode())

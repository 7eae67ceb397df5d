"""A small tokenizer, and the files of one, made for tests."""

from collections.abc import Mapping
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer

TEXTS = ["a red bicycle", "ein rotes Fahrrad", "赤い自転車", "красный велосипед"]
SPECIAL = ["<s>", "<pad>", "</s>"]


def build_tokenizer(template: str | None = "<s> $A </s>", size: int = 300) -> Tokenizer:
    """A BPE of bytes that was trained on a few texts; `template` is what it makes of a text, $A."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    alphabet = sorted(ByteLevel.alphabet())
    trainer = BpeTrainer(vocab_size=size, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    if template:
        ids = [(token, number) for number, token in enumerate(SPECIAL)]
        tokenizer.post_processor = TemplateProcessing(single=template, special_tokens=ids)
    return tokenizer


def write_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Files by their names in a new folder."""
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)

"""Train a tokenizer from texts of the pool, and measure it in each language: TOKENIZER_TEXTS -> TOKENIZERS."""

import hashlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from metaclip_dagster.schemas import TOKENIZERS, writes
from metaclip_dagster.training.tokenizing import MOST_TOKENS, parse_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

ALGORITHM = "byte-level BPE"
PAD, END = "<pad>", "</s>"
LEAST_TOKENS = 256 + len((PAD, END))
LONGEST_TOKEN = 48
"""Bytes, 16 characters of most scripts, as SentencePiece has it: no sentence that many sites repeat is a token."""

_WORDS = r" ?[\p{L}\p{M}]+| ?\p{N}{1,3}| ?[^\s\p{L}\p{M}\p{N}]+|\s"
"""Where texts are cut before merging: vowel signs (M) stay in their words, and numbers fill no vocabulary."""


def check_vocab_size(vocab_size: int) -> int:
    """The number of tokens, if a tokenizer can have as many; raises ValueError where not."""
    if not LEAST_TOKENS <= vocab_size <= MOST_TOKENS:
        raise ValueError(
            f"vocab_size={vocab_size:,}: take {LEAST_TOKENS} to {MOST_TOKENS:,}; the 256 bytes, {PAD} and {END} are "
            "tokens of every tokenizer"
        )
    return vocab_size


@writes(TOKENIZERS, name="training.tokenizer_training:train_tokenizer")
def train_tokenizer(
    texts: Iterable[pa.RecordBatch], texts_again: Iterable[pa.RecordBatch], *, vocab_size: int
) -> pa.Table:
    """The one row of a tokenizer that was trained from TOKENIZER_TEXTS, which are read twice: to train, and to measure.

    The order of the texts, and how many threads count them, change no byte of it. Memory is that of all distinct words.
    Where no pair of tokens stands twice any more it has fewer tokens than `vocab_size`. Raises ValueError without any
    text, or for a number of tokens that none can have.
    """
    from tokenizers import Tokenizer, decoders, models  # noqa: PLC0415  # only who trains one needs it
    from tokenizers.pre_tokenizers import ByteLevel  # noqa: PLC0415
    from tokenizers.processors import TemplateProcessing  # noqa: PLC0415
    from tokenizers.trainers import BpeTrainer  # noqa: PLC0415

    tokenizer = Tokenizer(models.BPE())
    _set_reading(tokenizer)
    trainer = BpeTrainer(
        vocab_size=check_vocab_size(vocab_size),
        min_frequency=2,
        special_tokens=[PAD, END],
        initial_alphabet=sorted(ByteLevel.alphabet()),
        max_token_length=LONGEST_TOKEN,
        show_progress=sys.stderr.isatty(),
    )
    tokenizer.train_from_iterator(_repeat_texts(texts), trainer)
    tokenizer.decoder = decoders.ByteLevel()
    end_id = tokenizer.token_to_id(END)
    tokenizer.post_processor = TemplateProcessing(single=f"$A {END}", special_tokens=[(END, end_id)])
    tokenizer.encode_special_tokens = True  # as `render_tokenizer` has it
    content = parse_tokenizer(tokenizer.to_str().encode()).content
    row = {
        "tokenizer": content,
        "sha256": hashlib.sha256(content).hexdigest(),
        "algorithm": ALGORITHM,
        "vocab_size": tokenizer.get_vocab_size(),
        "asked_vocab_size": vocab_size,
        "languages": measure_tokenizer(tokenizer, texts_again),
    }
    if not row["languages"]:
        raise ValueError("the pool has no text that a tokenizer could be trained from; are its admissions empty?")
    return pa.Table.from_pylist([row], TOKENIZERS)


def measure_tokenizer(tokenizer: "Tokenizer", texts: Iterable[pa.RecordBatch]) -> list[dict[str, object]]:
    """For each language of TOKENIZER_TEXTS, those with most texts first, what TOKENIZERS says of it in `languages`.

    Every text counts once, however often it was read, and the end token not at all.
    """
    lone = {tokenizer.token_to_id(token) for token in _list_parts_of_characters()}
    totals: dict[str, Counter[str]] = {}
    for batch in texts:
        encoded = tokenizer.encode_batch_fast(batch["text"].to_pylist(), add_special_tokens=False)
        for language, encoding, repeats in zip(
            batch["language"].to_pylist(), encoded, batch["repeats"].to_pylist(), strict=True
        ):
            counts = totals.setdefault(language, Counter())
            counts["texts"] += 1
            counts["read"] += repeats
            counts["tokens"] += len(encoding.ids)
            counts["bytes"] += sum(token in lone for token in encoding.ids)
    return [
        {
            "language": language,
            "num_texts": counts["texts"],
            "num_read": counts["read"],
            "tokens_a_text": counts["tokens"] / counts["texts"],
            "byte_share": counts["bytes"] / (counts["tokens"] or 1),
        }
        for language, counts in sorted(totals.items(), key=lambda item: (-item[1]["texts"], item[0]))
    ]


def split_texts(content: bytes, texts: list[str]) -> list[list[str]]:
    """What the tokens of each text stand for, by a tokenizer.json; a part of a character is shown as U+FFFD."""
    from tokenizers import Tokenizer  # noqa: PLC0415

    tokenizer = Tokenizer.from_buffer(content)
    tokenizer.encode_special_tokens = True
    encoded = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    return [[tokenizer.decode([token]) for token in encoding.ids] for encoding in encoded]


def _set_reading(tokenizer: "Tokenizer") -> None:
    """Texts as XLM-V and mT5 read them: NFKC, without control characters, one blank between words, in their case."""
    from tokenizers import Regex, normalizers, pre_tokenizers  # noqa: PLC0415

    # A blank first, so that a word is one token at a text's beginning and within it.
    blanks = [normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip(), normalizers.Prepend(" ")]
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), *blanks])
    words = pre_tokenizers.Split(Regex(_WORDS), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )


def _repeat_texts(texts: Iterable[pa.RecordBatch]) -> Iterator[list[str]]:
    for batch in texts:
        of_batch = zip(batch["text"].to_pylist(), batch["repeats"].to_pylist(), strict=True)
        yield [text for text, repeats in of_batch for _ in range(repeats)]


def _list_parts_of_characters() -> list[str]:
    """As BPE of bytes writes them, the bytes that characters beyond ASCII are made of: one letter for each byte."""
    from tokenizers.pre_tokenizers import ByteLevel  # noqa: PLC0415

    written = {
        ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(chr(code))[0][0] for code in range(128)
    }
    return sorted(set(ByteLevel.alphabet()) - written)

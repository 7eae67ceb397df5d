"""Read what a task says of single images: captions in several languages, and questions with options to choose from."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metaclip_dagster.evaluation.wordings import read_code

Captions = Mapping[str, tuple[str, ...]]
"""The captions of an image, by language."""

ENGLISH = "en"
_MAX_LINE = 16 << 20


@dataclass(frozen=True)
class Question:
    """A question about an image: in each language, its options as texts, of which one is right."""

    language: str
    """That which it was asked in; the other, where there is one, is English."""
    options: Mapping[str, tuple[str, ...]]
    """By language: question and option in one text, or the option alone where nothing is asked."""
    answer: int
    """Number of the right option, from 0."""


def to_captions(name: str, files: Mapping[str, bytes]) -> tuple[str, ...]:
    """The captions in a sample's .txt, one a line. Raises ValueError where there is none."""
    lines = files.get("txt", b"").decode(errors="replace").splitlines()
    if captions := tuple(line for line in lines if line.strip()):
        return captions
    raise ValueError(f"{name}: has no .txt with a caption a line; a retrieval task needs one for each image")


def read_captions(folder: Path, samples: Iterable[tuple[str, str, Mapping[str, bytes]]]) -> dict[str, tuple[str, ...]]:
    """Captions of one more language by the samples' keys, from (name, key, files) of an export; images do not count."""
    captions = {key: to_captions(name, files) for name, key, files in samples}
    if not captions:
        raise ValueError(f"{folder}: has no captions; put the export of this language here, test/0.tar and so on")
    return captions


def read_xm3600(path: Path) -> Iterator[tuple[str, Captions]]:
    """Keys of images with captions by language, from XM3600's captions.jsonl (Thapliyal et al. 2022).

    A line is `{"image/key": key, "de": {"caption": [text, ...]}, ...}`. A language that has none for an image leaves it
    out. Raises ValueError that names the line.
    """
    seen = set[str]()
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(_MAX_LINE), b""), 1):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            row = _read_object(where, line)
            key = row.get("image/key")
            if not isinstance(key, str) or not key or not key.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f"{where}: image/key is {str(key)[:80]!r}, and images/<key>.jpg is looked for")
            if key in seen:
                raise ValueError(f"{where}: image {key} has a line already; keep one")
            seen.add(key)
            captions: dict[str, tuple[str, ...]] = {}
            for code, of_language in row.items():
                texts = of_language.get("caption") if isinstance(of_language, dict) else None
                if texts:
                    language = read_code(code, path)
                    captions[language] = *captions.get(language, ()), *_read_texts(where, texts)
            if not captions:
                raise ValueError(f"{where}: image {key} has no caption in any language")
            yield key, captions


def to_question(name: str, content: bytes) -> Question:
    """A sample's .json as a question.

    `language`, `options` (two at least) and `answer`, the number of the right one from 0; optional `question`, and
    `english_question` and `english_options` with the same in English, in the same order.
    """
    row = _read_object(name, content)
    language = read_code(str(row.get("language")), Path(name))
    options = {language: _join(name, row, "question", "options")}
    if "english_options" in row and language != ENGLISH:
        options[ENGLISH] = _join(name, row, "english_question", "english_options")
    answer, counts = row.get("answer"), {len(texts) for texts in options.values()}
    if len(counts) > 1 or min(counts) < 2:
        raise ValueError(f"{name}: has {sorted(counts)} options; two at least, and as many in English")
    if type(answer) is not int or not 0 <= answer < min(counts):
        raise ValueError(f"{name}: answer {str(answer)[:80]!r} is no option; they are 0 to {min(counts) - 1}")
    return Question(language, options, answer)


def _join(name: str, row: Mapping[str, Any], question: str, options: str) -> tuple[str, ...]:
    asked = row.get(question) or ""
    if not isinstance(asked, str):
        raise ValueError(f"{name}: {question} is no text")
    return tuple(f"{asked} {option}".strip() for option in _read_texts(f"{name}: {options}", row.get(options)))


def _read_texts(where: str, texts: Any) -> tuple[str, ...]:
    if not isinstance(texts, list) or not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError(f"{where}: wants a list of texts, of which none is empty")
    return tuple(texts)


def _read_object(where: str, content: bytes) -> dict[str, Any]:
    try:
        row = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: cannot be read as JSON ({error})") from error
    if not isinstance(row, dict):
        raise ValueError(f"{where}: is no JSON object")
    return row

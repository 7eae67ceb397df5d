"""Our own loops answer as fastText does, to the bit, of any text and any model; else fastText itself answers."""

import io
import logging
import random
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.inputs import sample_archives
from metaclip_dagster.parsing import parse_wat
from resources.models import fasttext_model
from resources.models.fasttext_files import map_model
from resources.models.fasttext_model import Answer, open_model
from resources.models.language_id import _legible, load_identifier, model_path
from tests.resources.fasttext_models import Kind, write_random_model

LETTERS = ["aeinrst", "äöüßéèñçø", "абвгдежз", "日本語文字の", "한국어글자", "हिन्दीमें", "🙂🚲", "́̈‍￾"]
MARKS = [
    b"</s>", b"__label__", b"__label__1", b"<", b">", b"\0", b"\r", b"\t", b"\v\f", b"\x85", b"\xa0", b"\xff",
    b"\xed\xa0\x80",
]  # fmt: skip
random_kinds = {
    "flat": Kind(),
    "flat, parts of one letter to five": Kind(letters=(1, 5), buckets=99_991),
    "flat, runs of words": Kind(word_ngrams=3, dimensions=10),
    "flat, whole words alone": Kind(letters=(0, 0), word_ngrams=1, dimensions=7),
    "flat, the longest parts and runs": Kind(letters=(0, 64), word_ngrams=64),
    "flat, of an old version": Kind(version=11, word_ngrams=2),
    "hierarchical": Kind(loss=1, dimensions=100),
    "hierarchical, quantised": Kind(loss=1, is_quantized=True),
    "hierarchical, pruned": Kind(loss=1, is_quantized=True, has_norms=True, num_pruned=400, buckets=2000),
    "hierarchical, its output quantised": Kind(loss=1, is_quantized=True, is_output_quantized=True),
    "flat, pruned, runs of words": Kind(is_quantized=True, num_pruned=400, word_ngrams=5),
    "flat, without parts that are left": Kind(is_quantized=True, num_pruned=0),
    "flat, its output quantised": Kind(is_quantized=True, has_norms=True, is_output_quantized=True),
}  # fmt: skip


def draw_lines(number: int, words: list[bytes], seed: int = 0) -> bytes:
    """Lines of words that a model knows, of letters of a script, of odd marks and of bytes that are no text."""
    draw = random.Random(seed)

    def draw_token() -> bytes:
        match draw.randrange(6):
            case 0:
                return draw.choice(MARKS)
            case 1:
                return draw.randbytes(draw.randrange(6)).replace(b"\n", b"")
            case 2 | 3:
                return draw.choice(words)
            case _:
                return "".join(draw.choices(draw.choice(LETTERS), k=draw.randrange(9))).encode()

    def draw_line() -> bytes:
        return b"".join(draw_token() + b" " * (draw.random() < 0.7) for _ in range(draw.randrange(12)))

    return b"".join(draw_line() + b"\n" for _ in range(number))


def assert_alike(path: str, lines: bytes) -> npt.NDArray[np.int32]:
    """Both ways answer alike, every bit of the scores; gives the numbers of labels."""
    content, layout = map_model(path)
    expected, expected_scores = fasttext_model.open_with_fasttext(path, layout.labels)(lines)
    numbers, scores = fasttext_model.open_with_loops(path, content, layout)(lines)
    np.testing.assert_array_equal(expected, numbers)
    np.testing.assert_array_equal(expected_scores.view(np.uint32), scores.view(np.uint32))
    return numbers


def answers_with_loops(answer: Answer) -> bool:
    return "open_with_loops" in answer.__qualname__


@pytest.mark.parametrize("kind", random_kinds.values(), ids=random_kinds)
def test_any_model_answers_as_with_fasttext(tmp_path: Path, kind: Kind) -> None:
    words = ["the", "der", "日本", "</s>", "twice", "long" * 9, "twice", "x"]
    path = write_random_model(tmp_path / "model.bin", kind, [word.encode() for word in words], 23)
    assert answers_with_loops(open_model(path)[1])
    numbers = assert_alike(path, draw_lines(2000, [word.encode() for word in words]))
    assert len({*numbers.tolist()}) > 5
    one_label = write_random_model(tmp_path / "one.bin", kind, [b"a"], 1)
    assert {*assert_alike(one_label, draw_lines(200, [b"a"])).tolist()} <= {0, -1}


def test_the_installed_model_answers_as_with_fasttext() -> None:
    path = str(model_path())
    assert answers_with_loops(open_model(path)[1])
    content, layout = map_model(path)
    words = [content[start:end] for start, end in layout.words.T]
    archives = sample_archives()[::4]
    batches = [
        batch for it in archives for batch in parse_wat(io.BytesIO(it.read_bytes()), name=it.name, dropped=Counter())
    ]
    texts = [text for batch in batches for text in batch["text"].to_pylist()]
    assert len(texts) > 10_000
    assert len({*assert_alike(path, "".join(map(_legible, texts)).encode()).tolist()}) > 20
    assert len({*assert_alike(path, draw_lines(20_000, words)).tolist()}) > 100


def test_a_text_with_half_a_character_is_identified() -> None:
    assert load_identifier()(["a brown dog \ud83d runs"])[0] == ["en"]


@pytest.mark.parametrize("loss", [1, 3])
def test_of_labels_that_are_as_likely_the_one_is_given_that_fasttext_gives(tmp_path: Path, loss: int) -> None:
    path = tmp_path / "model.bin"
    content = Path(write_random_model(path, Kind(loss=loss, dimensions=1), [b"a"], 8)).read_bytes()
    path.write_bytes(content[: -4 * 8] + bytes(4 * 8))
    assert_alike(str(path), b"a\nb\n\n")


def test_what_the_loops_do_not_know_is_left_to_fasttext_and_the_log_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.bin"
    words = [b"the", b"der"]
    for loss in (2, 4):
        labels, answer = open_model(write_random_model(path, Kind(loss=loss), words, 5))
        assert not answers_with_loops(answer)
        assert [len(it) for it in answer(b"the\n\nder\n")] == [3, 3]
        assert len(labels) == 5
    assert caplog.text.count("of another loss than softmax, flat or hierarchical; languages are identified with") == 2
    monkeypatch.setattr(fasttext_model, "_MOST_BYTES", 1000)
    assert answers_with_loops(open_model(write_random_model(path, Kind(), words, 5))[1])
    for kind in (Kind(is_quantized=True), Kind(dimensions=1, is_quantized=True, num_pruned=3)):
        assert not answers_with_loops(open_model(write_random_model(path, kind, words, 5))[1])
    assert caplog.text.count("MB written out") == 2


def test_where_the_platform_gives_other_bits_fasttext_answers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    open_with_loops = fasttext_model.open_with_loops

    def open_with_another_library(*model: object) -> Answer:
        answer = open_with_loops(*model)  # type: ignore[arg-type]
        return lambda lines: (answer(lines)[0], np.nextafter(answer(lines)[1], np.float32(2)))

    path = str(model_path())
    expected = open_model(path)[1](b"a dog\n")
    monkeypatch.setattr(fasttext_model, "open_with_loops", open_with_another_library)
    with caplog.at_level(logging.WARNING):
        _, answer = open_model(path)
    assert [it.tolist() for it in answer(b"a dog\n")] == [it.tolist() for it in expected]
    assert "ftz: on this machine our own loops give other numbers than fastText" in caplog.text


@pytest.mark.parametrize("loss", [1, 2, 3])
def test_a_model_that_leads_to_no_number_is_named(tmp_path: Path, loss: int) -> None:
    path = tmp_path / "model.bin"
    content = Path(write_random_model(path, Kind(loss=loss), [b"the"], 5)).read_bytes()
    path.write_bytes(content[: -4 * 5 * 16] + struct.pack("<f", float("nan")) * 5 * 16)
    with pytest.raises(ValueError, match=r"model\.bin: a fastText model that leads to no number"):
        open_model(str(path))[1](b"the\n")

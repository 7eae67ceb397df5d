"""Any fastText model tells languages by its path; what is none, or not whole, is refused before fastText sees it."""

import struct
from pathlib import Path

import pytest

from metaclip_dagster.words.labels import code_of_label
from metaclip_dagster.words.languages import LANGUAGES
from resources.models.fasttext_files import digest_of, read_labels
from resources.models.language_id import check_model, load_agreement, load_identifier, load_model, model_path
from tests.resources.fasttext_models import write_model

WORDS = {
    "eng_Latn": ["dog", "the", "hand"],
    "deu_Latn": ["hund", "der"],
    "zxx_Zzzz": ["img_1234"],
    "hak_Hani": ["狗"],
}


def test_a_text_is_of_what_the_label_means_and_of_no_language_where_the_model_knows_nothing(tmp_path: Path) -> None:
    identify = load_model(write_model(tmp_path / "small.bin", WORDS), code_of_label)
    languages, scores = identify(["the dog", "DER HUND", "img_1234", "狗\n狗", "unknown", "", "the dog"])
    assert languages == ["en", "de", "zxx", "hak", "und", "und", "en"]
    assert scores[4:6] == [0.0, 0.0]
    assert all(0.9 < score <= 1 for score in scores[:4])


def test_two_models_agree_or_nobody_can_tell(tmp_path: Path) -> None:
    first = load_model(write_model(tmp_path / "first.bin", WORDS), code_of_label)
    second = load_model(write_model(tmp_path / "second.bin", {"en": ["dog"], "de": ["hund", "hand"]}), code_of_label)
    languages, scores = load_agreement(first, second)(["the dog", "hund", "hand", "the"])
    assert languages == ["en", "de", "und", "und"]
    assert scores == [
        *map(min, first(["the dog", "hund", "hand", "the"])[1], second(["the dog", "hund", "hand"])[1] + [0])
    ]


def test_the_installed_model_is_read_whole_and_answers_alike_by_its_path() -> None:
    path = str(model_path())
    assert {*read_labels(path)} == LANGUAGES == {*map(code_of_label, LANGUAGES)}
    texts = ["a red bicycle", "ein rotes Fahrrad", "1", "", "赤い自転車"]
    assert load_model(path, code_of_label)(texts) == load_identifier()(texts)


@pytest.mark.parametrize("whole", ["installed", "small"])
def test_a_model_that_was_cut_off_anywhere_is_refused(tmp_path: Path, whole: str) -> None:
    small = Path(write_model(tmp_path / "whole.bin", WORDS))
    content = (model_path() if whole == "installed" else small).read_bytes()
    cut = tmp_path / "cut.ftz"
    lengths = range(1, len(content)) if whole == "small" else [8, 60, 100, 5000, 100_000, 600_000, len(content) - 1]
    for length in lengths:
        cut.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"cut\.ftz: (no fastText model|a fastText model that is not whole)"):
            read_labels(str(cut))


def test_a_model_whose_numbers_do_not_fit_each_other_is_refused(tmp_path: Path) -> None:
    # fastText would divide by 0, read or write beside its memory, or split words without end.
    path = tmp_path / "model.bin"
    whole = Path(write_model(path, WORDS)).read_bytes()
    (dimensions, ngrams, loss, buckets, letters), (size, words, labels, pruned) = (8, 28, 32, 40, 48), (64, 68, 72, 84)
    for changes in (
        {dimensions: 1 << 20}, {dimensions: 0}, {ngrams: 2}, {letters: 4}, {ngrams: 2, buckets: 9}, {loss: 0},
        {letters: 2**31 - 1, buckets: 1}, {labels: 5}, {words: 8}, {size: 0, words: 0, labels: 0},
        {letters: -1}, {letters - 4: -1}, {pruned: 0, pruned + 4: 0},
    ):  # fmt: skip
        content = bytearray(whole)
        for place, number in changes.items():
            struct.pack_into("<i", content, place, number)
        path.write_bytes(content)
        with pytest.raises(
            ValueError, match=r"model\.bin: a fastText model (whose parts do not fit|that is not whole)"
        ):
            read_labels(str(path))


def test_what_is_no_model_of_languages_is_named_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    with pytest.raises(FileNotFoundError, match=r"model\.bin: no language model there; name a fastText"):
        load_model(str(path), code_of_label)
    with pytest.raises(FileNotFoundError, match="no language model there"):
        read_labels(str(tmp_path))
    whole = Path(write_model(path, WORDS)).read_bytes()
    for content, why in {
        b"": "an empty file",
        b"PK\3\4 a zip": "no fastText model; name the",
        whole + b"\0": "something behind it",
        struct.pack("<2i", 793712314, 13) + whole[8:]: "version 13; there are 11, 12",
        whole.replace(b"eng_Latn", b"eng_\xff\xfftn"): "not whole",
    }.items():
        path.write_bytes(content)
        with pytest.raises(ValueError, match=why):
            read_labels(str(path))
    with pytest.raises(ValueError, match="a fastText model of word vectors"):
        read_labels(write_model(path, WORDS, model=2))
    with pytest.raises(ValueError, match=r"its labels, as 'sports', 'arts', name no language"):
        check_model(write_model(path, {"sports": ["goal"], "arts": ["paint"]}), code_of_label, LANGUAGES)


def test_a_digest_is_of_what_the_file_holds(tmp_path: Path) -> None:
    first, second = (write_model(tmp_path / name, WORDS) for name in ("first.bin", "second.bin"))
    before = digest_of(first)
    assert before == digest_of(second)
    write_model(tmp_path / "second.bin", {**WORDS, "fra_Latn": ["chien"]})
    assert digest_of(second) != before

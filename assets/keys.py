"""The partition keys that are fixed at start: rungs of t, mixtures, training sets, and cells of a set and a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assets.defaults import DEFAULTS
from metaclip_dagster.balancing import parse_threshold
from metaclip_dagster.training.mixtures import Source, check_name, parse_mixture
from metaclip_dagster.training.recipes import recipe_of


def check_thresholds(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The rungs, if each is a positive number in its one spelling and they ascend to inf; raises ValueError if not."""
    values = [parse_threshold(text) for text in texts]
    if not values or sorted(set(values)) != values:
        raise ValueError(f"rungs of t must ascend without repeats, not {', '.join(texts) or 'none at all'}")
    if texts[-1] != "inf":
        raise ValueError(f"the last rung of t must be inf, the pool that online balancing draws from, not {texts[-1]}")
    return texts


def check_models(names: tuple[str, ...]) -> tuple[str, ...]:
    """The models, if each is a recipe with a seed; raises ValueError, naming the recipes, if one is not."""
    for name in names:
        recipe_of(name)
    return names


def check_mixtures(mixtures: Mapping[str, Any]) -> dict[str, tuple[Source, ...]]:
    """The sources of each mixture by its partition key; raises ValueError, naming mixture and source, if one is off."""
    parsed = {}
    for name, declared in mixtures.items():
        try:
            parsed[f"mix-{check_name(name)}"] = sources = parse_mixture(declared)
            for source in sources:
                _check_t(source)
        except ValueError as error:
            raise ValueError(f"mixtures.json: {name!r:.80}: {error}") from None
    return parsed


def _check_t(source: Source) -> None:
    try:
        parse_threshold(source.t)
    except ValueError as error:
        raise ValueError(f"{source.name}: {error}") from None


@dataclass(frozen=True)
class Cell:
    """One training run of a sweep: on which set, and which model."""

    training_set: str
    model: str

    @classmethod
    def of(cls, key: str) -> "Cell":
        """From a partition key, which joins its dimensions in the order of their names, whoever launched the run."""
        model, training_set = str(key).split("|")
        return cls(training_set, model)

    @property
    def key(self) -> str:
        """The partition key."""
        return f"{self.model}|{self.training_set}"


THRESHOLDS = check_thresholds(DEFAULTS.thresholds)
MIXTURES = check_mixtures(DEFAULTS.mixtures)
SUBSETS = (*THRESHOLDS, *MIXTURES)
"""What pairs are chosen by: a rung's t, or a mixture, whose sources have a t each."""
TRAINING_SETS = (
    *THRESHOLDS,
    *(f"online-{t}" for t in THRESHOLDS if t != "inf"),
    *MIXTURES,
    *(f"{t}-{name}" for name in DEFAULTS.named_filters for t in THRESHOLDS),
)
MODELS = check_models(DEFAULTS.models)
CELLS = tuple(Cell(training_set, model).key for model in MODELS for training_set in TRAINING_SETS)


def rings_up_to(t: str) -> tuple[str, ...]:
    """The rings whose images D(t) is made of; a mixture's images are a ring of its own."""
    return (t,) if t in MIXTURES else THRESHOLDS[: THRESHOLDS.index(t) + 1]


def rung_of(training_set: str) -> str:
    """The rung, or mixture, whose subset a training set is made of.

    An online set holds the whole pool, and training redraws it.
    """
    return "inf" if training_set.startswith("online-") else t_of(training_set)


def t_of(training_set: str) -> str:
    """The t that a training set is balanced by, or the mixture that it is.

    >>> t_of("20"), t_of("online-20"), t_of("20-clip28"), t_of("mix-ours")
    ('20', '20', '20', 'mix-ours')
    """
    if training_set.startswith("mix-"):
        return training_set
    return training_set.removeprefix("online-").partition("-")[0]


def filters_of(training_set: str) -> str:
    """The name of the deployment's filters that a training set goes by; empty where it has none of its own.

    >>> filters_of("20"), filters_of("online-20"), filters_of("20-clip28")
    ('', '', 'clip28')
    """
    return "" if training_set.startswith(("online-", "mix-")) else training_set.partition("-")[2]


def verdicts_of(training_set: str) -> str:
    """The partition of IMAGE_VERDICTS, and of tables on the way there, for a training set: its t, or its own."""
    return training_set if filters_of(training_set) else rung_of(training_set)

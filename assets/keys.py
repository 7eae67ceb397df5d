"""The partition keys that are fixed at start: rungs of t, training sets, and cells of a set and a model."""

from dataclasses import dataclass

from assets.defaults import DEFAULTS
from metaclip_dagster.balancing import parse_threshold
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
TRAINING_SETS = (
    *THRESHOLDS,
    *(f"online-{t}" for t in THRESHOLDS if t != "inf"),
    *(f"{t}-{name}" for name in DEFAULTS.named_filters for t in THRESHOLDS),
)
MODELS = check_models(DEFAULTS.models)
CELLS = tuple(Cell(training_set, model).key for model in MODELS for training_set in TRAINING_SETS)


def rings_up_to(t: str) -> tuple[str, ...]:
    """The rings whose images D(t) is made of."""
    return THRESHOLDS[: THRESHOLDS.index(t) + 1]


def rung_of(training_set: str) -> str:
    """The rung whose subset a training set is made of: an online set holds the whole pool, and training redraws it."""
    return "inf" if training_set.startswith("online-") else t_of(training_set)


def t_of(training_set: str) -> str:
    """The t that a training set is balanced by.

    >>> t_of("20"), t_of("online-20"), t_of("20-clip28")
    ('20', '20', '20')
    """
    return training_set.removeprefix("online-").partition("-")[0]


def filters_of(training_set: str) -> str:
    """The name of the deployment's filters that a training set goes by; empty where it has none of its own.

    >>> filters_of("20"), filters_of("online-20"), filters_of("20-clip28")
    ('', '', 'clip28')
    """
    return "" if training_set.startswith("online-") else training_set.partition("-")[2]


def verdicts_of(training_set: str) -> str:
    """The partition of IMAGE_VERDICTS, and of tables on the way there, for a training set: its t, or its own."""
    return training_set if filters_of(training_set) else rung_of(training_set)

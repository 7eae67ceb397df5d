"""Snapshots come and go in the instance; rungs of t are the deployment's, each time that it starts."""

import warnings
from dataclasses import dataclass

import dagster as dg

from metaclip_dagster.balancing import parse_threshold
from resources.crawl.resource import CommonCrawl
from resources.deployments import deployment


def check_thresholds(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The rungs, if each is a positive number in its one spelling and they ascend to inf; raises ValueError if not."""
    values = [parse_threshold(text) for text in texts]
    if not values or sorted(set(values)) != values:
        raise ValueError(f"rungs of t must ascend without repeats, not {', '.join(texts) or 'none at all'}")
    if texts[-1] != "inf":
        raise ValueError(f"the last rung of t must be inf, the pool that online balancing draws from, not {texts[-1]}")
    return texts


THRESHOLDS = check_thresholds(deployment().thresholds)

TRAINING_SETS = (*THRESHOLDS, *(f"online-{t}" for t in THRESHOLDS if t != "inf"))

snapshots = dg.DynamicPartitionsDefinition(name="snapshot")
thresholds = dg.StaticPartitionsDefinition(THRESHOLDS)
training_set_keys = dg.StaticPartitionsDefinition(TRAINING_SETS)
cells = dg.MultiPartitionsDefinition(
    {"training_set": training_set_keys, "model": dg.StaticPartitionsDefinition(deployment().models)}
)

all_snapshots = dg.AllPartitionMapping()
all_cells = dg.AllPartitionMapping()
with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)  # the only mapping from one dimension to two
    by_training_set = dg.MultiToSingleDimensionPartitionMapping(partition_dimension_name="training_set")
subset_of_set = dg.StaticPartitionMapping(
    {t: [t, *(key for key in TRAINING_SETS if t == "inf" and key.startswith("online-"))] for t in THRESHOLDS}
)
rings_of_set = dg.StaticPartitionMapping(
    {
        t: [key for key in TRAINING_SETS if key.startswith("online-") or THRESHOLDS.index(key) >= at]
        for at, t in enumerate(THRESHOLDS)
    }
)


def rings_up_to(t: str) -> tuple[str, ...]:
    """The rings whose images D(t) is made of."""
    return THRESHOLDS[: THRESHOLDS.index(t) + 1]


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


def register_snapshots(instance: dg.DagsterInstance, common_crawl: CommonCrawl, keys: list[str]) -> list[str]:
    """Put snapshots into the pool, each checked against the deployment's crawl; gives those that are new."""
    known = set(instance.get_dynamic_partitions("snapshot"))
    new = [common_crawl.check(key) for key in keys if key not in known]
    instance.add_dynamic_partitions("snapshot", new)
    return new

"""Divide the tables into partitions: by snapshots, and by the deployment's rungs, sets and models."""

import warnings

import dagster as dg

from assets.keys import MODELS, THRESHOLDS, TRAINING_SETS, rung_of
from resources.crawl.resource import CommonCrawl

snapshots = dg.DynamicPartitionsDefinition(name="snapshot")
baseline_keys = dg.DynamicPartitionsDefinition(name="baseline")
thresholds = dg.StaticPartitionsDefinition(THRESHOLDS)
training_set_keys = dg.StaticPartitionsDefinition(TRAINING_SETS)
cells = dg.MultiPartitionsDefinition(
    {"training_set": training_set_keys, "model": dg.StaticPartitionsDefinition(MODELS)}
)

all_snapshots = dg.AllPartitionMapping()
all_rings = dg.AllPartitionMapping()
all_cells = dg.AllPartitionMapping()
with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)  # the only mapping from one dimension to two
    by_training_set = dg.MultiToSingleDimensionPartitionMapping(partition_dimension_name="training_set")
subset_of_set = dg.StaticPartitionMapping({t: [key for key in TRAINING_SETS if rung_of(key) == t] for t in THRESHOLDS})
rings_of_set = dg.StaticPartitionMapping(
    {t: [key for key in TRAINING_SETS if THRESHOLDS.index(rung_of(key)) >= at] for at, t in enumerate(THRESHOLDS)}
)


def register_snapshots(instance: dg.DagsterInstance, common_crawl: CommonCrawl, keys: list[str]) -> list[str]:
    """Put snapshots into the pool, each checked against the deployment's crawl; gives those that are new."""
    registered = set(instance.get_dynamic_partitions("snapshot"))
    new = [common_crawl.check(key) for key in keys if key not in registered]
    instance.add_dynamic_partitions("snapshot", new)
    return new

"""Divide the tables into partitions: by snapshots, and by the deployment's rungs, sets and models."""

import warnings

import dagster as dg

from assets.keys import MODELS, SUBSETS, THRESHOLDS, TRAINING_SETS, rings_up_to, rung_of
from resources.crawl.resource import CommonCrawl

snapshots = dg.DynamicPartitionsDefinition(name="snapshot")
baseline_keys = dg.DynamicPartitionsDefinition(name="baseline")
thresholds = dg.StaticPartitionsDefinition(THRESHOLDS)
subset_keys = dg.StaticPartitionsDefinition(SUBSETS)
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
subset_of_set = dg.StaticPartitionMapping({t: [key for key in TRAINING_SETS if rung_of(key) == t] for t in SUBSETS})
rings_of_set = dg.StaticPartitionMapping(
    {ring: [key for key in TRAINING_SETS if ring in rings_up_to(rung_of(key))] for ring in SUBSETS}
)


def register_snapshots(instance: dg.DagsterInstance, common_crawl: CommonCrawl, keys: list[str]) -> list[str]:
    """Put snapshots into the pool, each checked against the deployment's crawl; gives those that are new."""
    registered = set(instance.get_dynamic_partitions("snapshot"))
    new = [common_crawl.check(key) for key in keys if key not in registered]
    instance.add_dynamic_partitions("snapshot", new)
    return new

"""Snapshots come and go in the instance; rungs of t are reviewed lines of a deployment."""

import dagster as dg

from metaclip_dagster.balancing import parse_threshold
from resources.common_crawl import CommonCrawl
from resources.deployments import deployment


def check_thresholds(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The rungs, if each is a positive number in its one spelling and they ascend; raises ValueError otherwise."""
    values = [parse_threshold(text) for text in texts]
    if not values or sorted(set(values)) != values:
        raise ValueError(f"rungs of t must ascend without repeats, not {', '.join(texts) or 'none at all'}")
    return texts


THRESHOLDS = check_thresholds(deployment().thresholds)

snapshots = dg.DynamicPartitionsDefinition(name="snapshot")
thresholds = dg.StaticPartitionsDefinition(THRESHOLDS)
all_snapshots = dg.AllPartitionMapping()


def register_snapshots(instance: dg.DagsterInstance, common_crawl: CommonCrawl, keys: list[str]) -> list[str]:
    """Put snapshots into the pool, each checked against the deployment's crawl; gives those that are new."""
    known = set(instance.get_dynamic_partitions("snapshot"))
    new = [common_crawl.check(key) for key in keys if key not in known]
    instance.add_dynamic_partitions("snapshot", new)
    return new

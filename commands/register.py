"""Put snapshots into the pool, without a web server."""

import argparse
from collections.abc import Sequence

import dagster as dg

from assets.partitions import register_snapshots
from resources.crawl.resource import open_crawl
from resources.deployments import Deployment, deployment


def main(asked: argparse.Namespace) -> None:
    """Register the keys, and say which are new; raises ValueError for one that the crawl does not list."""
    print(f"new in the pool: {', '.join(register(deployment(), asked.keys)) or 'none, all were there'}")


def register(where: Deployment, keys: Sequence[str]) -> list[str]:
    """Put snapshots, older ones too, into the pool; gives those that are new."""
    crawl = open_crawl(where)
    with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
        return register_snapshots(instance, crawl, list(keys))

"""Take snapshots out of the pool, without a web server."""

import argparse

import dagster as dg

from assets.waiting import drop_snapshots
from resources.deployments import deployment
from resources.lake.resource import open_lake


def main(asked: argparse.Namespace) -> None:
    """Drop the keys, and say which pairs the pool still holds; raises ValueError for one that is not in it."""
    where = deployment()
    with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
        remaining = drop_snapshots(instance, open_lake(where), asked.keys)
    print(f"no longer in the pool: {', '.join(asked.keys)}; their tables stay")
    if remaining:
        print(f"subsets still hold pairs of {', '.join(remaining)} until exclusions and all below it are made again")

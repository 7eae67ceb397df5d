"""A run over the mini sample, and what its tables are.

`python -m tests.mini FOLDER HOME` curates the mini sample in FOLDER, so that a test can kill it.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from assets.keys import THRESHOLDS, TRAINING_SETS
from assets.partitions import register_snapshots
from commands import demo
from definitions import bind
from resources.crawl.mini import mini_deployment
from resources.crawl.resource import open_crawl
from resources.deployments import Deployment


def curate_tables(where: Deployment, skip: int = 0) -> None:
    """What the demo curates, without the reports, which hold no rows; `skip` leaves out the first steps."""
    crawl, definitions = open_crawl(where), bind(where)
    keys = list(reversed(crawl.snapshots()))[:2]
    with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
        register_snapshots(instance, crawl, keys)
        for tables, partition in table_steps(keys)[skip:]:
            demo.materialize(definitions, instance, tables, partition)


def table_steps(keys: Sequence[str]) -> list[tuple[list[str], str | None]]:
    """The tables that are made together and the partition, in order, without the reports."""
    steps = [
        ([n for n in names if n not in {"coverage", "data_cards", "what_if"}], partitions)
        for names, partitions in demo.steps(keys)
    ]
    return [(tables, partition) for tables, partitions in steps if tables for partition in partitions]


def make_training_sets(where: Deployment) -> None:
    """Images and training sets of every t, whose rings are fetched in whatever order they are asked for."""
    with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
        for name, partitions in (
            ("image_texts", THRESHOLDS[::-1]),
            ("images", THRESHOLDS[::-1]),
            ("training_sets", TRAINING_SETS),
        ):
            for partition in partitions:
                demo.materialize(bind(where), instance, [name], partition)


if __name__ == "__main__":
    curate_tables(mini_deployment(Path(sys.argv[1]), Path(sys.argv[2]), os.environ, workers=2))

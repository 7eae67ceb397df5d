"""A deployment's graph that a test makes asset by asset, and homes that it may change."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg

from assets.partitions import register_snapshots
from commands import demo
from definitions import bind
from resources.crawl.resource import open_crawl
from resources.deployments import Deployment
from resources.lake.resource import Lake

SNAPSHOTS = ["SAMPLE-2026-01", "SAMPLE-2026-02"]


class Graph:
    """A deployment's graph with an instance of its own."""

    def __init__(self, where: Deployment, instance: dg.DagsterInstance) -> None:
        self.where, self.instance, self.lake = where, instance, Lake(root=where.lake)
        self.definitions = bind(where)

    def register(self, *keys: str) -> None:
        """Put snapshots into the pool."""
        register_snapshots(self.instance, open_crawl(self.where), list(keys))

    def make(self, names: list[str], partition: str | None = None, **config: Any) -> dg.ExecuteInProcessResult:
        """One run of these assets; the config is the run's, by section."""
        return demo.materialize(self.definitions, self.instance, names, partition, config)


@contextmanager
def open_graph(where: Deployment, *keys: str) -> Iterator[Graph]:
    """The graph over these snapshots, without a history and with none to keep."""
    with dg.DagsterInstance.ephemeral() as instance:
        graph = Graph(where, instance)
        graph.register(*keys)
        yield graph


def copy_home(
    where: Deployment, home: Path, copied: Sequence[str] = ("lake",), linked: Sequence[str] = (), **changed: Any
) -> Deployment:
    """The deployment with another home, which has some folders of its own and others, not to be changed, by a link."""
    for name in copied:
        shutil.copytree(where.home / name, home / name)
    for name in linked:
        (home / name).symlink_to(where.home / name)
    return replace(where, home=home, **changed)

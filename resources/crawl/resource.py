"""Common Crawl, or a folder laid out like it, as a resource of the graph."""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Literal

import dagster as dg
import fsspec
from pydantic import Field

from resources.crawl.listing import read_paths, read_periods, read_snapshots
from resources.deferred import Deferred
from resources.deployments import Deployment
from resources.pools.reading import PairSet, read_pools
from resources.web.archives import Access, archive_version, is_web, open_archive
from resources.web.client import Web

Kind = Literal["wat", "warc", "images", "robotstxt"]

_ASKED_AT_ONCE = 16  # a snapshot has 90,000 archives, and an object store takes its time for each


class CommonCrawl(dg.ConfigurableResource, use_attribute_docstrings=True):
    """A crawl under `root`: collinfo.json, crawl-data/<snapshot>/<kind>.paths.gz, and the archives they name."""

    root: str
    """A folder, an fsspec URL (`s3://commoncrawl`), or an address of the web (`https://data.commoncrawl.org`)."""
    snapshot_pattern: str
    """What an id of a snapshot looks like, as a regular expression."""
    collinfo: str = ""
    """Where the list of snapshots is, if not beside the rest."""
    storage_options: dict[str, Any] = {}
    """fsspec's, for an object store; credentials come from the environment."""
    folder: str = ""
    """Where the connections to the web are counted, and `cache_gb` of what came is kept."""
    contact: str = ""
    """An address for whoever runs the host, sent along with every request."""
    connections: int = Field(default=4, ge=1)
    """Connections to the host, over all processes of this machine."""
    cache_gb: float = Field(default=0.0, ge=0)
    """How much of what came from the web is kept; 0 keeps an archive as long as it is being read."""
    pools_file: str = ""
    """A JSON file that names other pools, whose partitions stand beside the snapshots."""

    def snapshots(self) -> list[str]:
        """Ids of all snapshots, the newest first, as the crawl lists them, where they fit the pattern."""
        return self._snapshots(hasty=True)

    def periods(self) -> dict[str, tuple[str, str]]:
        """First and last day of each snapshot that the crawl lists, as 2026-01-05; empty where the list has none."""
        return read_periods(self._read(self._collinfo))

    def check(self, snapshot: str) -> str:
        """The snapshot's id, if it is one: Dagster takes any text for a dynamic partition key, `|` and `,` too.

        The partition of another pool passes too. Raises ValueError for all else.
        """
        if snapshot.startswith("pool-"):
            return f"pool-{self.pool(snapshot).name}"
        if not re.fullmatch(self.snapshot_pattern, snapshot):
            raise ValueError(f"{snapshot!r} is no snapshot id of this deployment (expected {self.snapshot_pattern})")
        snapshots = self._snapshots(hasty=False)
        if snapshot not in snapshots:
            newest = ", ".join(snapshots[:5])
            raise ValueError(f"{snapshot}: {self._collinfo} does not list it; the newest are {newest}")
        return snapshot

    def pool(self, key: str) -> PairSet:
        """The set that others made, of that partition; raises ValueError if pools.json names none of that key."""
        pools = read_pools(self.pools_file)
        if key not in pools:
            there = ", ".join(pools) or "none"
            raise ValueError(f"{key}: {self.pools_file or 'no file'} does not name it; there are: {there}")
        return pools[key]

    def has_paths(self, snapshot: str, kind: Kind) -> bool:
        """Whether the snapshot's path list is there: it may be listed earlier, and not all have every kind."""
        url = f"{self.root}/crawl-data/{snapshot}/{kind}.paths.gz"
        if is_web(url):
            return self._hasty.exists(url)
        filesystem, path = fsspec.core.url_to_fs(url, **self.storage_options)
        return bool(filesystem.exists(path))

    def files(self, key: str, kind: Kind) -> tuple[str, dict[str, str]]:
        """What a partition's pairs are read from, by number, and what kind of files they are: `pool` for a pool's."""
        return ("pool", self.pool(key).paths()) if key.startswith("pool-") else (kind, self.archives(key, kind))

    def shards(self, key: str, files: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """How each of these files is read, and its name; no other one is asked for its version."""
        shard = self.pool(key).shard if key.startswith("pool-") else self._shard
        with ThreadPoolExecutor(self.connections if is_web(self.root) else _ASKED_AT_ONCE) as asking:
            return dict(zip(files, asking.map(shard, files.values()), strict=True))

    def number_shards(self, key: str, files: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """How each of a pool's files is read with the columns of numbers that it keeps; none where it keeps none."""
        pair_set = self.pool(key) if key.startswith("pool-") else None
        if pair_set is None or not pair_set.names.numbers:
            return {}
        with ThreadPoolExecutor(_ASKED_AT_ONCE) as asking:
            return dict(zip(files, asking.map(pair_set.number_shard, files.values()), strict=True))

    def opening(self, path: str) -> Deferred:
        """The opening of an archive that the crawl lists."""
        return Deferred(open_archive, (f"{self.root}/{path}", self._access))

    def archives(self, snapshot: str, kind: Kind) -> dict[str, str]:
        """The path below `root` of each archive of the snapshot, by its number in the list, the shard's key."""
        self.check(snapshot)
        url = f"{self.root}/crawl-data/{snapshot}/{kind}.paths.gz"
        return read_paths(self._read(url), url)

    @property
    def _collinfo(self) -> str:
        return self.collinfo or f"{self.root}/collinfo.json"

    @property
    def _web(self) -> Web:
        return Web(self.folder, contact=self.contact, connections=self.connections)

    @property
    def _hasty(self) -> Web:
        """For what a sensor asks: a tick has a minute, and the next one asks again. One connection is for it alone."""
        return replace(
            self._web,
            connections=1,
            lane="hasty",
            attempts=3,
            max_wait_seconds=5.0,
            timeout_seconds=10.0,
            slot_seconds=5.0,
            total_seconds=20.0,
        )

    @property
    def _access(self) -> Access:
        if not is_web(self.root):
            return Access(self.storage_options)
        return Access(web=self._web, cache=f"{self.folder}/cache", cache_bytes=int(self.cache_gb * 1e9))

    def _snapshots(self, *, hasty: bool) -> list[str]:
        return read_snapshots(self._read(self._collinfo, hasty=hasty), self._collinfo, self.snapshot_pattern)

    def _shard(self, path: str) -> dict[str, Any]:
        url, access = f"{self.root}/{path}", self._access
        asking = replace(access, web=access.web and replace(access.web, lane="versions"))  # not behind long transfers
        version = archive_version(url, asking)
        opening = Deferred(open_archive, (url, access, version), declared=f"{path} {version}")
        return {"archive": opening, "name": path.rsplit("/", 1)[-1]}

    def _read(self, url: str, *, hasty: bool = False) -> bytes:
        try:
            if is_web(url):
                return (self._hasty if hasty else self._web).read(url)
            filesystem, path = fsspec.core.url_to_fs(url, **self.storage_options)
            return bytes(filesystem.cat_file(path))
        except FileNotFoundError:
            raise FileNotFoundError(f"{url} is missing; is {self.root} laid out like Common Crawl?") from None


def open_crawl(where: Deployment) -> CommonCrawl:
    """The deployment's crawl."""
    return CommonCrawl(
        root=where.crawl,
        snapshot_pattern=where.snapshot_pattern,
        collinfo=where.collinfo,
        storage_options=dict(where.crawl_options),
        folder=where.web,
        contact=where.contact,
        pools_file=where.pools,
    )

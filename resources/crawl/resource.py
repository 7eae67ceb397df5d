"""Common Crawl, or a folder laid out like it: which snapshots there are, and the archives of one."""

import gzip
import io
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from typing import Any, Literal

import dagster as dg
import fsspec
from pydantic import Field

from resources.deferred import Deferred
from resources.deployments import Deployment
from resources.pools.reading import Pool, read_pools
from resources.web.archives import Access, archive_version, is_web, open_archive
from resources.web.client import Web

Kind = Literal["wat", "warc", "images"]

_ASKED_AT_ONCE = 16  # a snapshot has 90,000 archives, and an object store takes its time for each
_MAX_LIST = 64 << 20  # bytes; 90,000 paths take 12 MB
_PATH = re.compile(r"(?!/)(?!.*(?:^|/)\.\.?(?:/|$))[\w./+=-]+", re.ASCII)


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

    def check(self, snapshot: str) -> str:
        """The snapshot's id, if it is one: Dagster takes any text for a dynamic partition key, `|` and `,` too.

        The partition of another pool passes too. Raises ValueError for all else.
        """
        if snapshot.startswith("pool-"):
            return f"pool-{self.pool(snapshot).name}"
        if not re.fullmatch(self.snapshot_pattern, snapshot):
            raise ValueError(f"{snapshot!r} is no snapshot id of this deployment (expected {self.snapshot_pattern})")
        known = self._snapshots(hasty=False)
        if snapshot not in known:
            newest = ", ".join(known[:5])
            raise ValueError(f"{snapshot}: {self._collinfo} does not list it; the newest are {newest}")
        return snapshot

    def pool(self, key: str) -> Pool:
        """The pool of that partition."""
        known = read_pools(self.pools_file)
        if key not in known:
            there = ", ".join(known) or "none"
            raise ValueError(f"{key}: {self.pools_file or 'no file'} does not name it; there are: {there}")
        return known[key]

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

    def opening(self, path: str) -> Deferred:
        """The opening of an archive that the crawl lists."""
        return Deferred(open_archive, (f"{self.root}/{path}", self._access))

    def archives(self, snapshot: str, kind: Kind) -> dict[str, str]:
        """The path below `root` of each archive of the snapshot, by its number in the list, the shard's key."""
        self.check(snapshot)
        url = f"{self.root}/crawl-data/{snapshot}/{kind}.paths.gz"
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(self._read(url))) as unpacked:
                listed = unpacked.read(_MAX_LIST + 1)
            paths = listed.decode("utf-8").split()
        except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise ValueError(f"{url}: not a gzipped list of paths ({error}); fetch it again") from None
        if not paths or len(listed) > _MAX_LIST or any(not _PATH.fullmatch(path) for path in paths):
            raise ValueError(f"{url}: not a list of paths below {self.root}, or an empty one; fetch it again")
        return {f"{index:05d}": path for index, path in enumerate(paths)}

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
        listed = json.loads(self._read(self._collinfo, hasty=hasty))
        if not isinstance(listed, list):
            raise ValueError(f"{self._collinfo}: expected a list of snapshots, found {type(listed).__name__}")
        ids = [item.get("id") for item in listed if isinstance(item, dict)]
        return [key for key in ids if isinstance(key, str) and re.fullmatch(self.snapshot_pattern, key)]

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


def find_archives(archives: Mapping[str, str], asked: Sequence[str]) -> set[str]:
    """The numbers of the archives that are asked for by number or by the end of their path.

    Raises ValueError for one that is not among them, or for an end that several have.

    >>> find_archives({"00000": "x/a.wat.gz", "00001": "x/b.wat.gz"}, ["1", "a.wat.gz"]) == {"00000", "00001"}
    True
    """
    numbers = set()
    for name in asked:
        ends = [number for number, path in archives.items() if f"/{path}".endswith(f"/{name}")]
        matching = [name.zfill(5)] if name.zfill(5) in archives else ends
        if len(matching) != 1:
            raise ValueError(
                f"again: {name!r} names {len(matching)} of the {len(archives):,} archives that are read; "
                "give a number, as in '00007', or the end of one path"
            )
        numbers.update(matching)
    return numbers


def draw_archives(archives: Mapping[str, Any], *, first: int = 0, share: float = 1.0, seed: int = 0) -> dict[str, Any]:
    """The archives that are read: of the `first` in the list (0: of all) a `share`, drawn by number and seed.

    A larger share holds a smaller one, so that a look at a snapshot is grown without reading anything twice; at least
    one is drawn. Raises ValueError for a share outside (0, 1] and a negative `first`.
    """
    if not 0 < share <= 1 or first < 0:
        raise ValueError(f"share={share}, first={first}: a share lies above 0 and is at most 1; first is 0 or more")
    listed = list(archives)[: first or None]
    ranked = sorted(listed, key=lambda key: sha256(f"{seed} {key}".encode()).digest())
    drawn = set(ranked[: max(1, round(share * len(ranked)))])
    return {key: archives[key] for key in listed if key in drawn}

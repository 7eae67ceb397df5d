"""Common Crawl, or a folder laid out like it: which snapshots there are, and the archives of one."""

import gzip
import json
import re
from typing import Any, Literal

import dagster as dg
import fsspec

from resources.archives import archive_version, open_archive
from resources.engines import Deferred

Kind = Literal["wat", "warc", "images"]


class CommonCrawl(dg.ConfigurableResource):
    """A crawl under `root`: collinfo.json, crawl-data/<snapshot>/<kind>.paths.gz, and the archives they name."""

    root: str
    snapshot_pattern: str
    storage_options: dict[str, Any] = {}

    def snapshots(self) -> list[str]:
        """Ids of all snapshots, the newest first, as the crawl lists them, where they fit the pattern."""
        listed = json.loads(self._read("collinfo.json"))
        if not isinstance(listed, list):
            raise ValueError(f"{self.root}/collinfo.json: expected a list of snapshots, found {type(listed).__name__}")
        ids = [item.get("id") for item in listed if isinstance(item, dict)]
        return [key for key in ids if isinstance(key, str) and re.fullmatch(self.snapshot_pattern, key)]

    def check(self, snapshot: str) -> str:
        """The snapshot's id, if it is one: Dagster takes any text for a dynamic partition key, `|` and `,` too."""
        if not re.fullmatch(self.snapshot_pattern, snapshot):
            raise ValueError(f"{snapshot!r} is no snapshot id of this deployment (expected {self.snapshot_pattern})")
        known = self.snapshots()
        if snapshot not in known:
            newest = ", ".join(known[:5])
            raise ValueError(f"{snapshot}: {self.root}/collinfo.json does not list it; the newest are {newest}")
        return snapshot

    def has_paths(self, snapshot: str, kind: Kind) -> bool:
        """Whether the snapshot's path list is there: it may be listed earlier, and not all have every kind."""
        filesystem, root = fsspec.core.url_to_fs(self.root, **self.storage_options)
        return bool(filesystem.exists(f"{root}/crawl-data/{snapshot}/{kind}.paths.gz"))

    def archives(self, snapshot: str, kind: Kind) -> dict[str, dict[str, Any]]:
        """Each archive of the snapshot by its number in the path list, the shard's key: its opening and its name."""
        self.check(snapshot)
        name = f"crawl-data/{snapshot}/{kind}.paths.gz"
        try:
            paths = gzip.decompress(self._read(name)).decode("utf-8").split()
        except (gzip.BadGzipFile, EOFError, UnicodeDecodeError) as error:
            raise ValueError(f"{self.root}/{name}: not a gzipped list of paths ({error}); fetch it again") from None
        if not paths:
            raise ValueError(f"{self.root}/{name}: the path list is empty; fetch it again")
        return {f"{index:05d}": self._archive(path) for index, path in enumerate(paths)}

    def _archive(self, path: str) -> dict[str, Any]:
        url = f"{self.root}/{path}"
        version = f"{path} {archive_version(url, self.storage_options)}"
        opened = Deferred(open_archive, (url, self.storage_options), declared=version)
        return {"archive": opened, "name": path.rsplit("/", 1)[-1]}

    def _read(self, name: str) -> bytes:
        filesystem, root = fsspec.core.url_to_fs(self.root, **self.storage_options)
        try:
            return bytes(filesystem.cat_file(f"{root}/{name}"))
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{self.root}/{name} is missing; is {self.root} laid out like Common Crawl?"
            ) from None

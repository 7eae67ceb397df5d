"""The image store and the source of its images, as a resource of the graph."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import dagster as dg
from pydantic import Field

from resources.crawl.resource import CommonCrawl
from resources.deferred import Deferred
from resources.images.addresses import read_allowed
from resources.images.asking import ImageWeb
from resources.images.host import open_warc_images
from resources.images.store import fix_num_buckets, open_image_store
from resources.images.web import open_image_web
from resources.pools.digests import list_digests
from resources.pools.images import open_pool_images
from resources.web.client import AGENT


class Images(dg.ConfigurableResource, use_attribute_docstrings=True):
    """One store of images for all t, beside the lake; what it holds is never fetched again."""

    root: str
    """Where the store lies."""
    num_buckets: int = Field(ge=1)
    """Fixed for a store's life: an image's bucket is where it is looked for."""
    form: str = ""
    """What is kept of an image: `256,jpg,95` for its shorter side, format and quality; empty keeps it as it came."""
    common_crawl: dg.ResourceDependency[CommonCrawl]
    from_web: bool = False
    """Whether images are asked for where their URLs say; otherwise they lie in the crawl's own archives of images."""
    contact: str = ""
    """An address for whoever runs a host, sent along with every request."""
    connections: int = Field(default=64, ge=1)
    """Of each worker process."""
    connections_per_host: int = Field(default=4, ge=1)
    """Of these, how many go to one host at a time."""
    requests_per_second: float = Field(default=0.0, ge=0)
    """Of all workers together, over all hosts; 0 sets no limit."""
    requests_per_second_of_host: float = Field(default=0.0, ge=0)
    """Of all workers together, to one host; 0 sets no limit."""
    bytes_per_second: float = Field(default=0.0, ge=0)
    """Of all workers together, on average; 0 sets no limit."""
    opt_outs: list[str] = ["noai", "noimageai", "noindex", "noimageindex", "noml"]
    """Words of X-Robots-Tag that keep an image out; with any, TDM-Reservation and Content-Usage do, too."""
    allowed: list[str] = []
    """`address:port` of hosts in one's own network, which are asked too; otherwise public ones at 80 and 443 alone."""

    @property
    def user_agent(self) -> str:
        """What hosts see who asks for images; empty where none are asked for on the web."""
        return ImageWeb(self.contact).user_agent if self.from_web else ""

    def buckets(self) -> dict[str, int]:
        """The store's buckets by the key of their shard.

        Raises dg.Failure for a store that was begun with another number of them.
        """
        try:
            fix_num_buckets(self.root, self.num_buckets)
        except ValueError as error:
            raise dg.Failure(str(error)) from None
        return {f"{bucket:05d}": bucket for bucket in range(self.num_buckets)}

    def store(
        self, *, retry_failed: bool = False, fetch_again: bool = False, refused: Mapping[str, str] | None = None
    ) -> Deferred:
        """The store, for a worker. It stands outside fingerprints: what it holds changes no row."""
        options = {"retry_failed": retry_failed, "fetch_again": fetch_again, "refused": refused}
        return Deferred(open_image_store, (self.root,), options, declared="image store")

    def source(self, snapshots: Sequence[str], keep_out: Callable[..., bool], *, workers: int = 1) -> Deferred:
        """Where images of these snapshots and pools come from. It stands outside fingerprints: it changes no row.

        `keep_out` says of a response's headers, `words` of X-Robots-Tag and our `agent` whether it is to be left alone.
        Each of the `workers`, as many as there may be, keeps to an equal share of the rates.
        """
        pools = [self.common_crawl.pool(key) for key in snapshots if key.startswith("pool-")]
        crawled = [key for key in snapshots if not key.startswith("pool-")]
        if self.from_web:
            web = ImageWeb(
                self.contact,
                self.connections,
                self.connections_per_host,
                requests_per_second=self.requests_per_second / workers,
                requests_per_second_of_host=self.requests_per_second_of_host / workers,
                bytes_per_second=self.bytes_per_second / workers,
                opted_out=partial(keep_out, words=tuple(self.opt_outs), agent=AGENT) if self.opt_outs else None,
                allowed=frozenset(map(read_allowed, self.allowed)),
            )
            elsewhere = Deferred(open_image_web, (web,))
        else:
            elsewhere = Deferred(open_warc_images, (self._archives(crawled),))
        files = {pool.name: pool.image_files() for pool in pools}
        return Deferred(open_pool_images, (files, elsewhere), declared="image source")

    def listed_digests(self, snapshots: Sequence[str]) -> dict[str, dict[str, dict[str, Deferred]]]:
        """By pool, the rows of each of its tables that list digests of images on the web, as their texts."""
        pools = {key: self.common_crawl.pool(key) for key in snapshots if self.from_web and key.startswith("pool-")}
        return {key: tables for key, pool in pools.items() if (tables := list_digests(pool))}

    def _archives(self, snapshots: Sequence[str]) -> list[Deferred]:
        try:
            paths = [self.common_crawl.archives(snapshot, "images") for snapshot in snapshots]
        except FileNotFoundError as error:
            raise dg.Failure(
                f"{error} Images come from WARC files that images.paths.gz lists, or `from_web: true`",
                allow_retries=False,
            ) from None
        return [self.common_crawl.opening(path) for of_snapshot in paths for path in of_snapshot.values()]

"""The deployment's images: the store that keeps them, and the source they come from."""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from resources.common_crawl import CommonCrawl
from resources.engines import Deferred
from resources.image_host import open_warc_images
from resources.image_store import open_image_store


class Images(dg.ConfigurableResource):
    """One store of images for all t, beside the lake; what it holds is never fetched again."""

    root: str
    num_buckets: int
    """Fixed for a store's life: an image's bucket is where it is looked for."""
    common_crawl: dg.ResourceDependency[CommonCrawl]

    def store(self, *, retry_failed: bool = False) -> Deferred:
        """The store, for a worker. It stands outside fingerprints: what it holds changes no row.

        Raises dg.Failure for a store that was begun with another number of buckets.
        """
        told = Path(self.root, "buckets.txt")
        told.parent.mkdir(parents=True, exist_ok=True)
        if not told.exists():
            told.write_text(str(self.num_buckets), encoding="utf-8")
        if (begun := told.read_text(encoding="utf-8")) != str(self.num_buckets):
            raise dg.Failure(f"{self.root} has {begun} buckets, not {self.num_buckets}: nothing would be found in it")
        return Deferred(open_image_store, (self.root, retry_failed), declared="image store")

    def source(self, snapshots: Sequence[str]) -> Deferred:
        """Where images of these snapshots are got: the crawl's image archives. Outside fingerprints, as the store."""
        try:
            archives = [self.common_crawl.archives(snapshot, "images") for snapshot in snapshots]
        except FileNotFoundError as error:
            raise dg.Failure(
                f"{error} Images come from WARC files that images.paths.gz lists; downloading them is not there yet",
                allow_retries=False,
            ) from None
        opened = [archive["archive"] for found in archives for archive in found.values()]
        return Deferred(open_warc_images, (opened,), declared="image source")

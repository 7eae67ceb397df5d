"""Find the pairs that the list of takedowns names; an empty list costs nothing and changes nothing."""

from collections.abc import Mapping

import dagster as dg

from metaclip_dagster.deduplicating import exclude, find_takedowns, pair_ids
from metaclip_dagster.deduplicating.requests import RequestIndex
from metaclip_dagster.deduplicating.takedowns import build_takedowns
from resources.deferred import Deferred, defer
from resources.engines.resource import Compute
from resources.images.store import ImageStore
from resources.lake.resource import Lake
from resources.lake.shard_files import chain_batches
from resources.lake.tables import PartitionManifest
from resources.takedowns.resource import TakedownList

Excluded = Mapping[str, Deferred]
"""The EXCLUSIONS of those shards of a snapshot that have any, by the shard's key."""

_COLUMNS = {"pairs": ["pair_id", "image_id", "url", "page_url"], "matches": ["pair_id"]}
"""What pairs are judged by."""


def read_takedowns(takedown_list: TakedownList, images: str) -> Deferred | None:
    """The list as pairs are judged by it, for workers; None where it is empty. Raises ValueError naming a bad line.

    `images` is the image store's folder or URL: it knows which images have a digest that is listed.
    """
    lines = takedown_list.deferred()
    if lines is None:
        return None
    digests = takedown_list.digests()
    image_ids = ImageStore(images).find(digests) if digests else {}
    takedowns = defer(build_takedowns, lines, sorted(set[str]().union(*image_ids.values())))
    takedowns()
    return takedowns


def read_requests(takedown_list: TakedownList, images: str) -> RequestIndex:
    """The requests that lines of the list belong to, ready for comparing with rows that go."""
    lines = [line for line in takedown_list.lines() if line.request]
    digests = {line.value.lower() for line in lines if line.kind == "image_sha256"}
    return RequestIndex(lines, ImageStore(images).find(digests) if digests else {})


def find_taken_down(
    context: dg.AssetExecutionContext, compute: Compute, takedowns: Deferred | None, snapshot: str
) -> Excluded:
    """Judge every match of the snapshot; a list that changed has all of them judged again."""
    if takedowns is None:
        return {}
    pairs, matches = (compute.lake.shards(name, snapshot, columns) for name, columns in _COLUMNS.items())
    shards = {
        key: {"pairs": pairs[key], "matches": matches[key], "snapshot": snapshot, "shard": key} for key in matches
    }
    setup = {"takedowns": takedowns}
    manifest = compute.map_shards(
        context, find_takedowns, shards, table="takedowns", partition=snapshot, setup=setup, whole=True
    )
    return list_excluded(compute.lake, manifest)


def list_excluded(lake: Lake, manifest: PartitionManifest) -> Excluded:
    """Those shards of a partition with the schema of EXCLUSIONS that have rows."""
    stored = lake.shards(manifest.table, manifest.partition)
    return {shard.key: stored[shard.key] for shard in manifest.shards if shard.rows}


def drop_excluded(shards: Mapping[str, Deferred], excluded: Excluded) -> dict[str, Deferred]:
    """The snapshot's shards of MATCHES; those that have pairs excluded without them."""
    return {
        key: defer(exclude, batches, defer(pair_ids, excluded[key])) if key in excluded else batches
        for key, batches in shards.items()
    }


def join_exclusions(duplicates: Deferred, *excluded: Excluded) -> Deferred:
    """The exclusions of all kinds."""
    others = [batches for of_kind in excluded for batches in of_kind.values()]
    return defer(chain_batches, duplicates, *others) if others else duplicates

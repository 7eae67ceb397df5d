"""What the list of takedowns leaves out of the pool; an empty list costs nothing and changes nothing."""

from collections.abc import Mapping, Sequence

import dagster as dg

from metaclip_dagster.deduplicating import exclude, find_takedowns, pair_ids
from metaclip_dagster.deduplicating.takedowns import build_takedowns
from resources.deferred import Deferred, defer
from resources.engines.resource import Compute
from resources.images.store import open_image_store
from resources.lake.resource import Lake
from resources.lake.shard_files import chain_batches
from resources.takedowns.resource import TakedownList

Taken = Mapping[str, Mapping[str, Deferred]]
"""For every snapshot, the EXCLUSIONS of those of its shards that have any pair taken down."""


def read_takedowns(listed: TakedownList, images: str) -> Deferred | None:
    """The list as pairs are judged by it, for workers; None where it is empty. Raises ValueError naming a bad line.

    `images` is the image store's folder: it knows which images have a digest that is listed.
    """
    lines = listed.deferred()
    if lines is None:
        return None
    digests = listed.digests()
    takedowns = defer(build_takedowns, lines, sorted(open_image_store(images).find(digests)) if digests else [])
    takedowns()
    return takedowns


def find_taken(
    context: dg.AssetExecutionContext,
    lake: Lake,
    compute: Compute,
    takedowns: Deferred | None,
    snapshots: Sequence[str],
) -> Taken:
    """Judge every match of the pool; a list that changed has all of them judged again."""
    found: dict[str, dict[str, Deferred]] = {snapshot: {} for snapshot in snapshots}
    if takedowns is None:
        return found
    for snapshot in snapshots:
        pairs, matches = (lake.shards(name, snapshot, _JUDGED[name]) for name in _JUDGED)
        shards = {
            key: {"pairs": pairs[key], "matches": matches[key], "snapshot": snapshot, "shard": key} for key in matches
        }
        setup = {"takedowns": takedowns}
        made = compute.map_shards(
            context, find_takedowns, shards, table="takedowns", partition=snapshot, setup=setup, whole=True
        )
        stored = lake.shards("takedowns", snapshot)
        found[snapshot] = {shard.key: stored[shard.key] for shard in made.shards if shard.rows}
    return found


def left_over(shards: Mapping[str, Deferred], taken: Mapping[str, Deferred]) -> dict[str, Deferred]:
    """The snapshot's shards of MATCHES; those that have pairs taken down without them."""
    return {
        key: defer(exclude, batches, defer(pair_ids, taken[key])) if key in taken else batches
        for key, batches in shards.items()
    }


def together(duplicates: Deferred, taken: Mapping[str, Deferred]) -> Deferred:
    """The exclusions of either kind."""
    return defer(chain_batches, duplicates, *taken.values()) if taken else duplicates


_JUDGED = {"pairs": ["pair_id", "image_id", "url", "page_url"], "matches": ["pair_id"]}

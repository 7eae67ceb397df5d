"""Describe what a t leaves of the pool: each language's own t, its pairs, and images yet to be fetched."""

from dataclasses import dataclass

import pyarrow as pa

from assets.defaults import DEFAULTS
from assets.keys import THRESHOLDS
from assets.queries.parsers import check_columns
from assets.queries.provenance import list_snapshots
from assets.queries.stored import insert_stored
from metaclip_dagster.balancing import language_thresholds, parse_threshold
from metaclip_dagster.spilling import spilling
from resources.deployments import Deployment
from resources.lake.resource import Lake


@dataclass(frozen=True)
class Size:
    """How much there is at a t."""

    pairs: int
    """|D(t)|."""
    ring: int
    """Images that the rung below does not have."""
    to_fetch: int
    """Of those, what the store lacks."""
    bytes_an_image: float
    """The mean of what it has."""


def thresholds_of(lake: Lake, t: str) -> dict[str, float]:
    """Each language's own t, as the pool's counts have it now."""
    check_columns(lake, "entry_counts")
    return thresholds_by(lake.read("entry_counts"), t)


def thresholds_by(counts: pa.Table, t: str) -> dict[str, float]:
    """Each language's own t by these ENTRY_COUNTS, beside the deployment's reference language, held to t itself."""
    return language_thresholds(counts, parse_threshold(t), reference=DEFAULTS.reference_language)


def measure(where: Deployment, lake: Lake, t: str) -> Size:
    """Count what D(t) has, over the whole pool; `t` may be a rung or not.

    Raises ValueError for a t that is no positive number, MissingPartitionError where the pool has no admissions.
    """
    value = parse_threshold(t)
    below = [rung for rung in THRESHOLDS if parse_threshold(rung) < value]
    held_to, held_below = thresholds_of(lake, t), thresholds_of(lake, below[-1]) if below else {}
    rungs = [{"language": of, "t": at, "below": held_below.get(of, 0.0)} for of, at in held_to.items()]
    with spilling() as query:
        query.register("pool", lake.dataset("admissions", list_snapshots(lake)))
        query.register("rungs", pa.Table.from_pylist(rungs))
        insert_stored(query, where.images)
        [size] = query.sql("""
            with drawn as (
                select lower(hex(image_id)) as image_id, count_if(admitted_at < t) as pairs,
                    count_if(admitted_at < t) > 0 and count_if(admitted_at < below) = 0 as in_ring
                from pool join rungs using (language) group by image_id
            )
            select coalesce(sum(pairs), 0)::bigint, count_if(in_ring), count_if(in_ring and stored.image_id is null),
                coalesce((select avg(size) from stored), 0)
            from drawn left join (select distinct image_id from stored) as stored using (image_id)
        """).fetchall()
    return Size(*size)

"""Count by host what was asked for, what is stored, how long it took and why the rest failed."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from metaclip_dagster.reporting.left_out.page import HostCounts
from metaclip_dagster.spilling import spilling
from resources.lake.resource import Lake

NUM_HOSTS = 20
NUM_REASONS = 3


def count_hosts(lake: Lake, rings: Sequence[str], by: Literal["images", "failed"] = "images") -> list[HostCounts]:
    """The hosts of these rings with most images, or most failures; of rings whose FETCHES are there."""
    if not (finished := lake.finished("fetches", rings)):
        return []
    having = "having count(reason) > 0" if by == "failed" else ""
    with spilling() as query:
        query.register("fetches", lake.dataset("fetches", finished))
        rows = query.execute(
            f"""
            select host, count(*) as images, count(*) - count(reason) as stored, count(reason) as failed,
                coalesce(sum(fetched_size), 0)::bigint, coalesce(sum(seconds), 0)::double, count(source),
                histogram(reason) filter (reason is not null)
            from fetches where host is not null group by host {having}
            order by {by} desc, host limit $num
            """,  # noqa: S608  # ours
            {"num": NUM_HOSTS},
        ).fetchall()
    return [
        HostCounts(host, images, stored, failed, fetched_bytes, seconds, second_source, _first(reasons or {}))
        for host, images, stored, failed, fetched_bytes, seconds, second_source, reasons in rows
    ]


def _first(reasons: Mapping[Any, int]) -> dict[str, int]:
    return dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))[:NUM_REASONS])

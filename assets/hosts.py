"""Show which hosts images were asked of, how that went, and how what came compares with what pools list."""

from typing import Any

import dagster as dg

from assets.queries.hosts import count_hosts
from assets.shown import table
from metaclip_dagster.reporting.html.numbers import percent
from metaclip_dagster.reporting.left_out.page import HostCounts
from resources.lake.resource import Lake
from resources.lake.tables import PartitionManifest


def show_hosts(lake: Lake, ring: str, fetches: PartitionManifest) -> dict[str, Any]:
    """The ring's hosts with most images, and with most failures; and what was the same, changed or gone, if asked."""
    compared = fetches.total("seen")
    num = compared.total()
    listed = [(what, compared[what], percent(compared[what] / num)) for what in ("same", "changed", "gone") if num]
    hosts = {"hosts": count_hosts(lake, [ring]), "hosts_failing": count_hosts(lake, [ring], "failed")}
    return {
        **{name: _show(counts) for name, counts in hosts.items() if counts},
        **({"compared_with_pools": table(["what", "images", "share"], listed)} if num else {}),
    }


def _show(hosts: list[HostCounts]) -> dg.TableMetadataValue:
    columns = ["host", "images", "stored", "failed", "MB", "seconds", "second source", "why"]
    rows = [
        (it.host, it.images, it.stored, it.failed, it.megabytes, round(it.seconds, 1), it.second_source, it.why)
        for it in hosts
    ]
    return table(columns, rows)

"""Send an OpenLineage event of every materialization to the deployment's file or web service, by a sensor."""

import time
from typing import Any

import dagster as dg

from resources.deployments import Deployment

MOST_EVENTS = 100
"""Of one tick."""
MOST_SECONDS = 30.0
"""Of one tick, before its last event: Dagster ends a tick after 60 and then forgets its cursor."""


def build_sensor(where: Deployment) -> dg.SensorDefinition:
    """Send what is materialized, from the first materialization on; off where the deployment names no target."""

    @dg.sensor(
        name="open_lineage",
        minimum_interval_seconds=30,
        description="Sends an OpenLineage event of every materialization to METACLIP_OPENLINEAGE, a file or the URL "
        "of a service. It is on from the start where that is set. What cannot be sent is sent at a later tick.",
        default_status=dg.DefaultSensorStatus.RUNNING if where.open_lineage else dg.DefaultSensorStatus.STOPPED,
    )
    def open_lineage(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        """Send the events after the cursor, and set it behind the last that was taken."""
        return dg.SkipReason(send_events(context, where))

    return open_lineage


def send_events(context: dg.SensorEvaluationContext, where: Deployment) -> str:
    """Send at most MOST_EVENTS after the cursor, which stays before one that was not taken; gives what happened.

    A slow service gets fewer: none is begun after MOST_SECONDS, and the next tick goes on.

    Raises ConnectionError if the first of them was not taken, RuntimeError where no target or no client is there.
    """
    if not where.open_lineage:
        raise RuntimeError("METACLIP_OPENLINEAGE is not set: name a file or the URL of a service in it")
    try:
        from resources.instance.open_lineage import describe_materialization, open_client, send  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise RuntimeError(
            f"METACLIP_OPENLINEAGE is set, and {error.name} is not installed: install the extra `openlineage`, "
            "which is openlineage-python, or unset it"
        ) from None
    client, num_sent, began = open_client(where.open_lineage), 0, time.monotonic()
    for record, node in _list_records(context)[:MOST_EVENTS]:
        if num_sent and time.monotonic() - began > MOST_SECONDS:
            return f"sent {num_sent} events in {MOST_SECONDS:.0f} seconds; the next tick goes on"
        event = describe_materialization(
            record, node.parent_keys, namespace=f"metaclip.{where.name}", description=node.description or ""
        )
        try:
            send(client, event, where.open_lineage)
        except ConnectionError as error:
            if not num_sent:
                raise
            return f"sent {num_sent} events, then: {error}; the next tick goes on"
        context.update_cursor(str(record.storage_id))
        num_sent += 1
    return f"sent {num_sent} events"


def _list_records(context: dg.SensorEvaluationContext) -> list[tuple[dg.EventLogRecord, Any]]:
    """Materializations after the cursor, oldest first, each with its asset's node in the graph."""
    if context.repository_def is None:
        raise RuntimeError("the sensor open_lineage runs with the code location's own definitions only")
    records, after = [], int(context.cursor or 0)
    for node in context.repository_def.asset_graph.asset_nodes:
        later = dg.AssetRecordsFilter(asset_key=node.key, after_storage_id=after)
        page = context.instance.fetch_materializations(later, limit=MOST_EVENTS, ascending=True)
        records += [(record, node) for record in page.records]
    return sorted(records, key=lambda of: of[0].storage_id)

"""Describe materializations as OpenLineage events, and send them to a file or a web service."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    DatasetFacet,
    JobFacet,
    OutputDatasetFacet,
    base_subset_dataset,
    dataset_version_dataset,
    documentation_job,
    job_type_job,
    output_statistics_output_dataset,
    parent_run,
    schema_dataset,
)

PRODUCER = "urn:metaclip_dagster"
SECONDS = 10.0
_DATA_VERSION, _INPUT_VERSION = "dagster/data_version", "dagster/input_data_version/"

Metadata = Mapping[str, dg.MetadataValue[Any]]


def open_client(target: str) -> OpenLineageClient:
    """The client for a service with OpenLineage's API, by its base URL, or for a file that grows a line an event.

    What else there is to say, such as a key, it reads from variables of its own, as OPENLINEAGE__TRANSPORT__AUTH.
    Raises ValueError, which repeats no part of it, for what begins as a URL and is none.
    """
    transport: dict[str, Any] = {"type": "file", "log_file_path": target, "append": True}
    if _is_web(target):
        at_once = {"total": 0, "status_forcelist": []}  # the next tick tries again, and shows the status till then
        transport = {"type": "http", "url": target, "timeout": SECONDS, "retry": at_once}
    try:
        return OpenLineageClient(config={"transport": transport})
    except ValueError as error:
        if not _is_web(target):
            raise
        raise ValueError(f"METACLIP_OPENLINEAGE is no URL of a service: {type(error).__name__}") from None


def send(client: OpenLineageClient, event: RunEvent, target: str) -> None:
    """Send one event. Raises ConnectionError, which names no address of the web: who knows it may post to it."""
    try:
        client.emit(event)
    except (OSError, RuntimeError) as error:  # what requests raises is an OSError
        status = getattr(getattr(error, "response", None), "status_code", None)
        why = f"answers {status}" if status else f"cannot be reached: {type(error).__name__}"
        raise ConnectionError(f"METACLIP_OPENLINEAGE {why if _is_web(target) else error}") from None


def describe_materialization(
    record: dg.EventLogRecord, upstreams: Iterable[dg.AssetKey], *, namespace: str, description: str = ""
) -> RunEvent:
    """The completed run of a job that is the asset: what it read, and which rows, columns and version it wrote.

    The run is that of the asset's partition alone, and its parent is Dagster's. What was read has a version where
    Dagster noted one.
    """
    entry, materialization = record.event_log_entry, record.asset_materialization
    if materialization is None:
        raise ValueError(f"the event {record.storage_id} of Dagster's history is no materialization")
    name, tags = materialization.asset_key.to_user_string(), materialization.tags or {}
    job_facets: dict[str, JobFacet] = {"jobType": job_type_job.JobTypeJobFacet("BATCH", "DAGSTER", "ASSET")}
    if description:
        job_facets["documentation"] = documentation_job.DocumentationJobFacet(description)
    parent = parent_run.ParentRunFacet(parent_run.Run(entry.run_id), parent_run.Job(namespace, entry.job_name or name))
    run_id = uuid.uuid5(uuid.UUID(entry.run_id), f"{name} {record.storage_id}")  # a run may make several assets
    return RunEvent(
        eventTime=datetime.fromtimestamp(entry.timestamp, UTC).isoformat(),
        producer=PRODUCER,
        eventType=RunState.COMPLETE,
        run=Run(str(run_id), {"parent": parent}),
        job=Job(namespace, name, job_facets),
        inputs=[
            InputDataset(namespace, key, facets=_describe_version(tags.get(f"{_INPUT_VERSION}{key}")))
            for key in sorted(upstream.to_user_string() for upstream in upstreams)
        ],
        outputs=[
            OutputDataset(
                namespace,
                name,
                _describe_rows(materialization.metadata, materialization.partition),
                facets=_describe_version(tags.get(_DATA_VERSION)) | _describe_columns(materialization.metadata),
            )
        ],
    )


def _is_web(target: str) -> bool:
    return target.startswith(("http://", "https://"))


def _describe_version(version: str | None) -> dict[str, DatasetFacet]:
    return {"version": dataset_version_dataset.DatasetVersionDatasetFacet(version)} if version else {}


def _describe_columns(metadata: Metadata) -> dict[str, DatasetFacet]:
    columns = metadata.get("dagster/column_schema")
    if not isinstance(columns, dg.TableSchemaMetadataValue):
        return {}
    fields = [
        schema_dataset.SchemaDatasetFacetFields(column.name, column.type, column.description)
        for column in columns.schema.columns
    ]
    return {"schema": schema_dataset.SchemaDatasetFacet(fields)}


def _describe_rows(metadata: Metadata, partition: str | None) -> dict[str, OutputDatasetFacet]:
    """How many rows and bytes were written, and to which partition."""
    numbers = [metadata.get("rows"), metadata.get("bytes")]
    rows, size = (number.value if isinstance(number, dg.IntMetadataValue) else None for number in numbers)
    facets: dict[str, OutputDatasetFacet] = {}
    if rows is not None or size is not None:
        statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rows, size)
        facets["outputStatistics"] = statistics
    if partition is not None:
        part = base_subset_dataset.Partition({"partition": partition}, partition)
        condition = base_subset_dataset.PartitionSubsetCondition([part])
        facets["subset"] = base_subset_dataset.OutputSubsetOutputDatasetFacet(condition)
    return facets

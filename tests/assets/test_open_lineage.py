"""Every materialization becomes one OpenLineage event, and what a service does not take is sent again."""

import json
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.open_lineage import build_sensor
from resources.deployments import read_deployment
from tests.hosts import receiving

SECRET = "s3cr3t-of-a-url"
COLUMNS = dg.TableSchema([dg.TableColumn("pair_id", "uint64", description="The pair")])


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["S-01", "S-02"]))
def pairs(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    """Images with texts."""
    metadata: dict[str, Any] = {"rows": 7, "bytes": 80, "dagster/column_schema": COLUMNS, "token": SECRET}
    return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(f"v {context.partition_key}"))


@dg.asset(deps=[dg.AssetDep(pairs, partition_mapping=dg.AllPartitionMapping())])
def report() -> dg.MaterializeResult[Any]:
    """A page, no table."""
    return dg.MaterializeResult(data_version=dg.DataVersion("v report"))


DEFINITIONS = dg.Definitions([pairs, report])


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        for key in ("S-01", "S-02"):
            dg.materialize([pairs], partition_key=key, instance=ephemeral)
        dg.materialize([pairs, report], selection=[report], instance=ephemeral)
        yield ephemeral


def tick(instance: dg.DagsterInstance, target: str, cursor: str | None = None) -> tuple[str, str | None]:
    """What a tick of the sensor says, and its cursor afterwards."""
    where = replace(read_deployment({}), open_lineage=target)
    context = dg.build_sensor_context(instance, cursor, definitions=DEFINITIONS)
    skipped = build_sensor(where)(context)
    assert isinstance(skipped, dg.SkipReason)
    return str(skipped.skip_message), context.cursor


def check_facets(facets: dict[str, Any]) -> None:
    """Every facet says who made it and where its schema lies, as the specification wants it."""
    for facet in facets.values():
        assert facet["_producer"].startswith(("https://", "urn:"))
        assert facet["_schemaURL"].startswith("https://openlineage.io/spec/facets/")


def test_a_file_gets_a_line_a_materialization_and_none_twice(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    target = tmp_path / "events.jsonl"
    says, cursor = tick(instance, str(target))
    assert says == "sent 3 events"
    assert tick(instance, str(target), cursor) == ("sent 0 events", cursor)
    assert SECRET not in target.read_text("utf-8")
    events = [json.loads(line) for line in target.read_text("utf-8").splitlines()]
    for event in events:
        assert (event["eventType"], event["job"]["namespace"]) == ("COMPLETE", "metaclip.sample")
        assert datetime.fromisoformat(event["eventTime"]).tzinfo
        assert event["schemaURL"].startswith("https://openlineage.io/spec/2-")
        assert str(uuid.UUID(event["run"]["runId"])) != event["run"]["facets"]["parent"]["run"]["runId"]
        for part in (event["run"], event["job"], *event["inputs"], *event["outputs"]):
            check_facets(part.get("facets", {}) | part.get("outputFacets", {}))
    assert len({event["run"]["runId"] for event in events}) == 3
    assert [event["job"]["name"] for event in events] == ["pairs", "pairs", "report"]
    first, _, last = events
    [output] = first["outputs"]
    assert (output["name"], output["facets"]["version"]["datasetVersion"]) == ("pairs", "v S-01")
    [column] = output["facets"]["schema"]["fields"]
    assert (column["name"], column["type"], column["description"]) == ("pair_id", "uint64", "The pair")
    statistics = output["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["size"]) == (7, 80)
    [partition] = output["outputFacets"]["subset"]["outputCondition"]["partitions"]
    assert partition == {"dimensions": {"partition": "S-01"}, "identifier": "S-01"}
    assert first["inputs"] == []
    assert [read["name"] for read in last["inputs"]] == ["pairs"]
    assert last["inputs"][0]["facets"]["version"]["datasetVersion"]
    assert last["job"]["facets"]["documentation"]["description"] == "A page, no table."


def test_a_service_that_refuses_gets_the_event_at_the_next_tick_and_no_run_fails(instance: dg.DagsterInstance) -> None:
    with receiving(status=503) as (url, posted):
        with pytest.raises(Exception, match="METACLIP_OPENLINEAGE answers 503") as caught:
            tick(instance, f"{url}/{SECRET}/")
        assert SECRET not in str(caught.value)
        assert len(posted) == 1, "those after it wait"
    with pytest.raises(Exception, match="METACLIP_OPENLINEAGE cannot be reached: ConnectionError"):
        tick(instance, url)
    with receiving(status=201) as (url, taken):
        assert tick(instance, url)[0] == "sent 3 events"
    ids = [[json.loads(event)["run"]["runId"] for event in events] for events in (posted, taken)]
    assert ids[0][0] == ids[1][0], "the event that was refused, and may have been taken, is known by its id"


def test_the_cursor_stays_before_the_first_event_that_was_not_taken(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    with receiving(status=500, first=1) as (url, posted):
        says, cursor = tick(instance, url)
    assert says == "sent 1 events, then: METACLIP_OPENLINEAGE answers 500; the next tick goes on"
    target = tmp_path / "later.jsonl"
    assert tick(instance, str(target), cursor)[0] == "sent 2 events"
    later = [json.loads(line)["run"]["runId"] for line in target.read_text("utf-8").splitlines()]
    assert [json.loads(event)["run"]["runId"] for event in posted[1:]] == later[:1]


def test_a_slow_service_gets_what_one_tick_has_time_for(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "events.jsonl"
    monkeypatch.setattr("assets.open_lineage.MOST_SECONDS", -1.0)
    says, cursor = tick(instance, str(target))
    assert says == "sent 1 events in -1 seconds; the next tick goes on"
    monkeypatch.undo()
    assert tick(instance, str(target), cursor)[0] == "sent 2 events"


def test_a_url_that_is_none_is_not_repeated(instance: dg.DagsterInstance) -> None:
    with pytest.raises(Exception, match="METACLIP_OPENLINEAGE is no URL of a service") as caught:
        tick(instance, f"https://user:{SECRET}@:bad:port/")
    assert SECRET not in str(caught.value)
    assert SECRET not in str(caught.value.__cause__)


def test_what_is_missing_is_named(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Exception, match="METACLIP_OPENLINEAGE is not set"):
        tick(instance, "")
    with pytest.raises(Exception, match="METACLIP_OPENLINEAGE Failed to write to log file"):
        tick(instance, str(tmp_path / "no folder" / "events.jsonl"))
    monkeypatch.delitem(sys.modules, "resources.instance.open_lineage", raising=False)
    monkeypatch.setitem(sys.modules, "openlineage.client", None)
    with pytest.raises(Exception, match=r"openlineage.client is not installed: install the extra `openlineage`"):
        tick(instance, str(tmp_path / "events.jsonl"))


def test_it_is_off_until_a_target_is_named() -> None:
    where = read_deployment({})
    asked = read_deployment({"METACLIP_OPENLINEAGE": "events.jsonl"})
    assert [build_sensor(it).default_status.value for it in (where, asked)] == ["STOPPED", "RUNNING"]
    assert Path(asked.open_lineage).is_absolute()
    with pytest.raises(ValueError, match="METACLIP_OPENLINEAGE: name a file of this machine"):
        read_deployment({"METACLIP_OPENLINEAGE": "s3://bucket/events"})

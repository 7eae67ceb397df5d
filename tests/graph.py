"""What Dagster is told of the whole graph, as text: `python -m tests.graph` writes it into tests/graph.txt."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from definitions import bind
from resources.deployments import read_deployment

SNAPSHOT = Path(__file__).with_name("graph.txt")


def describe_graph(definitions: dg.Definitions) -> str:
    """Every asset with what runs, the UI and automation go by; then sensors, schedules, jobs and resources."""
    repository = definitions.get_repository_def()
    specs = sorted(definitions.resolve_all_asset_specs(), key=lambda spec: spec.key)
    lines = [line for spec in specs for line in _describe_asset(definitions.resolve_assets_def(spec.key), spec)]
    lines += [f"sensor {sensor.name}: {sensor.default_status.value}" for sensor in repository.sensor_defs]
    lines += [f"schedule {it.name}: {it.cron_schedule}, {it.default_status.value}" for it in repository.schedule_defs]
    lines += [f"job {name}" for name in sorted(repository.job_names) if not name.startswith("__")]
    lines += [f"resource {name}" for name in sorted(repository.get_top_level_resources())]
    return "\n".join(lines) + "\n"


def _describe_asset(definition: dg.AssetsDefinition, spec: dg.AssetSpec) -> Iterator[str]:
    yield f"{spec.key.to_user_string()}: {spec.group_name}, {' '.join(sorted(spec.kinds))}, {' '.join(spec.owners)}"
    if spec.partitions_def:
        yield f"  partition  {_describe_partitions(spec.partitions_def)}"
    for dep in sorted(spec.deps, key=lambda dep: dep.asset_key):
        mapping = definition.get_partition_mapping(dep.asset_key)
        how = "" if mapping is None else f" by {type(mapping).__name__}"
        yield f"  reads      {dep.asset_key.to_user_string()}{how}"
    for check in sorted(definition.check_specs, key=lambda check: check.name):
        scope = "of each partition" if check.partitions_def else "of the asset"
        yield f"  check      {check.name} {scope}{', blocks' if check.blocking else ''}"
    if spec.automation_condition:
        yield from (f"  made when  {line}" for line in _describe_condition(spec.automation_condition))
    if fields := sorted(getattr(definition.op.config_schema.config_type, "fields", None) or {}):
        yield f"  config     {' '.join(fields)}"
    for name, value in (("version", spec.code_version), ("fresh", spec.freshness_policy), ("pool", definition.op.pool)):
        if value:
            yield f"  {name:10} {value}"
    if tags := {name: value for name, value in spec.tags.items() if not name.startswith("dagster/kind/")}:
        yield f"  tags       {tags}"


def _describe_partitions(partitions: dg.PartitionsDefinition) -> str:
    if isinstance(partitions, dg.DynamicPartitionsDefinition):
        return f"each registered {partitions.name}"
    if isinstance(partitions, dg.MultiPartitionsDefinition):
        return ", ".join(f"{it.name}: {_describe_partitions(it.partitions_def)}" for it in partitions.partitions_defs)
    return " ".join(partitions.get_partition_keys())


def _describe_condition(condition: "dg.AutomationCondition[Any]") -> list[str]:
    """The parts that must all hold, as the UI names them."""
    parts = [_name_condition(part) for part in condition.children]
    return sorted(parts) if condition.name == "AND" else [_name_condition(condition)]


def _name_condition(condition: "dg.AutomationCondition[Any]") -> str:
    children = ", ".join(map(_name_condition, condition.children))
    return condition.get_label() or (f"{condition.name} ({children})" if children else condition.name)


if __name__ == "__main__":
    SNAPSHOT.write_text(describe_graph(bind(read_deployment({}))), encoding="utf-8")

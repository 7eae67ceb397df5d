"""Which registered snapshots the pool waits for, why, and how one is taken out: a check of `exclusions` says it."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import dagster as dg

from assets.checks import every_snapshot_there
from assets.provenance import report_check
from resources.lake import Lake

NOT_MADE = "matches are not made yet"


def waited_for(make: Callable[..., dg.MaterializeResult]) -> Callable[..., dg.MaterializeResult]:
    """An asset of one snapshot that the pool waits for: where it fails or is refused, `exclusions` says so and why."""

    @wraps(make)
    def make_and_report(context: dg.AssetExecutionContext, *args: Any, lake: Lake, **others: Any) -> Any:
        try:
            result = make(context, *args, lake=lake, **others)
        except Exception as error:
            lines = str(error).splitlines() or [type(error).__name__]
            _report_waiting(context, lake, f"failed: {lines[0]}")
            raise
        if refused := [str(check.check_name) for check in result.check_results or () if not check.passed]:
            _report_waiting(context, lake, f"refused by {', '.join(refused)}")
        elif context.asset_key == dg.AssetKey("matches") and not missing_snapshots(context.instance, lake):
            report_check(context.instance, "exclusions", every_snapshot_there({}))
        return result

    return make_and_report


def missing_snapshots(instance: dg.DagsterInstance, lake: Lake) -> Mapping[str, str]:
    """The registered snapshots without matches, and why as far as the lake knows."""
    registered = sorted(instance.get_dynamic_partitions("snapshot"))
    there = set(lake.finished("matches", registered))
    return dict.fromkeys((key for key in registered if key not in there), NOT_MADE)


def drop_snapshots(instance: dg.DagsterInstance, lake: Lake, keys: list[str]) -> list[str]:
    """Take snapshots out of the pool; gives those whose pairs it still holds. Their tables stay where they are.

    Raises ValueError, and takes none out, where one is not registered.
    """
    registered = set(instance.get_dynamic_partitions("snapshot"))
    if unknown := [key for key in keys if key not in registered]:
        there = ", ".join(sorted(registered)) or "none"
        raise ValueError(f"{', '.join(unknown)}: not in the pool; registered are {there}")
    for key in keys:
        instance.delete_dynamic_partition("snapshot", key)
    report_check(instance, "exclusions", every_snapshot_there(missing_snapshots(instance, lake)))
    exclusions = lake.store("exclusions").manifest()
    held = {shard.key for shard in exclusions.shards} if exclusions else set()
    return [key for key in keys if key in held]


def _report_waiting(context: dg.AssetExecutionContext, lake: Lake, why: str) -> None:
    """Tell Dagster that exclusions wait for the snapshot of this run, beside whatever else they wait for."""
    asset, key = context.asset_key.to_python_identifier(), context.partition_key
    waits = {**missing_snapshots(context.instance, lake), key: f"{asset} {why}"}
    context.log.error(f"exclusions wait for {key}; `.venv/bin/python launch.py drop {key}` takes it out of the pool")
    report_check(context.instance, "exclusions", every_snapshot_there(waits))

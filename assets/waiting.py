"""Say which registered snapshots the pool waits for, why, and how to take one out."""

import shlex
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import dagster as dg

from assets.checks import every_snapshot_there, no_empty_snapshot
from assets.outdated import report_check
from resources.lake.resource import Lake

NOT_MADE = "matches are not made yet"
REFUSED = f"matches refused by {no_empty_snapshot.__name__}"


def report_waits(make: Callable[..., dg.MaterializeResult]) -> Callable[..., dg.MaterializeResult]:
    """Decorate an asset of a snapshot: after every run, a check of `exclusions` says whether the pool waits for it."""

    @wraps(make)
    def make_and_report(context: dg.AssetExecutionContext, *args: Any, lake: Lake, **others: Any) -> Any:
        asset = context.asset_key.to_python_identifier()
        try:
            result = make(context, *args, lake=lake, **others)
        except Exception as error:
            lines = str(error).splitlines() or [type(error).__name__]
            _report_run(context, lake, f"{asset} failed: {lines[0]}")
            raise
        refused = [str(check.check_name) for check in result.check_results or () if not check.passed]
        _report_run(context, lake, f"{asset} refused by {', '.join(refused)}" if refused else None)
        return result

    return make_and_report


def find_missing(instance: dg.DagsterInstance, lake: Lake) -> dict[str, str]:
    """The registered snapshots without matches, or whose matches were refused, and why: as the check said it last."""
    reasons, missing = _read_reasons(instance), {}
    for key in sorted(instance.get_dynamic_partitions("snapshot")):
        matches = lake.store("matches", key).manifest()
        if matches is None:
            missing[key] = reasons.get(key, NOT_MADE)
        elif not no_empty_snapshot(matches).passed:
            missing[key] = REFUSED
    return missing


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
    report_check(instance, "exclusions", every_snapshot_there(find_missing(instance, lake)))
    exclusions = lake.store("exclusions").manifest()
    excluded_from = {shard.key for shard in exclusions.shards} if exclusions else set()
    return [key for key in keys if key in excluded_from]


def _report_run(context: dg.AssetExecutionContext, lake: Lake, why: str | None) -> None:
    """Tell Dagster whom exclusions wait for after a run, which failed if it gives a reason; nothing where that stays.

    A key that was dropped meanwhile, or that has matches of before, is not waited for, whatever its run did.
    """
    key, reasons = context.partition_key, _read_reasons(context.instance)
    missing = find_missing(context.instance, lake)
    if missing.get(key, REFUSED) != REFUSED:
        missing[key] = why or NOT_MADE
    if why and key in missing:
        way_out = f"`metaclip drop {shlex.quote(key)}` takes it out of the pool"
        context.log.error(f"exclusions wait for {key}; {way_out}")
    if missing != reasons:
        report_check(context.instance, "exclusions", every_snapshot_there(missing))


def _read_reasons(instance: dg.DagsterInstance) -> Mapping[str, str]:
    """The snapshots that exclusions wait for, and why, as the check said it last."""
    check = dg.AssetCheckKey(dg.AssetKey("exclusions"), every_snapshot_there.__name__)
    summary = instance.event_log_storage.get_asset_check_summary_records([check])[check]
    last = summary.last_completed_check_execution_record
    metadata = last.evaluation.metadata if last and last.evaluation else {}
    return {key: str(value.value) for key, value in metadata.items() if key != "missing"}

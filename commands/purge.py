"""Delete from the disk what the list of takedowns names, and report what was deleted."""

import argparse
import json
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from assets.queries.purging import find_gone, purge
from assets.takedowns import read_takedowns
from commands.tables import render_table
from resources.deployments import Deployment, deployment
from resources.files.local import write_text
from resources.instance.history import forget_runs, shown_urls
from resources.instance.runs import IN_PROGRESS, end_lost_runs
from resources.lake.resource import open_lake
from resources.takedowns.resource import TakedownList


def main(asked: argparse.Namespace) -> None:
    """Purge, or say what a purge would delete."""
    print(describe(take_down(deployment(), dry_run=asked.dry_run)))


def take_down(where: Deployment, *, dry_run: bool = False) -> dict[str, Any]:
    """Purge lake, images and history; gives the report, which is written beside the others.

    Raises ValueError for a bad line of the list, RuntimeError while runs are in progress.
    """
    takedowns = read_takedowns(
        TakedownList(path=str(where.takedowns), named=bool(where.takedown_list)), str(where.images)
    )
    if takedowns is None:
        raise ValueError(f"{where.takedowns}: nothing is listed")
    with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
        if not dry_run:
            end_lost_runs(instance)
        unfinished = dg.RunsFilter(statuses=[*IN_PROGRESS, dg.DagsterRunStatus.QUEUED])
        if not dry_run and (active := instance.get_runs(filters=unfinished)):
            raise RuntimeError(f"{len(active)} runs are queued or in progress, {active[0].run_id} among them: end them")
        lake, shown = open_lake(where), shown_urls(instance)
        gone = find_gone(lake, takedowns(), set[str]().union(*shown.values()))
        runs = sorted(run for run, urls in shown.items() if urls & gone.shown)
        if not dry_run:
            forget_runs(instance, runs, where.dagster_home)
    report = {**purge(lake, where.images, where.checkpoints, gone, dry_run=dry_run), "runs": len(runs)}
    if not dry_run:
        path = where.reports / "takedowns" / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}.json"
        write_text(path, json.dumps(report, indent=1))
        report["report"] = str(path)
    return report


def describe(report: dict[str, Any]) -> str:
    """The report as lines of text."""
    images, superseded = report["images"], report["superseded"]
    lines = [f"{report['pairs']:,} pairs, each place counted; {images['images']:,} images, {images['bytes']:,} bytes"]
    if report["tables"]:
        tables = [[name, f"{gone['rows']:,}", f"{gone['bytes']:,}"] for name, gone in report["tables"].items()]
        lines += ["", render_table([["table", "rows", "bytes"], *tables]), ""]
    if superseded:
        lines.append(f"{superseded['files']:,} superseded files, {superseded['bytes']:,} bytes")
    lines.append(f"{report['runs']:,} runs of Dagster's history that showed any of it")
    for name, pairs in report["trainings"].items():
        content = "a set that is gone: nobody knows what it held" if pairs is None else f"{pairs:,} of these pairs"
        lines.append(f"training {name} saw {content}")
    return "\n".join([*lines, *([f"report: {report['report']}"] if "report" in report else [])])

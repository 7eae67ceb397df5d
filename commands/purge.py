"""Delete from the disk what the list of takedowns names, and report what was deleted."""

import argparse
import json
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from assets.queries.copies import drop_reports, list_urls
from assets.queries.gone import find_gone
from assets.queries.purging import purge
from assets.queries.receipts import describe_purge, write_receipts
from assets.takedowns import read_requests, read_takedowns
from commands.tables import render_table
from resources.deployments import Deployment, deployment
from resources.files.local import write_text
from resources.instance.history import forget_runs, shown_urls
from resources.instance.runs import IN_PROGRESS, end_lost_runs
from resources.lake.resource import open_lake
from resources.takedowns.journal import Journal
from resources.takedowns.resource import TakedownList


def main(asked: argparse.Namespace) -> None:
    """Purge, or say what a purge would delete."""
    print(describe(take_down(deployment(), dry_run=asked.dry_run)))


def take_down(where: Deployment, *, dry_run: bool = False) -> dict[str, Any]:
    """Purge lake, images, published copies, reports and history; gives the report, which is written beside the others.

    What each request lost is added to its receipt, last of all; a dry run only gives it, as `requests`.
    Raises ValueError for a bad line of the list, RuntimeError while runs are in progress.
    """
    takedown_list = TakedownList(path=str(where.takedowns), named=bool(where.takedown_list))
    takedowns = read_takedowns(takedown_list, where.images)
    if takedowns is None:
        raise ValueError(f"{where.takedowns}: nothing is listed")
    folder, lake = where.reports / "takedowns", open_lake(where)
    with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
        if not dry_run:
            end_lost_runs(instance)
        unfinished = dg.RunsFilter(statuses=[*IN_PROGRESS, dg.DagsterRunStatus.QUEUED])
        if not dry_run and (active := instance.get_runs(filters=unfinished)):
            raise RuntimeError(f"{len(active)} runs are queued or in progress, {active[0].run_id} among them: end them")
        journal = Journal(None if dry_run else folder / "purge.journal")
        journal.note("attempt", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}")
        shown, in_reports = shown_urls(instance), list_urls(where.reports)
        urls = set[str]().union(*shown.values(), *in_reports.values())
        gone = find_gone(lake, takedowns(), urls, read_requests(takedown_list, where.images))
        runs = sorted(run for run, urls in shown.items() if urls & gone.shown)
        for run in runs:
            journal.note("run", run)
        if not dry_run:
            forget_runs(instance, runs, where.dagster_home)
    in_reports = {path: urls for path, urls in in_reports.items() if urls & gone.shown}
    report = {
        "reports": drop_reports(where.reports, in_reports.keys(), journal, dry_run=dry_run),
        **purge(lake, where.images, where.checkpoints, where.home / "published", gone, journal, dry_run=dry_run),
        "runs": len(runs),
    }
    if dry_run:
        return {**report, "requests": describe_purge(journal)}
    path = folder / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}.json"
    write_text(path, json.dumps(report, indent=1))
    receipts = write_receipts(folder, takedown_list.lines(), journal)
    journal.close()
    return {**report, "report": str(path), "receipts": [str(receipt) for receipt in receipts]}


def describe(report: dict[str, Any]) -> str:
    """The report as lines of text."""
    images, superseded = report["images"], report["superseded"]
    lines = [f"{report['pairs']:,} pairs, each place counted; {images['images']:,} images, {images['bytes']:,} bytes"]
    if report["tables"]:
        # How many bytes go is known once the files are written anew.
        columns = ["rows", "bytes"] if "report" in report else ["rows"]
        tables = [[name, *(f"{gone[column]:,}" for column in columns)] for name, gone in report["tables"].items()]
        lines += ["", render_table([["table", *columns], *tables]), ""]
    if superseded:
        lines.append(f"{superseded['files']:,} superseded files, {superseded['bytes']:,} bytes")
    lines.append(f"{report['runs']:,} runs of Dagster's history that showed any of it")
    for name, pairs in report["trainings"].items():
        content = "a set that is gone: nobody knows what it held" if pairs is None else f"{pairs:,} of these pairs"
        lines.append(f"training {name} saw {content}")
    deleted = "was deleted" if "report" in report else "would be deleted"
    for t, pairs in report["published"].items():
        lines.append(
            f"the published dataset has {pairs:,} of these pairs in D({t}), and {deleted} here: publish it again, and "
            "upload it again where it was uploaded"
        )
    if report["reports"]:
        lines.append(f"reports that showed any of it, to be made again: {', '.join(report['reports'])}")
    for request, purged in report.get("requests", {}).items():
        parts = (("matched", "pairs"), ("tars", "images"), ("tables", "rows"))
        pairs, images, rows = (sum(row[name] for row in purged[part]) for part, name in parts)
        lines.append(f"request {request}: {pairs:,} pairs, {images:,} images, {rows:,} rows of tables")
    lines += [f"receipt: {receipt}" for receipt in report.get("receipts", [])]
    return "\n".join([*lines, *([f"report: {report['report']}"] if "report" in report else [])])

"""The front door for takedowns: delete from the disk what the list names, and say what went where."""

import argparse
import json
import sys
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from assets.purging import find_gone, purge
from assets.takedowns import read_takedowns
from resources.deployments import Deployment, deployment
from resources.files.local import write_text
from resources.instance.history import forget_runs, shown_urls
from resources.instance.runs import IN_PROGRESS, end_lost_runs
from resources.lake.resource import open_lake
from resources.takedowns.resource import TakedownList


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
    told = {**purge(lake, where.images, where.checkpoints, gone, dry_run=dry_run), "runs": len(runs)}
    if not dry_run:
        report = where.reports / "takedowns" / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}.json"
        write_text(report, json.dumps(told, indent=1))
        told["report"] = str(report)
    return told


def describe(told: dict[str, Any]) -> str:
    """The report as lines of text."""
    images, superseded = told["images"], told["superseded"]
    lines = [f"{told['pairs']:,} pairs, each place counted; {images['images']:,} images, {images['bytes']:,} bytes"]
    lines += [f"  {name}: {gone['rows']:,} rows, {gone['bytes']:,} bytes" for name, gone in told["tables"].items()]
    if superseded:
        lines.append(f"{superseded['files']:,} superseded files, {superseded['bytes']:,} bytes")
    lines.append(f"{told['runs']:,} runs of Dagster's history that showed any of it")
    for name, pairs in told["trainings"].items():
        held = "a set that is gone: nobody knows what it held" if pairs is None else f"{pairs:,} of these pairs"
        lines.append(f"training {name} saw {held}")
    return "\n".join([*lines, *([f"report: {told['report']}"] if "report" in told else [])])


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="say what would go, and change nothing")
    try:
        print(describe(take_down(deployment(), dry_run=parser.parse_args().dry_run)))
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"purge: {error}")


if __name__ == "__main__":
    main()

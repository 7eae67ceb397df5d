"""What Dagster's own history shows of a crawl, samples and answers among it, and how it is forgotten."""

import json
import re
import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

import dagster as dg

SHOWN = 50
"""Characters of a URL that are never cut."""


def shown_urls(instance: dg.DagsterInstance) -> dict[str, set[str]]:
    """How the URLs begin that the events of each run show, by the run's id."""
    return {run.run_id: _urls_of(instance, run.run_id) for run in instance.get_runs()}


def forget_runs(instance: dg.DagsterInstance, runs: Collection[str], home: Path) -> None:
    """Delete these runs with all that they told, and what SQLite keeps of them in its files under `home`."""
    for path in home.rglob("index.db"):
        with closing(sqlite3.connect(path)) as database, database:
            # Each asset's latest event is kept here once more, and is not deleted with its run.
            stale = "update asset_keys set last_materialization = null where instr(last_materialization, ?)"
            database.executemany(stale, [(run,) for run in runs])
    for run in runs:
        instance.compute_log_manager.delete_logs(prefix=[run])
        instance.delete_run(run)
    for path in home.rglob("*.db"):
        with closing(sqlite3.connect(path)) as database:
            database.execute("vacuum")


def _urls_of(instance: dg.DagsterInstance, run: str) -> set[str]:
    told = (str(json.loads(dg.serialize_value(entry))) for entry in instance.all_logs(run))
    return {url[:SHOWN] for text in told for url in re.findall(r"https?://[^\s'\"\\<>]+", text)}

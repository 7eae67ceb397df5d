"""Find the URLs that runs in Dagster's history show, and delete those runs."""

import itertools
import json
import re
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg

SHOWN = 50
"""Characters of a URL that are never cut."""


def shown_urls(instance: dg.DagsterInstance) -> dict[str, set[str]]:
    """The beginnings of all URLs in the config and events of each run, by the run's id.

    Each is SHOWN characters long, or reaches to the end of a host that is longer. Where the URL ends nobody can tell:
    quotes, commas and brackets may belong to it.
    """
    return {run.run_id: _urls_of(instance, run) for run in instance.get_runs()}


def forget_runs(instance: dg.DagsterInstance, runs: Collection[str], home: Path) -> None:
    """Delete these runs with their events and logs, and what SQLite keeps of them in its files under `home`."""
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


def _urls_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> set[str]:
    events = (json.loads(dg.serialize_value(entry)) for entry in instance.all_logs(run.run_id))
    texts = itertools.chain.from_iterable(map(_strings, itertools.chain([dict(run.run_config)], events)))
    urls = ((text, url.start(), len(url[1])) for text in texts for url in _URL.finditer(text))
    return {text[start : start + max(SHOWN, to_host)] for text, start, to_host in urls}


_URL = re.compile(r"(?=(https?://[^\s/?#]{0,253}))")  # a host has 253 characters at most


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        parts = value if isinstance(value, list) else [*value, *value.values()]
        yield from itertools.chain.from_iterable(map(_strings, parts))

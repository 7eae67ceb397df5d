"""A curation of the mini sample that is to survive a fault: what it begins with, and whether its tables are right."""

import json
import random
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg
import psutil
import pyarrow.parquet as pq

from resources.crawl.mini import mini_deployment
from resources.deployments import Deployment
from resources.files.digests import RowDigest
from resources.files.object_store import connect
from resources.lake.resource import WHOLE, Lake, open_lake
from tests.faults.drivers import Driver, Drivers
from tests.mini import table_steps

SNAPSHOTS = ["SAMPLE-2026-01", "SAMPLE-2026-02"]
Step = tuple[list[str], str | None]
STEPS: list[Step] = table_steps(SNAPSHOTS)
Contents = dict[str, list[tuple[str, str]]]


@dataclass(frozen=True)
class Result:
    """What came of a round."""

    hits: int
    """How often the fault struck: a round in which it never did shows nothing."""
    failed: int = 0
    """Runs that failed or were killed, of drivers or trainings."""
    orphans: int = 0
    """Files that no manifest names afterwards."""
    difference: str = ""
    """From the undisturbed run, empty if there is none."""


@dataclass(frozen=True)
class Reference:
    """An undisturbed curation: its deployment, what its tables hold, when each step began and the last ended."""

    mini: Path
    where: Deployment
    contents: Contents
    moments: list[float]


def curate_reference(drivers: Drivers, mini: Path, home: Path) -> Reference:
    """Curate undisturbed."""
    driver = drivers.start(mini, home, home.with_suffix(".log"))
    if driver.end():
        raise RuntimeError(f"the undisturbed run failed: {driver.log.read_text('utf-8')[-3000:]}")
    where = mini_deployment(mini, home)
    with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
        records = instance.get_run_records(ascending=True)
    moments = [*(record.start_time or 0.0 for record in records), records[-1].end_time or 0.0]
    return Reference(mini, where, contents_of(open_lake(where)), moments)


@dataclass
class Curation:
    """One with a home of its own, in which some first steps of the reference are done."""

    reference: Reference
    drivers: Drivers
    draw: random.Random
    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    started: list[Driver] = field(default_factory=list)
    family: set[psutil.Process] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.skip = self.draw.randrange(len(STEPS))
        shutil.copytree(self.reference.where.home, self.home)
        undo(self.home / "lake", STEPS[self.skip :])
        if not self._is_local:
            filesystem, root = connect(self.lake.root, self.lake.storage_options)
            for path in (self.home / "lake").rglob("*.*"):
                filesystem.put_file(str(path), f"{root}/{path.relative_to(self.home / 'lake')}")
            shutil.rmtree(self.home / "lake")

    @property
    def lake(self) -> Lake:
        """Its lake."""
        return open_lake(mini_deployment(self.reference.mini, self.home, self.environment))

    def start(self, fault: Mapping[str, Any] | None = None) -> Driver:
        """Start what is left to do."""
        log = self.home / f"{len(self.started)}.log"
        order = {"environment": dict(self.environment), "fault": fault, "skip": self.skip}
        self.started.append(self.drivers.start(self.reference.mini, self.home, log, **order))
        return self.started[-1]

    def moment(self) -> float:
        """Seconds from a driver's start, drawn from those that it takes undisturbed."""
        return self.draw.uniform(0.05, 0.95) * (self.reference.moments[-1] - self.reference.moments[self.skip])

    def wait(self, driver: Driver) -> bool:
        """Wait for such a moment; whether the driver is still at work."""
        end = time.monotonic() + self.moment()
        while time.monotonic() < end and not driver.has_ended():
            time.sleep(0.01)
        return not driver.has_ended()

    def kill(self, *processes: psutil.Process) -> int:
        """Kill these, children before their mothers; how many were there to be killed."""
        hits = 0
        for process in processes:
            try:
                self.family |= {process, *process.children(recursive=True)}
                process.kill()
                hits += 1
            except psutil.NoSuchProcess:
                continue
        return hits

    def settle(self, hits: int) -> Result:
        """Run it undisturbed until it succeeds, twice at most, and look at what is there."""
        failed = sum(driver.end() != 0 for driver in self.started)
        for _ in range(2 if hits else 0):
            driver = self.start()
            if driver.end() == 0:
                return Result(hits, failed, *self._judge())
        difference = f"two runs failed after it: {driver.log.read_text('utf-8')[-2000:]}" if hits else ""
        return Result(hits, failed, difference=difference)

    def _judge(self) -> tuple[int, str]:
        """How many files were left behind, and what is wrong."""
        _, alive = psutil.wait_procs(self.family, timeout=15)
        if left := [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]:
            return 0, f"left running: {left}"
        return judge(self.lake, self.reference.contents)

    @property
    def _is_local(self) -> bool:
        return "METACLIP_LAKE" not in self.environment


def undo(lake: Path, steps: Sequence[Step]) -> None:
    """Delete the partitions that these steps made."""
    for tables, partition in steps:
        for table in tables:
            shutil.rmtree(lake / table / quote(partition or WHOLE, safe=""))


def judge(lake: Lake, expected: Contents) -> tuple[int, str]:
    """How many files of a lake were left behind, and what of it is otherwise than expected."""
    try:
        for path in Path(lake.root).rglob("*.parquet"):  # none where it is an object store
            pq.read_table(path)
        before = contents_of(lake)
        orphans = lake.tidy(older_than_hours=0)
        contents = contents_of(lake)
    except (OSError, ValueError) as error:
        return 0, f"{type(error).__name__}: {error}"
    wrong = sorted(
        key
        for key in contents.keys() | before.keys() | expected.keys()
        if not contents.get(key) == before.get(key) == expected.get(key)
    )
    return len(orphans), f"other rows in {', '.join(wrong)}" if wrong else ""


def contents_of(lake: Lake) -> Contents:
    """Of every partition of every table, its shards with the digest of the rows that their files hold."""
    contents: Contents = {}
    for table, partition in lake.partitions():
        shards = contents[f"{table} {partition}"] = []
        schema = lake.dataset(table, [partition]).schema
        for key, batches in lake.shards(table, partition).items():
            digest = RowDigest(schema)
            for batch in batches():
                digest.update(batch)
            shards.append((key, digest.hexdigest()))
    return contents


def environment_of_lake(url: str, options: Mapping[str, Any]) -> dict[str, str]:
    """What puts a deployment's lake into an object store."""
    return {"METACLIP_LAKE": url, "METACLIP_LAKE_OPTIONS": json.dumps(options)}

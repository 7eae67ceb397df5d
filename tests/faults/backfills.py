"""Backfills by a real daemon, code server and web server, which rounds share, over the mini sample's reference."""

import random
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import psutil

from commands.backfills import Targets
from resources.instance.graphql import Progress
from resources.instance.runs import IN_PROGRESS, process_of
from resources.lake.resource import open_lake
from tests.faults.curations import SNAPSHOTS, STEPS, Reference, Result, Step, judge, undo
from tests.live import Live

PATIENCE_SECONDS = 900.0
"""A backfill that takes longer hangs: on a quiet machine it takes a minute, on a busy one several."""
A_RUN_SECONDS = 8.0
"""About what a run takes."""
OPEN = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, *IN_PROGRESS]


@dataclass
class Backfills:
    """Those of one round, which begins with what the reference's first steps made."""

    reference: Reference
    live: Live
    instance: dg.DagsterInstance
    draw: random.Random
    known: frozenset[str]
    """Runs that other rounds left."""

    def launch(self, targets: Targets) -> str:
        """Launch one."""
        return self.live.web.launch(targets, "fault campaign")

    def goes_on(self, backfill: str) -> bool:
        """Whether it has not ended."""
        return not self._progress(backfill).ended

    def wait(self, backfill: str) -> bool:
        """Wait for a drawn moment of it; whether it goes on then."""
        progress = self._progress(backfill)
        enough, rest = self.draw.randrange(progress.targeted), self.draw.uniform(0, A_RUN_SECONDS)

        def has_come() -> bool:
            now = self._progress(backfill)
            return now.ended or now.targeted - sum(now.unmade.values()) >= enough

        self.live.until(has_come, "progress of the backfill", PATIENCE_SECONDS)
        time.sleep(rest)
        return self.goes_on(backfill)

    def kill(self, processes: Iterable[psutil.Process]) -> int:
        """Kill these; how many were there to be killed."""
        hits = 0
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
                hits += 1
        return hits

    def executing(self) -> list[psutil.Process]:
        """The processes of runs under way."""
        processes = []
        for run in self.instance.get_runs(filters=dg.RunsFilter(statuses=IN_PROGRESS)):
            with suppress(psutil.NoSuchProcess):
                if process := process_of(self.instance, run):
                    processes.append(psutil.Process(process))
        return processes

    def end(self, *backfills: str) -> bool:
        """Wait until these have ended, and every run; whether the last of them succeeded."""

        def is_over() -> bool:
            return not any(map(self.goes_on, backfills)) and not self.instance.get_runs(dg.RunsFilter(statuses=OPEN))

        self.live.until(is_over, f"end of {', '.join(backfills)} and their runs", PATIENCE_SECONDS)
        return self._progress(backfills[-1]).succeeded

    def result(self, hits: int, why: str) -> Result:
        """What came of the round; `why` says what is wrong already."""
        new = [run for run in self.instance.get_runs() if run.run_id not in self.known]
        failed = sum(run.status == dg.DagsterRunStatus.FAILURE for run in new)
        orphans, difference = judge(open_lake(self.live.where), self.reference.contents)
        return Result(hits, failed, orphans, "; ".join(filter(None, [why, difference])))

    def _progress(self, backfill: str) -> Progress:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self.live.web.progress(backfill)
            except (ConnectionError, RuntimeError):  # a server is away, or the database is, for a moment
                assert time.monotonic() < deadline, self.live.tail()
            time.sleep(0.5)


@contextmanager
def begin(reference: Reference, live: Live, draw: random.Random, skip: int) -> Iterator[Backfills]:
    """Undo all but the reference's first `skip` steps, and register its snapshots."""
    lake = Path(live.where.lake)
    shutil.rmtree(lake)
    shutil.copytree(reference.where.lake, lake)
    undo(lake, STEPS[skip:])
    live.wait_until_ready()
    with dg.DagsterInstance.from_config(str(live.where.dagster_home)) as instance:
        instance.add_dynamic_partitions("snapshot", SNAPSHOTS)
        yield Backfills(reference, live, instance, draw, frozenset(run.run_id for run in instance.get_runs()))


def targets_of(steps: Sequence[Step]) -> Targets:
    """What a backfill is asked for to take these steps."""
    targets: dict[str, list[str] | None] = {}
    for tables, partition in steps:
        for table in tables:
            targets[table] = None if partition is None else [*(targets.get(table) or []), partition]
    return targets

"""Every kind of fault that a round can meet: how it strikes, and how often it did."""

import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil

from commands.register import register
from commands.rerun import snapshot_targets
from resources.crawl.mini import build_mini
from tests.faults.backfills import Backfills, begin, targets_of
from tests.faults.curations import SNAPSHOTS, STEPS, Curation, Reference, Result, curate_reference, environment_of_lake
from tests.faults.drivers import Driver, Drivers, serving_drivers
from tests.live import Live, live_deployment

LATEST_KILL = 0.2
"""Seconds from when something is seen at work until it is killed, at most."""


class World:
    """What rounds share: an undisturbed run, and servers that are started when a round first needs them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        self._live = stack.enter_context(ExitStack())

    @cached_property
    def reference(self) -> Reference:
        """The undisturbed run."""
        return curate_reference(self.drivers, build_mini(self.folder / "mini"), self.folder / "reference")

    @cached_property
    def drivers(self) -> Drivers:
        """Drivers on this machine."""
        return self._stack.enter_context(serving_drivers())

    @cached_property
    def proxy(self) -> Any:
        """An S3 server behind a proxy that fails requests."""
        from tests.s3 import KEYS, serving

        os.environ.update(KEYS)  # the rounds read what they wrote
        return self._stack.enter_context(serving())

    @cached_property
    def cluster(self) -> Any:
        """Two nodes of Ray. Raises PermissionError where no network namespace can be had."""
        from tests.ray_cluster import cluster_of_two

        return self._stack.enter_context(cluster_of_two())

    @cached_property
    def cluster_drivers(self) -> Drivers:
        """Drivers on the cluster's first node."""
        return self._stack.enter_context(serving_drivers(self.cluster.popen))

    @cached_property
    def live(self) -> Live:
        """Web server, daemon and code server over a copy of the undisturbed run."""
        folder = Path(tempfile.mkdtemp(prefix="live-", dir=self.folder))
        return self._live.enter_context(live_deployment(self.reference.mini, folder, self.reference.where))

    @contextmanager
    def backfills(self, draw: random.Random, skip: int) -> Iterator[Backfills]:
        """Backfills of there, with these first steps done; the servers go if the round cannot be ended."""
        try:
            with begin(self.reference, self.live, draw, skip) as round_of:
                yield round_of
        except BaseException:
            with suppress(AssertionError):
                self._live.close()
            self.__dict__.pop("live", None)
            raise

    def end_round(self) -> None:
        """End what a round left at work, and the faults of the object store."""
        begun = self.__dict__
        for name in begun.keys() & {"drivers", "cluster_drivers"}:
            begun[name].end()
        if "proxy" in begun:
            from tests.s3 import no_faults

            self.proxy.plan = no_faults

    @cached_property
    def training_set(self) -> Path:
        """What trainings read."""
        from tests.metaclip_dagster.training_sets import build_set

        return build_set(self.folder / "training-set")

    @cached_property
    def start_training(self) -> Callable[[Path], psutil.Process]:
        """Starts a training of a job's file."""
        from tests.resources.trainers import starting

        return self._stack.enter_context(starting())

    def curation(
        self,
        draw: random.Random,
        home: Path,
        *,
        drivers: Drivers | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> Curation:
        """A curation on this machine, unless other drivers are given."""
        return Curation(self.reference, drivers or self.drivers, draw, home, environment)


def kill_worker(world: World, draw: random.Random, home: Path) -> Result:
    """A worker is killed while it makes a shard."""
    run = world.curation(draw, home)
    return run.settle(_kill_when_seen(run, run.start(), Driver.workers))


def kill_driver(world: World, draw: random.Random, home: Path) -> Result:
    """The run's process is killed, and leaves its workers to themselves."""
    run = world.curation(draw, home)
    driver = run.start()
    return run.settle(run.kill(driver) if run.wait(driver) else 0)


def kill_both(world: World, draw: random.Random, home: Path) -> Result:
    """All processes of a run are killed, as by a machine that goes down."""
    run = world.curation(draw, home)
    driver = run.start()
    return run.settle(run.kill(*driver.children(recursive=True), driver) if run.wait(driver) else 0)


def fail_calls(fault: str) -> Callable[[World, random.Random, Path], Result]:
    """System calls fail for some seconds, in driver, workers or both."""

    def fail(world: World, draw: random.Random, home: Path) -> Result:
        run = world.curation(draw, home)
        after, hits, who = run.moment(), home / "hits", draw.choice(["driver", "workers", "both"])
        order = {"name": fault, "seed": draw.getrandbits(32), "after": after, "until": after + draw.uniform(0.1, 10)}
        run.start({**order, "hits": str(hits), "driver": who != "workers", "workers": who != "driver"}).end()
        return run.settle(len(hits.read_text("utf-8").splitlines()) if hits.exists() else 0)

    return fail


def fail_requests(world: World, draw: random.Random, home: Path) -> Result:
    """Requests to the object store that holds the lake are answered 500 or 503, in part, late or never."""
    from tests.s3 import BUCKET, KEYS, by_chance, no_faults

    proxy = world.proxy
    where = environment_of_lake(f"s3://{BUCKET}/{home.parent.name}-{home.name}", proxy.options)
    run = world.curation(draw, home, environment=where | KEYS)
    proxy.met.clear()
    proxy.plan = by_chance(draw.getrandbits(32), draw.uniform(0.02, 0.3))
    run.start().end()
    proxy.plan = no_faults
    return run.settle(sum(count for fault, count in proxy.met.items() if fault not in ("none", "slow")))


def run_twice(world: World, draw: random.Random, home: Path) -> Result:
    """Two runs make the same partitions at once; the second starts a little later."""
    run = world.curation(draw, home)
    first = run.start()
    is_met = draw.random() < 0.5 or run.wait(first)
    run.start()
    return run.settle(int(is_met))


def kill_ray_worker(world: World, draw: random.Random, home: Path) -> Result:
    """A worker of the cluster is killed while it makes a shard."""
    run = _on_cluster(world, draw, home)
    return run.settle(_kill_when_seen(run, run.start(), lambda _: _at_work(world)))


def kill_ray_node(world: World, draw: random.Random, home: Path) -> Result:
    """A node goes down while it makes a shard; another comes when all is over."""
    run = _on_cluster(world, draw, home)

    def node(_: Driver) -> list[psutil.Process]:
        raylet: psutil.Process = world.cluster.raylet()
        return [raylet] if {*_at_work(world)} & {*raylet.children(recursive=True)} else []

    hits = _kill_when_seen(run, run.start(), node)
    for driver in run.started:
        driver.end()
    if hits:
        world.cluster.add_second()
    return run.settle(hits)


def kill_daemon(world: World, draw: random.Random, home: Path) -> Result:
    """The daemon is killed while a backfill goes on, alone or with runs or the code server; all goes on by itself."""
    skip = draw.randrange(2, len(STEPS) - 3)
    with world.backfills(draw, skip) as run:
        backfill = run.launch(targets_of(STEPS[skip:]))
        if not run.wait(backfill):
            return Result(0)
        daemon, server = (world.live.processes(name) for name in ("tests.live daemon", "dagster code-server"))
        victims = daemon + draw.choice([[], run.executing(), server])
        hits = run.kill(draw.sample(victims, len(victims)))
        goes_on = run.goes_on(backfill)
        is_made = run.end(backfill)
        return run.result(hits if goes_on else 0, "" if is_made else "the backfill failed")


def refresh_pool(world: World, draw: random.Random, home: Path) -> Result:
    """A snapshot joins the pool, and what follows from it is made, while a backfill of the pool without it goes on."""
    second = SNAPSHOTS[1]
    skip = draw.choice([2, 4])  # from parsing on, or from what counts the whole pool
    with world.backfills(draw, min(skip, 3)) as run:
        run.instance.delete_dynamic_partition("snapshot", second)
        backfill = run.launch(targets_of([step for step in STEPS[skip:] if step[1] != second]))
        if not run.wait(backfill):
            return Result(0)
        register(world.live.where, [second])
        refresh = run.launch(refreshed := snapshot_targets(world.live.web, second))
        hits = int(run.goes_on(backfill))
        # Where it fails it is launched again, as one who sees it would; it makes good what failed of the backfill.
        is_made = run.end(backfill, refresh) or any(run.end(run.launch(refreshed)) for _ in range(2))
        return run.result(hits, "" if is_made else "the refresh failed three times")


def kill_trainer(world: World, draw: random.Random, home: Path) -> Result:
    """A training is killed, or its loader, once or twice; it is to see its budget of pairs, each step once."""
    from tests.metaclip_dagster.training_sets import BATCH, RECIPE, job_of
    from tests.resources.trainers import ended, result_of, seen, wait_until_ended, write_job

    steps = 24
    recipe = replace(RECIPE, epochs=3, log_every=1)
    path = write_job(job_of(world.training_set, home, recipe=recipe, budget=steps * BATCH, loader_workers=1))
    hits = 0
    for moment in sorted(draw.sample(range(steps - 1), k=draw.choice([1, 2]))):
        trainer = world.start_training(path)
        while not ended(trainer) and seen(home) < moment * BATCH:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, LATEST_KILL))
        with suppress(psutil.NoSuchProcess):  # it ends just now
            if not ended(trainer):
                draw.choice([trainer, *trainer.children()]).kill()
                hits += 1
        wait_until_ended(trainer)
    wait_until_ended(world.start_training(path))
    result = result_of(home)
    logged = [pairs for pairs, _ in result["losses"]]
    is_whole = result["pairs_seen"] == result["budget"] == steps * BATCH
    is_whole &= logged == [BATCH * step for step in range(1, steps + 1)]
    return Result(hits, hits, 0, "" if is_whole else f"{result['pairs_seen']} pairs of {result['budget']}: {logged}")


def _on_cluster(world: World, draw: random.Random, home: Path) -> Curation:
    from tests.ray_cluster import ADDRESS

    return world.curation(draw, home, drivers=world.cluster_drivers, environment={"METACLIP_RAY": ADDRESS})


def _at_work(world: World) -> list[psutil.Process]:
    return [process for process in world.cluster.workers() if "run_pickled" in _name(process)]


def _name(process: psutil.Process) -> str:
    with suppress(psutil.NoSuchProcess):  # it ended since it was listed
        return str(process.name())
    return ""


def _kill_when_seen(run: Curation, driver: Driver, look: Callable[[Driver], list[psutil.Process]]) -> int:
    """From a moment on wait for victims, and kill one of them."""
    run.wait(driver)
    while not driver.has_ended():
        if victims := look(driver):
            time.sleep(run.draw.uniform(0, LATEST_KILL))
            if hits := run.kill(run.draw.choice(victims)):
                return hits
        time.sleep(0.005)
    return 0


KINDS: dict[str, Callable[[World, random.Random, Path], Result]] = {
    "worker killed": kill_worker,
    "driver killed": kill_driver,
    "driver and workers killed": kill_both,
    "ENOSPC": fail_calls("ENOSPC"),
    "EIO": fail_calls("EIO"),
    "short reads and writes": fail_calls("short reads and writes"),
    "S3 errors, cuts and timeouts": fail_requests,
    "same partitions twice at once": run_twice,
    "daemon killed": kill_daemon,
    "refresh during a backfill": refresh_pool,
    "trainer killed": kill_trainer,
    "Ray worker killed": kill_ray_worker,
    "Ray node killed": kill_ray_node,
}

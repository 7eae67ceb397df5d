"""A Ray cluster of two nodes on loopback addresses, in a network namespace of its own: nobody else can reach it.

`python -m tests.ray_cluster [ADDRESS]` is a driver: a pickled Drive comes in, pickled reports go out one by one.
"""

import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from resources.engines.driver import Engine, drive
from resources.engines.local_engine import LocalEngine
from resources.engines.shards import Shard, ShardReport, StageCall

ROOT = Path(__file__).parents[1]
ADDRESS = "127.0.0.1:6379"
# Without iproute2: SIOCSIFFLAGS with IFF_UP and IFF_RUNNING.
LOOPBACK_UP = """
import fcntl, signal, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", 0x41))
print("up", flush=True)
signal.pause()
"""
ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
STARTED, SECONDS = "Ray runtime started", 120.0


@dataclass(frozen=True)
class Drive:
    """What a driver is to do; after `stop_after` reports it cancels the run. Seconds that it waits before and after."""

    call: StageCall
    shards: Sequence[Shard]
    retries: int = 2
    options: Mapping[str, Any] = field(default_factory=dict)
    stop_after: int | None = None
    hold: float = 0.0
    """From the last report until workers are let go."""
    linger: float = 0.0
    """From then until the driver ends."""


class Cluster:
    """Two nodes of one core each; the driver's is the first. Ends only what it started."""

    def __init__(self, cores: int = 1) -> None:
        self._cores, self._processes = cores, list[subprocess.Popen[bytes]]()
        self._folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short: it holds sockets, whose paths are bounded
        self.second: subprocess.Popen[bytes] | None = None
        self._namespace = subprocess.Popen(
            ["unshare", "--net", sys.executable, "-c", LOOPBACK_UP], stdout=subprocess.PIPE, start_new_session=True
        )
        self._processes.append(self._namespace)

    def start(self) -> None:
        """Start both nodes; raises PermissionError where no network namespace can be had."""
        assert self._namespace.stdout
        with self._namespace.stdout as pipe:
            is_up = pipe.readline() == b"up\n"
        if not is_up:
            raise PermissionError("no network namespace can be made here: run as root, with CAP_SYS_ADMIN")
        self._start("--head", "--port=6379", "--include-dashboard=false", f"--temp-dir={self._folder}", node=1)
        self.add_second()

    def add_second(self) -> None:
        """Start the second node, the first time or after it was killed."""
        self.second = self._start(f"--address={ADDRESS}", "--node-ip-address=127.0.0.2", node=2)

    def popen(self, *command: str, **more: Any) -> subprocess.Popen[bytes]:
        """Start a command of this checkout where the cluster can be reached."""
        enter = ["nsenter", f"--net=/proc/{self._namespace.pid}/ns/net", *command]
        process = subprocess.Popen(enter, cwd=ROOT, env={**os.environ, **ENVIRONMENT}, start_new_session=True, **more)
        self._processes.append(process)
        return process

    def drive(self, task: Drive, address: str = ADDRESS) -> tuple[subprocess.Popen[bytes], Iterator[ShardReport]]:
        """A driver's process, and its reports as they come; without an address on processes of its own."""
        command = [sys.executable, "-m", "tests.ray_cluster", address]
        driver = self.popen(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert driver.stdin
        with driver.stdin as pipe:
            pickle.dump(task, pipe)
        return driver, _read_reports(driver)

    def raylet(self) -> psutil.Process:
        """The process that is the second node: with it go its workers."""
        assert self.second
        return next(child for child in psutil.Process(self.second.pid).children() if child.name() == "raylet")

    def workers(self) -> list[psutil.Process]:
        """The processes that run shards, or wait for some."""
        processes = []
        for process in self.family():
            with suppress(psutil.NoSuchProcess):  # it ended since it was listed
                name = process.name()
                if name.startswith("ray::") and "Agent" not in name:
                    processes.append(process)
        return processes

    def family(self) -> list[psutil.Process]:
        """Everything that runs for the cluster and its drivers."""
        by_id: dict[int, psutil.Process] = {}
        for process in self._processes:
            try:
                mother = psutil.Process(process.pid)
                by_id |= {one.pid: one for one in [mother, *mother.children(recursive=True)]}
            except psutil.NoSuchProcess:
                continue
        return list(by_id.values())

    def close(self) -> None:
        """Kill every process, children with their mothers."""
        family = self.family()
        for process in family:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        for started in self._processes:
            started.wait()
        psutil.wait_procs(family, timeout=10)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, *arguments: str, node: int) -> subprocess.Popen[bytes]:
        log = self._folder.with_suffix(f".{node}.log")
        ray = str(Path(sys.executable).with_name("ray"))
        ports = 20_000 + 1000 * node
        sizes = [f"--num-cpus={self._cores}", "--object-store-memory=100000000", "--disable-usage-stats", "--block"]
        bounds = [f"--min-worker-port={ports}", f"--max-worker-port={ports + 999}"]
        for last in (False, True):  # a loaded machine misses the 30 seconds that Ray gives its raylet
            with log.open("wb") as file:
                process = self.popen(ray, "start", *arguments, *sizes, *bounds, stdout=file, stderr=subprocess.STDOUT)
            end = time.monotonic() + SECONDS
            while process.poll() is None and time.monotonic() < end:
                if STARTED in log.read_text(encoding="utf-8"):
                    log.unlink()
                    return process
                time.sleep(0.1)
            _kill(process)
            if last:
                raise OSError(f"node {node} does not start: {log.read_text(encoding='utf-8')}")
        raise AssertionError


@contextmanager
def cluster_of_two(cores: int = 1) -> Iterator[Cluster]:
    """A cluster, ended in any case."""
    cluster = Cluster(cores)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
    process.wait()


def _read_reports(driver: subprocess.Popen[bytes]) -> Iterator[ShardReport]:
    assert driver.stdout
    with driver.stdout as reports:
        while True:
            try:
                yield pickle.load(reports)
            except EOFError:
                return


def main() -> None:
    """Drive what is told, keeping reports as an asset does."""
    reports = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what Ray prints is no report
    task: Drive = pickle.load(sys.stdin.buffer)
    running = drive(_engine(sys.argv[1], task), task.call, task.shards, retries=task.retries)
    reported = []
    for report in running:
        reported.append(report)
        pickle.dump(report, reports)
        reports.flush()
        if len(reported) == len(task.shards):
            time.sleep(task.hold)
        if len(reported) == task.stop_after:
            running.close()
    time.sleep(task.linger)


def _engine(address: str, task: Drive) -> Engine:
    if not address:
        return LocalEngine(2)
    from resources.engines.ray_engine import RayEngine

    return RayEngine(address, **task.options)


if __name__ == "__main__":
    main()

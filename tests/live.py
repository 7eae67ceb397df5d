"""A mini sample's deployment with a real web server and daemon, for tests of what only they do.

`python -m tests.live` serves it as `metaclip ui` serves the project; METACLIP_CRAWL, _DATA and _PORT say where.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from dagster._daemon import cli, controller

from resources.crawl.mini import mini_deployment
from resources.deployments import REPOSITORY, Deployment, deployment
from resources.instance import ui
from resources.instance.graphql import WebServer


@dataclass(frozen=True)
class Live:
    """A running deployment: its web server, its folders, its own crawl, and the environment of its commands."""

    web: WebServer
    where: Deployment
    environment: dict[str, str]
    process: subprocess.Popen[bytes]
    log: Path

    def processes(self, says: str = "") -> list[psutil.Process]:
        """Whatever of it is alive, runs and trainings too, that has this in its command line."""
        ours, processes = self.environment["METACLIP_DATA"], []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                is_ours = process.environ().get("METACLIP_DATA") == ours and process.status() != psutil.STATUS_ZOMBIE
                if is_ours and says in " ".join(process.cmdline()):
                    processes.append(process)
        return processes

    def end(self, number: signal.Signals) -> None:
        """End it by a signal, as Ctrl-C does; fails if anything of it is left."""
        self.process.send_signal(number)
        self.process.wait(120)
        left = [process.cmdline() for process in self.processes()]
        assert left == [], self.tail()

    def run(self, *arguments: str, seconds: float = 600) -> subprocess.CompletedProcess[str]:
        """Run `metaclip` with these arguments against it."""
        return subprocess.run(
            [sys.executable, "-m", "metaclip_dagster", *arguments],
            cwd=REPOSITORY,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )

    def until(self, holds: Callable[[], bool], what: str, seconds: float) -> None:
        """Wait until something holds; fails with the end of the server's log if it does not in time."""
        deadline = time.monotonic() + seconds
        while not holds():
            in_time = self.process.poll() is None and time.monotonic() < deadline
            assert in_time, f"no {what} in {seconds} s\n{self.tail()}"
            time.sleep(1)

    def wait_until_ready(self) -> None:
        """Wait for web server, daemon and code."""
        self.until(lambda: _is_ready(self.web), "web server with a daemon", 240)

    def tail(self) -> str:
        """The end of what web server, daemon and runs printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-8000:]


@contextmanager
def live_deployment(mini: Path, folder: Path, home_of: Deployment | None = None) -> Iterator[Live]:
    """Serve a copy of the mini sample, with a home like this one's or an empty one, until the end of the block."""
    shutil.copytree(mini, folder / "mini", symlinks=True)
    home = folder / "data" / "sample"
    if home_of:
        shutil.copytree(home_of.home, home, symlinks=True)
    with reserve_port() as port:
        yield from _serve_in(folder, home, str(port))


@contextmanager
def reserve_port() -> Iterator[int]:
    """A free port of the loopback that is given to nobody else: bound, and listened at by whoever is told of it."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        yield listener.getsockname()[1]


def _serve_in(folder: Path, home: Path, port: str) -> Iterator[Live]:
    environment = os.environ | {
        "METACLIP_DEPLOYMENT": "sample",
        "METACLIP_CRAWL": str(folder / "mini" / "crawl"),
        "METACLIP_DATA": str(folder / "data"),
        "METACLIP_PORT": port,
        "OMP_NUM_THREADS": "1",
    }
    log = folder / "live.log"
    with log.open("wb") as printed:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.live"],
            cwd=REPOSITORY,
            env=environment,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    where = mini_deployment(folder / "mini", home)
    live = Live(WebServer(f"http://127.0.0.1:{port}"), where, environment, process, log)
    try:
        live.wait_until_ready()
        yield live
        live.end(signal.SIGTERM)
    finally:
        for left in live.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()
        process.wait()


def _is_ready(web: WebServer) -> bool:
    try:
        web.check_daemon()
        return bool(web.partitions("subsets")[0])
    except (ConnectionError, RuntimeError):
        return False


def _run_daemon() -> int:
    """Dagster's daemon, but it looks after backfills every 3 seconds and not every 30: there is no setting for that."""
    controller.DEFAULT_DAEMON_INTERVAL_SECONDS = 3
    sys.argv[:2] = ["dagster-daemon", "run"]
    cli.main()
    return 0


def _serve() -> int:
    ui.DAEMON = ("tests.live", "daemon")
    where = deployment()
    return ui.serve("tests/live_definitions.py", where.dagster_home, where.port)


if __name__ == "__main__":
    sys.exit(_run_daemon() if sys.argv[1:2] == ["daemon"] else _serve())

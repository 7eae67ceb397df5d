"""Runs of the mini sample's graph as a person starts them, each in a process of its own, without the seconds of import.

`python -m tests.faults.drivers` imports what they need once; then, for every order on its standard input, a line of
JSON, it starts one and prints its process id, or, for a process id, waits for it and prints how it ended. One whose
system calls are to fail imports all anew.
"""

import faulthandler
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from tests.faults import inject

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 300.0
"""A driver that takes longer hangs: undisturbed it takes ten to 25, and several times that on a busy machine."""

Popen = Callable[..., "subprocess.Popen[bytes]"]


class Driver(psutil.Process):
    """One that was started; `log` is what it printed."""

    def __init__(self, pid: int, log: Path, server: "Drivers") -> None:
        super().__init__(pid)
        self.log, self._server = log, server
        self._code: int | None = None

    def has_ended(self) -> bool:
        """Whether nothing is left to do but to ask how."""
        return not self.is_running() or self.status() == psutil.STATUS_ZOMBIE

    def workers(self) -> list[psutil.Process]:
        """The processes in which its shards are made."""
        with suppress(psutil.NoSuchProcess):
            descendants = self.children(recursive=True)
            return [process for process in descendants if process.ppid() != self.pid]  # children of its fork server
        return []

    def end(self) -> int:
        """Wait for its end and give its exit code, -9 where it was killed; one that hangs is killed."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._code is None and not self.has_ended():
            if time.monotonic() > deadline:
                self.kill()
            time.sleep(0.01)
        if self._code is None:
            self._code = self._server.ask(self.pid)
        return self._code


class Drivers:
    """The process that starts them."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._started: list[Driver] = []

    def start(self, mini: Path, home: Path, log: Path, **order: Any) -> Driver:
        """Curate the mini sample in `home`: `skip` finished steps, an `environment` and a `fault` may be told."""
        if order.get("fault") and not inject.PRELOAD.exists():
            raise FileNotFoundError(inject.MISSING)
        full_order = {"mini": str(mini), "home": str(home), "log": str(log), **order}
        self._started.append(Driver(self.ask(full_order), log, self))
        return self._started[-1]

    def end(self) -> None:
        """Kill what is still at work of all that was started."""
        while self._started:
            driver = self._started.pop()
            with suppress(psutil.NoSuchProcess):
                for process in [*driver.children(recursive=True), driver]:
                    process.kill()
            driver.end()

    def ask(self, what: Any) -> int:
        """Have an order done."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def serving_drivers(popen: Popen | None = None) -> Iterator[Drivers]:
    """Serve drivers until the end of the block."""
    command = [sys.executable, "-m", "tests.faults.drivers"]
    process = (popen or _popen)(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield Drivers(process)
    finally:
        process.communicate()


def _popen(*command: str, **more: Any) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, cwd=ROOT, **more)


def serve() -> None:
    """Do what the standard input orders."""
    for line in sys.stdin:
        order = json.loads(line)
        if isinstance(order, int):
            answer = os.waitstatus_to_exitcode(os.waitpid(order, 0)[1])
        elif not (answer := os.fork()):
            if order.get("fault"):
                command = [sys.executable, "-m", "tests.faults.drivers", json.dumps(order)]
                os.execve(command[0], command, os.environ | inject.ENVIRONMENT)
            _run(order)
        print(answer, flush=True)  # noqa: T201


def _run(order: dict[str, Any]) -> None:
    from resources.crawl.mini import mini_deployment
    from tests.mini import curate_tables

    code = 1
    try:
        os.setsid()
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        faulthandler.dump_traceback_later(PATIENCE_SECONDS * 0.7)  # where it hangs
        os.environ.update(order.get("environment", {}))
        if fault := order.get("fault"):
            inject.arm(fault.pop("name"), **{**fault, "hits": Path(fault["hits"])})
        where = mini_deployment(Path(order["mini"]), Path(order["home"]), os.environ, workers=2)
        curate_tables(where, order.get("skip", 0))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    import tests.mini  # noqa: F401  # with Dagster and the method

    if len(sys.argv) > 1:
        _run(json.loads(sys.argv[1]))
    serve()

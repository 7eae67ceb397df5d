"""Start Dagster's web server and daemon on this machine's loopback, with the deployment's own runs."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

import dagster as dg

from resources.deployments import REPOSITORY
from resources.instance.runs import CODE_LOCATION, cancel_runs, end_lost_runs

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SECONDS_TO_END = 10
# One that is killed so often in so short a time would not stay.
MAX_KILLS, SECONDS_OF_KILLS = 4, 180.0
CODE_SERVER = ("dagster", "code-server", "start")
WEB_SERVER = ("dagster_webserver",)
DAEMON = ("dagster._daemon", "run")
WORKSPACE = """load_from:
  - grpc_server: {{location_name: {name}, host: localhost, socket: {socket}}}
"""
# While the code server is being started again, a backfill waits for its assets instead of failing for want of them.
PATIENT = {"DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR": "1"}


def serve(definitions: str, dagster_home: Path, port: str) -> int:
    """Run a code server, a web server and the daemon until SIGINT or SIGTERM comes, or one ends; then end all there is.

    One that is killed is started again, unless it is killed again and again; one that ends by itself would do so again.
    Runs under way are cancelled, and are over when this returns; what is queued waits for the next start. `dagster dev`
    does the same, but is on its way out and may take minutes to end. Without a code server of their own, web server and
    daemon each load the code, the daemon once a minute.
    """
    _check_free(port)
    print(f"http://127.0.0.1:{port} in half a minute; Ctrl-C ends it and cancels what runs", flush=True)  # noqa: T201
    for number in SIGNALS:
        signal.signal(number, _leave)
    with contextlib.suppress(KeyboardInterrupt), tempfile.TemporaryDirectory() as folder:
        # Opened before the others are started: two processes that create its databases at once break them.
        with dg.DagsterInstance.from_config(str(dagster_home)) as instance:
            end_lost_runs(instance)
            _serve(instance, definitions, dagster_home, port, Path(folder))
        return 1
    return 0


def _check_free(port: str) -> None:
    try:
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the web server does
            tried.bind(("127.0.0.1", int(port)))
    except (OSError, ValueError, OverflowError) as error:
        message = f"port {port} is not to be had ({error}): does `metaclip ui` run already? METACLIP_PORT names another"
        raise OSError(message) from None


def _serve(instance: dg.DagsterInstance, definitions: str, dagster_home: Path, port: str, folder: Path) -> None:
    code, workspace = folder / "code", folder / "workspace.yaml"
    workspace.write_text(WORKSPACE.format(name=CODE_LOCATION, socket=code), encoding="utf-8")
    commands = (
        (*CODE_SERVER, "-f", definitions, "-s", str(code)),
        (*WEB_SERVER, "-w", str(workspace), "-h", "127.0.0.1", "-p", port),
        (*DAEMON, "-w", str(workspace)),
    )
    children: list[subprocess.Popen[bytes]] = []
    kills = [deque[float](maxlen=MAX_KILLS) for _ in commands]
    try:
        for command in commands:
            children.append(_start(dagster_home, *command))
            _wait_while(lambda: not code.exists(), children)
        while dead := _wait_for_killed(children):
            at = children.index(dead)
            kills[at].append(time.monotonic())
            is_hopeless = len(kills[at]) == MAX_KILLS and kills[at][-1] - kills[at][0] < SECONDS_OF_KILLS
            then = "as often before: the end" if is_hopeless else "and is started again"
            print(f"{' '.join(commands[at][:2])}: killed by signal {-dead.returncode}, {then}", flush=True)  # noqa: T201
            if is_hopeless:
                return
            if at:
                _end([dead])  # with what it leaves behind
                children[at] = _start(dagster_home, *commands[at])
                continue
            # A daemon that hears of a lost run and reaches no code server never retries it: it hears later.
            _end([dead, children[2]])
            del children[2]
            code.unlink(missing_ok=True)
            children[0] = _start(dagster_home, *commands[0])
            _wait_while(lambda: not code.exists(), children[:1])
            end_lost_runs(instance, str(code))
            children.append(_start(dagster_home, *commands[2]))
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        _end(children[1:])  # the daemon would launch more
        killed = cancel_runs(instance, str(code))
        _end(children[:1])
        for run in killed:
            instance.report_run_canceled(run, "It did not end in time, and was killed with the code server.")


def _start(dagster_home: Path, *command: str) -> subprocess.Popen[bytes]:
    # Sessions of their own: a key press at the terminal reaches this process alone, which passes it on once.
    return subprocess.Popen(  # noqa: S603  # our own programs
        [sys.executable, "-m", *command],
        cwd=REPOSITORY,
        env=os.environ | PATIENT | {"DAGSTER_HOME": str(dagster_home)},
        start_new_session=True,
    )


def _wait_while(condition: Callable[[], bool], children: Sequence[subprocess.Popen[bytes]]) -> None:
    while condition() and all(child.poll() is None for child in children):
        time.sleep(0.5)


def _wait_for_killed(children: Sequence[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes] | None:
    """Wait until one ends; gives it if something killed it."""
    _wait_while(lambda: True, children)
    ended = next(child for child in children if child.poll() is not None)
    return ended if ended.returncode < 0 else None


def _end(children: Sequence[subprocess.Popen[bytes]]) -> None:
    for child in reversed(children):
        child.send_signal(signal.SIGINT)
    for child in reversed(children):
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(SECONDS_TO_END)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # with all that it started: runs, and their workers and trainings
        child.wait()


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt

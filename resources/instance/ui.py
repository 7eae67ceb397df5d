"""Keep Dagster's code server, daemon and web server alive over one deployment's runs, until a signal comes."""

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
WORKSPACE = "load_from: [{{grpc_server: {{location_name: {name}, host: localhost, socket: {socket}}}}}]\n"
# While the code server is being started again, a backfill waits for its assets instead of failing for want of them.
PATIENT = {"DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR": "1"}
Child = subprocess.Popen[bytes]


def serve(definitions: str, dagster_home: Path, port: str) -> int:
    """Run a code server, the daemon and a web server until SIGINT or SIGTERM comes, or one ends; then end all there is.

    One that is killed is started again with those after it, unless it is killed again and again; one that ends by
    itself would do so again. Runs under way are cancelled, and are over when this returns; what is queued waits for
    the next start. Gives 0 after a signal, else 1. Raises OSError for a port that is not to be had.
    """
    _check_free(port)
    print(f"http://127.0.0.1:{port} in half a minute; Ctrl-C ends it and cancels what runs", flush=True)  # noqa: T201
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler)
    children: list[Child] = []
    with tempfile.TemporaryDirectory() as folder, dg.DagsterInstance.from_config(str(dagster_home)) as instance:
        # The instance is open before they start: two processes that create its databases at once break them.
        code, workspace = Path(folder, "code"), Path(folder, "workspace.yaml")
        workspace.write_text(WORKSPACE.format(name=CODE_LOCATION, socket=code), encoding="utf-8")
        commands = (
            (*CODE_SERVER, "-f", definitions, "-s", str(code)),
            (*DAEMON, "-w", str(workspace)),
            (*WEB_SERVER, "-w", str(workspace), "-h", "127.0.0.1", "-p", port),
        )
        try:
            _keep_alive(commands, children, dagster_home, code, lambda: end_lost_runs(instance, str(code)))
        except KeyboardInterrupt:
            return 0
        finally:
            for number in SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            _end(children[1:])  # the daemon would launch more
            cancel_runs(instance, str(code))
            _end(children[:1])
            end_lost_runs(instance, str(code))
    return 1


def _check_free(port: str) -> None:
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the web server does
            probe.bind(("127.0.0.1", int(port)))
    except (OSError, ValueError, OverflowError) as error:
        message = f"port {port} is not to be had ({error}): does `metaclip ui` run already? METACLIP_PORT names another"
        raise OSError(message) from None


def _keep_alive(
    commands: Sequence[Sequence[str]], children: list[Child], home: Path, code: Path, end_lost: Callable[[], None]
) -> None:
    """Start them in order and what is killed again, with all after it; returns when one ends by itself."""
    kills = [deque[float](maxlen=MAX_KILLS) for _ in commands]
    while True:
        if not children:
            code.unlink(missing_ok=True)
        for command in commands[len(children) :]:
            # Sessions of their own: a key press at the terminal reaches this process alone, which passes it on once.
            environment = os.environ | PATIENT | {"DAGSTER_HOME": str(home)}
            process = [sys.executable, "-m", *command]
            children.append(subprocess.Popen(process, cwd=REPOSITORY, env=environment, start_new_session=True))  # noqa: S603  # our own programs
            while not code.exists() and children[0].poll() is None:
                time.sleep(0.5)
            if len(children) == 1:
                end_lost()  # before a daemon hears of them, which then starts them again
        while all(child.poll() is None for child in children):
            time.sleep(0.5)
        at = next(at for at, child in enumerate(children) if child.returncode is not None)
        if children[at].returncode >= 0:
            return
        kills[at].append(time.monotonic())
        is_hopeless = len(kills[at]) == MAX_KILLS and kills[at][-1] - kills[at][0] < SECONDS_OF_KILLS
        then = "as often before: the end" if is_hopeless else "and is started again"
        print(f"{' '.join(commands[at][:2])}: killed by signal {-children[at].returncode}, {then}", flush=True)  # noqa: T201
        if is_hopeless:
            return
        _end(children[at:])  # with what they leave behind
        del children[at:]


def _end(children: Sequence[Child]) -> None:
    for child in reversed(children):
        child.send_signal(signal.SIGINT)
    for child in reversed(children):
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(SECONDS_TO_END)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # with all that it started: runs, and their workers and trainings
        child.wait()

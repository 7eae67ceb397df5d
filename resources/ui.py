"""Start Dagster's web server and daemon on this machine's loopback, with the deployment's own runs."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

import dagster as dg

from resources.deployments import REPOSITORY, deployment
from resources.runs import cancel_runs, end_lost_runs

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SECONDS_TO_END = 10
CODE_SERVER = ("dagster", "code-server", "start")
WEB_SERVER = ("dagster_webserver",)
DAEMON = ("dagster._daemon", "run")
CODE_LOCATION = """load_from:
  - grpc_server: {{location_name: metaclip, host: localhost, socket: {socket}}}
"""


def main() -> int:
    """Serve the project's code location; METACLIP_PORT moves it from port 3000."""
    where = deployment()
    return serve("definitions.py", where.dagster_home, where.port)


def serve(definitions: str, dagster_home: Path, port: str) -> int:
    """Run a code server, a web server and the daemon until one ends or SIGINT or SIGTERM comes; then end all there is.

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
        sys.exit(f"port {port} is not to be had ({error}): does `make ui` run already? METACLIP_PORT names another")


def _serve(instance: dg.DagsterInstance, definitions: str, dagster_home: Path, port: str, folder: Path) -> None:
    code, workspace = folder / "code", folder / "workspace.yaml"
    workspace.write_text(CODE_LOCATION.format(socket=code), encoding="utf-8")
    children: list[subprocess.Popen[bytes]] = []
    try:
        children.append(_start(dagster_home, *CODE_SERVER, "-f", definitions, "-s", str(code)))
        _wait_while(lambda: not code.exists(), children)
        children.append(_start(dagster_home, *WEB_SERVER, "-w", str(workspace), "-h", "127.0.0.1", "-p", port))
        children.append(_start(dagster_home, *DAEMON, "-w", str(workspace)))
        _wait_while(lambda: True, children)
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
        env=os.environ | {"DAGSTER_HOME": str(dagster_home)},
        start_new_session=True,
    )


def _wait_while(condition: Callable[[], bool], children: Sequence[subprocess.Popen[bytes]]) -> None:
    while condition() and all(child.poll() is None for child in children):
        time.sleep(0.5)


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


if __name__ == "__main__":
    sys.exit(main())

"""Start Dagster's web server and daemon on this machine's loopback, with the deployment's own runs."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from resources.deployments import REPOSITORY, deployment

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SECONDS_TO_END = 20
CODE_SERVER = ("dagster", "code-server", "start")
WEB_SERVER = ("dagster_webserver",)
DAEMON = ("dagster._daemon", "run")
CODE_LOCATION = """load_from:
  - grpc_server: {{location_name: metaclip, host: localhost, socket: {socket}}}
"""


def main() -> int:
    """Serve the project's code location; METACLIP_PORT moves it from port 3000."""
    where = deployment()
    print(f"http://127.0.0.1:{where.port} in half a minute; Ctrl-C ends it", flush=True)  # noqa: T201
    return serve("definitions.py", where.dagster_home, where.port)


def serve(definitions: str, dagster_home: Path, port: str) -> int:
    """Run a code server, a web server and the daemon until one ends or SIGINT or SIGTERM comes; then end them all.

    `dagster dev` does the same, but is on its way out and may take minutes to end. Without a code server of their own,
    web server and daemon each load the code, the daemon once a minute.
    """
    for number in SIGNALS:
        signal.signal(number, _leave)
    children: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory() as folder:
        socket, workspace = Path(folder, "code"), Path(folder, "workspace.yaml")
        workspace.write_text(CODE_LOCATION.format(socket=socket), encoding="utf-8")
        try:
            children.append(_start(dagster_home, *CODE_SERVER, "-f", definitions, "-s", str(socket)))
            _wait_while(lambda: not socket.exists(), children)
            children.append(_start(dagster_home, *WEB_SERVER, "-w", str(workspace), "-h", "127.0.0.1", "-p", port))
            children.append(_start(dagster_home, *DAEMON, "-w", str(workspace)))
            _wait_while(lambda: True, children)
        except KeyboardInterrupt:
            return 0
        finally:
            _end(children)
    return 1


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
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    for child in reversed(children):
        child.send_signal(signal.SIGINT)
    for child in reversed(children):
        try:
            child.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            child.kill()


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

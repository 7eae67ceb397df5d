"""What `make ui` says where it cannot begin, and that it keeps alive what it started."""

import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from resources.deployments import REPOSITORY
from resources.ui import serve
from tests.live import reserve_port

SERVING = """
import sys
from pathlib import Path
from resources import ui

ui.CODE_SERVER, ui.WEB_SERVER, ui.DAEMON = (("tests.resources.idle", name) for name in ("code", "web", "daemon"))
sys.exit(ui.serve("definitions.py", Path(sys.argv[1]), sys.argv[2]))
"""


@pytest.mark.parametrize("port", ["in use", "70000", "three"])
def test_a_port_that_is_not_to_be_had_is_told_before_anything_starts(port: str, tmp_path: Path) -> None:
    with reserve_port() as number, socket.create_server(("127.0.0.1", number)):
        asked = str(number) if port == "in use" else port
        with pytest.raises(SystemExit, match=f"port {asked} is not to be had .* METACLIP_PORT names another"):
            serve("definitions.py", tmp_path, asked)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_what_is_killed_is_started_again_and_what_ends_by_itself_ends_all(tmp_path: Path) -> None:
    with reserve_port() as port:
        command = [sys.executable, "-c", SERVING, str(tmp_path), str(port)]
        with subprocess.Popen(command, cwd=REPOSITORY) as process:
            try:
                serving = psutil.Process(process.pid)
                while len(first := _servers(serving)) < 3:
                    time.sleep(0.1)
                for server in first.values():
                    server.kill()
                while len(again := _servers(serving)) < 3 or {*again.values()} & {*first.values()}:
                    time.sleep(0.1)
                assert process.poll() is None
                (tmp_path / "end").touch()
                assert process.wait(60) == 1
                assert not any(server.is_running() for server in again.values())
            finally:
                (tmp_path / "end").touch()
                process.kill()


def _servers(serving: psutil.Process) -> dict[str, psutil.Process]:
    found = {}
    for process in serving.children():
        with suppress(psutil.Error):  # it ends just now
            if "tests.resources.idle" in (command := process.cmdline()):  # a zombie has none
                found[command[3]] = process
    return found

"""What `metaclip ui` says where it cannot begin, and that it keeps alive what it started."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

import psutil
import pytest

from resources.deployments import REPOSITORY
from resources.instance.ui import serve
from tests.live import reserve_port
from tests.resources.idle import SLOW_SECONDS

SERVING = """
import sys
from pathlib import Path
from resources.instance import ui

ui.CODE_SERVER, ui.WEB_SERVER, ui.DAEMON = (("tests.resources.idle", name) for name in ("code", "web", "daemon"))
sys.exit(ui.serve("definitions.py", Path(sys.argv[1]), sys.argv[2]))
"""


@pytest.mark.parametrize("port", ["in use", "70000", "three"])
def test_a_port_that_is_not_to_be_had_is_told_before_anything_starts(port: str, tmp_path: Path) -> None:
    with reserve_port() as number, socket.create_server(("127.0.0.1", number)):
        asked = str(number) if port == "in use" else port
        with pytest.raises(OSError, match=f"port {asked} is not to be had .* METACLIP_PORT names another"):
            serve("definitions.py", tmp_path, asked)
    assert list(tmp_path.iterdir()) == []


def test_what_is_killed_is_started_again_and_what_ends_by_itself_ends_all(tmp_path: Path) -> None:
    with serving(tmp_path) as process:
        first = _wait_for_servers(process)
        for server in first.values():
            with suppress(psutil.NoSuchProcess):  # it went with the one before
                server.kill()
        again = _wait_for_servers(process, without=first)
        (tmp_path / "end").touch()
        assert process.wait(60) == 1
        assert not any(server.is_running() for server in again.values())


@pytest.mark.night
def test_a_daemon_starts_beside_a_code_server_though_the_web_server_was_killed_too(tmp_path: Path) -> None:
    (tmp_path / "slow").touch()
    with serving(tmp_path) as process:
        first = _wait_for_servers(process)
        for name in ("code", "web"):
            first[name].kill()
        again = _wait_for_servers(process, without=first)
        assert again["daemon"].create_time() > again["code"].create_time() + SLOW_SECONDS


@pytest.mark.night
def test_what_is_killed_again_and_again_ends_all(tmp_path: Path) -> None:
    with serving(tmp_path) as process:
        servers: dict[str, psutil.Process] = {}
        for _ in range(4):
            servers = _wait_for_servers(process, without={"web": servers["web"]} if servers else {})
            servers["web"].kill()
        assert process.wait(60) == 1
        assert not any(server.is_running() for server in servers.values())


@contextmanager
def serving(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`metaclip ui` over servers that do nothing."""
    with reserve_port() as port:
        command = [sys.executable, "-c", SERVING, str(home), str(port)]
        with subprocess.Popen(command, cwd=REPOSITORY) as process:
            try:
                yield process
            finally:
                (home / "end").touch()
                process.send_signal(signal.SIGINT)


def _wait_for_servers(
    process: subprocess.Popen[bytes], without: Mapping[str, psutil.Process] = MappingProxyType({})
) -> dict[str, psutil.Process]:
    """All three, once none is one of those."""
    deadline = time.monotonic() + 120
    while len(servers := _servers(psutil.Process(process.pid))) < 3 or {*servers.values()} & {*without.values()}:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return servers


def _servers(serving: psutil.Process) -> dict[str, psutil.Process]:
    servers = {}
    for process in serving.children():
        with suppress(psutil.Error):  # it ends just now
            if "tests.resources.idle" in (command := process.cmdline()):  # a zombie has none
                servers[command[3]] = process
    return servers

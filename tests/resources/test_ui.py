"""What `make ui` says where it cannot begin."""

import socket
from pathlib import Path

import pytest

from resources.ui import serve
from tests.live import reserve_port


@pytest.mark.parametrize("port", ["in use", "70000", "three"])
def test_a_port_that_is_not_to_be_had_is_told_before_anything_starts(port: str, tmp_path: Path) -> None:
    with reserve_port() as number, socket.create_server(("127.0.0.1", number)):
        asked = str(number) if port == "in use" else port
        with pytest.raises(SystemExit, match=f"port {asked} is not to be had .* METACLIP_PORT names another"):
            serve("definitions.py", tmp_path, asked)
    assert list(tmp_path.iterdir()) == []

"""The deployment that a command finds in its environment."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.deployments import deployment


@pytest.fixture
def nothing_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the sample's deployment, in which nothing is made, with nobody at its port."""
    for name, value in {"DEPLOYMENT": "sample", "DATA": str(tmp_path), "PORT": "1"}.items():
        monkeypatch.setenv(f"METACLIP_{name}", value)
    deployment.cache_clear()
    yield tmp_path / "sample"
    deployment.cache_clear()

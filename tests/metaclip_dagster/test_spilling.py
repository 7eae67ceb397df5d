"""What spills to the disk goes from there, whatever becomes of its process."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from metaclip_dagster.spilling import spilling

ROOT = Path(__file__).parents[2]
DIE = """
import os, signal
from metaclip_dagster.spilling import spilling
with spilling() as query:
    query.execute("create table numbers as select * from range(1_000_000)")
    query.execute("checkpoint")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_goes_and_what_is_in_use_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    died = subprocess.run([sys.executable, "-c", DIE], cwd=ROOT, check=False)
    assert died.returncode == -signal.SIGKILL
    [left] = tmp_path.iterdir()
    with spilling() as query:
        query.execute("create table numbers as select * from range(1_000_000)")
        assert not left.exists()
        with spilling():
            assert len([*tmp_path.iterdir()]) == 2
        query.execute("checkpoint")
        assert query.execute("select count(*) from numbers").fetchall() == [(1_000_000,)]
    assert not [*tmp_path.iterdir()]


def test_an_error_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with pytest.raises(FileNotFoundError, match="of the stage"), spilling():
        raise FileNotFoundError("of the stage")
    assert not [*tmp_path.iterdir()]

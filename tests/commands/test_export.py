"""What `metaclip export` says where there is nothing to export."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("what", "table"), [("subset", "subsets"), ("training-set", "training_sets")])
def test_before_anything_is_made_a_line_says_what_to_make(what: str, table: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "metaclip_dagster", "export", what, "20", str(tmp_path / "out")]
    environment = {**os.environ, "METACLIP_DEPLOYMENT": "sample", "METACLIP_DATA": str(tmp_path / "data")}
    run = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("metaclip export: ")
    assert f"{table} has no finished partition '20'; materialize it first" in run.stderr
    assert run.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()

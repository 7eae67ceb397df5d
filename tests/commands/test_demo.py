"""What `metaclip demo --quick` makes, and where it does not begin."""

import os
import re
import subprocess
import sys
from pathlib import Path

from resources.crawl.mini import DUMP
from resources.deployments import SAMPLE

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("METACLIP_")}


def run_quick(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "metaclip_dagster", "demo", "--quick"]
    environment = ENVIRONMENT | {"METACLIP_DATA": str(folder), "METACLIP_DEPLOYMENT": "sample"} | settings
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_few_pages_are_balanced_and_made_once(tmp_path: Path) -> None:
    first, again = run_quick(tmp_path), run_quick(tmp_path)
    for run in (first, again):
        assert run.returncode == 0, run.stderr
        sizes = [int(size.replace(",", "")) for size in re.findall(r"^(?:20|100|inf) +([\d,]+)", run.stdout, re.M)]
        assert sizes == sorted(set(sizes))
        assert len(sizes) == 3
        assert sizes[0] > 100
    assert " reused" not in first.stdout
    assert "SAMPLE-2026-01  pairs  robots_txt  matches" in again.stdout
    assert all(line.endswith("reused") for line in again.stdout.splitlines() if " admissions " in line)
    assert (tmp_path / "quick" / "sample" / "reports" / "data_card_t_20.html").exists()


def test_what_stops_a_run_is_said_in_the_last_line(tmp_path: Path) -> None:
    dump = (SAMPLE / "wikipedia" / DUMP).read_bytes()
    (tmp_path / DUMP).write_bytes(dump[: len(dump) // 2])
    command = [sys.executable, "-m", "metaclip_dagster", "demo", "--no-training"]
    environment = ENVIRONMENT | {"METACLIP_DATA": str(tmp_path), "METACLIP_WIKIPEDIA": str(tmp_path)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    *_, last = run.stderr.splitlines()
    assert (run.returncode, "Traceback (most recent call last)" in run.stderr) == (1, False), run.stderr
    assert re.match(r"metaclip demo: ngram_parts/all: 1 of 1 shards failed", last), last


def test_it_is_of_the_sample_alone(tmp_path: Path) -> None:
    refused = run_quick(tmp_path, METACLIP_DEPLOYMENT="commoncrawl")
    assert refused.returncode == 1
    assert refused.stderr == (
        "metaclip demo: --quick is a part of the sample: unset METACLIP_DEPLOYMENT, which is commoncrawl\n"
    )
    assert list(tmp_path.iterdir()) == []

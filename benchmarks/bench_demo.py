"""Tell where the demo's time goes: each asset's steps, and in them the work of its shards.

python -m benchmarks.bench_demo [--home F] [--json]

--home  of a demo that ran there, its `dagster_home` and `lake`; without one, `metaclip demo` runs in an empty folder

An asset's value is the seconds of its steps, over all partitions, as Dagster's event log has them. The baseline is how
much of that shards worked, from reading to commit, on all workers at once; the ratio, its share: 1 is no time outside.
The rest is workers' start and setup, reports, samples and checks. Trainings and reports have no shards.
"""

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg

from benchmarks.measure import Row, options, print_rows, row

ROOT = Path(__file__).parents[1]
Span = tuple[float, float]


def main() -> None:
    """Print what was measured."""
    parser = options(__doc__)
    parser.add_argument("--home", type=Path)
    args = parser.parse_args()
    if args.home:
        print_rows(rows_of(args.home), args.json)
        return
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "metaclip_dagster", "demo"]
        subprocess.run(command, cwd=ROOT, env=os.environ | {"METACLIP_DATA": folder}, check=True, stdout=sys.stderr)
        print_rows(rows_of(Path(folder, "sample")), args.json)


def rows_of(home: Path) -> list[Row]:
    """The rows, assets in the order in which they were first made."""
    shards = list(_shards(home / "lake"))
    seconds_of: dict[str, float] = defaultdict(float)
    worked: dict[str, float] = defaultdict(float)
    between = 0.0
    with dg.DagsterInstance.from_config(str(home / "dagster_home")) as instance:
        runs = instance.get_run_records(ascending=True)
        for run in runs:
            steps = {
                step.step_key: _span(step.start_time, step.end_time)
                for step in instance.get_run_step_stats(run.dagster_run.run_id)
            }
            for name, (start, end) in steps.items():
                seconds_of[name] += end - start
                worked[name] += sum(seconds for moment, seconds in shards if start <= moment <= end)
            start, end = _span(run.start_time, run.end_time)
            between += end - start - sum(end - start for start, end in steps.values())
    described = f"{len(runs)} runs of `make demo`, {sum(seconds_of.values()) + between:,.0f} s"
    worked["checkpoints"] = 0.0  # its shard only says what was trained
    rows = [_row(name, seconds_of[name], worked[name], described) for name in seconds_of]
    return [*rows, row("Dagster, around the steps of its runs", between, "s", input=described)]


def _row(name: str, seconds: float, worked: float, described: str) -> Row:
    return row(name, seconds, "s", worked or None, worked / seconds if worked else None, input=described)


def _span(start: float | None, end: float | None) -> Span:
    return start or 0.0, end or start or 0.0


def _shards(lake: Path) -> Iterator[tuple[float, float]]:
    """When each partition was finished, and the seconds that its shards took of all workers."""
    for path in lake.rglob("manifest.json"):
        seconds = [shard["wall_seconds"] for shard in json.loads(path.read_text("utf-8"))["shards"]]
        yield path.stat().st_mtime, sum(seconds) / max(1, min(len(seconds), len(os.sched_getaffinity(0))))


if __name__ == "__main__":
    main()

"""How benchmarks measure: runs by turns, peaks of memory from fresh processes, and rows that say what came of it."""

import argparse
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TextIO, TypeVar

import numpy as np
import numpy.typing as npt

Row = dict[str, Any]  # name, value, unit, baseline, ratio: above 1 where ours is better; and input where rows differ
Floats = npt.NDArray[np.float64]
Result = TypeVar("Result")


def options(doc: str | None) -> argparse.ArgumentParser:
    """A parser that knows --json and shows the module's docstring."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    return parser


def row(
    name: str, value: float, unit: str, baseline: float | None = None, ratio: float | None = None, **more: str
) -> Row:
    """One line of the results; the ratio is above 1 where ours is better than the baseline."""
    numbers = {
        key: None if number is None else float(number) for key, number in [("baseline", baseline), ("ratio", ratio)]
    }
    return {"name": name, "value": float(value), "unit": unit, **numbers, **more}


def flat(name: str, once: float, ten_times: float, **more: str) -> Row:
    """The peak of ten times the input beside that of the input; a ratio of 1 is flat."""
    return row(name, ten_times, "MB", once, once / ten_times, **more)


def spread(name: str, ratios: Floats, **more: str) -> list[Row]:
    """The quartiles of the ratio that the row of this name gives the median of."""
    low, high = np.quantile(ratios, [0.25, 0.75])
    return [
        row(f"{name}, {which} quartile of the ratio", value, "x", 1.0, value, **more)
        for which, value in (("lower", low), ("upper", high))
    ]


def print_rows(rows: list[Row], as_json: bool, file: TextIO | None = None) -> None:
    """A table for people, or one JSON list, on standard output unless a file is given."""
    if as_json:
        print(json.dumps(rows), file=file)
        return
    for one in rows:
        baseline = "" if one["baseline"] is None else f"baseline {one['baseline']:10.2f}  ratio {one['ratio']:6.2f}"
        print(f"{one['name']:60} {one['value']:10.2f} {one['unit']:12} {baseline}", file=file, flush=True)


def take_turns(turn: int, *runs: Callable[[], Any]) -> tuple[Floats, list[Any]]:
    """CPU seconds and result of each run, once; the order changes with the turn, so that none always comes first."""
    seconds, results = np.zeros(len(runs)), [None] * len(runs)
    for i in range(len(runs)) if turn % 2 else reversed(range(len(runs))):
        start = time.process_time()
        results[i] = runs[i]()
        seconds[i] = time.process_time() - start
    return seconds, results


def in_fresh_process(function: Callable[..., Result], *args: object) -> Result:
    """The result of an importable function, called where nothing else has been allocated."""
    # Standard output is for rows alone: DuckDB draws progress bars where it takes a process for a prompt.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=os.dup2, initargs=(2, 1)) as pool:
        return pool.submit(function, *args).result()


def peak_mb(process: str = "self") -> float:
    """The most memory that a process has had resident at once, as the kernel counted it."""
    return _status(process, "VmHWM:")


def resident_mb() -> float:
    """What this process has resident now."""
    return _status("self", "VmRSS:")


def _status(process: str, name: str) -> float:
    status = Path("/proc", process, "status").read_text("ascii").splitlines()
    return next((int(line.split()[1]) / 1024 for line in status if line.startswith(name)), 0.0)

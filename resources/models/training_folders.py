"""Read and write a training's folder: its job, the attempts at it, its result or why it failed."""

import json
import resource
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from resources.files.local import append_line, read_lines, write_text
from resources.models.rank import FAILURE, OUTPUT, RESULT

JOB, ATTEMPTS = "job.json", "attempts.jsonl"
CURVE = "metrics.jsonl"
"""What a training adds a line of numbers to, `pairs_seen` among them."""
PLACE = (
    "images", "objects", "image_options", "cache", "cache_gb", "shards", "storage_options", "online", "device", "ranks",
    "nodes", "rendezvous", "launcher", "loader_workers", "out", "tokenizer", "train", "uniform",
)  # fmt: skip
"""Of a job, where things lie and run, code among them: it may change while the training stays the same."""


def claim_folder(folder: Path, job: Mapping[str, Any]) -> None:
    """Write the job into the folder. Raises ValueError, naming what differs, where another training's job is there.

    PLACE may differ: the training goes on elsewhere.
    """
    before = json.loads((folder / JOB).read_text("utf-8")) if (folder / JOB).exists() else job
    differing = [name for name in sorted({*before, *job} - {*PLACE}) if before.get(name) != job.get(name)]
    if differing:
        changes = "; ".join(
            f"{name} was {_shorten(before.get(name))}, now {_shorten(job.get(name))}" for name in differing
        )
        raise ValueError(
            f"{folder} holds another training: {changes}. Give this one another folder, or remove that one"
        )
    write_text(folder / JOB, json.dumps(job, indent=1))


@contextmanager
def show_progress(folder: Path) -> Iterator[None]:
    """Draw a bar of the pairs seen, where somebody watches a terminal."""
    job, ended = json.loads((folder / JOB).read_text("utf-8")), threading.Event()
    title = f"{job['model']} on {job['training_set']}"
    with tqdm(total=job["budget"], desc=title, unit="pair", unit_scale=True, disable=None, leave=False) as bar:
        if bar.disable:
            yield
            return

        def follow() -> None:
            while not ended.wait(1.0):
                *_, last = [{}, *read_lines(folder / CURVE)]
                bar.n = last.get("pairs_seen", 0)
                bar.refresh()

        watcher = threading.Thread(target=follow, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()


@contextmanager
def record_attempt(folder: Path) -> Iterator[None]:
    """Add a line to ATTEMPTS: wall seconds of the block, and CPU seconds of the processes that ended in it."""
    wall, cpu = time.monotonic(), _cpu_seconds()
    try:
        yield
    finally:
        spent = {"wall_seconds": time.monotonic() - wall, "cpu_seconds": _cpu_seconds() - cpu}
        append_line(folder / ATTEMPTS, spent)


def read_result(folder: Path) -> dict[str, Any]:
    """What the training gave, its path where the folder is now, and the seconds of all attempts at it."""
    attempts = read_lines(folder / ATTEMPTS)
    spent = {name: round(sum((one[name] for one in attempts), 0.0), 3) for name in ("wall_seconds", "cpu_seconds")}
    result = json.loads((folder / RESULT).read_text("utf-8"))
    return {**result, **spent, "path": str(folder / Path(result["path"]).name)}  # the folder may have moved


def explain_failure(folder: Path, error: Exception) -> str:
    """The reason that the training itself wrote down, or how it ended and the last lines that it printed."""
    if (folder / FAILURE).exists():
        return (folder / FAILURE).read_text("utf-8")
    lines = (folder / OUTPUT).read_text("utf-8", "replace").splitlines() if (folder / OUTPUT).exists() else []
    return "\n".join([f"{error}, without a word: was it killed, or out of memory?", *lines[-5:]])


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _shorten(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

"""Stages that workers import by name: small work, and every way to fail."""

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from metaclip_dagster.schemas import writes
from resources.deferred import named

NUMBERS = pa.schema([("number", pa.uint64())])


@writes(NUMBERS, name="tests.resources.stages:count_up")
def count_up(start: int, *, step: int = 1, dropped: Counter[str], seen: Counter[str]) -> Iterator[pa.RecordBatch]:
    """A hundred numbers from `start`, in two batches."""
    for first in (start, start + 50 * step):
        numbers = range(first, first + 50 * step, step)
        yield pa.RecordBatch.from_arrays([pa.array(numbers, pa.uint64())], schema=NUMBERS)
    dropped["odd"] += 1
    seen["numbers"] += 100


def compile_slowly() -> None:
    """What a process does once, and it takes its time."""
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass


@writes(NUMBERS, name="tests.resources.stages:count_compiled", prepare=compile_slowly)
def count_compiled(start: int) -> Iterator[pa.RecordBatch]:
    """A hundred numbers from `start`, by loops that were compiled before."""
    yield from count_up(start, dropped=Counter(), seen=Counter())


@writes(NUMBERS, name="tests.resources.stages:count_slowly")
def count_slowly(start: int, *, dropped: Counter[str], seen: Counter[str]) -> Iterator[pa.RecordBatch]:
    """A hundred numbers from `start`, slowly: there is time to kill it."""
    for batch in count_up(start, dropped=dropped, seen=seen):
        time.sleep(0.2)
        yield batch


@writes(NUMBERS, name="tests.resources.stages:take_note")
def take_note(start: int, folder: str, seconds: float) -> Iterator[pa.RecordBatch]:
    """A hundred numbers from `start`; each attempt leaves a file named by its shard and process, and takes its time."""
    Path(folder, f"{start}.{os.getpid()}.{time.monotonic_ns()}").touch()
    time.sleep(seconds)
    yield from count_up(start, dropped=Counter(), seen=Counter())


@writes(NUMBERS, name="tests.resources.stages:die_once")
def die_once(start: int, flag: str) -> Iterator[pa.RecordBatch]:
    """Kill the worker in mid-shard the first time: SIGKILL, as the kernel does when memory runs out."""
    for batch in count_up(start, dropped=Counter(), seen=Counter()):
        yield batch
        if flag and not Path(flag).exists():
            Path(flag).touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Panic(BaseException):
    """What native code raises when it panics: no Exception, as pyo3's PanicException is none."""


@writes(NUMBERS, name="tests.resources.stages:misbehave")
def misbehave(start: int, how: str) -> Iterator[pa.RecordBatch]:
    """Do what `how` says: die every time, raise a final or a passing error, panic, run too long, give wrong columns."""
    if how == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "raise":
        raise ValueError(f"shard from {start} is broken; mend it")
    if how == "pass":
        raise OSError("the disk hiccupped")
    if how == "panic":
        raise Panic(f"shard from {start}: index out of bounds")
    if how == "hang":
        time.sleep(60)
    yield from count_up(start, dropped=Counter(), seen=Counter())
    if how == "columns":
        yield pa.record_batch({"other": pa.array([1])})
    if how == "late":
        raise ValueError("failed after half of the rows were written")
    if how == "late panic":
        raise Panic("after half of the rows were written")


@writes(pa.schema([("module", pa.string())]), name="tests.resources.stages:list_modules")
def list_modules(start: int) -> pa.Table:
    """Names of the modules that this worker has imported."""
    del start
    return pa.table({"module": pa.array(sorted(sys.modules), pa.string())})


@writes(NUMBERS, name="tests.resources.stages:use_state")
def use_state(start: int, *, state: int) -> pa.Table:
    """The process that built the state, and the one that runs."""
    del start
    return pa.table({"number": pa.array([state, os.getpid()], pa.uint64())})


@named("tests.resources.stages:build_slowly")
def build_slowly() -> int:
    """Burn half a second of CPU."""
    end = time.process_time() + 0.5
    while time.process_time() < end:
        pass
    return os.getpid()


@named("tests.resources.stages:panic_to_build")
def panic_to_build() -> int:
    """Panic, as native code may while a model is loaded."""
    raise Panic("the weights are beyond belief")


@named("tests.resources.stages:fail_to_build")
def fail_to_build(path: str) -> int:
    """Leave a mark for each time it is tried."""
    build_state(path)
    raise FileNotFoundError("the weights are not there")


@named("tests.resources.stages:build_state")
def build_state(path: str) -> int:
    """Leave a mark for each time it is built, and say who built it."""
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
    return os.getpid()

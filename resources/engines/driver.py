"""Run a stage over shards on worker processes: one driver loop, engines behind it. Imports no Dagster."""

import contextlib
import inspect
import multiprocessing
import multiprocessing.context
import pickle
import signal
import sys
import threading
import time
import traceback
import types
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import lru_cache
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import Any, Literal, Protocol

import pyarrow as pa

from resources.deferred import Deferred, resolve, stage_version, version_of
from resources.files.digests import combine
from resources.lake.tables import ROW_GROUP, ShardManifest, TableStore


@dataclass(frozen=True)
class Shard:
    """A part of a table that is mapped and committed alone: a stable key and the stage's inputs, deferred or plain."""

    key: str
    inputs: Mapping[str, Any]


@dataclass(frozen=True)
class ShardReport:
    """How one shard went; all that travels back from a worker."""

    key: str
    status: Literal["done", "reused", "failed"]
    manifest: ShardManifest | None = None
    attempts: int = 1
    error: str = ""
    final: bool = False
    """The same input would fail the same way: not tried again."""
    of_setup: bool = False
    """It was the setup, which all shards share, that failed."""

    @property
    def summary(self) -> str:
        """The error's first line."""
        return self.error.partition("\n")[0]


@dataclass(frozen=True)
class Job:
    """A stage with everything but its shards. `setup` is called once a worker process and kept."""

    stage: Callable[..., Any]
    schema: pa.Schema
    store: TableStore
    setup: Mapping[str, Deferred] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    salt: str = ""

    def fingerprint(self, shard: Shard) -> str:
        """What the shard's rows follow from: the stage and its version, options, and the versions of all inputs."""
        named = [(name, version_of(value)) for part in (self.setup, self.options, shard.inputs)
                 for name, value in sorted(part.items())]  # fmt: skip
        return combine([*stage_version(self.stage).split(), str(self.schema), self.salt, *map(repr, named)])


def run_shard(job: Job, shard: Shard, interrupts: tuple[type[BaseException], ...] = ()) -> ShardReport:
    """Make one shard on this process and commit it; what it raises becomes a report, for the driver to judge.

    A panic of native code is no Exception, and is reported too. Only what ends the process is raised: INTERRUPTS, and
    those that the caller names.
    """
    building = False
    try:
        fingerprint = job.fingerprint(shard)
        done = job.store.committed(shard.key, fingerprint)
        if done is not None:
            return ShardReport(shard.key, "reused", done)
        building = True
        state = {name: _kept(pickle.dumps(deferred)) for name, deferred in job.setup.items()}
        if prepare := getattr(job.stage, "prepare", None):
            prepare()
        building = False
        wall, cpu = time.perf_counter(), time.process_time()  # what a process does once is no shard's cost
        dropped: Counter[str] = Counter()
        seen: Counter[str] = Counter()
        tallies = {"dropped": dropped, "seen": seen}
        wanted = inspect.signature(job.stage).parameters
        with contextlib.ExitStack() as stack:
            inputs = {name: resolve(value) for name, value in shard.inputs.items()}
            for value in inputs.values():
                if hasattr(value, "close"):
                    stack.callback(value.close)
            kept = {name: tally for name, tally in tallies.items() if name in wanted}
            made = job.stage(**inputs, **state, **job.options, **kept)
            batches = made.to_batches() if isinstance(made, pa.Table) else made
            together = getattr(job.stage, "rows_together", ROW_GROUP)
            file, rows, size, digest = job.store.commit(shard.key, fingerprint, job.schema, batches, row_group=together)
            if read := _bytes_read(inputs):
                seen["bytes_read"] = read
        spent = {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}
        mine = ShardManifest(shard.key, fingerprint, file, rows, size, digest, dict(dropped), dict(seen), **spent)
        return ShardReport(shard.key, "done", job.store.publish(mine))
    except BaseException as error:
        if isinstance(error, (*INTERRUPTS, *interrupts)):
            raise
        return _failed(shard.key, error, of_setup=building)


def _failed(key: str, error: BaseException, *, of_setup: bool = False) -> ShardReport:
    trace = "".join(traceback.format_exception(error)[-6:])
    return ShardReport(
        key,
        "failed",
        error=f"{type(error).__name__}: {error}\n{trace}"[:4000],
        final=isinstance(error, _FINAL) or not isinstance(error, Exception),
        of_setup=of_setup,
    )


INTERRUPTS = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""What asks a process to end, whatever it is at."""

_FINAL = (ValueError, TypeError, LookupError, AttributeError, ImportError, FileNotFoundError, PermissionError)


class Engine(Protocol):
    """Where shards run. A shard's future gives its report, or raises if the worker was lost."""

    def slots(self) -> int: ...  # noqa: D102
    def submit(self, job: Job, shard: Shard) -> Future[ShardReport]: ...  # noqa: D102
    def close(self, running: Iterable[Future[ShardReport]]) -> None: ...  # noqa: D102


class InlineEngine:
    """One shard after the other in the driver's own process: for a single shard.

    `interrupts` are what the driver's own signal handlers raise beside INTERRUPTS.
    """

    def __init__(self, interrupts: tuple[type[BaseException], ...] = ()) -> None:
        self._interrupts = interrupts

    def slots(self) -> int:
        """One at a time."""
        return 1

    def submit(self, job: Job, shard: Shard) -> Future[ShardReport]:
        """Run it now."""
        future: Future[ShardReport] = Future()
        future.set_result(run_shard(job, shard, self._interrupts))
        return future

    def close(self, running: Iterable[Future[ShardReport]]) -> None:
        """Nothing to end."""


class LocalEngine:
    """Worker processes, each with a pipe and a thread here: one that dies, whatever it is at, fails its own shard only.

    A pool whose workers share a pipe waits for the lock that a killed one held, or gives itself up.
    """

    def __init__(self, workers: int, shard_timeout: float | None = None) -> None:
        self._context = _LeanForkServer()
        # Once for all workers, not in each: pyarrow imports pandas, where there is one, at the first array it makes.
        self._context.set_forkserver_preload(["resources.engines.driver", "duckdb", "pandas"])
        self._workers, self._timeout = workers, shard_timeout
        self._todo: SimpleQueue[tuple[bytes, Future[ShardReport]] | None] = SimpleQueue()
        self._alive: set[BaseProcess] = set()
        self._starting, self._is_closed = threading.Lock(), False
        self._threads = [threading.Thread(target=self._tend_worker, daemon=True) for _ in range(workers)]
        for thread in self._threads:
            thread.start()

    def slots(self) -> int:
        """Twice the workers, so that none waits for the driver."""
        return 2 * self._workers

    def submit(self, job: Job, shard: Shard) -> Future[ShardReport]:
        """Send it to the next free worker."""
        future: Future[ShardReport] = Future()
        self._todo.put((pickle.dumps((shard.key, pickle.dumps((job, shard)))), future))
        return future

    def close(self, running: Iterable[Future[ShardReport]]) -> None:
        """End the workers; what they had not committed is lost, and nothing else."""
        for future in running:
            future.cancel()
        with self._starting:
            self._is_closed = True
            for process in self._alive:
                process.kill()
        for _ in self._threads:
            self._todo.put(None)
        for thread in self._threads:
            thread.join()

    def _tend_worker(self) -> None:
        """Have one worker after the other make shards, as each lives."""
        worker: tuple[BaseProcess, Connection] | None = None
        while (todo := self._todo.get()) is not None:
            sent, future = todo
            if not future.set_running_or_notify_cancel():
                continue
            try:
                if worker is None or not worker[0].is_alive():
                    worker = self._start_worker()
                future.set_result(self._ask(*worker, sent))
            except Exception as error:  # it died or could not be started, or its time is up
                if worker:
                    worker[0].kill()
                worker = None
                future.set_exception(error)
        if worker:
            worker[0].join()

    def _start_worker(self) -> tuple[BaseProcess, Connection]:
        with self._starting:
            if self._is_closed:
                raise OSError("the engine is closed")
            mine, others = self._context.Pipe()
            process = self._context.Process(target=_work, args=(others,), daemon=True)
            process.start()
            others.close()  # else its end would not be seen here
            self._alive = {known for known in self._alive if known.is_alive()} | {process}
            return process, mine

    def _ask(self, process: BaseProcess, pipe: Connection, sent: bytes) -> ShardReport:
        try:
            pipe.send_bytes(sent)
            if not pipe.poll(self._timeout):
                raise TimeoutError(f"no end after {self._timeout} s")
            report: ShardReport = pickle.loads(pipe.recv_bytes())  # noqa: S301  # made by _work
            return report
        except (EOFError, ConnectionError):
            process.join(1)
            raise OSError(f"worker {process.pid} ended with exit code {process.exitcode}") from None


def _work(pipe: Connection) -> None:
    """What a worker does: make shards as long as there is a driver."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the driver ends its workers
    sys.modules["__main__"].__file__ = __file__  # without one DuckDB takes it for a terminal, and draws
    with contextlib.suppress(EOFError, ConnectionError):  # the driver is gone
        while True:
            key, sent = pickle.loads(pipe.recv_bytes())  # noqa: S301  # made by submit
            try:
                job, shard = pickle.loads(sent)  # noqa: S301  # as above
            except INTERRUPTS:
                raise
            except BaseException as error:  # its code is not to be found here, or panics as it is imported
                report = _failed(key, error)
            else:
                report = run_shard(job, shard)
            pipe.send_bytes(pickle.dumps(report))


def drive(engine: Engine, job: Job, shards: Sequence[Shard], *, retries: int = 2) -> Generator[ShardReport]:
    """Run every shard, giving each report as it comes; a lost or failed attempt is tried again, `retries` times.

    Close the generator to cancel: workers are ended, and committed shards stay for the next run. A setup that cannot
    succeed is not built anew for the shards that wait or run: they fail with it.
    """
    todo = deque((shard, 1) for shard in shards)
    running: dict[Future[ShardReport], tuple[Shard, int]] = {}
    ended: SimpleQueue[Future[ShardReport]] = SimpleQueue()  # a step costs the same, however many are running
    try:
        while todo or running:
            while todo and len(running) < engine.slots():
                shard, attempt = todo.popleft()
                future = engine.submit(job, shard)
                running[future] = shard, attempt
                future.add_done_callback(ended.put)
            future = ended.get()
            shard, attempt = running.pop(future)
            try:
                report = future.result()
            except Exception as error:  # the worker, its node or its memory is gone, or its time is up
                lost = f"{type(error).__name__}: {error}; the worker was lost (killed, out of memory, timed out?)"
                report = ShardReport(shard.key, "failed", error=lost)
            if report.status == "failed" and not report.final and attempt <= retries:
                todo.append((shard, attempt + 1))
            else:
                yield replace(report, attempts=attempt)
            if report.final and report.of_setup:
                told = f"not tried, as the setup failed for shard {shard.key}: {report.summary}"
                others = [*running.values(), *todo]
                yield from (replace(report, key=other.key, attempts=0, error=told) for other, _ in others)
                return
    finally:
        engine.close(running)


def _bytes_read(inputs: Mapping[str, Any]) -> int:
    """How much of a shard's archive was read; 0 where it has none, or one that does not tell."""
    try:
        return int(inputs["archive"].tell())
    except (KeyError, AttributeError, OSError, ValueError):  # no stream, or one without a position
        return 0


@lru_cache(maxsize=4)
def _kept(call: bytes) -> Any:
    deferred: Deferred = pickle.loads(call)  # noqa: S301  # made by run_shard in this very process
    return deferred()


_MAIN = threading.Lock()


class _LeanProcess(multiprocessing.context.ForkServerProcess):
    """A worker that does not import the driver's main module again: that would cost it Dagster's start-up."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802  # multiprocessing's name
        with _MAIN:
            main, sys.modules["__main__"] = sys.modules["__main__"], types.ModuleType("__main__")
            try:
                return multiprocessing.context.ForkServerProcess._Popen(process_obj)
            finally:
                sys.modules["__main__"] = main


class _LeanForkServer(multiprocessing.context.ForkServerContext):
    Process = _LeanProcess

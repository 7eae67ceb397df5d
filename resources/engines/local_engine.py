"""Run shards on worker processes of this machine: one that dies fails its own shard only."""

import contextlib
import multiprocessing
import multiprocessing.context
import pickle
import signal
import sys
import threading
import types
from collections.abc import Iterable
from concurrent.futures import Future
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import Any

from resources.engines.shards import INTERRUPTS, Shard, ShardReport, StageCall, describe_failure, run_shard


class LocalEngine:
    """Worker processes, each with a pipe and a thread here: one that dies, whatever it is at, fails its own shard only.

    Not a pool whose workers share a pipe: that waits for the lock that a killed worker held, or gives itself up.
    """

    def __init__(self, workers: int, shard_timeout: float | None = None) -> None:
        self._context = _LeanForkServer()
        # Once for all workers, not in each: pyarrow imports pandas, where there is one, at the first array it makes.
        self._context.set_forkserver_preload([__name__, "duckdb", "pandas"])
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

    def submit(self, call: StageCall, shard: Shard) -> Future[ShardReport]:
        """Send it to the next free worker."""
        future: Future[ShardReport] = Future()
        self._todo.put((pickle.dumps((shard.key, pickle.dumps((call, shard)))), future))
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
            request, future = todo
            if not future.set_running_or_notify_cancel():
                continue
            try:
                if worker is None or not worker[0].is_alive():
                    worker = self._start_worker()
                future.set_result(self._ask(*worker, request))
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
            pipe, workers_end = self._context.Pipe()
            process = self._context.Process(target=_work, args=(workers_end,), daemon=True)
            process.start()
            workers_end.close()  # else the worker's end would not be seen here
            self._alive = {other for other in self._alive if other.is_alive()} | {process}
            return process, pipe

    def _ask(self, process: BaseProcess, pipe: Connection, request: bytes) -> ShardReport:
        try:
            pipe.send_bytes(request)
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
            key, pickled = pickle.loads(pipe.recv_bytes())  # noqa: S301  # made by submit
            try:
                call, shard = pickle.loads(pickled)  # noqa: S301  # as above
            except INTERRUPTS:
                raise
            except BaseException as error:  # its code is not to be found here, or panics as it is imported
                report = describe_failure(key, error)
            else:
                report = run_shard(call, shard)
            pipe.send_bytes(pickle.dumps(report))


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

"""Run shards as tasks of a Ray cluster; imported only where one is configured."""

import logging
import pickle
import signal
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from functools import lru_cache
from pathlib import Path
from typing import Any

import ray
from ray.job_config import JobConfig

from resources.engines.shards import Shard, ShardReport, StageCall, run_shard

CHECKOUT = str(Path(__file__).parents[2])


class RayEngine:
    """Core tasks, a shard each: Ray keeps a worker process from task to task, and with it what a setup has built.

    Nothing is retried by Ray, so that `drive` counts attempts as it does on one machine.
    """

    def __init__(
        self,
        address: str,
        *,
        num_cpus: float = 1.0,
        memory_gb: float = 0.0,
        max_in_flight: int = 2000,
        shard_timeout: float | None = None,
    ) -> None:
        _connect(address)
        memory = {"memory": int(memory_gb * 2**30)} if memory_gb else {}
        self._task = ray.remote(num_cpus=num_cpus, max_retries=0, **memory)(run_pickled)
        self._max_in_flight, self._timeout = max_in_flight, shard_timeout
        self._references: dict[int, Any] = {}  # to calls in Ray's object store, which holds each once a node

    def slots(self) -> int:
        """What the cluster may know of at once: more than it has cores, for an autoscaler to see what waits."""
        return self._max_in_flight

    def submit(self, call: StageCall, shard: Shard) -> Future[ShardReport]:
        """Queue it; call and shard travel as pickles, which name functions and never hold them."""
        if id(call) not in self._references:
            self._references[id(call)] = ray.put(pickle.dumps(call))
        reference = self._task.remote(self._references[id(call)], pickle.dumps(shard), self._timeout)
        future: Future[ShardReport] = reference.future()
        return future

    def close(self, running: Iterable[Future[ShardReport]]) -> None:
        """End the tasks that run, and drop those that wait; the connection and the workers stay for the next stage."""
        for future in running:
            ray.cancel(future.object_ref, force=True)  # type: ignore[attr-defined]  # Ray adds it


def run_pickled(call: bytes, shard: bytes, timeout: float | None) -> ShardReport:
    """Make one shard on a worker, which is killed should that take longer than `timeout` seconds."""
    signal.setitimer(signal.ITIMER_REAL, timeout or 0)  # SIGALRM, which ends the process even within a C function
    try:
        return run_shard(_read_call(call), pickle.loads(shard))  # noqa: S301  # made by submit
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@lru_cache(maxsize=1)
def _read_call(pickled: bytes) -> StageCall:
    call: StageCall = pickle.loads(pickled)  # noqa: S301  # made by submit
    return call


def _connect(address: str) -> None:
    """Join the cluster, once a process. Workers import this checkout, which every node has at the same path."""
    if ray.is_initialized():
        return
    handler = signal.getsignal(signal.SIGTERM)
    ray.init(
        address,
        job_config=JobConfig(_py_driver_sys_path=[CHECKOUT]),
        log_to_driver=False,
        logging_level=logging.WARNING,
    )
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # Ray's own would end a Dagster run without its cancel

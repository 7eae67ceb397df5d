"""Run a stage over shards on any engine, and report on each: one driver loop for all engines."""

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from queue import SimpleQueue
from typing import Protocol

from resources.engines.shards import Shard, ShardReport, StageCall, run_shard


class Engine(Protocol):
    """Where shards run. A shard's future gives its report, or raises if the worker was lost."""

    def slots(self) -> int:
        """How many shards it may be given before the first of them has ended."""

    def submit(self, call: StageCall, shard: Shard) -> Future[ShardReport]:
        """Have the shard made."""

    def close(self, running: Iterable[Future[ShardReport]]) -> None:
        """Stop at once, whatever is still running; the engine is not used after that."""


class InlineEngine:
    """One shard after the other in the driver's own process: for a single shard.

    `interrupts` are what the driver's own signal handlers raise beside INTERRUPTS.
    """

    def __init__(self, interrupts: tuple[type[BaseException], ...] = ()) -> None:
        self._interrupts = interrupts

    def slots(self) -> int:
        """One at a time."""
        return 1

    def submit(self, call: StageCall, shard: Shard) -> Future[ShardReport]:
        """Run it now."""
        future: Future[ShardReport] = Future()
        future.set_result(run_shard(call, shard, self._interrupts))
        return future

    def close(self, running: Iterable[Future[ShardReport]]) -> None:
        """Nothing to end."""


def drive(engine: Engine, call: StageCall, shards: Sequence[Shard], *, retries: int = 2) -> Generator[ShardReport]:
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
                future = engine.submit(call, shard)
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
                reason = f"not tried, as the setup failed for shard {shard.key}: {report.summary}"
                rest = [*running.values(), *todo]
                yield from (replace(report, key=other.key, attempts=0, error=reason) for other, _ in rest)
                return
    finally:
        engine.close(running)

"""Nothing lost, nothing doubled, whatever dies: laws of the seam."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import FunctionType
from typing import Any

import psutil
import pyarrow as pa
import pytest

from resources.deferred import defer, named, version_of
from resources.engines.driver import Engine, InlineEngine, drive
from resources.engines.local_engine import LocalEngine
from resources.engines.shards import Shard, ShardReport, StageCall, run_shard
from resources.lake.shard_files import read_table
from resources.lake.tables import TableStore
from tests.resources import stages

ENGINES: dict[str, Callable[[], Engine]] = {"inline": InlineEngine, "local": lambda: LocalEngine(2)}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return ENGINES[request.param]()


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return TableStore(str(tmp_path / "lake"), "numbers", "all")


def call_of(stage: Callable[..., Any], store: TableStore, **parts: Any) -> StageCall:
    return StageCall(stage, stage.writes, store, **parts)  # type: ignore[attr-defined]  # set by @writes


def shards_of(num_shards: int, **inputs: Any) -> list[Shard]:
    return [Shard(f"{k:05d}", {"start": 1000 * k, **inputs}) for k in range(num_shards)]


def numbers(reports: list[ShardReport], store: TableStore) -> list[int]:
    paths = [store.path(r.manifest) for r in sorted(reports, key=lambda r: r.key) if r.manifest]
    read: list[int] = read_table(paths, {})["number"].to_pylist()
    return read


def data_files(store: TableStore) -> list[Path]:
    return sorted(Path(store.root, "numbers", "all", "data").glob("*"))


def test_every_engine_gives_what_a_loop_gives_and_a_second_run_reuses_it(engine: Engine, store: TableStore) -> None:
    call = call_of(stages.count_up, store)
    reports = list(drive(engine, call, shards_of(6)))
    assert {report.status for report in reports} == {"done"}
    assert numbers(reports, store) == [1000 * k + i for k in range(6) for i in range(100)]
    assert all(r.manifest and r.manifest.dropped == {"odd": 1} and r.manifest.seen == {"numbers": 100} for r in reports)
    again = list(drive(InlineEngine(), call, shards_of(6)))
    assert {report.status for report in again} == {"reused"}
    assert numbers(again, store) == numbers(reports, store)
    assert len(data_files(store)) == 6


def test_workers_that_are_killed_as_they_begin_cost_their_shards_an_attempt_and_no_time(store: TableStore) -> None:
    class Doomed(LocalEngine):
        num_killed = 0

        def _start_worker(self) -> Any:
            worker = super()._start_worker()
            if self.num_killed < 6:  # by two threads: at most seven
                self.num_killed += 1
                worker[0].kill()
            return worker

    engine = Doomed(2)
    reports = list(drive(engine, call_of(stages.count_up, store), shards_of(6), retries=7))
    assert engine.num_killed >= 6
    assert numbers(reports, store) == [1000 * k + i for k in range(6) for i in range(100)]


def test_a_killed_worker_costs_its_shard_one_attempt_and_no_other(store: TableStore, tmp_path: Path) -> None:
    shards = [
        Shard(s.key, {**s.inputs, "flag": str(tmp_path / "flag") if s.key == "00005" else ""}) for s in shards_of(12)
    ]
    reports = list(drive(LocalEngine(2), call_of(stages.die_once, store), shards))
    assert {report.status for report in reports} == {"done"}
    assert {r.key: r.attempts for r in reports if r.attempts > 1} == {"00005": 2}
    assert numbers(reports, store) == [1000 * k + i for k in range(12) for i in range(100)]


def test_a_poison_shard_and_one_that_raises_fail_alone_and_are_named(store: TableStore) -> None:
    how = {"00001": "die", "00003": "raise", "00004": "pass"}
    shards = [Shard(s.key, {**s.inputs, "how": how.get(s.key, "")}) for s in shards_of(6)]
    reports = {r.key: r for r in drive(LocalEngine(2), call_of(stages.misbehave, store), shards, retries=1)}
    assert {key for key, report in reports.items() if report.status == "failed"} == set(how)
    assert "the worker was lost" in reports["00001"].error
    assert "shard from 3000 is broken; mend it" in reports["00003"].error
    assert {key: reports[key].attempts for key in how} == {"00001": 2, "00003": 1, "00004": 2}


def test_a_panic_of_native_code_is_told_in_its_own_words_and_its_worker_goes_on(
    engine: Engine, store: TableStore
) -> None:
    how = {"00001": "panic", "00002": "late panic"}
    shards = [Shard(s.key, {**s.inputs, "how": how.get(s.key, "")}) for s in shards_of(4)]
    reports = {r.key: r for r in drive(engine, call_of(stages.misbehave, store), shards)}
    assert {key for key, report in reports.items() if report.status == "failed"} == set(how)
    assert reports["00001"].summary == "Panic: shard from 1000: index out of bounds"
    assert reports["00001"].attempts == 1  # the same bytes would panic again
    assert len(data_files(store)) == 2
    setup = {"state": defer(stages.panic_to_build)}
    failed = list(drive(InlineEngine(), call_of(stages.use_state, store, setup=setup), shards_of(2)))
    assert [report.of_setup for report in failed] == [True, True]
    assert all("Panic: the weights are beyond belief" in report.error for report in failed)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, stages.Panic])
def test_what_interrupts_the_driver_is_no_failure_of_its_shard(
    interrupt: type[BaseException], store: TableStore
) -> None:
    @named("interrupted")
    def interrupted(start: int) -> pa.Table:
        raise interrupt

    engine = InlineEngine(interrupts=(stages.Panic,))  # as Dagster's cancel, an exception of its own
    with pytest.raises(interrupt):
        list(drive(engine, StageCall(interrupted, stages.NUMBERS, store), shards_of(1)))


def test_a_shard_that_runs_past_its_time_is_lost_alone(store: TableStore) -> None:
    shards = [Shard(s.key, {**s.inputs, "how": "hang" if s.key == "00000" else ""}) for s in shards_of(3)]
    reports = {
        r.key: r for r in drive(LocalEngine(2, shard_timeout=6.0), call_of(stages.misbehave, store), shards, retries=0)
    }
    assert [report.status for _, report in sorted(reports.items())] == ["failed", "done", "done"]
    assert "TimeoutError" in reports["00000"].error


def test_a_cancelled_run_ends_its_workers_and_the_next_takes_up_what_was_committed(store: TableStore) -> None:
    call, shards = call_of(stages.count_slowly, store), shards_of(10)
    running = drive(LocalEngine(2), call, shards)
    done = [next(running) for _ in range(3)]
    running.close()
    workers = [p for p in psutil.Process().children(recursive=True) if p.name() == "python" and "run_shard" in str(p)]
    assert not workers
    again = list(drive(LocalEngine(2), call, shards))
    assert {r.status for r in again if r.key in {d.key for d in done}} == {"reused"}
    assert numbers(again, store) == [1000 * k + i for k in range(10) for i in range(100)]


def test_a_late_second_attempt_loses_and_leaves_nothing(store: TableStore) -> None:
    call, [shard] = call_of(stages.count_up, store), shards_of(1)
    fingerprint = call.fingerprint(shard)
    first = run_shard(call, shard).manifest
    assert first
    late = store.commit(shard.key, fingerprint, call.schema, stages.count_up(7, dropped=Counter(), seen=Counter()))
    assert len(data_files(store)) == 2
    winner = store.publish(type(first)(shard.key, fingerprint, *late))
    assert winner == first
    assert [path.name for path in data_files(store)] == [first.file.split("/")[1]]


@pytest.mark.parametrize("how", ["columns", "late"])
def test_a_stage_that_fails_midway_leaves_no_file(how: str, store: TableStore) -> None:
    report = run_shard(call_of(stages.misbehave, store), Shard("0", {"start": 0, "how": how}))
    assert report.status == "failed"
    assert data_files(store) == []


def test_a_full_disk_fails_the_shard_with_its_reason_and_leaves_nothing_readable(store: TableStore) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        report = run_shard(call_of(stages.count_up, store), shards_of(1)[0])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert report.status == "failed"
    assert "File too large" in report.error
    assert data_files(store) == []
    assert run_shard(call_of(stages.count_up, store), shards_of(1)[0]).status == "done"


def test_state_is_built_once_a_worker(store: TableStore, tmp_path: Path) -> None:
    mark = tmp_path / "built"
    call = call_of(stages.use_state, store, setup={"state": defer(stages.build_state, str(mark))})
    reports = list(drive(LocalEngine(2), call, shards_of(8)))
    read = numbers(reports, store)
    assert all(builder == runner for builder, runner in zip(read[::2], read[1::2], strict=True))
    built = mark.read_text().split()
    assert len(built) == len(set(built)) <= 2


def test_what_a_process_builds_once_is_no_cost_of_a_shard(store: TableStore) -> None:
    call = call_of(stages.use_state, store, setup={"state": defer(stages.build_slowly)})
    [first] = [report.manifest for report in drive(LocalEngine(1), call, shards_of(1))]
    assert first
    assert first.cpu_seconds < 0.5


def test_what_a_stage_compiles_is_no_shards_cost(store: TableStore) -> None:
    [report] = drive(InlineEngine(), call_of(stages.count_compiled, store), shards_of(1))
    assert report.manifest
    assert report.manifest.rows == 100
    assert report.manifest.cpu_seconds < 0.2


def test_a_setup_that_cannot_succeed_is_tried_once_and_fails_every_shard(store: TableStore, tmp_path: Path) -> None:
    mark = tmp_path / "tried"
    call = call_of(stages.use_state, store, setup={"state": defer(stages.fail_to_build, str(mark))})
    reports = list(drive(InlineEngine(), call, shards_of(5)))
    assert sorted(report.key for report in reports) == [f"{k:05d}" for k in range(5)]
    assert all("the weights are not there" in report.error for report in reports)
    assert [report.key for report in reports if "\n" in report.error] == ["00000"]  # the others point at it
    assert all("not tried, as the setup failed for shard 00000" in report.error for report in reports[1:])
    assert len(mark.read_text(encoding="utf-8").split()) == 1


def test_a_setup_that_cannot_succeed_is_not_tried_for_what_is_in_flight(store: TableStore, tmp_path: Path) -> None:
    class Wide(LocalEngine):
        def slots(self) -> int:
            return 40

    mark = tmp_path / "tried"
    call = call_of(stages.use_state, store, setup={"state": defer(stages.fail_to_build, str(mark))})
    reports = list(drive(Wide(2), call, shards_of(60)))
    assert sorted(report.key for report in reports) == [f"{k:05d}" for k in range(60)]
    assert {report.status for report in reports} == {"failed"}
    assert [report.attempts for report in reports] == [1] + 59 * [0]
    assert len(mark.read_text(encoding="utf-8").split()) < 40


def test_code_that_a_worker_cannot_find_is_named_at_once(store: TableStore, monkeypatch: pytest.MonkeyPatch) -> None:
    @named("made here")
    def made_here(start: int) -> pa.Table:
        return stages.count_up(start, dropped=Counter(), seen=Counter())

    made_here.__qualname__ = "made_here"
    monkeypatch.setattr(stages, "made_here", made_here, raising=False)  # here alone, not in the workers
    made_here.__module__ = stages.__name__
    call = StageCall(made_here, stages.NUMBERS, store)
    [report] = drive(LocalEngine(1), call, shards_of(1))
    assert (report.status, report.attempts) == ("failed", 1)
    assert "AttributeError" in report.error
    assert "made_here" in report.error


class CountedFuture(Future[ShardReport]):
    """Counts what is asked of it and of its like."""

    asked = 0

    def __getattribute__(self, name: str) -> Any:
        CountedFuture.asked += 1
        return super().__getattribute__(name)


class CrowdedEngine:
    """Ends the shard that waits longest once so many are in flight, and all once none is left to come."""

    def __init__(self, in_flight: int, num_shards: int) -> None:
        self._in_flight, self._to_come = in_flight, num_shards
        self._waiting: deque[tuple[Future[ShardReport], Shard]] = deque()

    def slots(self) -> int:
        return self._in_flight

    def submit(self, call: StageCall, shard: Shard) -> Future[ShardReport]:
        future = CountedFuture()
        self._waiting.append((future, shard))
        self._to_come -= 1
        for _ in range(len(self._waiting) if not self._to_come else len(self._waiting) // self._in_flight):
            oldest, done = self._waiting.popleft()
            oldest.set_result(ShardReport(done.key, "done"))
        return future

    def close(self, running: Iterable[Future[ShardReport]]) -> None:
        assert not list(running)


def test_a_shard_costs_the_driver_the_same_however_many_are_in_flight(
    store: TableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, shards, asked = call_of(stages.count_up, store), shards_of(1_000), {}
    for in_flight in (10, 1_000):
        monkeypatch.setattr(CountedFuture, "asked", 0)
        assert sum(1 for _ in drive(CrowdedEngine(in_flight, len(shards)), call, shards)) == len(shards)
        asked[in_flight] = CountedFuture.asked
    assert asked[1_000] == asked[10]


class IdleEngine:
    """Never ends a shard, until it is closed."""

    def __init__(self) -> None:
        self.ended = 0

    def slots(self) -> int:
        return 2

    def submit(self, call: StageCall, shard: Shard) -> Future[ShardReport]:
        return Future()

    def close(self, running: Iterable[Future[ShardReport]]) -> None:
        self.ended += len(list(running))


def test_a_signal_reaches_a_driver_that_waits(store: TableStore) -> None:
    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt  # as Dagster's cancel does

    engine, before = IdleEngine(), signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            list(drive(engine, call_of(stages.count_up, store), shards_of(3)))
    finally:
        signal.signal(signal.SIGALRM, before)
    assert engine.ended == 2


def test_what_changes_an_answer_changes_the_fingerprint(store: TableStore) -> None:
    [shard] = shards_of(1)
    call = call_of(stages.count_up, store)
    others = [
        call_of(stages.count_slowly, store).fingerprint(shard),
        call_of(stages.count_up, store, options={"step": 2}).fingerprint(shard),
        call_of(stages.count_up, store, setup={"state": defer(stages.build_state, "x")}).fingerprint(shard),
        call_of(stages.count_up, store, setup={"state": defer(stages.build_state, "y")}).fingerprint(shard),
        call_of(stages.count_up, store, salt="1").fingerprint(shard),
        call.fingerprint(Shard(shard.key, {"start": 1})),
    ]
    assert len({call.fingerprint(shard), *others}) == 1 + len(others)
    assert call.fingerprint(Shard("another name", shard.inputs)) == call.fingerprint(shard)


def test_a_function_that_moves_keeps_its_fingerprints(store: TableStore) -> None:
    setup = {"state": defer(stages.build_state, "x")}
    moved_setup = {"state": defer(_moved(stages.build_state), "x")}
    before, after = (
        call_of(stages.count_up, store, setup=setup),
        call_of(_moved(stages.count_up), store, setup=moved_setup),
    )
    shard = Shard("s", {"start": 0})
    assert before.fingerprint(shard) == after.fingerprint(shard)
    with pytest.raises(TypeError, match=r"_moved stands in a fingerprint and has no name"):
        version_of(_moved)


def _moved(function: Callable[..., Any]) -> Callable[..., Any]:
    assert isinstance(function, FunctionType)
    copy = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__)
    copy.__dict__.update(function.__dict__)
    copy.__module__, copy.__qualname__ = "elsewhere", "renamed"
    return copy


def test_the_version_of_a_deferred_call_follows_its_arguments_unless_declared() -> None:
    inner = defer(stages.build_state, "x")
    assert version_of(defer(sorted, inner)) == version_of(defer(sorted, defer(stages.build_state, "x")))
    assert version_of(defer(sorted, inner)) != version_of(defer(sorted, defer(stages.build_state, "y")))
    assert version_of({"a": inner}) != version_of({"b": inner})


PROGRAM = """
import dagster, sys
from resources.engines.driver import *
from resources.engines.local_engine import *
from resources.engines.shards import *
from resources.lake.shard_files import *
from resources.lake.tables import *
from tests.resources import stages
if __name__ == "__main__":
    store = TableStore(sys.argv[1], "rows", "all")
    stage, shards = getattr(stages, sys.argv[2]), [Shard(str(k), {"start": k}) for k in range(100)]
    for report in drive(LocalEngine(2), StageCall(stage, stage.writes, store), shards):
        print(*read_table([store.path(report.manifest)], {}).columns[0].to_pylist(), flush=True)
"""


def run_program(folder: Path, stage: str) -> subprocess.Popen[bytes]:
    """A driver of its own, whose main module imports Dagster; it prints the rows of each shard as a line."""
    (folder / "main.py").write_text(PROGRAM, encoding="utf-8")
    root = Path(__file__).parents[3]
    command = [sys.executable, str(folder / "main.py"), str(folder / "lake"), stage]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(root)}, cwd=root, stdout=subprocess.PIPE)


def test_workers_import_no_dagster_even_under_a_main_module_that_does(tmp_path: Path) -> None:
    printed, _ = run_program(tmp_path, "list_modules").communicate(timeout=120)
    modules = set(printed.decode().split())
    assert "resources.engines.shards" in modules
    assert not {name for name in modules if name.split(".")[0] in {"dagster", "torch", "nltk"}}


def test_a_killed_driver_leaves_no_worker_behind(tmp_path: Path) -> None:
    with run_program(tmp_path, "count_slowly") as driver:
        assert driver.stdout
        assert driver.stdout.readline()
        family = psutil.Process(driver.pid).children(recursive=True)
        driver.kill()
    for _ in _seconds(20):
        if not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family):
            break
    else:
        pytest.fail(f"still there: {family}")


def _seconds(limit: float) -> Iterator[float]:
    end = time.monotonic() + limit
    while time.monotonic() < end:
        yield end - time.monotonic()
        time.sleep(0.1)

"""Make one shard of a table in this process: call its stage, commit the rows, report how it went."""

import contextlib
import inspect
import pickle
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import pyarrow as pa

from resources.deferred import Deferred, address_of, resolve, stage_version, version_of
from resources.files.digests import combine
from resources.lake.tables import ROW_GROUP, ShardManifest, TableStore

TALLIES = ("dropped", "seen")
"""Counters of what a stage drops, by reason, and of what it sees; given to it if it names them as arguments."""


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
class StageCall:
    """A stage with everything but its shards. `setup` is called once a worker process and kept."""

    stage: Callable[..., Any]
    schema: pa.Schema
    store: TableStore
    setup: Mapping[str, Deferred] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    salt: str = ""

    def fingerprint(self, shard: Shard) -> str:
        """What the shard's rows follow from: the stage and its version, options, and the versions of all inputs."""
        arguments = [item for part in (self.setup, self.options, shard.inputs) for item in sorted(part.items())]
        versions = [(name, version_of(value)) for name, value in arguments]
        return combine([*stage_version(self.stage).split(), str(self.schema), self.salt, *map(repr, versions)])


def check_arguments(call: StageCall, shards: Iterable[Shard]) -> None:
    """Raise TypeError, naming stage and argument, where shards, setup and options do not fit the stage's signature.

    An argument may be missing, unknown to the stage, or given twice.
    """
    signature = inspect.signature(call.stage)
    for inputs, key in {tuple(shard.inputs): shard.key for shard in shards}.items():  # most are alike
        counts = Counter([*inputs, *call.setup, *call.options, *_tallies_of(call.stage)])
        try:
            if doubled := [name for name, times in counts.items() if times > 1]:
                raise TypeError(f"given twice: {', '.join(doubled)}")
            signature.bind(**dict.fromkeys(counts))
        except TypeError as error:
            takes = ", ".join(name for name in signature.parameters if name not in TALLIES)
            raise TypeError(
                f"{address_of(call.stage)}, shard {key}: {error}; its arguments are {takes}, and the shard's inputs, "
                "setup and options give each of them once"
            ) from None


def run_shard(call: StageCall, shard: Shard, interrupts: tuple[type[BaseException], ...] = ()) -> ShardReport:
    """Make one shard on this process and commit it; what it raises becomes a report, for the driver to judge.

    A panic of native code is no Exception, and is reported too. Only what ends the process is raised: INTERRUPTS, and
    those that the caller names.
    """
    in_setup = False
    try:
        fingerprint = call.fingerprint(shard)
        if committed := call.store.committed(shard.key, fingerprint):
            return ShardReport(shard.key, "reused", committed)
        in_setup = True
        setup = {name: _build_once(pickle.dumps(deferred)) for name, deferred in call.setup.items()}
        if prepare := getattr(call.stage, "prepare", None):
            prepare()
        in_setup = False
        return ShardReport(shard.key, "done", _commit_rows(call, shard, fingerprint, setup))
    except BaseException as error:
        if isinstance(error, (*INTERRUPTS, *interrupts)):
            raise
        return describe_failure(shard.key, error, of_setup=in_setup)


def describe_failure(key: str, error: BaseException, *, of_setup: bool = False) -> ShardReport:
    """The report of a shard that failed: the error, and where it was raised."""
    trace = "".join(traceback.format_exception(error)[-6:])
    return ShardReport(
        key,
        "failed",
        error=f"{type(error).__name__}: {error}\n{trace}"[:4000],
        final=isinstance(error, _FINAL) or not isinstance(error, Exception),
        of_setup=of_setup,
    )


def _commit_rows(call: StageCall, shard: Shard, fingerprint: str, setup: Mapping[str, Any]) -> ShardManifest:
    """Call the stage, write what it gives, and publish it with what that cost; setup is no shard's cost."""
    wall, cpu = time.perf_counter(), time.process_time()
    tallies: dict[str, Counter[str]] = {name: Counter() for name in TALLIES}
    with contextlib.ExitStack() as stack:
        inputs = {name: resolve(value) for name, value in shard.inputs.items()}
        for value in inputs.values():
            if hasattr(value, "close"):
                stack.callback(value.close)
        asked = {name: tallies[name] for name in _tallies_of(call.stage)}
        rows = call.stage(**inputs, **setup, **call.options, **asked)
        batches = rows.to_batches() if isinstance(rows, pa.Table) else rows
        row_group = getattr(call.stage, "rows_together", ROW_GROUP)
        file, num_rows, size, digest = call.store.commit(
            shard.key, fingerprint, call.schema, batches, row_group=row_group
        )
        if num_bytes := _bytes_read(inputs):
            tallies["seen"]["bytes_read"] = num_bytes
    spent = {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}
    dropped, seen = (dict(tallies[name]) for name in TALLIES)
    manifest = ShardManifest(shard.key, fingerprint, file, num_rows, size, digest, dropped, seen, **spent)
    return call.store.publish(manifest)


INTERRUPTS = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""What asks a process to end, whatever it is at."""

_FINAL = (ValueError, TypeError, LookupError, AttributeError, ImportError, FileNotFoundError, PermissionError)


def _tallies_of(stage: Callable[..., Any]) -> list[str]:
    return [name for name in TALLIES if name in inspect.signature(stage).parameters]


def _bytes_read(inputs: Mapping[str, Any]) -> int:
    """How much of a shard's archive was read; 0 where it has none, or one without a position."""
    try:
        return int(inputs["archive"].tell())
    except (KeyError, AttributeError, OSError, ValueError):
        return 0


@lru_cache(maxsize=4)
def _build_once(pickled: bytes) -> Any:
    """What a deferred call of the setup gives, kept in this process for its other shards."""
    deferred: Deferred = pickle.loads(pickled)  # noqa: S301  # made by run_shard in this very process
    return deferred()

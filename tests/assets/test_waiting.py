"""The check of exclusions says for which snapshots the pool waits, and why, after every run."""

from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from assets.checks import every_snapshot_there, no_empty_snapshot
from assets.partitions import snapshots
from assets.waiting import drop_snapshots, find_missing, report_waits
from resources.lake.resource import Lake
from resources.lake.tables import PartitionManifest, ShardManifest

A, B = "SAMPLE-2026-01", "SAMPLE-2026-02"
NOTHING = lambda: None  # noqa: E731


class Pool:
    """Two registered snapshots, and runs that do as they are told."""

    def __init__(self, lake: Lake, instance: dg.DagsterInstance) -> None:
        self.lake, self.instance = lake, instance

    def run(self, name: str, key: str, act: Callable[[], None] = NOTHING, rows: int = 1) -> None:
        """A run of `pairs` or `matches`, which gives so many rows unless `act` raises."""

        @dg.asset(name=name, partitions_def=snapshots, check_specs=[dg.AssetCheckSpec("no_empty_snapshot", asset=name)])
        def make(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:  # type: ignore[type-arg]
            return body(context, lake=lake)

        @report_waits
        def body(context: dg.AssetExecutionContext, *, lake: Lake) -> dg.MaterializeResult[None]:
            act()
            shard = ShardManifest("00000", "", "", rows=rows, bytes=0, digest="")
            manifest = PartitionManifest(name, key, "v", 0, (shard,))
            lake.store(name, key).finish(manifest)
            return dg.MaterializeResult(check_results=[no_empty_snapshot(manifest)])

        resources = {"lake": self.lake}
        dg.materialize([make], instance=self.instance, resources=resources, partition_key=key, raise_on_error=False)

    def fail(self, name: str, key: str, why: str) -> None:
        def act() -> None:
            raise OSError(why)

        self.run(name, key, act)

    def says(self) -> str | None:
        """What the check said last; None where it passed or nothing was said."""
        check = dg.AssetCheckKey(dg.AssetKey("exclusions"), "every_snapshot_there")
        last = self.instance.event_log_storage.get_asset_check_execution_history(check, limit=1)
        evaluation = last[0].evaluation if last else None
        return None if evaluation is None or evaluation.passed else evaluation.description


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("snapshot", [A, B])
        yield Pool(Lake(root=str(tmp_path)), instance)


def test_a_snapshot_with_matches_is_not_waited_for_though_its_pairs_fail(pool: Pool) -> None:
    pool.run("matches", A)
    pool.run("matches", B)
    pool.fail("pairs", A, "503")
    assert pool.says() is None


def test_a_run_that_succeeds_takes_its_failure_back(pool: Pool) -> None:
    pool.run("matches", B)
    pool.fail("pairs", A, "503")
    assert f"{A}: pairs failed: 503" in (pool.says() or "")
    pool.run("pairs", A)
    assert f"{A}: matches are not made yet" in (pool.says() or "")
    pool.run("matches", A)
    assert pool.says() is None


def test_a_run_that_fails_after_its_key_was_dropped_does_not_bring_it_back(pool: Pool) -> None:
    pool.run("matches", B)

    def drop_and_fail() -> None:
        drop_snapshots(pool.instance, pool.lake, [A])
        raise OSError("503")

    pool.run("pairs", A, drop_and_fail)
    assert pool.says() is None


def test_a_reason_stays_while_others_fail_and_exclusions_run(pool: Pool) -> None:
    pool.fail("pairs", A, "503")
    pool.fail("pairs", B, "404")
    why = {A: "pairs failed: 503", B: "pairs failed: 404"}
    assert find_missing(pool.instance, pool.lake) == why  # which exclusions say
    says = pool.says() or ""
    assert all(f"{key}: {reason}" in says for key, reason in why.items())


def test_matches_that_were_refused_are_waited_for(pool: Pool) -> None:
    pool.run("matches", B)
    pool.run("matches", A, rows=0)
    for _ in range(2):
        assert f"{A}: matches refused by no_empty_snapshot" in (pool.says() or "")
        pool.run("pairs", A)


def test_the_way_out_names_the_keys_as_a_shell_takes_them() -> None:
    says = every_snapshot_there({A: "pairs failed", "bad key": "pairs failed"}).description or ""
    assert says.endswith(f"metaclip drop {A} 'bad key'")

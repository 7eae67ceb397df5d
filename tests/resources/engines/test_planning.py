"""What does not fit a stage is refused before anything runs or is deleted."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from metaclip_dagster.schemas import writes
from resources.deferred import defer
from resources.engines.planning import finish_partition, plan_partition
from resources.engines.shards import Shard, ShardReport, run_shard
from resources.lake.tables import TableStore
from tests.resources import stages

TAKES = r"its arguments are start, state, step, and"


@writes(stages.NUMBERS, name="tests.resources.test_planning:add")
def add(start: int, *, state: int, step: int = 1, dropped: Counter[str]) -> pa.Table:
    dropped["none"] += 0
    return pa.table({"number": pa.array([start + state * step], pa.uint64())})


def plan(store: TableStore, *shards: dict[str, Any], again: Sequence[str] = (), **call: Any) -> Any:
    keyed = [Shard(f"{number:05d}", inputs) for number, inputs in enumerate(shards)]
    return plan_partition(store, add, keyed, setup=call.get("setup", {}), options=call.get("options", {}),
                          force=False, again=again)  # fmt: skip


@pytest.mark.parametrize(
    ("shard", "call", "says"),
    [
        ({"start": 1}, {}, "missing a required argument: 'state'"),
        ({}, {"options": {"state": 1}}, "missing a required argument: 'start'"),
        ({"start": 1, "end": 2}, {"options": {"state": 1}}, "unexpected keyword argument 'end'"),
        ({"start": 1}, {"options": {"state": 1, "stpe": 2}}, "unexpected keyword argument 'stpe'"),
        ({"start": 1}, {"options": {"state": 1}, "setup": {"new": defer(int)}}, "unexpected keyword argument 'new'"),
        ({"start": 1}, {"options": {"state": 1}, "setup": {"state": defer(int)}}, "given twice: state"),
        ({"start": 1, "step": 2}, {"options": {"state": 1, "step": 2}}, "given twice: step"),
        ({"start": 1}, {"options": {"state": 1, "dropped": {}}}, "given twice: dropped"),
    ],
)
def test_an_argument_that_is_missing_unknown_or_doubled_is_named_with_its_stage_and_shard(
    tmp_path: Path, shard: dict[str, Any], call: dict[str, Any], says: str
) -> None:
    store = TableStore(str(tmp_path), "numbers", "all")
    whole = plan(store, {"start": 1}, options={"state": 1})
    finish_partition(whole, {"00000": run_shard(whole.call, whole.shards[0])}, facts={}, size=0)
    files = sorted(tmp_path.rglob("*"))
    with pytest.raises(TypeError, match=rf"test_planning:add, shard 00000: .*{says}; {TAKES}"):
        plan(store, shard, again=["00000"], **call)
    assert sorted(tmp_path.rglob("*")) == files


def test_what_stands_is_not_made_but_for_what_is_asked_for_again(tmp_path: Path) -> None:
    store = TableStore(str(tmp_path), "numbers", "all")
    inputs, options = [{"start": start} for start in range(3)], {"state": 1}
    first = plan(store, *inputs, options=options)
    assert first.missing == first.shards
    reports = {shard.key: run_shard(first.call, shard) for shard in first.shards[1:]}
    manifest = finish_partition(first, {"00000": ShardReport("00000", "failed", error="lost"), **reports},
                                facts={"fact": "x"}, size=3)  # fmt: skip
    assert (list(manifest.failed), [shard.key for shard in manifest.shards]) == (["00000"], ["00001", "00002"])
    assert (manifest.inputs["state"], manifest.inputs["fact"]) == ("1", "x")
    keys = ["00000", "00001", "00002"]
    assert [shard.key for shard in plan(store, *inputs, options=options).missing] == keys[:1]
    assert [shard.key for shard in plan(store, *inputs, options=options, again=keys[2:]).missing] == [keys[0], keys[2]]
    assert [shard.key for shard in plan(store, *inputs, options={"state": 2}).missing] == keys

"""Workers match with one index of the entries, which the first of them leaves beside the lake."""

from collections import Counter
from pathlib import Path

import pyarrow as pa

from assets.pool import matching_setup
from metaclip_dagster.matching import build_matcher, match_entries
from metaclip_dagster.schemas import MATCHES
from resources.deferred import defer, named
from resources.engines.driver import drive
from resources.engines.local_engine import LocalEngine
from resources.engines.shards import Shard, StageCall
from resources.lake.resource import Lake
from resources.lake.shard_files import read_table
from resources.lake.tables import TableStore
from resources.models.language_id import load_identifier
from tests.lakes import commit
from tests.metaclip_dagster.tables import entries_of, pairs_of

WORDS = ["dog", "red dog", "the dog runs", "a"]


def lake_with_entries(root: Path) -> Lake:
    lake = Lake(root=str(root / "lake"))
    [rows] = entries_of(WORDS).to_batches()
    commit(lake, "entries", "all", rows)
    return lake


@named("tests.assets.test_matching_setup:pairs_of_shard")
def pairs_of_shard(number: int) -> list[pa.RecordBatch]:
    return [pairs_of([f"the red dog runs with a ball over the green field {number}", "nothing"] * 20)]


def test_workers_share_an_index_and_match_as_one_process_does(tmp_path: Path) -> None:
    lake = lake_with_entries(tmp_path)
    store = TableStore(lake.root, "matches", "one")
    call = StageCall(match_entries, MATCHES, store, matching_setup(lake))
    reports = [*drive(LocalEngine(2), call, [Shard(str(n), {"pairs": defer(pairs_of_shard, n)}) for n in range(4)])]
    assert [report.error for report in reports if report.status != "done"] == []
    assert len([*(tmp_path / "matchers").glob("*.arrow")]) == 1
    expected = pa.Table.from_batches(
        match_entries(
            pairs_of_shard(0),
            matcher=build_matcher(lake.read("entries")),
            identify=load_identifier(),
            dropped=Counter(),
        )
    )
    for report in reports:
        assert report.manifest
        matches = read_table([store.path(report.manifest)], {})
        assert matches["entry_ids"].to_pylist() == expected["entry_ids"].to_pylist() == [[0, 1, 3]] * 20


def test_an_index_changes_no_version_of_the_matches(tmp_path: Path) -> None:
    lake = lake_with_entries(tmp_path)
    assert matching_setup(lake)["matcher"].version == defer(build_matcher, lake.table("entries")).version

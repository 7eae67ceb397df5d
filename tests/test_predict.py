"""What is predicted of the mini graph is what it took, and what is read of an archive is counted."""

import shutil
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest

import predict
from assets.costs import expected_cost, measure, predict_snapshot, predict_t
from assets.partitions import THRESHOLDS
from resources.common_crawl import open_crawl
from resources.deployments import Deployment
from resources.lake import Lake

FIRST, SECOND = "SAMPLE-2026-01", "SAMPLE-2026-02"
WAITING = "SAMPLE-2026-03"


def test_the_bytes_read_of_an_archive_are_its_own(made: Deployment, lake: Lake) -> None:
    for key in (FIRST, SECOND):
        sizes = {
            number: Path(made.crawl, path).stat().st_size
            for number, path in open_crawl(made).archives(key, "wat").items()
        }
        assert {shard.key: shard.seen["bytes_read"] for shard in lake.manifest("pairs", key).shards} == sizes
        assert all("bytes_read" not in shard.seen for shard in lake.manifest("matches", key).shards)


def test_a_snapshot_is_predicted_from_the_others_alone(made: Deployment, lake: Lake, tmp_path: Path) -> None:
    told = {row.stage: row for row in predict_snapshot(made, lake, FIRST, 2)}
    shutil.copytree(made.lake, tmp_path / "lake")
    shutil.rmtree(tmp_path / "lake" / "pairs" / FIRST)
    without = {r.stage: r for r in predict_snapshot(made, Lake(root=str(tmp_path / "lake")), FIRST, 2)}
    assert told["pairs"].expected == without["pairs"].expected
    assert told["pairs"].took is not None
    assert without["pairs"].took is None


def test_each_snapshot_took_what_the_other_let_expect(made: Deployment, lake: Lake) -> None:
    for key in (FIRST, SECOND):
        for row in predict_snapshot(made, lake, key, 2)[:3]:
            assert row.expected is not None
            assert row.took is not None
            for number in ("cpu_seconds", "bytes_written", "rows"):
                ratio = getattr(row.expected, number) / getattr(row.took, number)
                assert 1 / 5 < ratio < 5, (row.stage, key, number)  # one of the two is in eleven languages


def test_a_snapshot_that_waits_costs_what_the_two_cost_in_the_mean(made: Deployment, lake: Lake) -> None:
    rows = {row.stage: row for row in predict_snapshot(made, lake, WAITING, 4)}
    spent = [sum(s.cpu_seconds for s in lake.manifest("pairs", key).shards) for key in (FIRST, SECOND)]
    assert rows["pairs"].expected is not None
    assert rows["pairs"].expected.cpu_seconds == pytest.approx(sum(spent))
    assert {row.took for row in rows.values()} == {None}
    assert rows["entry_counts"].expected is not None
    assert rows["entry_counts"].expected.rows == lake.manifest("entries").rows


def test_all_of_a_snapshot_is_predicted_from_the_part_that_is_made(made: Deployment, tmp_path: Path) -> None:
    shutil.copytree(made.lake, tmp_path / "lake")
    shutil.rmtree(tmp_path / "lake" / "pairs" / SECOND)  # nothing else is made
    lake = Lake(root=str(tmp_path / "lake"))
    part, files = lake.manifest("pairs", FIRST), 1000
    told = {row.stage: row for row in predict_snapshot(made, lake, FIRST, files, from_own=True)}
    assert told["pairs"].expected is not None
    assert told["pairs"].expected.rows == pytest.approx(part.rows * files / len(part.shards))
    assert all(row.expected is not None and row.took is None for row in told.values())
    where = replace(made, home=tmp_path)
    assert f"{FIRST}: 2 files, as it was made\n" in predict.snapshot_table(where, FIRST)
    assert f"{FIRST}: 2 files, of which 2 are made\n" in predict.snapshot_table(where, FIRST, share=1.0)


def test_the_rows_of_a_subset_are_predicted_exactly(made: Deployment, lake: Lake) -> None:
    for t in THRESHOLDS:
        row = predict_t(made, lake, t)[0]
        assert row.expected is not None
        assert row.took is not None
        assert row.expected.rows == row.took.rows == lake.manifest("subsets", t).rows


def test_the_rings_of_all_rungs_are_the_images_of_the_pool(made: Deployment, lake: Lake) -> None:
    where = replace(made, home=made.home / "nowhere")  # a store that has nothing yet
    images = [set(lake.read("subsets", [t])["image_id"].to_pylist()) for t in THRESHOLDS]
    sizes = [measure(where, lake, t) for t in THRESHOLDS]
    assert [size.ring for size in sizes] == [
        len(images[0]),
        *(len(b - a) for a, b in pairwise(images)),
    ]
    assert all(size.to_fetch == size.ring and size.bytes_an_image == 0 for size in sizes)
    between = measure(where, lake, "50")
    assert sizes[0].pairs < between.pairs < sizes[1].pairs


def test_a_run_of_pairs_tells_what_others_let_expect(made: Deployment, lake: Lake) -> None:
    manifest = lake.manifest("pairs", SECOND)
    told = expected_cost(lake, manifest)
    spent = sum(shard.cpu_seconds for shard in lake.manifest("pairs", FIRST).shards)
    assert told["expected_cpu_seconds"] == pytest.approx(spent, abs=0.001)
    with dg.DagsterInstance.from_config(str(made.dagster_home)) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("pairs"))
    assert event
    assert event.asset_materialization
    assert event.asset_materialization.partition == SECOND
    assert event.asset_materialization.metadata["expected_cpu_seconds"].value == told["expected_cpu_seconds"]
    assert expected_cost(lake, replace(manifest, partition="pool-mine")) == {}


def test_the_tables_are_printed_and_a_wrong_key_is_refused(
    made: Deployment, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "deployment", lambda: made)
    for arguments, stages in ((["snapshot", WAITING, "--share", "0.5"], "pairs"), (["t", "50"], "training_sets")):
        monkeypatch.setattr(sys, "argv", ["predict.py", *arguments])
        predict.main()
        lines = Counter(line.split()[0] for line in capsys.readouterr().out.splitlines())
        assert lines[stages] == lines["in"] == 1
    for arguments in (["snapshot", "CC-MAIN-2026-01"], ["t", "none"]):
        monkeypatch.setattr(sys, "argv", ["predict.py", *arguments])
        with pytest.raises(SystemExit, match="predict: "):
            predict.main()

"""What is predicted of the mini graph is what it took, and what is read of an archive is counted."""

import shutil
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from assets.defaults import DEFAULTS
from assets.keys import THRESHOLDS
from assets.queries.costs import expected_cost, predict_snapshot
from assets.queries.costs_of_sweep import predict_sweep
from assets.queries.costs_of_t import predict_t
from assets.queries.rungs import measure
from commands import predict
from commands.__main__ import main
from metaclip_dagster.schemas import PAIR_SCORES
from resources.crawl.resource import open_crawl
from resources.deployments import Deployment, read_deployment
from resources.lake.costs import keep_earlier
from resources.lake.resource import Lake
from resources.lake.tables import PartitionManifest, ShardManifest
from tests.lakes import commit

FIRST, SECOND = "SAMPLE-2026-01", "SAMPLE-2026-02"
WAITING = "SAMPLE-2026-03"


def test_the_bytes_read_of_an_archive_are_its_own(curated: Deployment, lake: Lake) -> None:
    for key in (FIRST, SECOND):
        sizes = {
            number: Path(curated.crawl, path).stat().st_size
            for number, path in open_crawl(curated).archives(key, "wat").items()
        }
        assert {shard.key: shard.seen["bytes_read"] for shard in lake.manifest("pairs", key).shards} == sizes
        assert all("bytes_read" not in shard.seen for shard in lake.manifest("matches", key).shards)


def test_a_snapshot_is_predicted_from_the_others_alone(curated: Deployment, lake: Lake, tmp_path: Path) -> None:
    predictions = {row.stage: row for row in predict_snapshot(curated, lake, FIRST, 2)}
    shutil.copytree(curated.lake, tmp_path / "lake")
    shutil.rmtree(tmp_path / "lake" / "pairs" / FIRST)
    without = {r.stage: r for r in predict_snapshot(curated, Lake(root=str(tmp_path / "lake")), FIRST, 2)}
    assert predictions["pairs"].expected == without["pairs"].expected
    assert predictions["pairs"].took is not None
    assert without["pairs"].took is None


def test_each_snapshot_took_what_the_other_let_expect(curated: Deployment, lake: Lake) -> None:
    for key in (FIRST, SECOND):
        for row in predict_snapshot(curated, lake, key, 2)[:3]:
            assert row.expected is not None
            assert row.took is not None
            for number in ("cpu_seconds", "bytes_written", "rows"):
                ratio = getattr(row.expected, number) / getattr(row.took, number)
                assert 1 / 5 < ratio < 5, (row.stage, key, number)  # one of the two is in eleven languages


def test_a_snapshot_that_waits_costs_what_the_two_cost_in_the_mean(curated: Deployment, lake: Lake) -> None:
    rows = {row.stage: row for row in predict_snapshot(curated, lake, WAITING, 4)}
    spent = [sum(s.cpu_seconds for s in lake.manifest("pairs", key).shards) for key in (FIRST, SECOND)]
    assert rows["pairs"].expected is not None
    assert rows["pairs"].expected.cpu_seconds == pytest.approx(sum(spent))
    assert {row.took for row in rows.values()} == {None}
    assert rows["entry_counts"].expected is not None
    assert rows["entry_counts"].expected.rows == lake.manifest("entries").rows


def test_all_of_a_snapshot_is_predicted_from_the_part_that_is_made(curated: Deployment, tmp_path: Path) -> None:
    shutil.copytree(curated.lake, tmp_path / "lake")
    shutil.rmtree(tmp_path / "lake" / "pairs" / SECOND)  # nothing else is curated
    lake = Lake(root=str(tmp_path / "lake"))
    part, files = lake.manifest("pairs", FIRST), 1000
    predictions = {row.stage: row for row in predict_snapshot(curated, lake, FIRST, files, from_own=True)}
    assert predictions["pairs"].expected is not None
    assert predictions["pairs"].expected.rows == pytest.approx(part.rows * files / len(part.shards))
    assert all(row.expected is not None and row.took is None for row in predictions.values())
    assert {"subsets 20", "data_cards inf"} < set(predictions)
    where = replace(curated, home=tmp_path)
    assert f"{FIRST}: 2 files, as it was made\n" in predict.snapshot_table(where, FIRST)
    assert f"{FIRST}: 2 files, of which 2 are made\n" in predict.snapshot_table(where, FIRST, share=1.0)


def test_the_rows_of_a_subset_are_predicted_exactly(curated: Deployment, lake: Lake) -> None:
    for t in THRESHOLDS:
        row = predict_t(curated, lake, t)[0]
        assert row.expected is not None
        assert row.took is not None
        assert row.expected.rows == row.took.rows == lake.manifest("subsets", t).rows


def test_the_rings_of_all_rungs_are_the_images_of_the_pool(curated: Deployment, lake: Lake) -> None:
    where = replace(curated, home=curated.home / "nowhere")  # a store that has nothing yet
    images = [set(lake.read("subsets", [t])["image_id"].to_pylist()) for t in THRESHOLDS]
    sizes = [measure(where, lake, t) for t in THRESHOLDS]
    assert [size.ring for size in sizes] == [len(images[0]), *(len(b - a) for a, b in pairwise(images))]
    assert all(size.to_fetch == size.ring and size.bytes_an_image == 0 for size in sizes)
    between = measure(where, lake, "50")
    assert sizes[0].pairs < between.pairs < sizes[1].pairs


def test_a_run_of_pairs_tells_what_others_let_expect(curated: Deployment, lake: Lake) -> None:
    manifest = lake.manifest("pairs", SECOND)
    expected = expected_cost(lake, manifest)
    spent = sum(shard.cpu_seconds for shard in lake.manifest("pairs", FIRST).shards)
    assert expected["expected_cpu_seconds"] == pytest.approx(spent, abs=0.001)
    with dg.DagsterInstance.from_config(str(curated.dagster_home)) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("pairs"))
    assert event
    assert event.asset_materialization
    assert event.asset_materialization.partition == SECOND
    assert event.asset_materialization.metadata["expected_cpu_seconds"].value == expected["expected_cpu_seconds"]
    assert expected_cost(lake, replace(manifest, partition="pool-mine")) == {}


def shards_of(number: int, rows: int, cpu_seconds: float, prefix: str = "") -> tuple[ShardManifest, ...]:
    return tuple(
        ShardManifest(
            f"{prefix}{k:05d}", "", "", rows, 40 * rows, "", seen={"bytes_read": 1000}, cpu_seconds=cpu_seconds
        )
        for k in range(number)
    )


def finish(lake: Lake, table: str, partition: str, shards: tuple[ShardManifest, ...], size: float = 0) -> None:
    """Give the partition a manifest, as if it had just been made, and no rows."""
    store = lake.store(table, partition)
    before = store.manifest()
    manifest = PartitionManifest(table, partition, "v", 0, shards, inputs={"stage": "s 1"}, size=size)
    store.finish(replace(manifest, earlier=keep_earlier(before, "s 1", size)))


A_FILE, MATCHED = 33_000, 10_000


def curate(lake: Lake, files: int) -> dict[str, float]:
    """Manifests of a snapshot of so many files, all costs linear with a start; CPU seconds by what is predicted."""
    size = files * MATCHED
    groups = -(-files // 64)
    tables = {
        ("pairs", "S", ""): (files, A_FILE, 12.0),
        ("matches", "S", ""): (files, MATCHED, 0.9),
        ("admissions", "S", ""): (files, MATCHED, 0.1),
        ("places", "S", ""): (groups, size // groups, 0.1 + 4e-7 * size / groups),
        ("snapshot_counts", "S", ""): (groups, 400_000, 0.1 + 5e-7 * size / groups),
        ("duplicates", "all", ""): (256, 5, 0.056 + 4e-7 * size / 256),
        ("entry_counts", "all", ""): (1, 500_000, 3.0 + 1e-6 * size),
        ("subsets", "100", "S/"): (files, 3000, 0.2),
    }
    for (table, partition, prefix), (number, rows, cpu_seconds) in tables.items():
        finish(lake, table, partition, shards_of(number, rows, cpu_seconds, prefix), size)
    exclusions = replace(shards_of(1, 100, 0.5 + 2e-8 * size)[0], key="S")
    finish(lake, "exclusions", "all", (exclusions,), size)
    spent = {table: number * cpu_seconds for (table, _, _), (number, _, cpu_seconds) in tables.items()}
    return {**spent, "exclusions": exclusions.cpu_seconds}


def test_a_hundredth_and_a_quarter_of_a_snapshot_predict_the_whole_of_every_stage(tmp_path: Path) -> None:
    where, lake = replace(read_deployment({}), home=tmp_path), Lake(root=str(tmp_path / "lake"))
    curate(lake, 90)
    from_hundredth = {row.stage.split()[0]: row for row in predict_snapshot(where, lake, "S", 9000, from_own=True)}
    curate(lake, 2250)
    from_quarter = {row.stage.split()[0]: row for row in predict_snapshot(where, lake, "S", 9000, from_own=True)}
    whole = curate(Lake(root=str(tmp_path / "whole")), 9000)
    for stage, spent in whole.items():
        first, second = from_hundredth[stage], from_quarter[stage]
        assert first.expected is not None
        assert second.expected is not None
        assert second.at_most is None, stage
        assert second.expected.cpu_seconds == pytest.approx(spent, rel=0.1), stage
        if first.at_most is None:
            assert first.expected.cpu_seconds == pytest.approx(spent, rel=0.25), stage
        else:
            assert first.expected.cpu_seconds <= spent <= first.at_most.cpu_seconds, stage
    assert from_quarter["pairs"].expected is not None
    assert from_quarter["pairs"].expected.bytes_read == 9_000_000
    counts = from_hundredth["entry_counts"]
    assert counts.expected is not None
    assert counts.at_most is not None
    assert counts.expected.bytes_written == counts.at_most.bytes_written == 40 * 500_000


def test_what_is_not_known_is_said_to_be_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    where, lake = replace(read_deployment({}), home=tmp_path), Lake(root=str(tmp_path / "lake"))
    assert {row.expected for row in predict_snapshot(where, lake, FIRST, 2)} == {None}
    monkeypatch.setattr(predict, "deployment", lambda: where)
    assert main(["predict", "snapshot", FIRST]) == 0
    nothing = capsys.readouterr().out
    assert "0.0" not in nothing
    assert nothing.splitlines()[-2].split() == ["in", "all", "expected", "unknown"]
    assert "unknown, since nothing of the kind has been made yet: pairs, matches" in nothing
    finish(lake, "pairs", SECOND, shards_of(3, 10, 2.0))
    assert main(["predict", "snapshot", FIRST]) == 0
    part = capsys.readouterr().out
    in_all = part.splitlines()[-2].split()
    assert in_all[:4] == ["in", "all", "at", "least"]
    assert float(in_all[4]) == pytest.approx(2.0 * len(open_crawl(where).archives(FIRST, "wat")))


def test_the_tables_are_printed_and_a_wrong_key_is_refused(
    curated: Deployment, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "deployment", lambda: curated)
    for arguments, stages in ((["snapshot", WAITING, "--share", "0.5"], "pairs"), (["t", "50"], "training_sets")):
        assert main(["predict", *arguments]) == 0
        lines = Counter(line.split()[0] for line in capsys.readouterr().out.splitlines())
        assert lines[stages] == lines["in"] == 1
    for arguments in (["snapshot", "CC-MAIN-2026-01"], ["t", "none"]):
        assert main(["predict", *arguments]) == 1
        assert capsys.readouterr().err.startswith("metaclip predict: ")


def test_a_sweep_is_predicted_by_cells_without_a_checkpoint_and_pairs_without_a_score(
    curated: Deployment, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = "metaclip_dagster.filters:ClipScore(local-dir:/models/b32)"
    named = {"clip28": {"filters": {scorer: {"at_least": 0.28}, "metaclip_dagster.filters:aspect": {"at_most": 3}}}}
    monkeypatch.setattr("assets.queries.costs_of_sweep.DEFAULTS", replace(DEFAULTS, named_filters=named))
    sets = ["20-clip28", "100-clip28"]
    pairs = {t: lake.manifest("subsets", t).rows for t in ("20", "100")}
    plain = predict_sweep(curated, lake, ["20", "inf"], ["tiny"])
    assert (plain.cells, plain.pairs_to_see, plain.pairs_to_score) == (2, 2 * curated.pairs_to_see, {})
    assert predict_sweep(curated, lake, sets, ["tiny"]).pairs_to_score == {scorer: pairs["100"]}
    shutil.copytree(curated.lake, tmp_path / "lake")
    scored = Lake(root=str(tmp_path / "lake"))
    row = {"image_id": "", "pair_id": 1, "sha256": "", "scores": [{"filter": f"{scorer}@{'0' * 64}", "score": 1.0}]}
    commit(scored, "pair_scores", "20", pa.RecordBatch.from_pylist([row], PAIR_SCORES))
    assert predict_sweep(curated, scored, sets, ["tiny"]).pairs_to_score == {scorer: pairs["100"] - pairs["20"]}
    assert predict_sweep(curated, scored, sets[:1], ["tiny"]).pairs_to_score == {scorer: 0}

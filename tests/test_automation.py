"""What runs by itself, replayed tick by tick in one process: each partition once, in order, and never training."""

import gzip
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,  # it has no public name
)

from assets.automation import CURATED, newest_again, register_newer
from assets.keys import THRESHOLDS
from commands import demo
from definitions import bind
from resources.crawl.mini import mini_deployment, split_members
from resources.crawl.resource import CommonCrawl
from resources.deployments import Deployment, deployment
from resources.lake.resource import Lake
from tests.lakes import digests

OLD, LAST, NEW = "SAMPLE-2026-01", "SAMPLE-2026-02", "SAMPLE-2026-03"
REPORTS = ("data_cards", "what_if")
"""What nothing is made of: that they are asked for is enough."""
Request = tuple[str, str | None]


class Replay:
    """A graph whose automation is ticked by hand, and whose requests are made one at a time, a tick between two."""

    def __init__(self, where: Deployment, instance: dg.DagsterInstance) -> None:
        self.where, self.instance, self.defs, self.lake = where, instance, bind(where), Lake(root=where.lake)
        self.assets = [key.to_python_identifier() for key in self.defs.resolve_asset_graph().toposorted_asset_keys]
        self.cursor: Any = None
        self.versions = 0

    def make(self, name: str, partition: str | None = None, **config: Any) -> None:
        demo.materialize(self.defs, self.instance, [name], partition, config)

    def pretend(self, name: str, partition: str | None = None, version: str | None = None) -> None:
        """Tell Dagster that it was made, with other content than before unless a version is given."""
        self.versions += 1
        tags = {"dagster/data_version": version or str(self.versions)}
        self.instance.report_runless_asset_event(dg.AssetMaterialization(name, partition=partition, tags=tags))

    def judge(self, name: str, check: str, partition: str, *, passed: bool) -> None:
        """Tell Dagster how a blocking check of a partition ended."""
        records = dg.AssetRecordsFilter(asset_key=dg.AssetKey(name), asset_partitions=[partition])
        [record] = self.instance.fetch_materializations(records, limit=1).records
        target = AssetCheckEvaluationTargetMaterializationData(
            storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
        )
        self.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(name),
                check_name=check,
                passed=passed,
                metadata={},
                target_materialization_data=target,
                severity=dg.AssetCheckSeverity.ERROR,
                blocking=True,
                partition=partition,
            )
        )

    def begin(self, name: str, partition: str | None = None) -> dg.DagsterRun:
        """A run that is under way and makes nothing yet."""
        job = self.defs.resolve_implicit_global_asset_job_def()
        return self.instance.create_run_for_job(
            job,
            status=dg.DagsterRunStatus.STARTED,
            asset_selection=frozenset([dg.AssetKey(name)]),
            tags={"dagster/partition": partition} if partition else None,
        )

    def tick(self) -> list[Request]:
        keys_once_a_tick = cache(self.instance.get_dynamic_partitions)  # a tick asks 300 times
        with patch.object(self.instance, "get_dynamic_partitions", keys_once_a_tick):
            result = dg.evaluate_automation_conditions(self.defs, self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        wanted = {name: result.get_requested_partitions(dg.AssetKey(name)) for name in self.assets}
        return [(name, key) for name in self.assets for key in sorted(wanted[name], key=str)]

    def settle(self, make: Callable[..., None] | None = None) -> list[Request]:
        """Make what is requested until nothing is; gives it in the order in which it was made."""
        done, waiting = [], self.tick()
        while waiting:
            name, key = waiting.pop(0)
            (make or self.make)(name, key)
            done.append((name, key))
            waiting += self.tick()
        return done


@pytest.fixture
def replay(mini: Path, curated: Deployment, tmp_path: Path) -> Iterator[Replay]:
    """A copy of the curated mini sample and of its history, to be changed."""
    shutil.copytree(mini, tmp_path / "mini", symlinks=True)
    shutil.copytree(curated.home, tmp_path / "home", symlinks=True)
    where = replace(curated, home=tmp_path / "home", crawl=str(tmp_path / "mini" / "crawl"))
    with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
        replay = Replay(where, instance)
        assert replay.tick() == []  # the first one requests nothing: what was there is made by hand
        yield replay


@pytest.fixture
def pretended(tmp_path: Path) -> Iterator[Replay]:
    """A graph all of whose tables Dagster takes for made, without a file."""
    with dg.DagsterInstance.ephemeral() as instance:
        replay = Replay(mini_deployment(tmp_path, tmp_path), instance)
        instance.add_dynamic_partitions("snapshot", [OLD, LAST])
        for names, partitions in demo.steps([OLD, LAST]):
            for name in names:
                for partition in partitions:
                    replay.pretend(name, partition, "first")
        assert replay.tick() == []
        yield replay


def below(*matched: str, pool: list[str]) -> list[Request]:
    """What new pairs of these snapshots are to be followed by, each once, nothing before what it reads."""
    return [
        *((name, key) for name in ("matches", "opt_out_signals") for key in matched),
        ("exclusions", None),
        ("entry_counts", None),
        *(("admissions", key) for key in pool),
        *(("subsets", t) for t in sorted(THRESHOLDS)),
        ("what_if", None),
        *(("data_cards", t) for t in sorted(THRESHOLDS)),
    ]


def crawl_again(replay: Replay, snapshot: str) -> None:
    """Change one archive of the snapshot: its last page, a gallery with many pairs, is gone."""
    path = min(Path(replay.where.crawl, "crawl-data", snapshot).rglob("*.wat.gz"))
    info, *pages = split_members(path.read_bytes())
    path.write_bytes(info + b"".join(pages[:-1]))


def test_each_change_makes_what_it_reaches_once_and_in_order_as_if_by_hand(replay: Replay) -> None:
    def make(name: str, key: str | None) -> None:
        (replay.pretend if name in REPORTS else replay.make)(name, key)

    replay.instance.add_dynamic_partitions("snapshot", [NEW])
    pool = [OLD, LAST, NEW]
    assert replay.settle(make) == [("pairs", NEW), ("robots_txt", NEW), *below(NEW, pool=pool)]

    replay.make("pairs", LAST)  # nothing changed
    replay.make("matches", LAST, resources={"compute": {"config": {"force": True}}})
    assert replay.settle() == []

    crawl_again(replay, OLD)
    replay.make("pairs", OLD)
    assert replay.settle(make) == below(OLD, pool=pool)

    made_by_itself = digests(replay.lake, pool)
    for names, partitions in demo.steps(pool)[4:]:
        for partition in partitions:
            for name in [name for name in names if name not in REPORTS]:
                replay.make(name, partition)
    assert digests(replay.lake, pool) == made_by_itself


def test_a_failed_run_holds_up_what_is_below_and_is_not_tried_for_ever(replay: Replay) -> None:
    replay.instance.add_dynamic_partitions("snapshot", [NEW])
    assert replay.tick() == [("pairs", NEW), ("robots_txt", NEW)]
    replay.make("pairs", NEW)
    replay.make("robots_txt", NEW)
    assert replay.tick() == [("matches", NEW)]
    files = list(Path(replay.lake.root, "pairs", NEW, "data").iterdir())
    for path in files:
        path.rename(path.with_suffix(".gone"))
    with pytest.raises(dg.Failure, match="shards failed"):
        replay.make("matches", NEW)
    crawl_again(replay, OLD)
    replay.make("pairs", OLD)
    assert replay.settle() == [("matches", OLD), ("opt_out_signals", OLD)]  # which do not depend on it
    for path in files:
        path.with_suffix(".gone").rename(path)
    replay.make("matches", NEW)
    assert replay.settle(replay.pretend) == [("opt_out_signals", NEW), *below(pool=[OLD, LAST, NEW])]


def test_data_that_a_check_refused_does_not_flow_on_until_it_passes(replay: Replay) -> None:
    replay.instance.add_dynamic_partitions("snapshot", [NEW])
    path = min(Path(replay.where.crawl, "crawl-data", NEW).rglob("*.wat.gz"))
    whole = path.read_bytes()
    path.write_bytes(whole + gzip.compress(b"WARC/1.0"))  # a record without a head
    with pytest.raises(dg.DagsterError, match="few_broken_records"):
        replay.make("pairs", NEW, ops={"pairs": {"config": {"max_broken_share": 0.0}}})
    assert replay.settle() == [("robots_txt", NEW)]
    path.write_bytes(whole)
    replay.make("pairs", NEW)
    assert replay.tick() == [("matches", NEW)]


def test_a_refused_partition_stays_refused_when_another_one_passes(pretended: Replay) -> None:
    pretended.pretend("pairs", OLD)
    pretended.judge("pairs", "few_broken_records", OLD, passed=False)
    assert pretended.tick() == []
    pretended.pretend("pairs", LAST)
    pretended.judge("pairs", "few_broken_records", LAST, passed=True)
    assert pretended.settle(pretended.pretend) == [("matches", LAST), ("opt_out_signals", LAST)]
    pretended.pretend("pairs", OLD)
    assert pretended.settle(pretended.pretend) == below(OLD, pool=[OLD, LAST])


def test_snapshots_that_come_together_are_counted_together(pretended: Replay) -> None:
    pretended.instance.add_dynamic_partitions("snapshot", [NEW, "SAMPLE-2026-04"])
    both, pool = [NEW, "SAMPLE-2026-04"], [OLD, LAST, NEW, "SAMPLE-2026-04"]
    done = pretended.settle(pretended.pretend)
    names = ("pairs", "robots_txt", "matches", "opt_out_signals")
    assert sorted(done[:8]) == sorted((name, key) for name in names for key in both)
    assert done[8:] == below(pool=pool)


def test_another_list_of_entries_makes_the_pool_anew_once(pretended: Replay) -> None:
    pretended.pretend("wikipedia_titles")
    assert pretended.settle() == []  # whether entries are made of it is for a person
    pretended.pretend("entries")
    assert pretended.settle(pretended.pretend) == below(OLD, LAST, pool=[OLD, LAST])


def test_counts_follow_new_matches_though_the_exclusions_stayed_as_they_were(pretended: Replay) -> None:
    pretended.pretend("pairs", OLD)
    same = {"exclusions": "first"}
    done = pretended.settle(lambda name, key: pretended.pretend(name, key, same.get(name)))
    assert done == below(OLD, pool=[OLD, LAST])


def test_what_a_stage_left_as_it_was_moves_nothing_below_it(pretended: Replay) -> None:
    pretended.pretend("pairs", OLD)
    done = pretended.settle(lambda name, key: pretended.pretend(name, key, "first"))
    expected = [("matches", OLD), ("opt_out_signals", OLD), *(("subsets", t) for t in THRESHOLDS)]  # for the URLs
    assert sorted(done) == sorted(expected)


@pytest.mark.parametrize(
    ("changed", "waits", "at_work"),
    [
        ("pairs", "matches", "subsets"),
        ("matches", "opt_out_signals", "exclusions"),
        ("opt_out_signals", "exclusions", "admissions"),
        ("exclusions", "entry_counts", "images"),
        ("admissions", "subsets", "training_sets"),
        ("subsets", "data_cards", "entry_counts"),
    ],
)
def test_nothing_is_made_while_what_reads_it_or_what_it_reads_is_at_work(
    pretended: Replay, changed: str, waits: str, at_work: str
) -> None:
    keys = dict.fromkeys(["pairs", "matches", "opt_out_signals", "admissions"], OLD)
    keys |= dict.fromkeys(["subsets", "data_cards", "images", "training_sets"], "20")
    run, request = pretended.begin(at_work, keys.get(at_work)), (waits, keys.get(waits))
    pretended.pretend(changed, keys.get(changed))
    assert request not in [*pretended.tick(), *pretended.tick()]
    pretended.instance.report_run_canceled(run)
    assert request in pretended.tick()


def test_images_that_arrive_make_every_card_anew_and_never_hold_one_up(pretended: Replay) -> None:
    pretended.pretend("images", "100")
    cards = [("data_cards", t) for t in sorted(THRESHOLDS)]
    assert pretended.settle(pretended.pretend) == cards
    pretended.judge("images", "some_images", "100", passed=False)
    run = pretended.begin("images", "inf")
    pretended.pretend("subsets", "20")  # which makes images of 20 outdated, and nobody has fetched those of inf yet
    assert pretended.settle(pretended.pretend) == [("data_cards", "20")]
    pretended.instance.report_run_canceled(run)


def test_a_snapshot_that_was_taken_out_holds_nothing_up(pretended: Replay) -> None:
    pretended.instance.add_dynamic_partitions("snapshot", [NEW])
    assert pretended.tick() == [("pairs", NEW), ("robots_txt", NEW)]
    pretended.pretend("pairs", OLD)
    assert pretended.tick() == [("matches", OLD)]
    pretended.pretend("matches", OLD)
    assert pretended.settle(pretended.pretend) == [("opt_out_signals", OLD)]
    pretended.instance.delete_dynamic_partition("snapshot", NEW)
    assert pretended.settle(pretended.pretend) == below(pool=[OLD, LAST])


def test_training_is_never_automatic() -> None:
    graph = bind(deployment()).resolve_asset_graph()
    automatic = {key for key in graph.get_all_asset_keys() if graph.get(key).automation_condition}
    assert {key.to_python_identifier() for key in automatic} == set(CURATED)


class Crawl:
    """A crawl of nothing but its list, which changes, and the path lists of some of its snapshots."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder, self.instance = folder, instance
        self.cursor: str | None = None
        self.resource = CommonCrawl(root=str(folder), snapshot_pattern=r"SAMPLE-\d{4}-\d{2}")

    def show(self, *newest_first: str, without_paths: tuple[str, ...] = ()) -> None:
        (self.folder / "collinfo.json").write_text(json.dumps([{"id": key} for key in newest_first]), encoding="utf-8")
        for key in set(newest_first) - set(without_paths):
            (self.folder / "crawl-data" / key).mkdir(parents=True, exist_ok=True)
            (self.folder / "crawl-data" / key / "wat.paths.gz").touch()

    def tick(self) -> str:
        """Ask the sensor and do what the daemon does; gives the reason where nothing is registered."""
        context = dg.build_sensor_context(self.instance, cursor=self.cursor)
        result = register_newer(context, common_crawl=self.resource)
        if isinstance(result, dg.SkipReason):
            return str(result.skip_message)
        self.cursor = result.cursor
        assert not result.run_requests
        for request in result.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions("snapshot", list(request.partition_keys))
        return str(result.skip_reason.skip_message) if result.skip_reason else ""

    @property
    def registered(self) -> list[str]:
        return list(self.instance.get_dynamic_partitions("snapshot"))


@pytest.fixture
def crawl(tmp_path: Path) -> Iterator[Crawl]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Crawl(tmp_path, instance)


def test_the_first_look_at_the_crawl_takes_a_baseline_and_each_later_snapshot_is_registered_once(crawl: Crawl) -> None:
    crawl.show(LAST, OLD)
    assert f"{LAST} is the newest: what is listed after it will be registered. {LAST} itself is not" in crawl.tick()
    assert "nothing new" in crawl.tick()
    crawl.show("not an id", NEW, LAST, "SAMPLE-2025-52", OLD, without_paths=(NEW,))
    assert f"without a list of WAT files yet: {NEW}" in crawl.tick()
    assert crawl.registered == []
    crawl.show("SAMPLE-2026-04", NEW, LAST, OLD)
    assert (crawl.tick(), crawl.registered) == ("", [NEW, "SAMPLE-2026-04"])
    crawl.instance.delete_dynamic_partition("snapshot", NEW)
    assert "nothing new" in crawl.tick()
    assert crawl.registered == ["SAMPLE-2026-04"]


def test_more_than_three_new_snapshots_at_once_wait_for_somebody_to_choose(crawl: Crawl) -> None:
    crawl.show(LAST)
    crawl.tick()
    new = [f"SAMPLE-2026-0{month}" for month in (6, 5, 4, 3)]
    crawl.show(*new, LAST)
    for _ in range(2):
        assert re.fullmatch(f"4 snapshots are new.*{NEW}.*metaclip register KEY .* reset the cursor.*", crawl.tick())
        assert crawl.registered == []
    crawl.instance.add_dynamic_partitions("snapshot", [NEW])
    crawl.cursor = None
    assert f"{new[0]} is the newest" in crawl.tick()
    crawl.show("SAMPLE-2026-07", *new, LAST)
    assert (crawl.tick(), crawl.registered) == ("", [NEW, "SAMPLE-2026-07"])


def test_newer_means_above_the_baseline_in_the_crawls_own_order(crawl: Crawl) -> None:
    crawl.show("SAMPLE-2026-09", "SAMPLE-2026-10")
    crawl.tick()
    crawl.show("SAMPLE-2026-01", "SAMPLE-2026-09", "SAMPLE-2026-11", "SAMPLE-2026-10")
    assert (crawl.tick(), crawl.registered) == ("", ["SAMPLE-2026-01"])


def test_a_snapshot_that_somebody_registered_and_took_out_again_stays_out(crawl: Crawl) -> None:
    crawl.show(LAST)
    crawl.tick()
    crawl.show(NEW, LAST)
    crawl.instance.add_dynamic_partitions("snapshot", [NEW])
    assert "nothing new" in crawl.tick()
    crawl.instance.delete_dynamic_partition("snapshot", NEW)
    assert "nothing new" in crawl.tick()


@pytest.mark.parametrize("content", [None, "<html>503 Slow Down</html>", '{"error": 1}', "\udcff"])
def test_a_crawl_that_is_down_or_talks_nonsense_is_told_and_tried_again(crawl: Crawl, content: str | None) -> None:
    crawl.show(LAST)
    crawl.tick()
    before = crawl.cursor
    (crawl.folder / "collinfo.json").unlink()
    if content is not None:
        (crawl.folder / "collinfo.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert "cannot be read" in crawl.tick()
    assert crawl.cursor == before
    crawl.show(NEW, LAST)
    assert (crawl.tick(), crawl.registered) == ("", [NEW])


def test_a_baseline_that_is_no_longer_listed_or_an_empty_list_registers_nothing(crawl: Crawl) -> None:
    crawl.show()
    assert "lists no snapshot" in crawl.tick()
    crawl.show(LAST, OLD)
    crawl.tick()
    crawl.show(NEW, OLD)
    assert f"no longer lists {LAST}" in crawl.tick()
    assert crawl.registered == []


def test_the_weekly_look_reruns_pairs_of_the_newest_registered_snapshot_by_the_crawls_order(tmp_path: Path) -> None:
    crawl = Crawl(tmp_path, dg.DagsterInstance.local_temp(str(tmp_path)))

    def run() -> Any:
        with dg.build_schedule_context(crawl.instance, resources={"common_crawl": crawl.resource}) as context:
            return newest_again(context)  # the context has entered the instance, and leaves it here

    assert "cannot be read" in run().skip_message
    crawl.show("SAMPLE-2026-01", "SAMPLE-2026-09")
    assert "no snapshot that the crawl lists is registered" in run().skip_message
    crawl.instance.add_dynamic_partitions("snapshot", ["SAMPLE-2026-01", "SAMPLE-2026-09", "SAMPLE-2026-99"])
    assert run().partition_key == "SAMPLE-2026-01"


def test_sensors_and_schedules_say_what_they_do_and_look_as_often_as_they_are_told(tmp_path: Path) -> None:
    where = replace(mini_deployment(tmp_path, tmp_path), refresh_seconds=7, automation_seconds=3)
    repository = bind(where).get_repository_def()
    sensors = {sensor.name: sensor for sensor in repository.sensor_defs}
    assert {name: sensor.minimum_interval_seconds for name, sensor in sensors.items()} == {
        "new_snapshots": 7,
        "curation": 3,
        "failed_runs": 30,
        "open_lineage": 30,
    }
    [schedule] = repository.schedule_defs
    assert len(str(schedule.description)) > 100
    assert all(len(sensor.description or "") > 100 for sensor in sensors.values())

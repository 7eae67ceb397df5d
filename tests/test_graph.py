"""Laws of the whole graph, on the mini sample."""

import gzip
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow.compute as pc
import pytest

from assets.cards import AUTOMATION
from assets.keys import THRESHOLDS
from assets.partitions import register_snapshots
from assets.queries.answers import explain_pair
from commands import demo
from definitions import bind
from metaclip_dagster.balancing import find_thresholds, keep_probability
from metaclip_dagster.explaining import QuestionError
from resources.crawl.mini import mini_deployment
from resources.crawl.resource import CommonCrawl
from resources.deployments import Deployment
from resources.lake.resource import Lake
from tests.lakes import digests

SNAPSHOTS = ["SAMPLE-2026-01", "SAMPLE-2026-02"]
ROOT = Path(__file__).parents[1]


class Graph:
    """A deployment's graph with an instance of its own."""

    def __init__(self, where: Deployment, instance: dg.DagsterInstance) -> None:
        self.where, self.instance, self.lake = where, instance, Lake(root=where.lake)

    def register(self, *keys: str) -> None:
        crawl = CommonCrawl(root=self.where.crawl, snapshot_pattern=self.where.snapshot_pattern)
        register_snapshots(self.instance, crawl, list(keys))

    def make(self, names: list[str], partition: str | None = None, **config: Any) -> dg.ExecuteInProcessResult:
        return demo.materialize(bind(self.where), self.instance, names, partition, config)

    def make_all(self, keys: list[str]) -> None:
        for names, partitions in demo.steps(keys):
            for partition in partitions:
                self.make(names, partition)


@contextmanager
def graph(mini: Path, home: Path, **changed: Any) -> Iterator[Graph]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Graph(replace(mini_deployment(mini, home), **changed), instance)


def files_of(lake: Lake) -> set[str]:
    return {str(path) for path in Path(lake.root).rglob("*.parquet")}


def test_the_demo_counts_what_a_loop_over_its_own_tables_counts(lake: Lake) -> None:
    held: dict[int, list[int]] = {}
    for snapshot in SNAPSHOTS:  # shards in order of places: the first to come owns the pair
        matched = lake.read("matches", [snapshot])
        for pair, entries in zip(matched["pair_id"].to_pylist(), matched["entry_ids"].to_pylist(), strict=True):
            held.setdefault(pair, entries)
    counts = Counter(entry for entries in held.values() for entry in entries)
    told = lake.read("entry_counts")
    assert told["entry_count"].to_pylist() == [counts[i] for i in range(told.num_rows)]
    pool = lake.read("subsets", ["inf"])
    assert dict(zip(pool["pair_id"].to_pylist(), pool["entry_ids"].to_pylist(), strict=True)) == held
    assert pool.num_rows == len(held) < sum(lake.manifest("matches", key).rows for key in SNAPSHOTS)


def test_subsets_of_the_demo_are_nested_keep_the_tail_and_have_the_size_of_the_coins(lake: Lake) -> None:
    counts = lake.read("entry_counts")["entry_count"].to_numpy().astype(np.float64)
    pool = {row["pair_id"]: row["entry_ids"] for row in lake.read("subsets", ["inf"]).to_pylist()}
    kept = [set(lake.read("subsets", [t])["pair_id"].to_pylist()) for t in THRESHOLDS]
    assert kept[0] < kept[1] <= kept[2] == set(pool)
    for t, subset in zip(map(float, THRESHOLDS), kept, strict=True):
        assert subset >= {pair for pair, entries in pool.items() if counts[entries].min() <= t}
        p = np.array([keep_probability(counts[entries], t) for entries in pool.values()])
        assert abs(len(subset) - p.sum()) <= 4 * math.sqrt((p * (1 - p)).sum())


def test_one_call_gives_the_t_for_exactly_n_pairs_of_the_demo(lake: Lake) -> None:
    admissions, counts = lake.read("admissions", SNAPSHOTS), lake.read("entry_counts")
    for num_pairs in (1, 50, admissions.num_rows):
        [t] = find_thresholds([num_pairs], admissions.to_batches(), counts)
        assert pc.sum(pc.less(admissions["admitted_at"], t)).as_py() == num_pairs


def test_a_second_run_makes_nothing_anew_and_a_forced_one_everything(
    mini: Path, curated: Deployment, tmp_path: Path
) -> None:
    shutil.copytree(curated.lake, tmp_path / "lake")
    with graph(mini, tmp_path) as again:
        before, versions = files_of(again.lake), digests(again.lake, SNAPSHOTS)
        again.register(*SNAPSHOTS)
        again.make_all(SNAPSHOTS)
        assert files_of(again.lake) == before
        forced = {"resources": {"compute": {"config": {"force": True}}}}
        again.make(["pairs"], SNAPSHOTS[0], **forced)
        assert len(files_of(again.lake) - before) == 2
        again.make(["pairs"], SNAPSHOTS[0])
        assert len(files_of(again.lake) - before) == 2
        assert digests(again.lake, SNAPSHOTS) == versions


def test_a_rerun_reads_what_was_read_until_it_is_told_otherwise(mini: Path, tmp_path: Path) -> None:
    with graph(mini, tmp_path) as looked:
        looked.register(SNAPSHOTS[0])

        def make(**config: Any) -> dict[str, str]:
            looked.make(["pairs"], SNAPSHOTS[0], ops={"pairs": {"config": config}})
            told = looked.lake.manifest("pairs", SNAPSHOTS[0]).inputs
            return {name: told[name] for name in ("archive", "first", "share", "seed", "archives_read")}

        some = make(share=0.5, seed=3)
        assert some == {"archive": "wat", "first": "0", "share": "0.5", "seed": "3", "archives_read": "1"}
        assert make() == make(max_broken_share=0.5) == some
        assert make(share=1.0) == some | {"share": "1.0", "archives_read": "2"}
        assert make(share=0.5) == some
        assert make(first=2) == some | {"first": "2", "share": "1.0", "archives_read": "2"}
        first = make(first=1)
        assert first == make() == some | {"first": "1", "share": "1.0", "archives_read": "1"}
        assert make(share=0.9) == some | {"share": "0.9", "archives_read": "2"}


def test_shards_workers_buckets_and_order_of_registration_change_nothing(
    mini: Path, curated: Deployment, tmp_path: Path
) -> None:
    recut = tmp_path / "recut"
    for source in (mini / "crawl").rglob("*.paths.gz"):  # all of a snapshot's records in one archive
        paths = gzip.decompress(source.read_bytes()).decode().split()
        whole = recut / paths[0]
        whole.parent.mkdir(parents=True)
        whole.write_bytes(b"".join((mini / "crawl" / path).read_bytes() for path in paths))
        (recut / source.relative_to(mini / "crawl")).write_bytes(gzip.compress(paths[0].encode()))
    (recut / "collinfo.json").write_bytes((mini / "crawl" / "collinfo.json").read_bytes())
    with graph(mini, tmp_path / "home", crawl=str(recut), workers=1) as other:
        other.register(*reversed(SNAPSHOTS))
        for names, partitions in demo.steps(SNAPSHOTS):
            for partition in reversed(partitions):
                exchange = {"ops": {"exclusions": {"config": {"num_buckets": 7, "group_size": 1}}}}
                other.make(names, partition, **(exchange if "exclusions" in names else {}))
        tables = ("entries", "entry_counts", "admissions", "subsets")
        assert digests(other.lake, SNAPSHOTS, *tables) == digests(Lake(root=curated.lake), SNAPSHOTS, *tables)


def test_a_pool_without_a_snapshot_is_the_pool_built_without_it(
    mini: Path, curated: Deployment, tmp_path: Path
) -> None:
    alone = SNAPSHOTS[1:]
    shutil.copytree(Path(curated.lake, "entries"), tmp_path / "never" / "lake" / "entries")
    shutil.copytree(curated.lake, tmp_path / "removed" / "lake")
    with graph(mini, tmp_path / "never") as never, graph(mini, tmp_path / "removed") as removed:
        for made_now in (never, removed):  # the second still holds the other snapshot's tables; it is not registered
            made_now.register(*alone)
            for names, partitions in demo.steps(alone)[2:]:
                for partition in partitions:
                    made_now.make(names, partition)
        assert digests(removed.lake, alone) == digests(never.lake, alone)


def test_what_exclusions_were_not_made_of_is_not_counted(mini: Path, curated: Deployment, tmp_path: Path) -> None:
    shutil.copytree(curated.lake, tmp_path / "lake")
    first, second = SNAPSHOTS
    with graph(mini, tmp_path) as grown:
        grown.register(first)
        grown.make(["exclusions"])
        grown.register(second)
        with pytest.raises(dg.Failure, match=f"made of {first}, the pool is {first}, {second}: materialize exclusions"):
            grown.make(["entry_counts"])
        with pytest.raises(dg.Failure, match=f"made of other matches of {second}: materialize exclusions"):
            grown.make(["admissions"], second)
        grown.make(["exclusions", "entry_counts"])
        tables = ("entry_counts", "admissions")
        assert digests(grown.lake, SNAPSHOTS, *tables) == digests(Lake(root=curated.lake), SNAPSHOTS, *tables)


def test_what_two_versions_of_a_stage_made_is_not_added_up(mini: Path, curated: Deployment, tmp_path: Path) -> None:
    shutil.copytree(curated.lake, tmp_path / "lake")
    with graph(mini, tmp_path) as mixed:
        mixed.register(*SNAPSHOTS)
        store = mixed.lake.store("matches", SNAPSHOTS[0])
        manifest = mixed.lake.manifest("matches", SNAPSHOTS[0])
        store.finish(
            replace(manifest, inputs={**manifest.inputs, "stage": "metaclip_dagster.matching:match_entries 1"})
        )
        with pytest.raises(dg.Failure, match="matches was made with more than one stage"):
            mixed.make(["exclusions"])


def test_what_an_older_parser_read_is_refused_with_the_way_out(mini: Path, curated: Deployment, tmp_path: Path) -> None:
    shutil.copytree(curated.lake, tmp_path / "lake")
    first, second = SNAPSHOTS
    with graph(mini, tmp_path) as old:
        old.register(*SNAPSHOTS)
        for table, partition in old.lake.partitions():
            manifest = old.lake.manifest(table, partition)
            inputs = {name: told for name, told in manifest.inputs.items() if name != "parsed by"}
            inputs |= {"stage": "metaclip_dagster.parsing:parse_wat 2"} if table == "pairs" else {}
            old.lake.store(table, partition).finish(replace(manifest, inputs=inputs))

        # Nothing is mixed yet, but new takedowns, questions and snapshots would be spelled in another way.
        readers: list[tuple[str, str | None, str]] = [
            ("coverage", None, "pairs"), ("matches", first, "pairs"), ("exclusions", None, "matches"),
            ("entry_counts", None, "matches"), ("admissions", first, "matches"), ("subsets", "20", "admissions"),
            ("image_texts", "20", "subsets"), ("images", "20", "subsets"),
        ]  # fmt: skip
        for name, key, table in readers:
            of = key if first == key or table == "subsets" else f"{first}, {second}"
            with pytest.raises(
                dg.Failure, match=rf"^{table} of {of} was made from pages .* Materialize (pairs|{table}) .*again"
            ):
                old.make([name], key)
        with pytest.raises(
            QuestionError, match=f"Materialize pairs of {first}, {second} again, then matches, exclusions"
        ):
            explain_pair(old.lake, SNAPSHOTS, "http://h.example/")

        old.make(["pairs"], first)
        old.make(["matches"], first)
        with pytest.raises(
            dg.Failure, match=f"^matches of {second} was made .* Materialize pairs .* of {second} again"
        ):
            old.make(["exclusions"])
        old.make(["pairs"], second)
        old.make(["matches"], second)
        old.make(["exclusions", "entry_counts"])
        for snapshot in SNAPSHOTS:
            old.make(["admissions"], snapshot)
        old.make(["subsets"], "20")
        assert digests(old.lake, SNAPSHOTS) == digests(Lake(root=curated.lake), SNAPSHOTS)


def test_a_card_that_is_there_is_not_made_again_by_automation(mini: Path, curated: Deployment, tmp_path: Path) -> None:
    shutil.copytree(curated.lake, tmp_path / "lake")
    with graph(mini, tmp_path) as again:
        job = bind(again.where).resolve_implicit_global_asset_job_def()

        def make(**tags: str) -> tuple[float, dg.AssetMaterialization]:
            told = job.execute_in_process(
                instance=again.instance,
                asset_selection=[dg.AssetKey("data_cards")],
                partition_key="20",
                tags=tags,
            )
            [event] = told.get_asset_materialization_events()
            return (again.where.reports / "data_card_t_20.json").stat().st_mtime_ns, event.materialization

        by_hand, by_itself = make(), make(**{AUTOMATION: "true"})
        assert by_itself[0] == by_hand[0]
        assert by_itself[1].metadata == by_hand[1].metadata
        assert make()[0] > by_hand[0], "a person who asks for it gets it"
        manifest = again.lake.manifest("subsets", "20")
        again.lake.store("subsets", "20").finish(replace(manifest, version="other content"))
        assert make(**{AUTOMATION: "true"})[0] > by_hand[0]


@pytest.mark.slow
def test_kills_at_random_moments_and_reruns_change_nothing(mini: Path, curated: Deployment, tmp_path: Path) -> None:
    home, expected = tmp_path / "home", digests(Lake(root=curated.lake), SNAPSHOTS)
    command = [sys.executable, "-m", "tests.mini", str(mini), str(home)]
    started = time.monotonic()
    subprocess.run([*command[:-1], str(tmp_path / "timed")], cwd=ROOT, check=True, capture_output=True)
    whole, moments = time.monotonic() - started, random.Random(2026)
    for kill in range(4):  # `make faults` does it a hundred times
        run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            run.wait(moments.uniform(0.1, 1.0) * whole)
        except subprocess.TimeoutExpired:
            os.kill(run.pid, signal.SIGKILL)
        run.wait()
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        assert digests(Lake(root=mini_deployment(mini, home).lake), SNAPSHOTS) == expected, f"kill {kill}"
        # Begin the next one with half of the tables gone from sight: their manifests, as before a first run.
        for index, manifest in enumerate(sorted((home / "lake").rglob("manifest.json"))):
            if (index + kill) % 2:
                manifest.unlink()

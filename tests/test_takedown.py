"""Laws of takedowns, on the mini sample: what is listed goes, the rest is as if it had never been crawled."""

import base64
import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from assets.explain import explain
from assets.keys import THRESHOLDS
from assets.queries.sweeps import make_sweep
from assets.takedowns import drop_excluded
from commands import demo, purge
from definitions import bind
from metaclip_dagster.deduplicating import find_duplicates, scatter_pairs
from metaclip_dagster.reporting.html.thumbnails import make_thumbnail
from metaclip_dagster.schemas import CHECKPOINTS, EXCLUSIONS, MATCHES
from resources.crawl.mini import mini_deployment, split_members
from resources.deferred import defer
from resources.deployments import Deployment
from resources.images.store import ImageStore
from resources.lake.resource import Lake
from resources.models.resource import Trainer
from resources.models.training_folders import JOB
from tests.graphs import SNAPSHOTS, Graph, copy_home, open_graph
from tests.lakes import commit, digests

DOMAIN = "reaction-box.example"
SETS = ("20", "inf", "online-20")
POOL = ("entry_counts", "admissions", "subsets")
ROOT = Path(__file__).parents[1]


class Taken(Graph):
    """A graph over both snapshots, from which something is taken down."""

    def write_list(self, *lines: str) -> None:
        self.where.home.mkdir(exist_ok=True)
        self.where.takedowns.write_text("\n".join(["kind,value,reason", *lines]) + "\n", encoding="utf-8")

    def make_pool(self) -> dict[str, dict[str, Any]]:
        """Everything from exclusions to subsets; gives the metadata of each."""
        metadata_of = {}
        for names, partitions in demo.steps(SNAPSHOTS)[3:-1]:  # the last is the page on what other t would keep
            for partition in partitions:
                result = self.make([name for name in names if name != "data_cards"], partition)
                for event in result.get_asset_materialization_events():
                    metadata = event.materialization.metadata
                    metadata_of[f"{event.materialization.asset_key.to_user_string()} {partition}"] = {
                        k: v.value for k, v in metadata.items()
                    }
        return metadata_of

    def make_sets(self) -> None:
        for t in THRESHOLDS:
            self.make(["image_texts", "images"], t)
        for key in SETS:
            self.make(["training_sets"], key)

    def sets(self) -> dict[str, set[tuple[str, int, str]]]:
        return {
            key: {
                (row["image_id"], text["pair_id"], text["text"])
                for row in self.lake.read("training_sets", [key]).to_pylist()
                for text in row["texts"]
            }
            for key in SETS
        }


@contextmanager
def graph(where: Deployment) -> Iterator[Taken]:
    with open_graph(where, *SNAPSHOTS) as opened:
        yield Taken(opened.where, opened.instance)


@pytest.fixture(scope="module")
def never(mini: Path, imaged: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """The mini sample up to its training sets, crawled without the pages of the domain."""
    folder = tmp_path_factory.mktemp("never")
    shutil.copytree(mini / "crawl", folder / "crawl", symlinks=True)
    for path in (folder / "crawl").rglob("*.wat.gz"):
        untouched = (m for m in split_members(path.read_bytes()) if f"//{DOMAIN}/".encode() not in target_of(m))
        path.write_bytes(b"".join(untouched))
    shutil.copytree(Path(imaged.lake, "entries"), folder / "lake" / "entries")
    with graph(replace(imaged, home=folder, crawl=str(folder / "crawl"))) as without:
        for snapshot in SNAPSHOTS:
            without.make(["pairs", "matches"], snapshot)
        without.make_pool()
        without.make_sets()
        return without.where


def target_of(member: bytes) -> bytes:
    match = re.search(rb"WARC-Target-URI: (\S+)", zlib.decompress(member, 31))
    return match.group(1) if match else b""


def bytes_of(home: Path) -> Iterator[tuple[str, bytes]]:
    """All that lies under a home: every file's bytes, and every Parquet file's columns as they read."""
    for path in sorted(path for path in home.rglob("*") if path.is_file() and path.name != "takedowns.csv"):
        yield str(path), path.read_bytes()
        if path.suffix == ".parquet":
            for column in pq.read_table(path).columns:
                yield str(path), "\n".join(map(str, column.to_pylist())).encode()


def members(where: Deployment) -> dict[str, bytes]:
    """Every member of every tar of the image store by its image's id."""
    contents = {}
    for path in Path(where.images).glob("*/*.tar"):
        with tarfile.open(path) as tar:
            for member in tar:
                data = tar.extractfile(member)
                assert data
                contents[member.name.partition(".")[0]] = data.read()
    return contents


def images_of(where: Deployment, domain: str) -> set[str]:
    """The ids of the domain's images in the pool."""
    rows = Lake(root=where.lake).read("subsets", ["inf"])
    return set(rows.filter(pc.match_substring(rows["url"], f"//{domain}/"))["image_id"].to_pylist())


def test_a_domain_taken_down_leaves_the_pool_as_one_that_never_crawled_it(
    imaged: Deployment, never: Deployment, tmp_path: Path
) -> None:
    gone = images_of(imaged, DOMAIN)
    stored = {image: data for image, data in members(imaged).items() if image in gone}
    assert len(gone) > 100 < len(stored)
    with graph(copy_home(imaged, tmp_path, ("lake", "images"))) as taken, graph(never) as without:
        expected, sets = digests(without.lake, SNAPSHOTS, *POOL), without.sets()
        assert digests(taken.lake, SNAPSHOTS, *POOL) != expected
        taken.write_list(f"domain,{DOMAIN},asked for")
        metadata = taken.make_pool()
        taken.make_sets()
        assert metadata["exclusions None"]["taken_down"] > 200
        assert digests(taken.lake, SNAPSHOTS, *POOL) == expected
        assert taken.sets() == sets

        before = {key: taken.lake.manifest("training_sets", key).version for key in SETS}
        report = purge.take_down(taken.where)
        assert report["images"]["images"] == len(stored)
        assert set(report["tables"]) >= {f"{table} {key}" for table in ("pairs", "matches") for key in SNAPSHOTS}
        assert digests(taken.lake, SNAPSHOTS, *POOL, "pairs", "matches") == digests(
            without.lake, SNAPSHOTS, *POOL, "pairs", "matches"
        )
        assert taken.sets() == sets
        assert {key: taken.lake.manifest("training_sets", key).version for key in SETS} == before

        for name, content in bytes_of(tmp_path):
            assert DOMAIN.encode() not in content, name
        left = members(taken.where)
        assert not any(left[image].strip(b"\0") for image in stored)
        assert {i: d for i, d in left.items() if i not in stored} == {
            i: d for i, d in members(imaged).items() if i not in stored
        }
        for data in sorted(set(stored.values()) - set(left.values()))[:20]:  # others have the same picture
            assert not any(data in path.read_bytes() for path in tmp_path.rglob("*.tar"))

        again = purge.take_down(taken.where)
        assert (again["pairs"], again["images"], again["tables"]) == (0, {"images": 0, "bytes": 0}, {})
        taken.make(["pairs", "matches"], SNAPSHOTS[0])  # from an archive that still has it
        assert DOMAIN not in str(taken.lake.read("pairs", SNAPSHOTS[:1])["url"].to_pylist())
        taken.make_pool()
        assert digests(taken.lake, SNAPSHOTS, *POOL) == expected


def test_an_empty_list_changes_nothing_and_makes_nothing(imaged: Deployment, tmp_path: Path) -> None:
    with graph(copy_home(imaged, tmp_path)) as same:
        same.write_list()
        before = {path: path.stat().st_mtime_ns for path in (tmp_path / "lake").rglob("*.parquet")}
        same.make_pool()
        assert {path: path.stat().st_mtime_ns for path in (tmp_path / "lake").rglob("*.parquet")} == before
        with pytest.raises(ValueError, match=r"takedowns\.csv: nothing is listed"):
            purge.take_down(same.where)


@pytest.mark.night
def test_a_purge_before_the_rerun_comes_to_the_same(imaged: Deployment, never: Deployment, tmp_path: Path) -> None:
    with graph(copy_home(imaged, tmp_path, ("lake", "images"))) as taken:
        trained = {key: train(taken, key) for key in ("20", "inf")}
        in_set = {key: sum(image in images_of(imaged, DOMAIN) for image, *_ in taken.sets()[key]) for key in trained}
        taken.write_list(f"domain,{DOMAIN},asked for")
        assert purge.take_down(taken.where, dry_run=True)["tables"].keys() >= {"pairs SAMPLE-2026-01", "subsets inf"}
        assert DOMAIN in str(taken.lake.read("subsets", ["inf"])["url"].to_pylist())
        report = purge.take_down(taken.where)
        text = purge.describe(report)
        assert {"subsets inf", "image_texts 20", "images 20", "training_sets online-20"} <= report["tables"].keys()
        assert "duplicates all" in report["tables"]
        for name, content in bytes_of(tmp_path):
            assert DOMAIN.encode() not in content, name
        assert DOMAIN not in text
        assert json.loads(Path(report["report"]).read_text(encoding="utf-8"))["pairs"] == report["pairs"]

        folders = {key: str(folder.relative_to(taken.where.checkpoints)) for key, folder in trained.items()}
        assert report["trainings"] == {folders[key]: in_set[key] for key in trained}
        assert why_not(taken) == {
            key: f"was trained on {in_set[key]:,} pairs that were taken down since: train it again" for key in trained
        }

        taken.make(["matches"], SNAPSHOTS[0])
        taken.make(["matches"], SNAPSHOTS[1])
        taken.make_pool()
        taken.make_sets()
        assert digests(taken.lake, SNAPSHOTS, *POOL) == digests(Lake(root=never.lake), SNAPSHOTS, *POOL)
        assert purge.take_down(taken.where)["tables"] == {}


def train(taken: Taken, key: str) -> Path:
    """A training's folder and row of CHECKPOINTS, as if one had run on the set that there is."""
    folder = taken.where.checkpoints / key / "tiny" / "0123"
    folder.mkdir(parents=True)
    shards = taken.lake.files("training_sets", key, "tar")
    job = {"shards": [{"path": path, "tars": tars} for path, tars in shards.items() if tars]}
    (folder / JOB).write_text(json.dumps(job), encoding="utf-8")
    version = taken.lake.manifest("training_sets", key).version
    row = {"training_set": key, "model": "tiny", "seed": 0, "path": f"{key}/tiny/0123/model", "set_version": version}
    row |= {"pairs_seen": 1, "budget": 1, "loss": 1.0, "sha256": "0", "recipe": "{}", "architecture": "tiny"}
    commit(taken.lake, "checkpoints", f"tiny|{key}", pa.RecordBatch.from_pylist([row], CHECKPOINTS))
    return folder


def why_not(taken: Taken) -> dict[str, str]:
    trainer = Trainer(root=str(taken.where.checkpoints))
    report = make_sweep(taken.lake, trainer, baselines=[], notes={})
    return {cell["training_set"]: cell["not_compared"] for cell in report["cells"]}


def test_a_url_taken_down_has_only_what_it_touches_made_again(imaged: Deployment, tmp_path: Path) -> None:
    with graph(copy_home(imaged, tmp_path, ("lake", "images"))) as taken:
        pool = taken.lake.read("subsets", ["inf"]).to_pylist()
        texts = Counter(row["image_id"] for row in pool)
        last = next(row for row in pool if row["snapshot"] == SNAPSHOTS[1] and texts[row["image_id"]] == 1)
        taken.write_list(f"url,{last['url']},")
        before = files_of(tmp_path)
        metadata = taken.make_pool()
        taken.make_sets()
        assert metadata["exclusions None"]["taken_down"] == 1
        written = {
            path.relative_to(tmp_path).parts[1:3] for path in files_of(tmp_path) - before if path.suffix != ".tar"
        }
        assert not written & {(table, key) for table in ("pairs", "matches") for key in SNAPSHOTS}
        assert {key for table, key in written if table == "snapshot_counts"} == {SNAPSHOTS[1]}
        assert {key for table, key in written if table == "places"} == {SNAPSHOTS[1]}
        assert not [path for path in files_of(tmp_path) - before if path.suffix == ".tar"]
        assert last["pair_id"] not in taken.lake.read("subsets", ["inf"])["pair_id"].to_pylist()


def files_of(home: Path) -> set[Path]:
    return {path for path in home.rglob("*") if path.suffix in (".parquet", ".tar")}


@pytest.mark.parametrize("table", ["pairs", "matches"])
def test_what_nobody_could_judge_does_not_stay_in_the_pool(curated: Deployment, tmp_path: Path, table: str) -> None:
    with graph(copy_home(curated, tmp_path, max_failed_fraction=0.5)) as taken:
        taken.write_list(f"domain,{DOMAIN},")
        shard = taken.lake.manifest(table, SNAPSHOTS[0]).shards[-1]
        Path(taken.lake.store(table, SNAPSHOTS[0]).path(shard)).write_bytes(b"PAR1")
        with pytest.raises(dg.Failure, match=f"takedowns/{SNAPSHOTS[0]}: 1 of 2 shards failed; shard {shard.key}"):
            taken.make(["exclusions"])
        taken.write_list()
        config = {"ops": {"exclusions": {"config": {"group_size": 1}}}}
        if table == "matches":
            with pytest.raises(dg.Failure, match=f"places/{SNAPSHOTS[0]}: 1 of 2 shards failed"):
                demo.materialize(bind(taken.where), taken.instance, ["exclusions"], config=config)


def test_a_pair_whose_owner_is_taken_down_is_the_next_places() -> None:
    def places(snapshot: str, taken: list[int]) -> list[pa.RecordBatch]:
        matches = defer(list, [pa.RecordBatch.from_pylist([{"pair_id": i} for i in (1, 2)], MATCHES)])
        rows = [{"snapshot": snapshot, "shard": "0", "pair_id": i, "reason": "taken_down"} for i in taken]
        exclusions = {"0": defer(list, [pa.RecordBatch.from_pylist(rows, EXCLUSIONS)])} if taken else {}
        left = {key: shard() for key, shard in drop_excluded({"0": matches}, exclusions).items()}
        return list(scatter_pairs(left, snapshot=snapshot, num_buckets=1))

    batches = find_duplicates([*places("A", [1]), *places("B", []), *places("C", [])], seen=Counter())
    assert {(row["snapshot"], row["pair_id"]) for batch in batches for row in batch.to_pylist()} == {
        ("B", 2),
        ("C", 1),
        ("C", 2),
    }


def test_a_digest_takes_down_every_url_of_the_picture_and_stays_known(imaged: Deployment, tmp_path: Path) -> None:
    index = pa.concat_tables([pq.read_table(path) for path in sorted(Path(imaged.images).glob("*/*.parquet"))])
    counted = Counter(digest for digest in index["sha256"].to_pylist() if digest)
    digest, copies = counted.most_common(1)[0]
    ids = set(index.filter(pc.equal(index["sha256"], digest))["image_id"].to_pylist())
    assert copies == len(ids) > 1
    with graph(copy_home(imaged, tmp_path, ("lake", "images"))) as taken:
        taken.write_list(f"image_sha256,{digest.upper()},")
        for _ in range(2):
            purge.take_down(taken.where)
            taken.make(["exclusions", "entry_counts"])
            assert not ids & {image.hex() for image in taken.lake.read("pairs", SNAPSHOTS)["image_id"].to_pylist()}
            assert ImageStore(taken.where.images).find([digest]) == {digest: ids}


def test_a_picture_that_is_taken_down_is_told_of_its_reports_and_gone_from_those_made_again(
    imaged: Deployment, tmp_path: Path
) -> None:
    with graph(copy_home(imaged, tmp_path, ("lake", "images"))) as taken:
        names = ["data_card_t_20", "training_set_20"]
        by_hash = {"ops": {"training_sets": {"config": {"near_duplicate_distance": 0}}}}

        def make() -> tuple[list[dict[str, Any]], str]:
            """The pictures of the two reports, and their pages."""
            taken.make(["data_cards"], "20")
            taken.make(["training_sets"], "20", **by_hash)
            card, left_out = (json.loads((taken.where.reports / f"{name}.json").read_text("utf-8")) for name in names)
            pictures = [
                it for entry in card["pictures"]["entries"] for side in ("kept", "dropped") for it in entry[side]
            ]
            pictures += [it for group in left_out["near_duplicates"] for it in (group["first"], *group["copies"])]
            return pictures, "".join((taken.where.reports / f"{name}.html").read_text("utf-8") for name in names)

        pictures, pages = make()
        rows = {row["image_id"]: row for row in taken.lake.read("images", list(THRESHOLDS)).to_pylist()}
        assert all(read_thumbnail(taken, rows[it["image_id"]]) in pages for it in pictures)
        first, last = pictures[0]["image_id"], pictures[-1]["image_id"]
        taken.write_list(f"image_sha256,{rows[last]['sha256']},", f"image_id,{first},")
        thumbnail = read_thumbnail(taken, rows[last])
        named = purge.take_down(taken.where, dry_run=True)["reports"]
        assert {*named} == {f"{name}.{kind}" for name in names for kind in ("html", "json")}
        assert all((taken.where.reports / name).exists() for name in named)
        assert purge.take_down(taken.where)["reports"] == named
        assert not any((taken.where.reports / name).exists() for name in named)

        taken.make(["image_texts", "images"], "20")
        left, pages = make()
        gone = {it["image_id"] for it in pictures} - {it["image_id"] for it in left}
        assert {first, last} <= gone
        assert thumbnail not in pages
        assert not any(it["url"] in pages for it in (pictures[-1], pictures[0]))


def read_thumbnail(taken: Taken, row: dict[str, Any]) -> str:
    """The image's thumbnail as it stands in a page."""
    thumbnail = make_thumbnail(ImageStore(taken.where.images).read(row["tar"], row["offset"], row["size"]))
    return base64.b64encode(thumbnail or b"").decode()


def test_a_digest_that_is_listed_before_any_image_is_asked_for_keeps_the_picture_out(
    curated: Deployment, imaged: Deployment, tmp_path: Path
) -> None:
    ring = [row for row in Lake(root=imaged.lake).read("images", ["20"]).to_pylist() if row["tar"]]
    digest, copies = Counter(row["sha256"] for row in ring).most_common(1)[0]
    with graph(copy_home(curated, tmp_path)) as taken:
        taken.write_list(f"image_sha256,{digest},")
        taken.make(["image_texts", "images"], "20")
        before = Lake(root=imaged.lake).manifest("images", "20").total("dropped")
        assert taken.lake.manifest("images", "20").total("dropped") == before + Counter(taken_down=copies)
        left = {row["image_id"] for row in taken.lake.read("images", ["20"]).to_pylist() if row["tar"]}
    assert left == {row["image_id"] for row in ring if row["sha256"] != digest}
    assert digest not in {hashlib.sha256(data).hexdigest() for data in members(taken.where).values()}


KILLED = """
import os, sys
from pathlib import Path
from commands import purge
from resources.images import folders
from resources.lake.tables import TableStore
from resources.crawl.mini import mini_deployment
left = int(sys.argv[3])
def dying(function):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), 9)
        return function(*args, **kwargs)
    return call
for owner, names in ((TableStore, ("commit", "forget", "finish", "tidy")), (folders, ("blank_members",))):
    for name in names:
        setattr(owner, name, dying(getattr(owner, name)))
purge.take_down(mini_deployment(Path(sys.argv[1]), Path(sys.argv[2])))
"""


@pytest.mark.night
def test_a_killed_purge_is_run_again_and_readers_see_every_partition_whole(
    mini: Path, imaged: Deployment, tmp_path: Path
) -> None:
    where = copy_home(imaged, tmp_path, ("lake", "images"))
    where.takedowns.write_text(f"kind,value,reason\ndomain,{DOMAIN},\n", encoding="utf-8")
    lake, started = Lake(root=where.lake), files_of(tmp_path)
    for moment in (1, 6, 15, 30, 50):
        command = [sys.executable, "-c", KILLED, str(mini), str(tmp_path), str(moment)]
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
        assert done.returncode in (-signal.SIGKILL, 0), done.stderr[-3000:]
        for table, partition in lake.partitions():
            if lake.store(table, partition).manifest():
                assert lake.read(table, [partition]).num_rows == lake.manifest(table, partition).rows
        for row in lake.read("images", lake.finished("images", THRESHOLDS)).to_pylist():
            if row["tar"] and f"//{DOMAIN}/" not in row["url"]:
                data = ImageStore(where.images).read(row["tar"], row["offset"], row["size"])
                assert hashlib.sha256(data).hexdigest() == row["sha256"]
    assert files_of(tmp_path) != started
    purge.take_down(where)
    for name, content in bytes_of(tmp_path):
        assert DOMAIN.encode() not in content, name
    with graph(copy_home(imaged, tmp_path / "other", ("lake", "images"))) as other:
        other.write_list(f"domain,{DOMAIN},")
        purge.take_down(other.where)
        for table, partition in lake.partitions():
            assert lake.manifest(table, partition).version == other.lake.manifest(table, partition).version
        assert members(where) == members(other.where)


def test_nothing_is_purged_while_a_run_is_in_progress(mini: Path, tmp_path: Path) -> None:
    where = mini_deployment(mini, tmp_path)
    where.takedowns.write_text("kind,value,reason\ndomain,x.example,\n", encoding="utf-8")
    with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
        run = instance.create_run_for_job(explain, status=dg.DagsterRunStatus.STARTED)
        with pytest.raises(RuntimeError, match=f"1 runs are queued or in progress, {run.run_id} among them"):
            purge.take_down(where)
        assert purge.take_down(where, dry_run=True)["pairs"] == 0
        assert [left.status for left in instance.get_runs()] == [dg.DagsterRunStatus.STARTED]
        instance.report_run_canceled(run)
    assert purge.take_down(where)["pairs"] == 0


def test_the_history_forgets_the_runs_that_showed_it_and_no_others(mini: Path, tmp_path: Path) -> None:
    where = mini_deployment(mini, tmp_path)
    where.takedowns.write_text(f"kind,value,reason\ndomain,{DOMAIN},\n", encoding="utf-8")
    with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
        taken = Taken(where, instance)
        taken.register(*SNAPSHOTS)
        taken.make(["pairs"], SNAPSHOTS[0])
        other = instance.create_run_for_job(explain, status=dg.DagsterRunStatus.SUCCESS).run_id
        contents = [content for name, content in bytes_of(where.dagster_home) if DOMAIN.encode() in content]
        assert contents, "the UI shows samples of pairs"
    assert purge.take_down(where)["runs"] == 1
    for name, content in bytes_of(tmp_path):
        assert DOMAIN.encode() not in content, name
    with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
        assert [run.run_id for run in instance.get_runs()] == [other]
        assert instance.get_dynamic_partitions("snapshot") == SNAPSHOTS
        assert instance.get_latest_materialization_event(dg.AssetKey("pairs")) is None
        Taken(where, instance).make(["pairs"], SNAPSHOTS[0])  # reused, and materialized for Dagster again
        assert instance.get_latest_materialization_event(dg.AssetKey("pairs"))
    assert purge.take_down(where)["runs"] == 0

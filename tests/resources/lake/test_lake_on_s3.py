"""A lake in a bucket, behind a proxy that fails requests: the same rows, one winner a shard, and no trace of a key."""

import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from resources.deployments import Deployment
from resources.files.object_store import connect, create_object, create_object_once, read_object
from resources.lake.resource import Lake
from resources.lake.shard_files import read_batches, read_table
from resources.lake.tables import PartitionManifest, ShardManifest, TableStore
from tests.graphs import SNAPSHOTS
from tests.lakes import digests
from tests.s3 import BUCKET, KEYS, Proxy, by_chance, no_faults, once, serving

ROOT = Path(__file__).parents[3]
SCHEMA = pa.schema([("number", pa.int64()), ("text", pa.string())])


@pytest.fixture(scope="module")
def server() -> Iterator[Proxy]:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in KEYS.items():
            environment.setenv(name, value)
        with serving() as proxy:
            yield proxy


@pytest.fixture
def proxy(server: Proxy) -> Proxy:
    return server.start_anew()


@pytest.fixture
def store(proxy: Proxy, request: pytest.FixtureRequest) -> TableStore:
    return TableStore(f"s3://{BUCKET}/{request.node.name}", "numbers", "20|tiny", proxy.options)


def rows(start: int, number: int = 100) -> list[pa.RecordBatch]:
    numbers = range(start, start + number)
    return [pa.record_batch([pa.array(numbers), pa.array(map(str, numbers))], schema=SCHEMA)]


def make(store: TableStore, key: str = "a", start: int = 0) -> ShardManifest:
    """A shard whose data is written, and which no manifest names yet."""
    return ShardManifest(key, "fingerprint", *store.commit(key, "fingerprint", SCHEMA, rows(start)))


def finish(store: TableStore, *shards: ShardManifest) -> None:
    store.finish(PartitionManifest(store.table, store.partition, "1", 0, shards))


def files(store: TableStore) -> set[str]:
    filesystem, root = connect(store.root, store.storage_options)
    return {path.rsplit("/", 1)[1] for path in filesystem.find(root)}


def test_a_partition_is_read_as_it_was_written(store: TableStore) -> None:
    assert store.manifest() is None
    shard = store.publish(make(store))
    finish(store, shard)
    manifest = store.manifest()
    assert manifest
    assert manifest.shards == (shard,)
    assert shard.bytes == connect(store.root, store.storage_options)[0].size(store.path(shard))
    assert read_table([store.path(shard)], store.storage_options).equals(pa.Table.from_batches(rows(0)))
    lake = Lake(root=store.root, storage_options=dict(store.storage_options))
    assert lake.partitions() == [("numbers", "20|tiny")]
    assert lake.num_bytes() > shard.bytes


@pytest.mark.parametrize("fault", ["500", "500 but done", "503", "409", "cut", "cut but done", "timeout"])
def test_a_writer_knows_its_own_manifest_again_after_a_fault(fault: str, store: TableStore, proxy: Proxy) -> None:
    shard = make(store)
    proxy.plan = once(fault, "PUT", "/shards/")
    assert store.publish(shard) == shard
    assert sum(proxy.met.values()) > proxy.met["none"]
    assert store.committed("a", "fingerprint") == shard
    assert Path(shard.file).name in files(store)


def test_of_many_writers_at_once_one_wins_and_the_others_leave_nothing(store: TableStore, proxy: Proxy) -> None:
    shards = [make(store) for _ in range(6)]
    proxy.plan = by_chance(7, 0.2)
    winners: list[ShardManifest] = []
    writers = [threading.Thread(target=lambda shard=shard: winners.append(store.publish(shard))) for shard in shards]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    proxy.plan = no_faults
    [winner] = set(map(str, winners))
    assert len(winners) == len(shards)
    assert str(store.committed("a", "fingerprint")) == winner
    assert files(store) == {Path(winners[0].file).name, "a.fingerprint.json"}


def test_who_may_not_write_is_told_so_at_once(store: TableStore, proxy: Proxy) -> None:
    elsewhere = TableStore("s3://no-such-bucket/lake", "numbers", "all", store.storage_options)
    with pytest.raises(FileNotFoundError, match="bucket"):
        elsewhere.commit("a", "fingerprint", SCHEMA, rows(0))


@pytest.mark.parametrize("size", [10, 20 * 2**20])
def test_a_writer_that_fails_midway_leaves_no_object_and_no_upload(size: int, store: TableStore) -> None:
    filesystem, path = connect(f"{store.root}/half", store.storage_options)
    with pytest.raises(RuntimeError, match="midway"):
        _write_half(filesystem, path, size)
    assert read_object(filesystem, path) is None
    assert not _uploads(filesystem)


def test_a_large_object_is_uploaded_in_parts_through_faults(store: TableStore, proxy: Proxy) -> None:
    filesystem, path = connect(f"{store.root}/large", store.storage_options)
    content = os.urandom(1 << 20) * 20
    proxy.plan = by_chance(3, 0.3)
    with create_object(filesystem, path) as file:
        for start in range(0, len(content), 1 << 20):
            file.write(content[start : start + (1 << 20)])
    assert proxy.met.total() > proxy.met["none"]
    proxy.plan = no_faults
    assert read_object(filesystem, path) == content
    assert any("partNumber=2" in path for _, path, _ in proxy.asked)
    assert not _uploads(filesystem)


def test_an_object_is_created_once_and_what_stands_there_decides(store: TableStore) -> None:
    filesystem, path = connect(f"{store.root}/once", store.storage_options)
    assert create_object_once(filesystem, path, b"mine")
    assert create_object_once(filesystem, path, b"mine")
    assert not create_object_once(filesystem, path, b"another's")
    assert read_object(filesystem, path) == b"mine"


def test_tidying_goes_by_the_age_of_objects_and_aborts_uploads(store: TableStore) -> None:
    finish(store, store.publish(make(store)))
    orphan, lake = make(store, start=7), Lake(root=store.root, storage_options=dict(store.storage_options))
    filesystem, _ = connect(store.root, store.storage_options)
    bucket, _, prefix = store.root.removeprefix("s3://").partition("/")
    for key in (f"{prefix}/numbers/x/data/cut", "elsewhere/data/cut"):
        filesystem.call_s3("create_multipart_upload", Bucket=bucket, Key=key)
    begun = _uploads(filesystem)  # moto has all of them begin in 2010
    assert lake.tidy(older_than_hours=24 * 365 * 100) == []
    assert _uploads(filesystem) == begun
    assert lake.tidy(older_than_hours=1) == [f"{bucket}/{prefix}/numbers/x/data/cut"]
    assert len(_uploads(filesystem)) == len(begun) - 1
    assert lake.tidy(older_than_hours=-math.inf) == [f"numbers/20%7Ctiny/{orphan.file}"]
    assert lake.read("numbers", ["20|tiny"]).num_rows == 100


def test_what_was_listed_is_not_believed_later(store: TableStore) -> None:
    first = store.publish(make(store))
    filesystem, path = connect(store.root, store.storage_options)
    assert len(filesystem.find(path)) == 2
    other = TableStore(store.root, store.table, store.partition, {**store.storage_options, "max_concurrency": 3})
    second = other.publish(make(other, "b"))
    finish(other, first, second)
    assert len(filesystem.find(path)) == 5
    assert filesystem.exists(store.path(second))
    other.forget(second.key, second.fingerprint)
    assert store.committed("b", "fingerprint") is None


def test_a_column_is_read_without_the_rest(store: TableStore, proxy: Proxy) -> None:
    schema = pa.schema([(name, pa.binary()) for name in "abcdefgh"])
    big = [pa.record_batch([[os.urandom(64) for _ in range(4096)]] * 8, schema=schema)] * 4
    name, _, size, _ = store.commit("big", "fingerprint", schema, big, row_group=8192)
    path = store.path(ShardManifest("big", "fingerprint", name, 0, size, ""))
    proxy.asked.clear()
    assert sum(batch.num_rows for batch in read_batches(path, store.storage_options, ["c"])) == 4 * 4096
    ranges = [asked.removeprefix("bytes=").split("-") for _, _, asked in proxy.asked if asked]
    assert sum(int(last) - int(first) + 1 for first, last in ranges) < size / 8 + 2**17
    assert len(ranges) == 3  # the footer, and the column's part of each of two row groups
    proxy.asked.clear()
    assert sum(batch.num_rows for batch in read_batches(path, store.storage_options)) == 4 * 4096
    assert len([1 for _, _, asked in proxy.asked if asked]) <= 4


def test_processes_that_are_forked_from_a_reader_read_too(store: TableStore) -> None:
    schema = pa.schema([("tar", pa.string()), ("image_id", pa.binary(12)), ("texts", pa.list_(pa.string()))])
    batch = pa.record_batch([["x", "y", "x"], [bytes(12)] * 3, [["a"], ["b"], ["c"]]], schema=schema)
    shard = ShardManifest("a", "fingerprint", *store.commit("a", "fingerprint", schema, [batch]))
    finish(store, store.publish(shard))
    lake = Lake(root=store.root, storage_options=dict(store.storage_options))
    [path] = lake.files(store.table, store.partition, "tar")
    # As a trainer does it, in a process whose only thread besides is the file system's; the servers' are here.
    arguments = json.dumps([path, dict(lake.connection)])
    read = subprocess.run(
        [sys.executable, "-c", READ_AND_FORK, arguments],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert read.stdout.split() == ["2", "1"]


READ_AND_FORK = """
import json, multiprocessing, sys
from metaclip_dagster.training.loading import read_rows
path, options = json.loads(sys.argv[1])
print(read_rows(path, "x", options).num_rows)
with multiprocessing.get_context("fork").Pool(1) as loader:
    print(loader.apply(read_rows, (path, "y", options)).num_rows)
"""


@pytest.mark.night
def test_the_graph_on_s3_behind_faults_gives_the_tables_of_the_disk(
    mini: Path, curated: Deployment, proxy: Proxy, tmp_path: Path
) -> None:
    proxy.plan = by_chance(2026, 0.05)
    variables = {"METACLIP_LAKE": f"s3://{BUCKET}/graph", "METACLIP_LAKE_OPTIONS": json.dumps(proxy.options)}
    variables |= {"HOME": str(tmp_path)}  # where DuckDB would keep an extension that it loads
    command = [sys.executable, "-m", "tests.mini", str(mini), str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, env=os.environ | variables, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    assert not (tmp_path / "lake").exists()
    assert all(proxy.met[fault] for fault in ("500", "500 but done", "503", "cut", "cut but done", "timeout"))
    lake = Lake(root=f"s3://{BUCKET}/graph/sample", storage_options=proxy.options)
    assert digests(lake, SNAPSHOTS) == digests(Lake(root=curated.lake), SNAPSHOTS)
    proxy.plan = no_faults
    _check_duckdb(lake)
    assert not list(tmp_path.rglob("*.duckdb_extension"))
    filesystem, root = connect(lake.root, lake.storage_options)
    written = [run.stdout.encode(), run.stderr.encode()]
    written += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    written += [filesystem.cat_file(path) for path in filesystem.find(root)]
    assert not any(key.encode() in content for key in KEYS.values() for content in written)


def _check_duckdb(lake: Lake) -> None:
    subset = lake.dataset("subsets", ["20"])
    with duckdb.connect(config=_NO_EXTENSIONS) as query:
        query.register("subset", subset)
        counted = query.execute("select count(*), count(distinct pair_id) from subset").fetchone()
        assert counted == (lake.manifest("subsets", "20").rows,) * 2
        extension = "select installed or loaded from duckdb_extensions() where extension_name = 'httpfs'"
        assert query.execute(extension).fetchall() == [(False,)]
        with pytest.raises(duckdb.Error):
            query.execute(f"select * from 's3://{BUCKET}/graph/*.parquet'")


_NO_EXTENSIONS: dict[str, Any] = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}


def _write_half(filesystem: Any, path: str, size: int) -> None:
    with create_object(filesystem, path) as file:
        file.write(bytes(size))
        raise RuntimeError("midway")


def _uploads(filesystem: Any) -> list[Any]:
    return list(filesystem.call_s3("list_multipart_uploads", Bucket=BUCKET).get("Uploads", []))

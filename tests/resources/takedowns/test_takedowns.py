"""What is taken down leaves tables and tars whole at every moment; the list says which line is wrong."""

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from definitions import bind
from metaclip_dagster.schemas import IMAGES, TRAINING_SETS
from resources.deferred import named
from resources.deployments import read_deployment
from resources.engines.driver import InlineEngine, drive
from resources.engines.shards import Shard, StageCall
from resources.images.store import ImageStore
from resources.lake.shard_files import read_table
from resources.lake.tables import PartitionManifest, TableStore
from resources.models.training_folders import JOB
from resources.takedowns.listing import read_lines, read_list
from resources.takedowns.resource import TakedownList
from resources.takedowns.taking_down import FLAG, flag_training, leave_out, read_flag

SCHEMA = pa.schema([("number", pa.int64())])
ROOT = Path(__file__).parents[3]


@named("tests.resources.test_takedowns:count")
def count(start: int) -> pa.Table:
    """Ten numbers."""
    return pa.table({"number": range(start, start + 10)}, SCHEMA)


def even(key: str, rows: pa.RecordBatch) -> pa.RecordBatch:
    """All rows of shard b; of others those that are even, which may be all."""
    is_odd = pc.equal(pc.bit_wise_and(rows["number"], 1), 1)
    return rows if key == "b" or not pc.any(is_odd).as_py() else rows.filter(pc.invert(is_odd))


def finish(root: Path) -> tuple[TableStore, PartitionManifest, StageCall, list[Shard]]:
    store = TableStore(str(root), "numbers", "all")
    call = StageCall(count, SCHEMA, store)
    shards = [Shard(key, {"start": start}) for key, start in (("a", 0), ("b", 10), ("c", 20))]
    reports = list(drive(InlineEngine(), call, shards))
    assert not [report.error for report in reports if report.error]
    done = tuple(report.manifest for report in reports if report.manifest)
    manifest = PartitionManifest("numbers", "all", "1", 0, done)
    store.finish(manifest)
    return store, manifest, call, shards


def numbers(store: TableStore) -> list[int]:
    manifest = store.manifest()
    assert manifest
    table = read_table([store.path(shard) for shard in manifest.shards], {})
    assert table.num_rows == manifest.rows
    return list(table["number"].to_pylist())


def test_rows_are_left_out_under_the_fingerprint_that_a_run_looks_for(tmp_path: Path) -> None:
    store, before, _, _ = finish(tmp_path)
    assert leave_out(store, even, dry_run=True) == {"shards": 2, "rows": 10, "bytes": 0}
    assert store.manifest() == before
    went = leave_out(store, even)
    after = store.manifest()
    assert after
    less = sum(shard.bytes for shard in before.shards) - sum(shard.bytes for shard in after.shards)
    assert went == {"shards": 2, "rows": 10, "bytes": less}
    assert numbers(store) == [*range(0, 10, 2), *range(10, 20), *range(20, 30, 2)]
    assert [shard.fingerprint for shard in after.shards] == [shard.fingerprint for shard in before.shards]
    digests = [(old.digest, new.digest) for old, new in zip(before.shards, after.shards, strict=True)]
    assert [old == new for old, new in digests] == [False, True, False]
    assert after.version != before.version
    assert after.shards[1] == before.shards[1]
    store.tidy(older_than_seconds=0, now=float("inf"))
    assert sorted(path.name for path in (tmp_path / "numbers/all/data").iterdir()) == sorted(
        Path(shard.file).name for shard in after.shards
    )
    assert leave_out(store, even)["shards"] == 0


def test_no_manifest_names_a_file_that_went(tmp_path: Path) -> None:
    store, _, call, shards = finish(tmp_path)
    leave_out(store, even)
    store.tidy(older_than_seconds=0, now=float("inf"))
    for shard in shards:
        manifest = store.committed(shard.key, call.fingerprint(shard))
        assert manifest is None or Path(store.path(manifest)).exists()


def test_digests_of_what_is_left_are_those_of_the_rows(tmp_path: Path) -> None:
    store, _, _, _ = finish(tmp_path)
    leave_out(store, even)
    after = store.manifest()
    assert after
    other = TableStore(str(tmp_path), "numbers", "other")
    for shard in after.shards:
        batches = read_table([store.path(shard)], {}).to_batches()
        assert other.commit(shard.key, "f" * 32, SCHEMA, batches)[3] == shard.digest


def test_a_partition_that_was_never_finished_is_left_alone(tmp_path: Path) -> None:
    assert leave_out(TableStore(str(tmp_path), "numbers", "all"), even)["shards"] == 0


def test_the_list_is_empty_without_a_file_and_names_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "takedowns.csv"
    listed = TakedownList(path=str(path))
    assert listed.deferred() is None
    with pytest.raises(ValueError, match=r"takedowns\.csv is not there"):
        TakedownList(path=str(path), named=True).deferred()
    path.write_text("kind,value,reason\n", encoding="utf-8")
    assert listed.deferred() is None
    path.write_text('kind,value,reason\n\nurl, http://x/ ,"asked, twice"\nimage_sha256,AB,\n', encoding="utf-8-sig")
    assert read_list(str(path)) == [(f"{path}:3", "url", "http://x/"), (f"{path}:4", "image_sha256", "AB")]
    assert listed.digests() == {"ab"}
    assert {line.request for line in listed.lines()} == {""}


def test_a_line_belongs_to_the_request_in_its_fourth_column(tmp_path: Path) -> None:
    path = tmp_path / "takedowns.csv"
    path.write_bytes(b"kind,value,reason,request\r\nurl,http://x/,asked, 2026-11-30-1 \r\ndomain,x.example,,\r\n")
    assert [line.request for line in read_lines(str(path))] == ["2026-11-30-1", ""]
    assert read_list(str(path)) == [(f"{path}:2", "url", "http://x/"), (f"{path}:3", "domain", "x.example")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("url,http://x/,because\n", ":1: the first line must be kind,value,reason"),
        ("kind,value,reason\nurl,http://x/\n", ":2: 2 fields, not 3"),
        ("kind,value,reason\nurl,http://x/a,b,c\n", ":2: 4 fields, not 3"),
        ('kind,value,reason\nurl,http://x/a,"asked\nurl,http://x/b,\n', ":2: .*a quote"),
        ('kind,value,reason\nurl,http://x/a,"asked\nurl,http://x/b,"again"\n', ":2: .*a quote"),
        ('kind,value,reason\nurl,http://x/a,"asked\nurl,http://x/b,again"\n', ":2: .*a quote"),
        (f"kind,value,reason\nurl,http://x/{'a' * 200_000},\n", ":2: longer than 100,000 characters"),
        ("", ":1: the first line must be"),
        ("kind,value,reason,request\nurl,http://x/,\n", ":2: 3 fields, not 4"),
        ("kind,value,reason,request\nurl,http://x/,,a b\n", ":2: 'a b' is no id of a request"),
        ("kind,value,reason,request\nurl,http://x/,,../x\n", ":2: '../x' is no id"),
        (f"kind,value,reason,request\nurl,http://x/,,{'a' * 65}\n", ":2: 'a+' is no id"),
        ("kind,value,reason,request\nurl,http://x/,,2026-11-30T101500Z\n", ":2: .* is no id"),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "takedowns.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=says):
        read_list(str(path))


def test_a_list_in_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "takedowns.csv"
    path.write_text("kind,value,reason\ndomain,x.example,Löschung\n", encoding="latin-1")
    with pytest.raises(ValueError, match=r"takedowns\.csv: .*utf-8"):
        read_list(str(path))


def test_a_changed_list_is_another_version(tmp_path: Path) -> None:
    path, versions = tmp_path / "takedowns.csv", set()
    for value in "ab":
        path.write_text(f"kind,value,reason\ndomain,{value}.example,\n", encoding="utf-8")
        deferred = TakedownList(path=str(path)).deferred()
        assert deferred
        versions.add(deferred.version)
    assert len(versions) == 2


def test_the_list_lies_where_the_environment_says_or_at_home(tmp_path: Path) -> None:
    environment = {"METACLIP_DATA": str(tmp_path)}
    assert read_deployment(environment).takedowns == tmp_path / "sample" / "takedowns.csv"
    for name in ("sample", "commoncrawl"):
        moved = {**environment, "METACLIP_DEPLOYMENT": name, "METACLIP_TAKEDOWNS": str(tmp_path / "list.csv")}
        assert read_deployment(moved).takedowns == tmp_path / "list.csv"
    moved["METACLIP_DEPLOYMENT"] = "sample"
    for where, is_named in ((environment, False), (moved, True)):
        bound = bind(read_deployment(where)).resources
        assert bound
        assert bound["takedown_list"].resource_fn(None).named == is_named


IDS = [f"{number:024x}" for number in range(6)]


def store_of(root: Path) -> ImageStore:
    """Two segments: images 0 to 2 and a failure; then 4 and 5, the last of them longest."""
    store = ImageStore(root)
    for numbers in ((0, 1, 2), (4, 5)):
        with store.bucket(0, IMAGES) as bucket:
            images = [({"image_id": IDS[i], "url": f"http://x/{i}", "format": "png"}, picture(i)) for i in numbers]
            bucket.append(
                [*images, *([({"image_id": IDS[3], "url": "http://x/3", "reason": "http_404"}, None)] * (0 in numbers))]
            )
    return store


def picture(number: int) -> bytes:
    return (b"picture %d " % number) * (100 + 400 * number) + b"\0"


def chosen(*ids: str) -> object:
    return lambda rows: pc.is_in(rows["image_id"], pa.array(ids, pa.string()))


def images_of(store: ImageStore) -> dict[str, bytes | None]:
    with store.bucket(0, IMAGES) as bucket:
        rows = bucket.index().to_pylist()
    return {row["image_id"]: store.read(row["tar"], row["offset"], row["size"]) if row["tar"] else None for row in rows}


def on_disk(root: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file())


@pytest.mark.parametrize("numbers", [(0,), (2, 3), (5,), (0, 1, 2), (0, 1, 2, 3, 4, 5)])
def test_images_that_are_forgotten_leave_no_byte_and_all_others_lie_where_they_lay(
    tmp_path: Path, numbers: Sequence[int]
) -> None:
    store = store_of(tmp_path)
    before, tars = images_of(store), store.tars()
    ids = [IDS[number] for number in numbers]
    of_images = [number for number in numbers if number != 3]
    counts = {"images": len(of_images), "bytes": sum(len(picture(number)) for number in of_images)}
    assert store.forget(chosen(*ids), "taken_down", dry_run=True) == counts  # type: ignore[arg-type]
    assert images_of(store) == before
    assert store.forget(chosen(*ids), "taken_down") == counts  # type: ignore[arg-type]
    assert images_of(store) == {**before, **dict.fromkeys(ids)}
    for number in numbers:
        assert b"picture %d " % number not in on_disk(tmp_path)
    with store.bucket(0, IMAGES) as bucket:
        rows = {row["image_id"]: row for row in bucket.index().to_pylist()}
    for number in numbers:
        assert (rows[IDS[number]]["url"], rows[IDS[number]]["reason"]) == (None, "taken_down")
    for tar in tars:
        if tar in store.tars():
            store.check(tar)
            assert dict(store.members(tar)) == {
                f"{IDS[i]}.png": picture(i) for i in range(6) if rows[IDS[i]]["tar"] == tar
            }
    assert store.forget(chosen(*ids), "taken_down") == {"images": 0, "bytes": 0}  # type: ignore[arg-type]


def test_a_forgotten_image_is_still_known_by_its_digest(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    digests = [hashlib.sha256(picture(number)).hexdigest() for number in (1, 4)]
    for _ in range(2):
        assert store.find(digests) == dict(zip(digests, ({IDS[1]}, {IDS[4]}), strict=True))
        store.forget(chosen(IDS[1]), "taken_down")  # type: ignore[arg-type]


def test_a_listed_picture_is_kept_from_under_another_url_and_known_there(tmp_path: Path) -> None:
    digest = hashlib.sha256(picture(5)).hexdigest()
    store = replace(store_of(tmp_path / "store"), refused={digest: "taken_down"})
    with store.bucket(1, IMAGES) as bucket:
        images = [({"image_id": f"{i:024x}", "url": f"http://y/{i}", "format": "png"}, picture(i)) for i in (5, 6)]
        bucket.append([({**row, "image_id": f"a{row['image_id'][1:]}"}, data) for row, data in images])
        rows = bucket.index().to_pylist()
    assert [(row["tar"], row["reason"], row["url"]) for row in rows] == [
        (None, "taken_down", None),
        ("00001/00000.tar", None, "http://y/6"),
    ]
    assert b"picture 5 " not in on_disk(tmp_path / "store" / "00001")
    assert store.find([digest]) == {digest: {IDS[5], f"a{IDS[5][1:]}"}}
    store.forget(chosen(), "taken_down")  # type: ignore[arg-type]
    store.check("00001/00000.tar")


def test_what_killed_writers_left_goes_too(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    for name in (".00002.tar.tmp", "00002.tar"):
        (tmp_path / "00000" / name).write_bytes(picture(1))
    store.forget(chosen(IDS[1]), "taken_down", dry_run=True)  # type: ignore[arg-type]
    assert (tmp_path / "00000" / "00002.tar").exists()
    store.forget(chosen(IDS[1]), "taken_down")  # type: ignore[arg-type]
    assert b"picture 1 " not in on_disk(tmp_path)
    assert not (tmp_path / "00000" / "00002.tar").exists()


def test_a_dry_run_waits_for_no_writer(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    with ThreadPoolExecutor(1) as aside, store.bucket(0, IMAGES):
        counts = aside.submit(store.forget, chosen(IDS[1]), "taken_down", dry_run=True)  # type: ignore[arg-type]
        assert counts.result(timeout=60) == {"images": 1, "bytes": len(picture(1))}


KILLED = """
import os, pathlib, sys
import pyarrow as pa, pyarrow.compute as pc
from resources.images import folders
from resources.images.store import ImageStore
def die(tar, rows): rows.num_rows and os.kill(os.getpid(), 9)
folders.blank_members = die
ids = pa.array([sys.argv[2]])
ImageStore(pathlib.Path(sys.argv[1])).forget(lambda rows: pc.is_in(rows["image_id"], ids), "taken_down")
"""


def test_what_was_not_blanked_when_it_was_killed_is_blanked_by_the_next(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), IDS[5]], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert images_of(store)[IDS[5]] is None  # no reader is sent there any more
    assert b"picture 5 " in on_disk(tmp_path)
    store.forget(chosen(), "taken_down")  # type: ignore[arg-type]
    assert b"picture 5 " not in on_disk(tmp_path)


def training(folder: Path, *pair_ids: int) -> Path:
    """A training's folder as its job tells of it: a set of one image with these pairs."""
    folder.mkdir()
    texts = [{"pair_id": pair_id, "text": "x"} for pair_id in pair_ids]
    row = {"tar": "00000/00000.tar", "image_id": IDS[0], "texts": texts}
    pq.write_table(pa.Table.from_pylist([row], TRAINING_SETS), folder / "set.parquet")
    job = {"shards": [{"path": str(folder / "set.parquet"), "tars": ["00000/00000.tar"]}]}
    (folder / JOB).write_text(json.dumps(job), encoding="utf-8")
    return folder


def count_odd(rows: pa.RecordBatch) -> int:
    return sum(text["pair_id"] % 2 for row in rows.to_pylist() for text in row["texts"])


def test_a_training_is_flagged_by_the_files_that_it_read(tmp_path: Path) -> None:
    saw, clean = training(tmp_path / "saw", 1, 2, 3), training(tmp_path / "clean", 2, 4)
    assert flag_training(saw, count_odd, {}, dry_run=True) == 2
    assert read_flag(saw) is None
    assert (flag_training(saw, count_odd, {}), read_flag(saw)) == (2, {"pairs": 2})
    assert (flag_training(clean, count_odd, {}), read_flag(clean)) == (0, None)
    for folder in (saw, clean):  # superseded files were deleted
        (folder / "set.parquet").unlink()
    assert (flag_training(saw, count_odd, {}), read_flag(saw)) == (2, {"pairs": 2})
    assert (flag_training(clean, count_odd, {}), read_flag(clean)) == (None, {"pairs": None})
    assert {path.name for path in clean.iterdir()} == {JOB, FLAG}

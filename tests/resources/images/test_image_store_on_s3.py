"""Images in a bucket of S3: a writer that lost its lease stores nothing, a killed one is followed, tables are equal."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from metaclip_dagster.imaging import gather_images
from metaclip_dagster.schemas import IMAGES
from resources.files.object_store import connect
from resources.images.leases import LostLeaseError
from resources.images.store import ImageStore, fix_num_buckets, open_image_store
from tests.image_hosts import picture
from tests.metaclip_dagster.imaging.test_imaging import texts_of, url
from tests.resources.images.test_image_store import append, index, row
from tests.s3 import BUCKET, Proxy, by_chance, no_faults, once, serving_by_environment

ROOT = Path(__file__).parents[3]
IDS = [f"{number:024x}" for number in range(6)]
PNG = picture(0, kind="PNG")


@pytest.fixture(scope="module")
def server() -> Iterator[Proxy]:
    with serving_by_environment() as proxy:
        yield proxy


@pytest.fixture
def proxy(server: Proxy) -> Proxy:
    return server.start_anew()


@pytest.fixture
def store(proxy: Proxy, request: pytest.FixtureRequest) -> ImageStore:
    fix_num_buckets(root := f"s3://{BUCKET}/{request.node.name}", 4)
    return ImageStore(root, lease_seconds=0.6)


def files(store: ImageStore, folder: str = "00000") -> set[str]:
    filesystem, root = connect(f"{store.root}/{folder}", {})
    return {path.rsplit("/", 1)[1] for path in filesystem.find(root, maxdepth=1)}


def test_images_are_read_as_they_were_written(store: ImageStore, tmp_path: Path) -> None:
    local = ImageStore(tmp_path)
    for each in (store, local):
        append(each, row(IDS[0], PNG), row(IDS[1]))
        append(each, row(IDS[1], b"x" * 3000), row(IDS[2], b"y"))
    assert index(store).equals(index(local))
    assert store.tars() == local.tars() == ["00000/00000.tar", "00000/00001.tar"]
    for stored in index(store).to_pylist():
        place = stored["tar"], stored["offset"], stored["size"]
        assert store.read(*place) == local.read(*place)
    for tar in store.tars():
        store.check(tar)
        assert list(store.members(tar)) == list(local.members(tar))
        with store.open_tar(tar) as file, local.open_tar(tar) as same:
            assert file.read() == same.read()
        assert store.tar_size(tar) == local.tar_size(tar)
    assert store.tars(0) == store.tars()
    assert store.tars(1) == []
    for each in (store, local):
        with pytest.raises(FileNotFoundError, match="00009"):
            each.tar_size("00000/00009.tar")
        with pytest.raises(FileNotFoundError, match="00009"):
            each.open_tar("00000/00009.tar").__enter__()
    digest = hashlib.sha256(PNG).hexdigest()
    assert open_image_store(str(store.root)).find([digest]) == {digest: {IDS[0]}}
    assert not files(store, "00000/beats")
    with pytest.raises(ValueError, match="has 4 buckets, not 5"):
        fix_num_buckets(str(store.root), 5)


def test_what_a_writer_stores_after_it_lost_its_lease_is_refused_and_never_read(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(store, row(IDS[0], b"before"))
    monkeypatch.setattr("resources.images.leases.LeasedSegments._beat", lambda *_: None)  # as if it was paused
    with store.bucket(0, IMAGES) as paused:
        monkeypatch.undo()
        paused.index()
        with store.bucket(0, IMAGES) as other:  # takes the bucket over, and has stored nothing yet
            with pytest.raises(LostLeaseError, match="another writer has taken this bucket over"):
                paused.append([row(IDS[1], b"lost")])
            other.append([row(IDS[2], b"after")])
        with pytest.raises(LostLeaseError):
            paused.append([row(IDS[3], b"lost again")])
        with pytest.raises(LostLeaseError):
            paused.forget(lambda rows: pc.equal(rows["image_id"], IDS[0]), "taken_down")
    assert index(store)["image_id"].to_pylist() == [IDS[0], IDS[2]]
    assert store.tars() == ["00000/00000.tar", "00000/00001.tar"]
    assert len(files(store)) == 4


def test_who_lost_its_lease_deletes_nothing_of_who_has_it(store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    append(store, row(IDS[0], b"before"))
    monkeypatch.setattr("resources.images.leases.LeasedSegments._beat", lambda *_: None)

    def images(paused: Any) -> Iterator[Any]:
        yield row(IDS[1], b"mine")
        paused.forget(lambda rows: pa.array([False] * rows.num_rows), "taken_down")  # deletes what nobody reads

    with store.bucket(0, IMAGES) as paused, store.bucket(0, IMAGES) as other:
        filesystem, root = connect(f"{store.root}/00000", {})
        filesystem.pipe_file(f"{root}/00001.1-left.tar", b"of a killed one")
        filesystem.pipe_file(f"{root}/00001.{(1 << 30)}-new.tar", b"of a later one")
        other.append(images(paused))
    assert index(store)["image_id"].to_pylist() == IDS[:2]
    assert {name for name in files(store) if "left" in name or "new" in name} == {f"00001.{1 << 30}-new.tar"}


PAUSED = """
import sys
from tests.resources.images.test_image_store_on_s3 import fetch_slowly
fetch_slowly(*sys.argv[1:])
"""


def fetch_slowly(root: str, log: str) -> None:
    """Gather thirty images, in segments of ten, with a word to who waits once the second segment is being fetched."""
    store, fetched = ImageStore(root, segment_images=10, lease_seconds=0.6), Counter[str]()

    def fetch(urls: Sequence[str]) -> Iterator[tuple[str, bytes | str]]:
        fetched["segments"] += 1
        for asked in urls:
            with Path(log).open("a", encoding="utf-8") as file:
                file.write(f"{asked}\n")
            yield asked, PNG
        if fetched["segments"] == 2:
            print("fetched", flush=True)  # noqa: T201
            sys.stdin.readline()

    gather(store, fetch)


def gather(store: ImageStore, fetch: Any) -> pa.Table:
    texts = texts_of(*((number, "en", 1.0) for number in range(30)))
    options: dict[str, Any] = {"bucket": 0, "thresholds_below": {}, "dropped": Counter(), "seen": Counter()}
    return pa.Table.from_batches(gather_images([texts], store=store, fetch=fetch, **options), IMAGES)


@pytest.mark.parametrize("end", [signal.SIGSTOP, signal.SIGKILL])
def test_the_next_writer_goes_on_where_a_paused_or_killed_one_was(
    end: signal.Signals, store: ImageStore, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", PAUSED, str(store.root), str(log)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as other:  # fmt: skip
        assert other.stdout
        assert other.stdout.readline() == "fetched\n"
        before = Counter(log.read_text(encoding="utf-8").split())
        os.kill(other.pid, end)
        asked: list[str] = []

        def fetch(urls: Sequence[str]) -> Iterator[tuple[str, bytes | str]]:
            asked.extend(urls)
            return ((asked_for, PNG) for asked_for in urls)

        after = ImageStore(store.root, segment_images=10, lease_seconds=0.6)
        rows = gather(after, fetch)
        if end == signal.SIGSTOP:
            os.kill(other.pid, signal.SIGCONT)
            _, error = other.communicate("go on\n", timeout=60)
            assert "LostLeaseError" in error
        else:
            other.communicate(timeout=60)
    assert other.returncode != 0
    assert len(before) == 20
    assert Counter(before.keys()) + Counter(asked) == Counter({url(n): 1 for n in range(30)}) + Counter(asked[:10])
    local = gather(ImageStore(tmp_path / "local", segment_images=10), lambda urls: ((it, PNG) for it in urls))
    assert rows.equals(local)
    assert index(store).equals(rows)
    for tar in store.tars():
        store.check(tar)


def test_two_writers_fetch_nothing_twice_though_requests_fail(store: ImageStore, proxy: Proxy) -> None:
    seen: list[str] = []
    proxy.plan = by_chance(5, 0.02)

    def fetch(urls: Sequence[str]) -> Iterator[tuple[str, bytes | str]]:
        seen.extend(urls)
        return ((asked, PNG) for asked in urls)

    patient = ImageStore(store.root, segment_images=10, lease_seconds=60)
    writers = [threading.Thread(target=gather, args=(patient, fetch)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    proxy.plan = no_faults
    assert Counter(seen) == Counter(url(n) for n in range(30))
    assert index(store).num_rows == 30


@pytest.mark.parametrize("fault", ["500 but done", "503", "cut but done"])
def test_a_writer_knows_its_own_head_again_after_a_fault(fault: str, store: ImageStore, proxy: Proxy) -> None:
    proxy.plan = once(fault, "PUT", "/heads/000000001")
    append(store, row(IDS[0], PNG))
    assert proxy.met[fault] == 1
    assert index(store)["image_id"].to_pylist() == IDS[:1]


def test_what_is_forgotten_is_blank_and_all_else_stays_where_it_lies(store: ImageStore, tmp_path: Path) -> None:
    local = ImageStore(tmp_path)
    reader = ImageStore(store.root)
    for each in (store, local):
        append(each, *(row(image_id, image_id.encode() * 50) for image_id in IDS[:4]), row(IDS[4]))
    before = index(store).to_pylist()
    old = files(store)
    assert [len(reader.read(it["tar"], it["offset"], it["size"])) for it in before if it["tar"]] == [1200] * 4
    counts = [each.forget(lambda rows: pc.equal(rows["image_id"], IDS[1]), "taken_down") for each in (store, local)]
    assert counts[0] == counts[1] == {"images": 1, "bytes": 1200}
    assert index(store).equals(index(local))
    assert not old & files(store)  # nothing that held it is left
    for stored in before[:4]:
        data = reader.read(stored["tar"], stored["offset"], stored["size"])
        assert data == (bytes(1200) if stored["image_id"] == IDS[1] else stored["image_id"].encode() * 50)
    store.check("00000/00000.tar")


def test_a_superseded_tar_is_deleted_and_its_number_never_comes_again(store: ImageStore) -> None:
    append(store, row(IDS[0], b"large"), row(IDS[1]))
    append(store, row(IDS[0], b"small"))
    time.sleep(1.1)
    assert store.drop_superseded({"00000/00000.tar"}) == []
    assert store.drop_superseded(set()) == ["00000/00000.tar"]
    assert store.tars() == ["00000/00001.tar"]
    assert index(store)["reason"].to_pylist() == [None, "gone"]
    digest = hashlib.sha256(b"large").hexdigest()
    assert store.find([digest]) == {digest: {IDS[0]}}  # by which a takedown may name it
    append(store, row(IDS[2], b"z"))
    assert store.tars()[-1] == "00000/00002.tar"

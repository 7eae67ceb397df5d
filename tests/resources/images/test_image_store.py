"""Images are stored once, whole or not at all, whatever runs at once, is killed or is cut short."""

import hashlib
import multiprocessing
import os
import signal
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip_dagster.imaging import gather_images
from metaclip_dagster.schemas import IMAGES
from resources.images.store import ImageStore, open_image_store
from tests.image_hosts import picture
from tests.metaclip_dagster.imaging.test_imaging import image_id, texts_of, url

PNG = picture(0, kind="PNG")


def row(image_id: str, data: bytes | None = None, reason: str = "gone") -> tuple[dict[str, Any], bytes | None]:
    columns: dict[str, Any] = {"image_id": image_id, "url": f"http://i.example/{image_id}"}
    return columns | ({"reason": reason} if data is None else {"format": "png", "width": 8, "height": 8}), data


def append(store: ImageStore, *images: tuple[dict[str, Any], bytes | None], bucket: int = 0) -> None:
    with store.bucket(bucket, IMAGES) as locked:
        locked.append(images)


def index(store: ImageStore, bucket: int = 0) -> pa.Table:
    with store.bucket(bucket, IMAGES) as locked:
        return locked.index()


CONTENTS = st.dictionaries(st.integers(0, 9).map("{:024x}".format), st.none() | st.binary(max_size=2000))


@settings(max_examples=25)
@given(st.lists(CONTENTS, max_size=4))
def test_the_index_finds_the_latest_of_every_image_and_a_failure_supersedes_none(
    tmp_path_factory: pytest.TempPathFactory, segments: list[dict[str, bytes | None]]
) -> None:
    store = ImageStore(tmp_path_factory.mktemp("store"))
    expected: dict[str, bytes | None] = {}
    for number, segment in enumerate(segments):
        append(store, *(row(image_id, data, f"reason {number}") for image_id, data in segment.items()))
        expected |= {
            image_id: data for image_id, data in segment.items() if data is not None or expected.get(image_id) is None
        }
    rows = index(store)
    assert rows.schema == IMAGES
    assert rows["image_id"].to_pylist() == sorted(expected)
    for indexed in rows.to_pylist():
        data = expected[indexed["image_id"]]
        assert (indexed["tar"] is None) == (data is None) == (indexed["reason"] is not None)
        if data is not None:
            assert store.read(indexed["tar"], indexed["offset"], indexed["size"]) == data
            assert indexed["sha256"] == hashlib.sha256(data).hexdigest()
    last = [number for number, segment in enumerate(segments) for data in segment.values() if data is None]
    assert set(rows["reason"].drop_null().to_pylist()) <= {f"reason {number}" for number in last}
    for tar in store.tars():
        store.check(tar)


def test_a_tar_is_the_same_whatever_order_its_images_came_in(tmp_path: Path) -> None:
    images = [row(f"{number:024x}", os.urandom(number * 300)) for number in range(40)]
    append(ImageStore(tmp_path / "a"), *images)
    append(ImageStore(tmp_path / "b"), *reversed(images))
    assert (tmp_path / "a/00000/00000.tar").read_bytes() == (tmp_path / "b/00000/00000.tar").read_bytes()
    with tarfile.open(tmp_path / "a/00000/00000.tar") as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == [f"{number:024x}.png" for number in range(40)]
    assert {(member.mode, member.mtime, member.uid, member.uname) for member in members} == {(0o644, 0, 0, "")}
    offsets = index(ImageStore(tmp_path / "a"))["offset"].to_pylist()
    assert offsets == [member.offset_data for member in members]


@pytest.mark.parametrize("sizes", [[1], [512], [513], [8192, 512], [9 * 1024 - 1], [9 * 1024], [9 * 1024 + 1]])
def test_an_index_knows_how_long_its_tar_is(tmp_path: Path, sizes: list[int]) -> None:
    append(ImageStore(tmp_path), *(row(f"{number:024x}", bytes(size)) for number, size in enumerate(sizes)))
    assert index(ImageStore(tmp_path)).num_rows == len(sizes)


def test_a_segment_of_failures_has_no_tar(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    append(store, row("a" * 24), bucket=3)
    assert sorted(path.name for path in (tmp_path / "00003").iterdir()) == ["00000.parquet"]
    assert store.tars() == []
    assert index(store, 3)["reason"].to_pylist() == ["gone"]


@pytest.mark.parametrize("num_left", [0, 1])
def test_the_number_of_a_segment_that_was_deleted_never_comes_again(tmp_path: Path, num_left: int) -> None:
    for number in range(3):
        append(ImageStore(tmp_path), row(f"{number:024x}", b"x"))
    for path in sorted((tmp_path / "00000").iterdir())[2 * num_left :]:
        path.unlink()
    append(ImageStore(tmp_path), row("a" * 24, b"y"))
    assert ImageStore(tmp_path).tars() == [
        *(f"00000/{number:05d}.tar" for number in range(num_left)),
        "00000/00003.tar",
    ]


@pytest.mark.parametrize("length", [0, 511, 2000, 10_240, 10_752])
def test_a_tar_cut_short_is_noticed(tmp_path: Path, length: int) -> None:
    store = ImageStore(tmp_path)
    append(store, *(row(f"{number:024x}", bytes(4000)) for number in range(3)))
    last = index(store).to_pylist()[-1]
    with (tmp_path / "00000/00000.tar").open("r+b") as file:
        file.truncate(length)
    with pytest.raises(ValueError, match=r"00000\.tar: not as long as its index says.*restore it, or delete it and"):
        index(store)
    with pytest.raises(ValueError, match="not as long as its index says"):
        store.check("00000/00000.tar")
    with pytest.raises(ValueError, match="not as long as its index says"):
        store.read(last["tar"], last["offset"], last["size"])


def test_a_tar_that_is_gone_is_noticed(tmp_path: Path) -> None:
    append(ImageStore(tmp_path), row("a" * 24, b"x"))
    (tmp_path / "00000/00000.tar").unlink()
    with pytest.raises(ValueError, match=r"00000\.tar: missing, and its index names it; restore it, or delete"):
        index(ImageStore(tmp_path))


@pytest.mark.parametrize("at", [3, 512 + 9])
def test_a_changed_byte_is_found_by_a_check(tmp_path: Path, at: int) -> None:
    append(ImageStore(tmp_path), row("a" * 24, bytes(100)), row("b" * 24, bytes(100)))
    ImageStore(tmp_path).check("00000/00000.tar")
    with (tmp_path / "00000/00000.tar").open("r+b") as file:
        file.seek(at)
        file.write(b"!")
    with pytest.raises(ValueError, match=r"aaaa\.png is not what its index says; restore it, or delete it and"):
        ImageStore(tmp_path).check("00000/00000.tar")


def test_a_writer_whose_images_fail_leaves_nothing(tmp_path: Path) -> None:
    def images() -> Iterator[tuple[dict[str, Any], bytes | None]]:
        yield row("a" * 24, b"x")
        raise ConnectionError("the host blocks us")

    with pytest.raises(ConnectionError), ImageStore(tmp_path).bucket(0, IMAGES) as bucket:
        bucket.append(images())
    assert list((tmp_path / "00000").iterdir()) == []


def test_an_image_that_was_written_again_is_known_by_the_digest_of_what_came(tmp_path: Path) -> None:
    came, stored = hashlib.sha256(b"on its side").hexdigest(), hashlib.sha256(PNG).hexdigest()
    columns, _ = row("a" * 24, PNG)
    append(ImageStore(tmp_path), (columns | {"fetched_sha256": came}, PNG))
    for digest in (came, stored):
        assert ImageStore(tmp_path).find([digest]) == {digest: {"a" * 24}}
        store = ImageStore(tmp_path.with_name(digest), refused={digest: "taken_down"})
        append(store, (columns | {"fetched_sha256": came}, PNG))
        [rest] = index(store).to_pylist()
        assert (rest["reason"], rest["tar"], rest["url"]) == ("taken_down", None, None)
        assert (rest["fetched_sha256"], rest["sha256"]) == (came, stored)
    ImageStore(tmp_path).forget(lambda rows: pa.array([True] * rows.num_rows), "taken_down")
    assert ImageStore(tmp_path).find([came, stored]) == {digest: {"a" * 24} for digest in (came, stored)}


def test_an_index_from_before_a_column_came_is_read_without_it(tmp_path: Path) -> None:
    append(store := ImageStore(tmp_path), row("a" * 24, PNG))
    [path] = tmp_path.glob("*/*.parquet")
    pq.write_table(pq.read_table(path).drop_columns(["fetched_sha256"]), path)
    assert index(store)["fetched_sha256"].to_pylist() == [None]
    digest = hashlib.sha256(PNG).hexdigest()
    assert store.find([digest]) == {digest: {"a" * 24}}


def test_a_password_in_the_url_of_an_object_store_is_refused_and_not_shown() -> None:
    with pytest.raises(ValueError, match="the URL holds a password") as refused:
        open_image_store("s3://AKID:hush@images/store")
    assert "hush" not in str(refused.value)


def log_fetch(log: Path, urls: Sequence[str], *, die_at: int = -1) -> Iterator[tuple[str, bytes | str]]:
    """Answer and write each URL down; die, as if killed, at the so-maniest."""
    for number, asked in enumerate(urls):
        if number == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{asked}\n")
        yield asked, PNG if int(asked.rsplit("/", 1)[1]) % 3 else "not_found"


Moment = Literal["never", "fetching", "before the tar's name", "before the index", "before the index's name"]


def gather(root: Path, log: Path, numbers: Iterable[int], moment: Moment = "never") -> None:
    """Gather these images in this process, and be killed at this moment of the second segment."""
    texts = texts_of(*((number, "en", 1.0) for number in numbers))
    segments: list[int] = []

    def fetch(urls: Sequence[str]) -> Iterator[tuple[str, bytes | str]]:
        segments.append(len(urls))
        return log_fetch(log, urls, die_at=5 if moment == "fetching" and len(segments) == 2 else -1)

    kill = {"before the tar's name": ".tar", "before the index's name": ".parquet"}
    if moment in kill:
        _kill_before(Path, "replace", lambda path: len(segments) == 2 and path.name.endswith(f"{kill[moment]}.tmp"))
    if moment == "before the index":
        _kill_before(pq, "write_table", lambda *_: len(segments) == 2)
    options: dict[str, Any] = {"bucket": 0, "thresholds_below": {}, "dropped": Counter(), "seen": Counter()}
    store = open_image_store(str(root), segment_images=10)
    list(gather_images([texts], store=store, fetch=fetch, **options))


def _kill_before(owner: Any, name: str, is_time: Callable[..., bool]) -> None:
    real = getattr(owner, name)

    def killing(first: Any, *rest: Any, **options: Any) -> Any:
        if is_time(first):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(first, *rest, **options)

    setattr(owner, name, killing)


def start(work: Callable[[], None]) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=work)
    process.start()
    return process


def content(root: Path) -> dict[str, bytes | None]:
    store = open_image_store(str(root))
    for tar in store.tars():
        store.check(tar)
    return {
        row["image_id"]: store.read(row["tar"], row["offset"], row["size"]) if row["tar"] else None
        for row in index(store).to_pylist()
    }


def expected(numbers: Iterable[int]) -> dict[str, bytes | None]:
    return {image_id(n): PNG if n % 3 else None for n in numbers}


def test_two_processes_that_want_one_image_fetch_it_once(tmp_path: Path) -> None:
    log, shares = tmp_path / "log", (range(120), range(60, 200))
    racers = [start(partial(gather, tmp_path / "store", log, mine)) for mine in shares]
    for racer in racers:
        racer.join()
    assert [racer.exitcode for racer in racers] == [0, 0]
    assert Counter(log.read_text(encoding="utf-8").split()) == Counter(map(url, range(200)))
    assert content(tmp_path / "store") == expected(range(200))


@pytest.mark.parametrize(
    "moment", ["fetching", "before the tar's name", "before the index", "before the index's name"]
)  # fmt: skip
def test_a_killed_writer_loses_its_segment_only_and_leaves_nothing_half_written(tmp_path: Path, moment: Moment) -> None:
    root, log = tmp_path / "store", tmp_path / "log"
    killed = start(partial(gather, root, log, range(35), moment))
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    first = sorted(image_id(n) for n in range(35))[:10]
    assert sorted(content(root)) == first
    gather(root, log, range(35))
    assert content(root) == expected(range(35))
    assert sorted(path.name for path in (root / "00000").iterdir()) == [
        f"{number:05d}.{kind}" for number in range(4) for kind in ("parquet", "tar")
    ]
    fetched = Counter(log.read_text(encoding="utf-8").split())
    assert {url(n) for n in range(35) if image_id(n) in first} <= {
        name for name, times in fetched.items() if times == 1
    }
    assert sum(fetched.values()) == 35 + (5 if moment == "fetching" else 10)

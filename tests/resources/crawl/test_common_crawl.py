"""Common Crawl over the web: a loopback host with the real layout gives what the same files on disk give."""

import gzip
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.crawl import pairs
from assets.partitions import register_snapshots
from resources.crawl.listing import draw_archives, find_archives
from resources.crawl.mini import split_members
from resources.crawl.resource import CommonCrawl
from resources.engines.resource import Compute
from resources.lake.resource import Lake
from resources.web import client as web_client
from resources.web.hosts import hold_connection
from tests.data.test_sample import CRAWL
from tests.hosts import Act, Host, announcing, cut_after, refusing, serving, stalling, whole
from tests.lakes import digests

SNAPSHOT = "SAMPLE-2026-01"
NUM_FILES = 56


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample's first snapshot as 56 archives, the records dealt out among them."""
    folder = tmp_path_factory.mktemp("crawl")
    listed = gzip.decompress((CRAWL / "crawl-data" / SNAPSHOT / "wat.paths.gz").read_bytes()).decode().split()
    members = [member for path in listed for member in split_members((CRAWL / path).read_bytes())]
    names = [f"crawl-data/{SNAPSHOT}/segments/1/wat/{number:05d}.warc.wat.gz" for number in range(NUM_FILES)]
    parts: dict[str, list[bytes]] = {name: [] for name in names}
    for name, member in zip(cycle(names), members, strict=False):
        parts[name].append(member)
    for name, some in parts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"".join(some))
    (folder / f"crawl-data/{SNAPSHOT}/wat.paths.gz").write_bytes(gzip.compress("\n".join(names).encode()))
    (folder / "collinfo.json").write_text(json.dumps([{"id": SNAPSHOT}]), encoding="utf-8")
    return folder


@pytest.fixture
def host(crawl: Path) -> Iterator[Host]:
    def read(path: str) -> bytes | None:
        file = crawl / path.lstrip("/")
        return file.read_bytes() if file.is_file() else None

    with serving(read) as running:
        yield running


def client(host: Host, folder: Path, cache_gb: float = 0.0) -> CommonCrawl:
    return CommonCrawl(root=host.url, snapshot_pattern=r"SAMPLE-\d{4}-\d{2}", folder=str(folder), cache_gb=cache_gb)


def parse(common_crawl: CommonCrawl, home: Path, config: Mapping[str, object] | None = None) -> Lake:
    """Make the snapshot's pairs in two workers, which share the connections and hear of a refusal."""
    return parse_here(common_crawl, home, config, workers=2)[0]


def parse_here(
    common_crawl: CommonCrawl,
    home: Path,
    config: Mapping[str, object] | None = None,
    *,
    failing: float = 0.0,
    workers: int = 1,
) -> tuple[Lake, Mapping[str, Any]]:
    """Make the snapshot's pairs in this process, where a share may fail; what the asset's page says of them too."""
    lake = Lake(root=str(home / "lake"))
    with dg.DagsterInstance.ephemeral() as instance:
        register_snapshots(instance, common_crawl, [SNAPSHOT])
        run = dg.materialize(
            [pairs],
            instance=instance,
            partition_key=SNAPSHOT,
            resources={
                "lake": lake,
                "compute": Compute(lake=lake, workers=workers, max_failed_fraction=failing),
                "common_crawl": common_crawl,
            },
            run_config={"ops": {"pairs": {"config": config or {}}}},
        )
    assert run.success
    [event] = run.asset_materializations_for_node("pairs")
    return lake, event.metadata


@pytest.fixture(scope="module")
def on_disk(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    folder = CommonCrawl(root=str(crawl), snapshot_pattern=r"SAMPLE-\d{4}-\d{2}")
    return parse_here(folder, tmp_path_factory.mktemp("from_disk"))[0]


@pytest.mark.parametrize("cache_gb", [0.0, 0.0005])
def test_a_snapshot_from_a_faulty_host_equals_the_one_on_disk(
    host: Host, on_disk: Lake, tmp_path: Path, cache_gb: float
) -> None:
    faults: list[Act] = [refusing(503), cut_after(3000), announcing(50), refusing(429, Retry_After="1"), stalling]
    common_crawl = client(host, tmp_path / "web", cache_gb=cache_gb)
    parse_here(common_crawl, tmp_path / "from_web", {"first": 2})  # the lists, undisturbed
    host.plan = [act for fault in faults for act in (fault, whole)]
    web = parse(common_crawl, tmp_path / "from_web", {"first": 0})
    assert host.plan == []
    assert digests(web, [SNAPSHOT], "pairs") == digests(on_disk, [SNAPSHOT], "pairs")
    assert web.manifest("pairs", SNAPSHOT).failed == {}
    assert host.most_open <= common_crawl.connections
    sizes = [file.stat().st_size for file in (tmp_path / "web" / "cache").glob("[!.]*")] if cache_gb else []
    assert sum(sizes) <= cache_gb * 1e9
    assert bool(sizes) == bool(cache_gb)


def test_a_refusal_ends_the_snapshot_and_what_was_read_is_kept(host: Host, tmp_path: Path) -> None:
    common_crawl = client(host, tmp_path / "web")
    host.plan = [*[whole] * 12, refusing(403)]
    with pytest.raises(dg.Failure, match="refuses us"):
        parse(common_crawl, tmp_path)
    asked = len(host.asked)
    assert asked < NUM_FILES
    with pytest.raises(PermissionError, match="refuses us"):
        common_crawl.snapshots()
    assert len(host.asked) == asked, "nothing more is asked of a host that refused"
    (tmp_path / "web" / "blocked" / host.url.removeprefix("http://").replace(":", "_")).unlink()
    again, _ = parse_here(common_crawl, tmp_path)
    assert again.manifest("pairs", SNAPSHOT).failed == {}
    assert len(host.asked) - asked < NUM_FILES, "archives that were read before the refusal are not read again"


def hold(host: Host, common_crawl: CommonCrawl, lane: str, num_slots: int) -> AbstractContextManager[None]:
    """One of the connections of that lane."""
    folder = Path(common_crawl.folder, lane, host.url.removeprefix("http://").replace(":", "_"))
    return hold_connection(folder, "a test", num_slots=num_slots, seconds=1.0)


def test_a_sensor_is_answered_while_runs_have_all_connections(host: Host, tmp_path: Path) -> None:
    common_crawl = client(host, tmp_path / "web")
    with ExitStack() as connections:
        for _ in range(common_crawl.connections):
            connections.enter_context(hold(host, common_crawl, "connections", common_crawl.connections))
        run = threading.Thread(target=lambda: checked.append(common_crawl.check(SNAPSHOT)))
        checked: list[str] = []
        run.start()
        assert common_crawl.snapshots() == [SNAPSHOT]
        assert common_crawl.has_paths(SNAPSHOT, "wat")
        assert checked == []
    run.join()
    assert checked == [SNAPSHOT]


def test_a_sensor_does_not_wait_for_another(host: Host, tmp_path: Path) -> None:
    common_crawl = client(host, tmp_path / "web")
    begun = time.monotonic()
    with hold(host, common_crawl, "hasty", 1), pytest.raises(TimeoutError, match="no connection to"):
        common_crawl.snapshots()
    assert time.monotonic() - begun < 30


def test_a_sensor_does_not_wait_as_long_as_a_host_asks(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.plan = [refusing(503, Retry_After="3600")] * 3
    waits: list[float] = []
    monkeypatch.setattr(web_client, "time", SimpleNamespace(sleep=waits.append, monotonic=time.monotonic))
    with pytest.raises(OSError, match="3 tries in a row"):
        client(host, tmp_path / "web").snapshots()
    assert len(waits) == 2
    assert sum(waits) < 30


def cut_body(file: Path) -> bytes:
    """The file's first part, which ends inside a gzip member."""
    return file.read_bytes()[: file.stat().st_size * 6 // 10]


FEW = {"first": 8}


def test_an_archive_that_is_served_cut_fails_and_is_read_once_it_is_whole(
    host: Host, crawl: Path, tmp_path: Path
) -> None:
    common_crawl, served = client(host, tmp_path / "web"), host.read
    path = common_crawl.archives(SNAPSHOT, "wat")["00007"]
    host.read = lambda asked: cut_body(crawl / path) if asked == f"/{path}" else served(asked)
    lake, metadata = parse_here(common_crawl, tmp_path, FEW, failing=0.2)
    assert list(lake.manifest("pairs", SNAPSHOT).failed) == ["00007"]
    [failed] = metadata["failed"].records
    assert (failed.data["number"], failed.data["archive"]) == ("00007", path)
    assert "ends inside a record" in str(failed.data["why"])
    assert "materialize this partition again" in metadata["to_read_failed_again"].value
    host.read = served
    lake, metadata = parse_here(common_crawl, tmp_path)
    assert metadata["reused_shards"].value == 7
    assert not {"failed", "to_read_failed_again"} & set(metadata)
    sizes = [(crawl / path).stat().st_size for path in list(common_crawl.archives(SNAPSHOT, "wat").values())[:8]]
    assert [shard.seen["bytes_read"] for shard in lake.manifest("pairs", SNAPSHOT).shards] == sizes


def test_an_archive_that_changed_on_its_host_is_read_again(host: Host, crawl: Path, tmp_path: Path) -> None:
    common_crawl, served = client(host, tmp_path / "web"), host.read
    path = common_crawl.archives(SNAPSHOT, "wat")["00007"]
    fewer = next(split_members((crawl / path).read_bytes()))  # a cut that no gzip member shows
    fewer += next(split_members((crawl / path).read_bytes()[len(fewer) :]))
    host.read = lambda asked: fewer if asked == f"/{path}" else served(asked)
    before = parse_here(common_crawl, tmp_path, FEW)[0].manifest("pairs", SNAPSHOT)
    host.read = served
    lake, metadata = parse_here(common_crawl, tmp_path)
    assert metadata["reused_shards"].value == 7
    assert lake.manifest("pairs", SNAPSHOT).rows > before.rows
    assert parse_here(common_crawl, tmp_path)[1]["reused_shards"].value == 8


def test_one_archive_is_read_again_where_nothing_shows_that_it_changed(host: Host, tmp_path: Path) -> None:
    common_crawl = client(host, tmp_path / "web")
    paths = common_crawl.archives(SNAPSHOT, "wat")
    before = parse_here(common_crawl, tmp_path, FEW)[0].manifest("pairs", SNAPSHOT)
    asked = len(host.asked)
    lake, metadata = parse_here(common_crawl, tmp_path, {"again": ["7", paths["00003"].rsplit("/", 1)[1]]})
    assert metadata["reused_shards"].value == 6
    read = [path for path, _, _ in host.asked[asked:] if path.endswith(".wat.gz")]
    assert read == [f"/{paths['00003']}", f"/{paths['00007']}"]
    assert lake.manifest("pairs", SNAPSHOT).version == before.version
    with pytest.raises(ValueError, match=r"'wat\.gz' names 0 of the 56 archives"):
        find_archives(paths, ["wat.gz"])


def test_a_share_of_a_snapshot_is_drawn_once_and_told(host: Host, tmp_path: Path) -> None:
    common_crawl = client(host, tmp_path / "web")
    some = parse_here(common_crawl, tmp_path, {"share": 0.1, "seed": 3})[0].manifest("pairs", SNAPSHOT)
    assert len(some.shards) == 6
    assert {"share": "0.1", "seed": "3", "archives_read": "6", "archives_listed": "56"}.items() <= some.inputs.items()
    asked = len(host.asked)
    more = parse_here(common_crawl, tmp_path, {"share": 0.2, "seed": 3})[0].manifest("pairs", SNAPSHOT)
    assert {shard.key for shard in some.shards} < {shard.key for shard in more.shards}
    assert sum(path.endswith(".wat.gz") for path, _, _ in host.asked[asked:]) == 11 - 6


@given(st.integers(1, 50), st.floats(0.01, 1.0), st.floats(0.01, 1.0), st.integers(0, 3))
def test_a_larger_share_holds_a_smaller_one(num: int, share: float, other: float, seed: int) -> None:
    archives = {f"{number:05d}": number for number in range(num)}
    small, large = (draw_archives(archives, share=value, seed=seed) for value in sorted([share, other]))
    assert small.items() <= large.items()
    assert list(large) == sorted(large)
    assert len(small) >= 1


@pytest.mark.parametrize("share", [0.0, 1.1, float("nan"), -1.0])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        draw_archives({"00000": 1}, share=share)


@pytest.mark.parametrize(
    "listed",
    [b"../../etc/passwd", b"/etc/passwd", b"http://10.0.0.1/x.wat.gz", b"crawl-data/a\x00b", b"crawl-data/\xff", b"",
     pytest.param(b"a/b\n" * (20 << 20), id="a bomb")],
)  # fmt: skip
def test_a_path_list_that_leads_elsewhere_or_inflates_without_end_is_refused(listed: bytes, tmp_path: Path) -> None:
    (tmp_path / f"crawl-data/{SNAPSHOT}").mkdir(parents=True)
    (tmp_path / "collinfo.json").write_text(json.dumps([{"id": SNAPSHOT}]), encoding="utf-8")
    (tmp_path / f"crawl-data/{SNAPSHOT}/wat.paths.gz").write_bytes(gzip.compress(listed))
    with pytest.raises(ValueError, match="list of paths"):
        CommonCrawl(root=str(tmp_path), snapshot_pattern="SAMPLE.*").archives(SNAPSHOT, "wat")

"""Transfers that are cut, slowed, refused or changed, from a real server on the loopback."""

import fcntl
import hashlib
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.web.archives import Access, archive_version, open_archive
from resources.web.client import Web, retry_after_seconds
from tests.hosts import Handler, Host, announcing, cut_after, refusing, serving, stalling, whole

BODY = random.Random(5).randbytes(3_000_000)


def changed(handler: Handler) -> None:
    handler.begin(tag='"two"')
    handler.wfile.write(BODY[::-1])


@pytest.fixture
def server() -> Iterator[Host]:
    with serving(lambda _: BODY) as host:
        yield host


@pytest.fixture
def web(tmp_path: Path) -> Web:
    return Web(str(tmp_path / "web"), wait_seconds=0.01, max_wait_seconds=0.3, timeout_seconds=0.5, attempts=4)


_FAULTS = {
    "cut at once": cut_after(0),
    "cut": cut_after(700_001),
    "503": refusing(503),
    "429 with a wait": refusing(429, Retry_After="0"),
    "stall": stalling,
}


def read(web: Web, server: Host) -> bytes:
    with web.open(f"{server.url}/file.gz") as body:
        return body.read()


@settings(max_examples=15)
@given(faults=st.lists(st.sampled_from([*_FAULTS]), max_size=3))
def test_whatever_breaks_in_between_the_bytes_are_the_same(faults: list[str], tmp_path_factory: Any) -> None:
    with serving(lambda _: BODY) as server:
        server.plan = [_FAULTS[fault] for fault in faults]
        folder = tmp_path_factory.mktemp("web")
        web = Web(str(folder / "web"), wait_seconds=0.01, timeout_seconds=0.3, attempts=4)
        assert read(web, server) == BODY
        assert web.download(f"{server.url}/file.gz", folder / "file.gz").read_bytes() == BODY


def test_a_cut_transfer_asks_for_the_rest_only(server: Host, web: Web) -> None:
    server.plan = [cut_after(1_000_000), cut_after(1_000_000)]
    assert read(web, server) == BODY
    assert [asked for _, asked, _ in server.asked] == [None, "bytes=1000000-", "bytes=2000000-"]


def test_progress_renews_the_tries(server: Host, web: Web) -> None:
    server.plan = [cut_after(200_000)] * 10
    assert read(web, server) == BODY


def test_a_host_that_stays_broken_is_given_up(server: Host, web: Web) -> None:
    server.plan = [refusing(503)] * 9
    with pytest.raises(OSError, match="4 tries in a row"):
        read(web, server)
    assert len(server.asked) == 4


def test_a_host_that_announced_too_much_is_asked_for_the_rest_and_says_that_there_is_none(
    server: Host, web: Web
) -> None:
    server.plan = [announcing(10)]
    assert read(web, server) == BODY
    server.plan = [announcing(10)]
    with pytest.raises(OSError, match="3,000,010 were announced"):
        web.open(f"{server.url}/file.gz", num_bytes=len(BODY) + 10)


def test_the_host_is_waited_for_as_long_as_it_asks(server: Host, web: Web) -> None:
    server.plan = [refusing(503, Retry_After="1")]
    read(web, server)
    [(_, _, first), (_, _, second)] = server.asked
    assert 0.3 <= second - first < 0.9, "a second was asked for, and max_wait_seconds bounds it"


def test_a_file_that_changes_midway_is_read_from_its_start(server: Host, web: Web, tmp_path: Path) -> None:
    server.plan = [cut_after(1_500_000), changed]
    assert read(web, server) == BODY[::-1]
    (tmp_path / ".file.gz.part").write_bytes(BODY[:1_000_000])
    (tmp_path / ".file.gz.tag").write_text('"one"')
    server.asked.clear()
    server.plan = [cut_after(0), changed]
    assert web.download(f"{server.url}/file.gz", tmp_path / "file.gz").read_bytes() == BODY[::-1]
    assert [asked for _, asked, _ in server.asked] == ["bytes=1000000-"] * 2


def test_a_host_whose_file_changes_at_every_try_is_given_up(server: Host, web: Web) -> None:
    def changed_and_cut(handler: Handler) -> None:
        handler.wfile.write(handler.begin(tag=f'"{len(server.plan)}"')[:1_500_000])
        handler.close_connection = True

    server.plan = [changed_and_cut] * 9
    with pytest.raises(OSError, match="4 tries in a row"):
        read(web, server)


@pytest.mark.parametrize("status", [401, 403, 451])
def test_a_refusal_stops_every_process_at_once(server: Host, web: Web, status: int) -> None:
    server.plan = [refusing(status)]
    with pytest.raises(PermissionError, match=f"refuses us.*{status}"):
        read(web, server)
    again = Web(web.folder, wait_seconds=0.01)
    with pytest.raises(PermissionError, match="refuses us"):
        read(again, server)
    assert len(server.asked) == 1


def test_what_is_not_there_is_told_without_a_second_try(server: Host, web: Web) -> None:
    server.plan = [refusing(404)]
    with pytest.raises(FileNotFoundError, match="404"):
        read(web, server)
    server.plan = [refusing(404), whole]
    assert [web.exists(f"{server.url}/file.gz"), web.exists(f"{server.url}/file.gz")] == [False, True]


def test_redirects_are_not_followed(server: Host, web: Web) -> None:
    server.plan = [refusing(302, Location=f"{server.url}/other")]
    with pytest.raises(OSError, match="302"):
        read(web, server)
    assert len(server.asked) == 1


def test_never_more_connections_than_allowed(server: Host, web: Web) -> None:
    def slowly(handler: Handler) -> None:
        body = handler.begin()
        time.sleep(0.05)
        handler.wfile.write(body)

    server.plan = [slowly] * 12
    polite = Web(web.folder, connections=2)
    threads = [threading.Thread(target=read, args=(polite, server)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.most_open == 2


def test_who_waits_for_a_connection_in_vain_is_told_who_has_them(server: Host, web: Web) -> None:
    hasty = replace(web, connections=1, slot_seconds=0.3)
    slow = threading.Thread(target=hasty.read, args=(f"{server.url}/first.gz?token=secret",))
    server.plan = [stalling]
    slow.start()
    while not server.asked:
        time.sleep(0.01)
    with pytest.raises(TimeoutError, match=rf"process {os.getpid()}: {server.url}/first.gz\)") as refused:
        read(hasty, server)
    assert "secret" not in str(refused.value)
    slow.join()
    assert read(hasty, server) == BODY


def test_a_body_that_is_open_holds_no_connection_and_leaves_no_file(server: Host, web: Web) -> None:
    one = replace(web, connections=1, slot_seconds=0.3)
    with one.open(f"{server.url}/file.gz") as body:
        assert read(one, server) == BODY
        assert [path.name for path in Path(web.folder).iterdir()] == ["connections"]
        assert body.read() == BODY


def test_a_host_that_trickles_is_given_up(web: Web) -> None:
    def trickle(handler: Handler) -> None:
        body = handler.begin()
        for byte in body[:1200]:  # a minute
            handler.wfile.write(bytes([byte]))
            time.sleep(0.05)

    with serving(lambda _: BODY) as server:
        server.plan = [trickle]
        begun = time.monotonic()
        with pytest.raises(TimeoutError, match="too slow"):
            read(replace(web, total_seconds=0.5), server)
        assert time.monotonic() - begun < 30


def test_the_user_agent_names_the_project_and_a_contact(server: Host, web: Web) -> None:
    read(Web(web.folder, contact="data@example.org"), server)
    assert server.agents == {"metaclip_dagster/0.1 (data@example.org)"}


def test_a_wrong_checksum_leaves_nothing(server: Host, web: Web, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="SHA-1"):
        web.download(f"{server.url}/file.gz", tmp_path / "file.gz", sha1="0" * 40)
    assert not (tmp_path / "file.gz").exists()
    sha1 = hashlib.sha1(BODY, usedforsecurity=False).hexdigest()
    assert web.download(f"{server.url}/file.gz", tmp_path / "file.gz", sha1=sha1).read_bytes() == BODY


def test_a_killed_download_is_resumed(server: Host, web: Web, tmp_path: Path) -> None:
    path = tmp_path / "file.gz"

    def drip(handler: Handler) -> None:
        body = handler.begin()
        for start in range(0, len(body), 100_000):
            handler.wfile.write(body[start : start + 100_000])
            time.sleep(0.05)

    server.plan = [drip]
    child = multiprocessing.get_context("spawn").Process(target=web.download, args=(f"{server.url}/file.gz", path))
    child.start()
    part = tmp_path / ".file.gz.part"
    while not part.exists() or part.stat().st_size < 500_000:
        time.sleep(0.01)
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join()
    assert not path.exists()
    assert web.download(f"{server.url}/file.gz", path).read_bytes() == BODY
    resumed = server.asked[-1][1]
    assert resumed is not None
    assert int(resumed.removeprefix("bytes=").rstrip("-")) >= 500_000
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_a_whole_part_that_was_never_renamed_is_no_obstacle(server: Host, web: Web, tmp_path: Path) -> None:
    (tmp_path / ".file.gz.part").write_bytes(BODY)
    (tmp_path / ".file.gz.tag").write_text('"one"')
    assert web.download(f"{server.url}/file.gz", tmp_path / "file.gz").read_bytes() == BODY
    assert [asked for _, asked, _ in server.asked] == [f"bytes={len(BODY)}-"], "none of it is fetched again"


@pytest.mark.parametrize(
    "retry_after",
    [
        "Mon, 01 Jan 2024 00:00:00 +99999999999999999999",
        "Mon, 01 Jan 99999999999 00:00:00 GMT",
        "\u00b2",
        "-1",
        "9" * 400,
    ],
)
def test_no_retry_after_is_more_than_a_wait(retry_after: str) -> None:
    assert retry_after_seconds(retry_after) >= 0


@pytest.mark.parametrize("status", [403, 404, 500, 302])
def test_no_error_tells_a_token(server: Host, web: Web, status: int) -> None:
    server.plan = [refusing(status)] * 9
    with pytest.raises(OSError, match=str(status)) as raised:
        web.read(f"{server.url}/file.gz?token=secret")
    assert "secret" not in str(raised.value)
    assert "secret" not in "".join(path.read_text() for path in Path(web.folder).rglob("*") if path.is_file())


def test_whoever_waits_for_a_file_never_publishes_half_of_it(server: Host, web: Web, tmp_path: Path) -> None:
    """Of three that fetch the same, the first is given another checksum: the others' files are whole all the same."""
    path, bodies = tmp_path / "file.gz", []

    def fetch(sha1: str | None) -> None:
        try:
            bodies.append(web.download(f"{server.url}/file.gz", path, sha1=sha1).read_bytes())
        except ValueError as refused:
            bodies.append(str(refused).encode())

    for _ in range(5):
        threads = [threading.Thread(target=fetch, args=(sha1,)) for sha1 in ("0" * 40, None, None)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        path.unlink()
    assert all(body == BODY or b"thrown away" in body for body in bodies)
    assert bodies.count(BODY) >= 10


def test_a_cached_file_that_goes_while_others_wait_is_fetched_again(server: Host, web: Web, tmp_path: Path) -> None:
    access = Access(web=web, cache=str(tmp_path / "cache"), cache_bytes=1)  # nothing stays
    read: list[bytes] = []

    def fetch() -> None:
        with open_archive(f"{server.url}/file.gz", access) as archive:
            read.append(archive.read())

    threads = [threading.Thread(target=fetch) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [body == BODY for body in read] == [True] * 6


def test_what_a_writer_left_while_another_waited_is_built_on(server: Host, web: Web, tmp_path: Path) -> None:
    path, part = tmp_path / "file.gz", tmp_path / ".file.gz.part"
    with part.open("a+b") as dying:
        fcntl.flock(dying, fcntl.LOCK_EX)
        waiting = threading.Thread(target=web.download, args=(f"{server.url}/file.gz", path))
        waiting.start()
        time.sleep(0.3)
        dying.write(BODY[:1_000_000])
        (tmp_path / ".file.gz.tag").write_text('"one"')
    waiting.join()
    assert path.read_bytes() == BODY
    assert [asked for _, asked, _ in server.asked] == ["bytes=1000000-"]


def test_what_is_announced_is_told_without_the_body(server: Host, web: Web) -> None:
    assert web.describe(f"{server.url}/file.gz") == (len(BODY), '"one"')
    server.answers_heads = False
    assert web.describe(f"{server.url}/file.gz") == (None, "")
    assert server.asked == []


def test_a_body_of_another_length_than_announced_is_refused(server: Host, web: Web, tmp_path: Path) -> None:
    version = archive_version(f"{server.url}/file.gz", Access(web=web))
    shorter, server.read = server.read, lambda _: BODY[:2_000_000]
    for access in (Access(web=web), Access(web=web, cache=str(tmp_path / "cache"), cache_bytes=10**9)):
        with pytest.raises(OSError, match="2,000,000 bytes are served, and 3,000,000 were announced"):
            open_archive(f"{server.url}/file.gz", access, version)
    server.read = shorter
    with open_archive(f"{server.url}/file.gz", Access(web=web), version) as archive:
        assert archive.read(10) == BODY[:10]
        assert archive.tell() == 10
        assert len(archive.read()) == len(BODY) - 10
        assert archive.tell() == len(BODY)


def test_a_body_whose_headers_do_not_say_its_length_is_read_to_what_was_announced(server: Host, web: Web) -> None:
    def without_length(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("ETag", '"one"')
        handler.end_headers()
        handler.wfile.write(BODY[:1_000_000])
        handler.close_connection = True

    server.plan = [without_length]
    with web.open(f"{server.url}/file.gz", num_bytes=len(BODY)) as body:
        assert body.read() == BODY


def test_a_cached_archive_that_changed_is_fetched_again(server: Host, web: Web, tmp_path: Path) -> None:
    access = Access(web=web, cache=str(tmp_path / "cache"), cache_bytes=10**9)
    url = f"{server.url}/file.gz"
    for body in (BODY, BODY[:1000], BODY[:1000]):
        server.read = {"/file.gz": body}.get
        with open_archive(url, access, archive_version(url, access)) as archive:
            assert archive.read() == body
    assert len(server.asked) == 2

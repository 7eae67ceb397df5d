"""Images from a hostile web: every URL is answered, by bytes or by a reason, and nothing forbidden is dialled."""

import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaclip_dagster.signals import keep_out
from resources.images.addresses import why_not_dialled
from resources.images.asking import ImageWeb
from resources.images.web import open_image_web
from resources.pools.images import Answer, join_headers
from tests.image_hosts import ImageHosts, image_hosts, picture


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageHosts]:
    with image_hosts(tmp_path_factory.mktemp("hosts")) as running:
        yield running


@pytest.fixture
def asking(hosts: ImageHosts) -> ImageWeb:
    return ImageWeb(
        allowed=hosts.allowed,
        connections_per_host=16,
        total_seconds=1.5,
        read_seconds=1.0,
        connect_seconds=1.0,
        max_bytes=3 << 20,
        failures_of_host=1000,
        opted_out=partial(keep_out, words=("noai", "noml"), agent="metaclip_dagster"),
    )


def answers(asking: ImageWeb, *urls: str) -> dict[str, Any]:
    answered = list(open_image_web(asking)(urls))
    assert sorted(url for url, _ in answered) == sorted(urls), "each URL is answered once"
    return {url: without_seconds(answer) for url, answer in answered}


def without_seconds(answer: Answer) -> Answer:
    """What was answered, with headers if there are any."""
    if not isinstance(answer, tuple):
        return answer
    return join_headers(answer[0], answer[1])


def test_what_a_response_says_of_its_use_comes_with_the_answer(hosts: ImageHosts, asking: ImageWeb) -> None:
    urls = {name: f"{hosts.root}/{name}/1" for name in ("noai", "noml", "reserved", "untrained", "archived")}
    said = {
        "archived": ("X-Robots-Tag", "noai"),
        "noai": ("X-Robots-Tag", "noai"),
        "noml": ("X-Robots-Tag", "noml, noarchive"),
        "reserved": ("TDM-Reservation", "1"),
        "untrained": ("Content-Usage", "search=y, train-ai=n"),
    }
    assert answers(asking, *urls.values()) == {urls[name]: ("opted_out", (said[name],)) for name in urls}
    fetched = answers(replace(asking, opted_out=None), *urls.values())
    assert {name: fetched[url][1] for name, url in urls.items()} == {name: (header,) for name, header in said.items()}
    assert all(isinstance(data, bytes) for data, _ in fetched.values())


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/status/404", "http_404"),
        ("/partial/1", "http_206"),
        ("/status/410", "http_410"),
        ("/moody/1", "http_404"),
        ("/status/500", "http_500"),
        ("/status/429", "http_429"),
        ("/large/1", "too_large"),
        ("/endless/1", "too_large"),
        ("/drip/1", "timeout"),
        ("/cut/1", "incomplete"),
        ("/loop/1", "too_many_redirects"),
        ("/nowhere/1", "bad_redirect"),
        ("/to/forbidden_port", "blocked_port"),
        ("/to/forbidden_name", "blocked_address"),
        ("/to/forbidden_address", "blocked_address"),
        ("/to/metadata", "blocked_address"),
        ("/to/mapped", "blocked_address"),
        ("/to/file", "blocked_scheme"),
        ("/to/data", "blocked_scheme"),
        ("/to/user", "bad_url"),
        ("/to/garbage", "bad_redirect"),
    ],
)
def test_what_fails_says_why(path: str, reason: str, hosts: ImageHosts, asking: ImageWeb) -> None:
    # The forbidden port's own address is loopback: told apart from an allowed address at a port of no web server.
    expected = "blocked_address" if path == "/to/forbidden_port" else reason
    assert answers(asking, hosts.root + path) == {hosts.root + path: expected}
    assert hosts.forbidden == []


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/signed/1280x720/smart/http%3A%2F%2Fcdn.example%2Fa.jpg", None),
        ("/signed/?u=https%3A%2F%2Fb.example%2Fc.jpg", None),
        ("/signed/it%27s.jpg", None),
        ("/signed//a//%7Eb/%C3%A9/%e9/%zz/[1]|~!$&'()*+,;=:@.jpg?a=b?c/d&&`{}|^", None),
        ("/signed/empty?", None),
        ("/to/signed", "/signed/a%20b//http%3A%2F%2Fcdn.example%2F%C3%A9.jpg?it%27s=%27"),
    ],
)
def test_a_url_is_asked_for_as_it_stands(path: str, target: str | None, hosts: ImageHosts, asking: ImageWeb) -> None:
    hosts.targets.clear()
    assert answers(asking, hosts.root + path) == {hosts.root + path: picture(4)}
    assert hosts.targets == [target or path]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://127.0.0.1/x.png", "blocked_scheme"),
        ("file:///etc/hostname", "blocked_scheme"),
        ("data:image/png;base64,AAAA", "blocked_scheme"),
        ("http://", "bad_url"),
        ("http://[::1", "bad_url"),
        ("http://host:99999/x", "bad_url"),
        ("http://me@127.0.0.1/", "bad_url"),
        ("http://127.0.0.1:1/x.png", "blocked_address"),
        ("http://10.0.0.1/x.png", "blocked_address"),
        ("http://no-such-host.invalid/x.png", "dns"),
        ("", "bad_url"),
    ],
)
def test_no_url_is_left_unanswered(url: str, reason: str, asking: ImageWeb) -> None:
    assert answers(asking, url) == {url: reason}


@given(st.lists(st.text(max_size=30).map(lambda text: f"http://{text}"), max_size=5, unique=True))
def test_any_text_is_answered(urls: list[str]) -> None:
    quick = ImageWeb(total_seconds=0.5, connect_seconds=0.2, attempts=1, connections=8)
    answered = open_image_web(quick)([url for url in urls if "." not in url])
    assert all(isinstance(without_seconds(answer), str) for _, answer in answered)


def test_a_busy_host_is_asked_again(hosts: ImageHosts, asking: ImageWeb) -> None:
    assert answers(asking, f"{hosts.root}/busy/1") == {f"{hosts.root}/busy/1": picture(7)}


def test_a_certificate_that_nobody_vouches_for_is_refused(hosts: ImageHosts, asking: ImageWeb) -> None:
    url = f"https://127.0.0.1:{hosts.tls_port}/ok/1"
    assert answers(asking, url) == {url: "tls"}


def test_a_gzip_bomb_is_never_inflated(hosts: ImageHosts, asking: ImageWeb) -> None:
    tracemalloc.start()
    body = answers(asking, f"{hosts.root}/gzip/1")[f"{hosts.root}/gzip/1"]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(body, bytes)
    assert body.startswith(b"\x1f\x8b")
    assert peak < 20 << 20


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.0.0.2", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1"),
        *("0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1"),
        *("::1", "::", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "fe80::1%eth0", "fc00::1", "fd00::1", "ff02::1"),
        *("64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "2002:7f00:1::", "2001::1", "2001:db8::1"),
    ],
)
def test_addresses_that_are_not_public_are_never_dialled(address: str) -> None:
    assert why_not_dialled(address, 80) == "blocked_address"


def test_public_addresses_are_dialled_at_web_ports_only() -> None:
    assert [why_not_dialled("93.184.215.14", port) for port in (80, 443, 22, 8080)] == [
        None,
        None,
        *["blocked_port"] * 2,
    ]
    assert why_not_dialled("2606:2800:21f:cb07:6820:80da:af6b:8b2c", 443) is None


@pytest.mark.parametrize(
    "host", ["127.1", "2130706433", "0x7f.1", "0x7f000001", "017700000001", "localhost", "127.0.0.2"]
)
def test_other_spellings_of_the_loopback_are_refused(host: str, hosts: ImageHosts, asking: ImageWeb) -> None:
    url = f"http://{host}:{hosts.forbidden_port}/secret"
    assert answers(asking, url)[url] in {"blocked_address", "dns", "bad_url"}
    assert hosts.forbidden == []


def test_a_host_gets_few_connections(hosts: ImageHosts, asking: ImageWeb) -> None:
    hosts.most_open = 0
    pictures = {f"{hosts.root}/slow/{number}": picture(number) for number in range(40)}
    assert answers(replace(asking, connections_per_host=3), *pictures) == pictures
    assert hosts.most_open == 3


def test_a_host_that_keeps_refusing_is_left_alone(hosts: ImageHosts, asking: ImageWeb) -> None:
    urls = [f"{hosts.root}/status/403/{number}" for number in range(200)]
    answered = Counter(answers(replace(asking, failures_of_host=10), *urls).values())
    assert set(answered) == {"http_403", "host_given_up"}
    assert sum(hosts.asked[url.removeprefix(hosts.root)] for url in urls) < 10 + 16 + 1


def test_the_user_agent_names_the_project(hosts: ImageHosts, asking: ImageWeb) -> None:
    hosts.agents.clear()
    answers(replace(asking, contact="data@example.org"), f"{hosts.root}/ok/1")
    assert hosts.agents == {"metaclip_dagster/0.1 (data@example.org)"}


def test_a_reader_that_stops_early_leaves_nothing_running(hosts: ImageHosts, asking: ImageWeb) -> None:
    reading = open_image_web(asking)([f"{hosts.root}/slow/{number}" for number in range(1000)])
    next(reading)
    reading.close()  # type: ignore[attr-defined]  # it is a generator
    time.sleep(0.3)
    before = sum(hosts.asked.values())
    time.sleep(0.5)
    assert sum(hosts.asked.values()) == before

"""Many hosts at once, each an address of the loopback: each gets little, and none waits for another."""

import asyncio
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.images.asking import ImageWeb
from resources.images.turns import Turns, host_of
from resources.images.web import open_image_web


class Hosts:
    """One server at every address of the loopback, which counts what each of them is asked, and over what."""

    def __init__(self) -> None:
        self.port = 0
        self.times: defaultdict[str, list[float]] = defaultdict(list)
        self.connections: Counter[str] = Counter()
        self.open = self.most_open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host = writer.get_extra_info("sockname")[0]
        self.connections[host] += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                kind = head.split()[1].split(b"/")[1]
                self.times[host].append(time.monotonic())
                if kind == b"slow":
                    await asyncio.sleep(0.3)
                busy = kind == b"busy" and len(self.times[host]) == 1
                status = b"503 Busy\r\nRetry-After: 1" if busy else b"200 OK"
                writer.write(b"HTTP/1.1 %b\r\nContent-Length: 1000\r\n\r\n%b" % (status, bytes(1000)))
                if b"Connection: close" in head:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    running, loop = Hosts(), asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(running.serve, "0.0.0.0", 0, backlog=1000))
    running.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield running

    async def stop() -> None:
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run_coroutine_threadsafe(stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def ask(hosts: Hosts, urls: Sequence[str], **options: Any) -> dict[str, tuple[Any, float]]:
    """Each URL's answer, with the seconds after which it came."""
    allowed = frozenset((host_of(url).partition(":")[0], hosts.port) for url in urls)
    started, answered = time.monotonic(), {}
    for url, answer in open_image_web(ImageWeb(allowed=allowed, **options))(urls):
        answered[url] = (answer[0], time.monotonic() - started)
    assert answered.keys() == set(urls)
    return answered


def urls_of(hosts: Hosts, address: str, num: int, kind: str = "ok") -> list[str]:
    return [f"http://{address}:{hosts.port}/{kind}/{number}" for number in range(num)]


def test_slow_hosts_hold_nobody_up_and_get_few_connections(hosts: Hosts) -> None:
    slow = [url for host in range(4) for url in urls_of(hosts, f"127.0.2.{host + 1}", 8, "slow")]
    quick = [url for host in range(100) for url in urls_of(hosts, f"127.0.1.{host + 1}", 2)]
    answered = ask(hosts, slow + quick, connections=8, connections_per_host=2)
    assert all(answer == bytes(1000) for answer, _ in answered.values())
    assert max(answered[url][1] for url in quick) < 0.7 * max(answered[url][1] for url in slow)
    assert max(hosts.connections.values()) <= 2, "connections are kept while their host has more"
    assert hosts.most_open <= 8 + 4, "and closed when it has not: idle ones would be as many as hosts"


def test_a_host_that_asks_to_be_left_alone_is_and_others_are_not(hosts: Hosts) -> None:
    busy, others = urls_of(hosts, "127.0.3.1", 3, "busy"), urls_of(hosts, "127.0.3.2", 20)
    answered = ask(hosts, busy + others, connections=2, connections_per_host=1)
    assert {answer for answer, _ in answered.values()} == {bytes(1000)}
    times = hosts.times["127.0.3.1"]
    assert len(times) == 4
    assert times[1] - times[0] >= 0.99
    assert max(answered[url][1] for url in others) < max(answered[url][1] for url in busy)


@pytest.mark.parametrize(
    ("options", "num_hosts", "seconds"),
    [
        ({"requests_per_second": 40.0}, 5, 29 / 40),
        ({"requests_per_second_of_host": 10.0}, 3, 9 / 10),
        ({"bytes_per_second": 30_000.0, "connections": 3}, 5, (30 - 3) / 30),
    ],
)
def test_a_rate_is_kept_to(options: dict[str, Any], num_hosts: int, seconds: float, hosts: Hosts) -> None:
    urls = [url for host in range(num_hosts) for url in urls_of(hosts, f"127.0.4.{host + 1}", 30 // num_hosts)]
    last = max(at for _, at in ask(hosts, urls, **options).values())
    assert last >= seconds


def test_a_name_without_an_address_is_looked_up_once(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Counter[str]()
    look_up = socket.getaddrinfo

    def count(host: str, *args: Any, **options: Any) -> Any:
        asked[host] += 1
        return look_up(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", count)
    urls = [f"http://none-{name}.invalid/{number}" for name in range(8) for number in range(20)]
    assert {answer for answer, _ in ask(hosts, urls).values()} == {"dns"}
    assert asked == {f"none-{name}.invalid": 1 for name in range(8)}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 50)), unique=True), st.integers(1, 3))
def test_urls_are_taken_once_in_an_order_of_theirs_alone(pairs: list[tuple[int, int]], per_host: int) -> None:
    urls = [f"http://{host}.example/{number}" for host, number in pairs]

    async def take_all() -> list[str]:
        turns, taken, open_hosts = Turns(urls, per_host=per_host), list[str](), list[str]()
        while len(taken) < len(urls):
            taken.append(str(await turns.take()))
            open_hosts.append(host_of(taken[-1]))
            assert max(Counter(open_hosts).values()) <= per_host
            turns.answer()
            if len(open_hosts) == per_host:
                turns.leave(open_hosts.pop(0))
        assert await turns.take() is None
        return taken

    first = asyncio.run(take_all())
    assert sorted(first) == sorted(urls)
    assert asyncio.run(take_all()) == first
    of_hosts = [[url for url in urls if host_of(url) == host] for host in {host_of(url) for url in urls}]
    assert all([url for url in first if url in of_host] == of_host for of_host in of_hosts)

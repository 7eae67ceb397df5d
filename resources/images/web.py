"""Fetch images from the web, where no URL and no byte is trusted."""

import asyncio
import random
import socket
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import aiohttp

from resources.images.addresses import why_not_dialled
from resources.images.asking import Asker, ImageWeb, NoImageError, refused
from resources.images.resolving import MAX_NAMES, Resolver
from resources.images.turns import Turns, host_of
from resources.pools.images import Answer, Fetch
from resources.web.tolerant_http import MAX_HEAD, MAX_HEADERS, TolerantHandler


def open_image_web(web: ImageWeb) -> Fetch:
    """A fetch of images from the web, which says how many seconds the last try for each took, redirects included.

    Reasons: `bad_url`, `blocked_scheme`, `blocked_address`, `blocked_port`, `dns`, `connect`, `tls`, `timeout`,
    `http_<status>`, `bad_redirect`, `too_many_redirects`, `bad_response`, `incomplete`, `too_large`, `opted_out` and
    `host_given_up`. Memory holds `max_bytes` times 8 and a megabyte a connection at most, whatever arrives.
    """
    return partial(_fetch, web)


_WAITING = 4
_LOOKUPS = 32  # names that are looked up at once
_TURN_SECONDS = 2.0  # how long a connection stays with a host while others wait for theirs
_IDLE_SECONDS = 5.0  # how long it is kept open for the host's next turn
_AGAIN = {"http_429", "http_500", "http_502", "http_503", "http_504", "incomplete"}
_OF_HOST = {"connect", "tls", "timeout", "http_401", "http_403", "http_429", "http_503"}


def _fetch(web: ImageWeb, urls: Sequence[str]) -> Iterator[tuple[str, Answer]]:
    # The loop runs while the caller waits for an answer; meanwhile the system's buffers fill, and no more than they.
    with asyncio.Runner() as runner:
        answers = _answers(web, urls)
        try:
            while (answer := runner.run(anext(answers, None))) is not None:
                yield answer
        finally:
            runner.run(answers.aclose())


async def _answers(web: ImageWeb, urls: Sequence[str]) -> AsyncGenerator[tuple[str, Answer]]:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="names"))
    connector = aiohttp.TCPConnector(
        limit=web.connections,
        limit_per_host=web.connections_per_host,
        keepalive_timeout=_IDLE_SECONDS,
        resolver=Resolver(),
        ttl_dns_cache=300,
        dns_cache_max_size=MAX_NAMES,
        socket_factory=partial(_dial, web.allowed),
        happy_eyeballs_delay=None,
    )
    handler: Any = partial(TolerantHandler, loop=loop)
    connector._factory = handler  # there is no argument for it
    session = aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=web.connect_seconds, sock_read=web.read_seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        max_line_size=MAX_HEAD,
        max_field_size=MAX_HEAD,
        max_headers=MAX_HEADERS,
        trust_env=False,
        headers={
            "User-Agent": web.user_agent,
            "Accept": "image/jpeg, image/png, image/webp",
            "Accept-Encoding": "identity",
        },
    )
    async with session:
        answers: asyncio.Queue[tuple[str, Answer] | None] = asyncio.Queue(_WAITING)
        asking = asyncio.create_task(_Batch(web, session, urls, answers).ask_all())
        try:
            while (answer := await answers.get()) is not None:
                yield answer
            await asking  # raises what it raised
        finally:
            asking.cancel()


class _Batch:
    """The URLs of one call, while they are asked for."""

    def __init__(
        self,
        web: ImageWeb,
        session: aiohttp.ClientSession,
        urls: Sequence[str],
        answers: "asyncio.Queue[tuple[str, Answer] | None]",
    ) -> None:
        self._web, self._answers = web, answers
        self._turns = Turns(urls, per_host=web.connections_per_host, per_second=web.requests_per_second_of_host)
        self._asker = Asker(web, session, self._turns)
        self._tries: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()  # of each host, in a row

    async def ask_all(self) -> None:
        free = asyncio.Semaphore(self._web.connections)
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await free.acquire()
                    while (seconds := self._asker.seconds_left) > 0:
                        await asyncio.sleep(seconds)
                    if (url := await self._turns.take()) is None:
                        break
                    self._asker.begin()
                    group.create_task(self._ask_host(url)).add_done_callback(lambda _: free.release())
        finally:
            await self._answers.put(None)

    async def _ask_host(self, url: str) -> None:
        """Ask for the URL, and for others of its host as long as its turn lasts."""
        host, until = host_of(url), time.monotonic() + _TURN_SECONDS
        following: str | None = url
        while following is not None:
            await self._ask(following, host)
            goes_on = time.monotonic() < until and self._asker.seconds_left <= 0
            following = self._turns.stay(host) if goes_on else None
            if following is not None:
                self._asker.begin()
        self._turns.leave(host)

    async def _ask(self, url: str, host: str) -> None:
        """Ask for the URL once; answer it, or put it back where another try may help."""
        started = time.monotonic()
        answer: bytes | str
        try:
            answer, headers = await self._asker.ask(url)
            self._failures[host] = 0
        except NoImageError as error:
            answer, seconds, headers = error.args
            self._failures[host] = self._failures[host] + 1 if answer in _OF_HOST else 0
            self._tries[url] += 1
            if answer in _AGAIN and self._tries[url] < self._web.attempts:
                ours = 0.5 * 2 ** self._tries[url] * random.uniform(0.5, 1.0)  # noqa: S311
                wait = min(max(ours, seconds), self._web.max_wait_seconds)
                self._turns.put_back(url, wait, whole_host=seconds > 0 or answer == "http_429")
                await self._give_up(host)
                return
        await self._answers.put((url, (answer, headers, time.monotonic() - started)))
        self._turns.answer()
        await self._give_up(host)

    async def _give_up(self, host: str) -> None:
        """Answer all that still waits for a host that has failed too often."""
        if self._failures[host] >= self._web.failures_of_host:
            for url in self._turns.give_up(host):
                await self._answers.put((url, "host_given_up"))
                self._turns.answer()


def _dial(allowed: frozenset[tuple[str, int]], address: Any) -> socket.socket:
    """A socket for the address that is about to be dialled, whatever name, literal or redirect led there."""
    family, kind, protocol, _, (host, port, *_) = address
    if why := why_not_dialled(host, port, allowed):
        refused.get([]).append(why)
        raise OSError(why)
    return socket.socket(family=family, type=kind, proto=protocol)

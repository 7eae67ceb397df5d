"""Fetch images from the web, where no URL and no byte is trusted."""

import asyncio
import random
import socket
import ssl
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

import ada_url
import aiohttp
from yarl import URL

from resources.images.addresses import why_not_dialled
from resources.pools.images import Answer, Fetch, Headers, join_headers
from resources.web.client import PROJECT, retry_after_seconds
from resources.web.tolerant_http import MAX_HEAD, MAX_HEADERS, TolerantHandler
from resources.web.urls import resolve_url


@dataclass(frozen=True)
class ImageWeb:
    """How images are asked for, by each worker process."""

    contact: str = ""
    """An address for whoever runs a host, in the user agent."""
    connections: int = 64
    connections_per_host: int = 4
    attempts: int = 3
    """Tries for an image whose host is busy or broke off."""
    connect_seconds: float = 5.0
    read_seconds: float = 10.0
    """Between two pieces of a body."""
    total_seconds: float = 20.0
    """For all of one try, redirects included: a body that drips ends here."""
    max_wait_seconds: float = 30.0
    """The longest that a busy host is waited for."""
    max_bytes: int = 20 << 20
    max_redirects: int = 5
    failures_of_host: int = 10
    """After so many refusals or failures to connect in a row a host is asked for nothing more in this batch."""
    opted_out: Callable[[Headers], bool] | None = None
    """Whether a response with these headers is to be left alone; where it is, its body is not read."""
    allowed: frozenset[tuple[str, int]] = frozenset()
    """Addresses and ports that are dialled beyond the public ones at 80 and 443: a host of one's own network."""

    @property
    def user_agent(self) -> str:
        """Who asks, in the words of the request."""
        return f"{PROJECT} ({self.contact})" if self.contact else PROJECT


def open_image_web(web: ImageWeb) -> Fetch:
    """A fetch of images from the web.

    Reasons: `bad_url`, `blocked_scheme`, `blocked_address`, `blocked_port`, `dns`, `connect`, `tls`, `timeout`,
    `http_<status>`, `bad_redirect`, `too_many_redirects`, `bad_response`, `incomplete`, `too_large`, `opted_out` and
    `host_given_up`. Memory holds `max_bytes` times 8 and a megabyte a connection at most, whatever arrives.
    """
    return partial(_fetch, web)


_PIECE = 1 << 16
_SMALL = 1 << 20
_LARGE_AT_ONCE = 4
_WAITING = 4
_AGAIN = {"http_429", "http_500", "http_502", "http_503", "http_504", "incomplete"}
_OF_HOST = {"dns", "connect", "tls", "timeout", "http_401", "http_403", "http_429", "http_503"}
# Why the connection that is being made was not; sockets are made deep inside the client, in the task's context.
_refused: ContextVar[list[str]] = ContextVar("_refused")


class _NoImageError(Exception):
    """The arguments are the reason, the seconds that the host asks to be left alone, and headers that speak of use."""

    def __init__(self, reason: str, seconds: float = 0.0, headers: Headers = ()) -> None:
        super().__init__(reason, seconds, headers)


def _fetch(web: ImageWeb, urls: Sequence[str]) -> Iterator[tuple[str, Answer]]:
    # The loop runs while the caller waits for an answer; meanwhile the system's buffers fill, and no more than they.
    with asyncio.Runner() as runner:
        answers = _answers(web, urls)
        try:
            while (answer := runner.run(anext(answers, None))) is not None:
                yield answer
        finally:
            runner.run(answers.aclose())


async def _answers(web: ImageWeb, urls: Iterable[str]) -> AsyncGenerator[tuple[str, Answer]]:
    answers: asyncio.Queue[tuple[str, Answer] | None] = asyncio.Queue(_WAITING)
    connector = aiohttp.TCPConnector(
        limit=web.connections,
        limit_per_host=web.connections_per_host,
        ttl_dns_cache=300,
        socket_factory=partial(_dial, web.allowed),
        happy_eyeballs_delay=None,
    )
    handler: Any = partial(TolerantHandler, loop=asyncio.get_running_loop())
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
        asker = _Asker(web, session)
        todo = iter(urls)

        async def ask() -> None:
            try:
                for url in todo:
                    await answers.put((url, await asker.answer(url)))
            finally:
                await answers.put(None)

        tasks = [asyncio.create_task(ask()) for _ in range(web.connections)]
        try:
            for _ in tasks:
                while (answer := await answers.get()) is not None:
                    yield answer
            await asyncio.gather(*tasks)  # raises what one of them raised
        finally:
            for task in tasks:
                task.cancel()


class _Asker:
    def __init__(self, web: ImageWeb, session: aiohttp.ClientSession) -> None:
        self._web, self._session = web, session
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)
        self._failed: Counter[str] = Counter()
        self._of_host: defaultdict[str, asyncio.Semaphore] = defaultdict(
            partial(asyncio.Semaphore, web.connections_per_host)
        )

    async def answer(self, url: str) -> Answer:
        """The image's bytes or the reason; tried again where that may help."""
        host = url.partition("//")[2].partition("/")[0].lower()
        for tried in range(1, self._web.attempts + 1):
            async with self._of_host[host]:  # waited for here, so that no try spends its time on it
                if self._failed[host] >= self._web.failures_of_host:
                    return "host_given_up"
                try:
                    data = await self._try(url)
                except _NoImageError as error:
                    reason, seconds, headers = error.args
                else:
                    self._failed[host] = 0
                    return data
                self._failed[host] = self._failed[host] + 1 if reason in _OF_HOST else 0
            if reason not in _AGAIN or tried == self._web.attempts:
                break
            ours = 0.5 * 2**tried * random.uniform(0.5, 1.0)  # noqa: S311
            await asyncio.sleep(min(max(ours, seconds), self._web.max_wait_seconds))
        return join_headers(reason, headers)

    async def _try(self, url: str) -> Answer:
        refused: list[str] = []
        _refused.set(refused)
        try:
            async with asyncio.timeout(self._web.total_seconds):
                return await self._follow(url)
        except _NoImageError:
            raise
        except TimeoutError:  # the client's own are of this kind too
            reason = "timeout"
        except aiohttp.ClientConnectorDNSError:
            reason = "dns"
        except (aiohttp.ClientSSLError, ssl.SSLError):
            reason = "tls"
        except aiohttp.ClientConnectorError:
            reason = refused[0] if refused else "connect"
        except aiohttp.InvalidURL:
            reason = "bad_url"
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, aiohttp.ClientOSError):
            reason = "incomplete"
        except (aiohttp.ClientError, ValueError, OSError):
            reason = "bad_response"
        raise _NoImageError(reason)

    async def _follow(self, url: str) -> Answer:
        for _ in range(self._web.max_redirects + 1):
            async with self._session.get(_read_target(url), allow_redirects=False) as response:
                if response.status in {301, 302, 303, 307, 308}:
                    try:
                        url = resolve_url(response.headers["Location"], url)
                    except (KeyError, ValueError):
                        raise _NoImageError("bad_redirect") from None
                    continue
                if response.status not in {200, 203}:  # 203 is 200 that a proxy has touched; 206 is a part
                    raise _NoImageError(
                        f"http_{response.status}" if 100 <= response.status < 600 else "bad_response",
                        retry_after_seconds(response.headers.get("Retry-After")),
                    )
                headers = tuple(response.headers.items())
                if self._web.opted_out and self._web.opted_out(headers):
                    raise _NoImageError("opted_out", headers=headers)
                return join_headers(await self._body(response), headers)
        raise _NoImageError("too_many_redirects")

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        if (response.content_length or 0) > self._web.max_bytes:
            raise _NoImageError("too_large")
        body = bytearray()
        async for piece in response.content.iter_chunked(_PIECE):
            body += piece
            if len(body) > _SMALL:
                async with self._large:  # few at a time may grow beyond a megabyte
                    return await self._large_body(response, body)
        return bytes(body)

    async def _large_body(self, response: aiohttp.ClientResponse, body: bytearray) -> bytes:
        async for piece in response.content.iter_chunked(_PIECE):
            body += piece
            if len(body) > self._web.max_bytes:
                raise _NoImageError("too_large")
        return bytes(body)


def _dial(allowed: frozenset[tuple[str, int]], address: Any) -> socket.socket:
    """A socket for the address that is about to be dialled, whatever name, literal or redirect led there."""
    family, kind, protocol, _, (host, port, *_) = address
    if why := why_not_dialled(host, port, allowed):
        _refused.get([]).append(why)
        raise OSError(why)
    return socket.socket(family=family, type=kind, proto=protocol)


def _read_target(url: str) -> URL:
    """What is asked for, to the letter: the client would rewrite escapes, and hosts that sign paths refuse that."""
    try:
        parsed = ada_url.URL(resolve_url(url))
    except ValueError:
        raise _NoImageError("bad_url") from None
    if parsed.protocol not in {"http:", "https:"}:
        raise _NoImageError("blocked_scheme")
    if parsed.username or parsed.password:
        raise _NoImageError("bad_url")
    # The query is left to the path: an empty one would lose its mark.
    path = parsed.href.removeprefix(parsed.origin)
    return URL.build(scheme=parsed.protocol[:-1], authority=parsed.host, path=path, encoded=True)

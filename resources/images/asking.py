"""Ask for one image: what it is asked for with, and the bytes or the reason that come of it."""

import asyncio
import re
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

import ada_url
import aiohttp
from yarl import URL

from resources.images.turns import Clock, Turns, host_of
from resources.pools.images import Headers, find_speaking
from resources.web.client import PROJECT, retry_after_seconds
from resources.web.urls import resolve_url


@dataclass(frozen=True)
class ImageWeb:
    """How images are asked for, by each worker process."""

    contact: str = ""
    """An address for whoever runs a host, in the user agent."""
    connections: int = 64
    connections_per_host: int = 4
    requests_per_second: float = 0.0
    """Of all hosts together, redirects and further tries included; 0 sets no limit."""
    requests_per_second_of_host: float = 0.0
    """Of one host; 0 sets no limit."""
    bytes_per_second: float = 0.0
    """Of bodies, on average: what came is waited for before more is asked for. 0 sets no limit."""
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


refused: ContextVar[list[str]] = ContextVar("refused")
"""Why the connection that is being made was not; sockets are made deep inside the client, in the task's context."""


_PIECE = 1 << 16
_SMALL = 1 << 20
_LARGE_AT_ONCE = 4
_ORIGINAL = re.compile("^x-archive-orig-", re.IGNORECASE)  # before headers that an archived response had


class NoImageError(Exception):
    """The arguments are the reason, the seconds that the host asks to be left alone, and headers that speak of use."""

    def __init__(self, reason: str, seconds: float = 0.0, headers: Headers = ()) -> None:
        super().__init__(reason, seconds, headers)


class Asker:
    """What asks for images one by one over the session's connections; each request counts for its host's turns."""

    def __init__(self, web: ImageWeb, session: aiohttp.ClientSession, turns: Turns) -> None:
        self._web, self._session, self._turns = web, session, turns
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)
        self._requests, self._bytes = Clock(web.requests_per_second), Clock(web.bytes_per_second)

    @property
    def seconds_left(self) -> float:
        """How long it is until the next image may be asked for, whatever its host; 0 or less if it may."""
        return max(self._requests.seconds_left, self._bytes.seconds_left)

    def begin(self) -> None:
        """Count the first request for an image."""
        self._requests.spend()

    async def ask(self, url: str) -> tuple[bytes, Headers]:
        """The image's bytes, in one try, and the headers that speak of its use. Raises NoImageError.

        For its first request, unlike those that redirects lead to, `begin` was called, and its host's turns know of it.
        """
        whys: list[str] = []
        refused.set(whys)
        try:
            async with asyncio.timeout(self._web.total_seconds):
                return await self._follow(url)
        except NoImageError:
            raise
        except TimeoutError:  # the client's own are of this kind too
            reason = "timeout"
        except aiohttp.ClientConnectorDNSError:
            reason = "dns"
        except (aiohttp.ClientSSLError, ssl.SSLError):
            reason = "tls"
        except aiohttp.ClientConnectorError:
            reason = whys[0] if whys else "connect"
        except aiohttp.InvalidURL:
            reason = "bad_url"
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, aiohttp.ClientOSError):
            reason = "incomplete"
        except (aiohttp.ClientError, ValueError, OSError):
            reason = "bad_response"
        raise NoImageError(reason)

    async def _follow(self, url: str) -> tuple[bytes, Headers]:
        for redirects in range(self._web.max_redirects + 1):
            target, host = _read_target(url), host_of(url)
            if redirects:
                self._requests.spend()
                self._turns.spend(host)
            # A connection that nobody else waits for would be idle, and there are many hosts.
            headers = {} if self._turns.has_more(host) else {"Connection": "close"}
            async with self._session.get(target, headers=headers, allow_redirects=False) as response:
                if response.status in {301, 302, 303, 307, 308}:
                    try:
                        url = resolve_url(response.headers["Location"], url)
                    except (KeyError, ValueError):
                        raise NoImageError("bad_redirect") from None
                    continue
                if response.status not in {200, 203}:  # 203 is 200 that a proxy has touched; 206 is a part
                    raise NoImageError(
                        f"http_{response.status}" if 100 <= response.status < 600 else "bad_response",
                        retry_after_seconds(response.headers.get("Retry-After")),
                    )
                said = tuple((_ORIGINAL.sub("", name), value) for name, value in response.headers.items())
                if self._web.opted_out and self._web.opted_out(said):
                    raise NoImageError("opted_out", headers=find_speaking(said))
                return await self._body(response), find_speaking(said)
        raise NoImageError("too_many_redirects")

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        if (response.content_length or 0) > self._web.max_bytes:
            raise NoImageError("too_large")
        body = bytearray()
        async for piece in response.content.iter_chunked(_PIECE):
            self._bytes.spend(len(piece))
            body += piece
            if len(body) > _SMALL:
                async with self._large:  # few at a time may grow beyond a megabyte
                    return await self._large_body(response, body)
        return bytes(body)

    async def _large_body(self, response: aiohttp.ClientResponse, body: bytearray) -> bytes:
        async for piece in response.content.iter_chunked(_PIECE):
            self._bytes.spend(len(piece))
            body += piece
            if len(body) > self._web.max_bytes:
                raise NoImageError("too_large")
        return bytes(body)


def _read_target(url: str) -> URL:
    """What is asked for, to the letter: the client would rewrite escapes, and hosts that sign paths refuse that."""
    try:
        parsed = ada_url.URL(resolve_url(url))
    except ValueError:
        raise NoImageError("bad_url") from None
    if parsed.protocol not in {"http:", "https:"}:
        raise NoImageError("blocked_scheme")
    if parsed.username or parsed.password:
        raise NoImageError("bad_url")
    # The query is left to the path: an empty one would lose its mark.
    path = parsed.href.removeprefix(parsed.origin)
    return URL.build(scheme=parsed.protocol[:-1], authority=parsed.host, path=path, encoded=True)

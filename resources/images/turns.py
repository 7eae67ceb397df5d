"""Choose which URL is asked for next: hosts take turns, and none is asked for more at a time than it may be."""

import asyncio
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from heapq import heappop, heappush


class Clock:
    """When the next may begin, of what may happen so many times a second; 0 sets no limit."""

    def __init__(self, per_second: float = 0.0) -> None:
        self._per_second = per_second
        self.next_at = 0.0
        """By the monotonic clock."""

    def spend(self, amount: float = 1.0) -> None:
        """Say that so many begin now."""
        if self._per_second:
            self.next_at = max(self.next_at, time.monotonic()) + amount / self._per_second

    def rest(self, seconds: float) -> None:
        """Let nothing begin for that long."""
        self.next_at = max(self.next_at, time.monotonic() + seconds)

    @property
    def seconds_left(self) -> float:
        """How long it is until the next may begin, 0 or less if it may."""
        return self.next_at - time.monotonic() if self.next_at else 0.0


class Turns:
    """URLs by host. The order is one of the URLs given: hosts in turn, those of most URLs first.

    Whoever takes a URL says when it is done with the host, and when the URL is answered.
    """

    def __init__(self, urls: Iterable[str], *, per_host: int, per_second: float = 0.0) -> None:
        self._per_host = per_host
        self._waiting: defaultdict[str, deque[str]] = defaultdict(deque)
        for url in urls:
            self._waiting[host_of(url)].append(url)
        self._num_left = sum(map(len, self._waiting.values()))
        self._clocks: defaultdict[str, Clock] = defaultdict(partial(Clock, per_second))
        self._open: Counter[str] = Counter()
        self._ready = deque(sorted(self._waiting, key=lambda host: -len(self._waiting[host])))
        self._in_line = set(self._ready)  # hosts that are ready, or rest
        self._resting: list[tuple[float, str]] = []
        self._later: list[tuple[float, str]] = []
        self._changed = asyncio.Event()

    async def take(self) -> str | None:
        """The next URL of the next host that may be asked, as soon as one may; None when all URLs are answered."""
        while self._num_left:
            self._wake()
            while self._ready:
                host = self._ready.popleft()
                self._in_line.discard(host)
                if self._clocks[host].seconds_left <= 0 and self._waiting[host]:
                    self._open[host] += 1
                    return self._pop(host)
                self._line_up(host)
            self._changed.clear()
            nearest = min((heap[0][0] for heap in (self._resting, self._later) if heap), default=None)
            seconds = None if nearest is None else max(0.0, nearest - time.monotonic())
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), seconds)
        return None

    def stay(self, host: str) -> str | None:
        """One more URL for whoever has just asked the host for another; None if none may be asked for now."""
        return self._pop(host) if self._waiting[host] and self._clocks[host].seconds_left <= 0 else None

    def leave(self, host: str) -> None:
        """End what `take` began."""
        self._open[host] -= 1
        self._line_up(host)
        self._changed.set()

    def answer(self, num_urls: int = 1) -> None:
        """Say that so many URLs are answered."""
        self._num_left -= num_urls
        self._changed.set()

    def put_back(self, url: str, seconds: float, *, whole_host: bool) -> None:
        """Let the URL be asked for again, in so many seconds; until then the whole host may be left alone."""
        if whole_host:
            self._clocks[host_of(url)].rest(seconds)
        heappush(self._later, (time.monotonic() + seconds, url))
        self._changed.set()

    def give_up(self, host: str) -> list[str]:
        """Take all URLs that still wait for the host, those that were put back too."""
        urls = [*self._waiting.pop(host, ())]
        urls += [url for _, url in self._later if host_of(url) == host]
        self._later = sorted(it for it in self._later if host_of(it[1]) != host)
        return urls

    def spend(self, host: str) -> None:
        """Count one request to the host."""
        self._clocks[host].spend()

    def has_more(self, host: str) -> bool:
        """Whether URLs wait for the host, so that a connection to it is worth keeping."""
        return bool(self._waiting.get(host))

    def _pop(self, host: str) -> str:
        self.spend(host)
        url = self._waiting[host].popleft()
        self._line_up(host)
        return url

    def _wake(self) -> None:
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            url = heappop(self._later)[1]
            self._waiting[host_of(url)].appendleft(url)
            self._line_up(host_of(url))
        while self._resting and self._resting[0][0] <= now:
            self._ready.append(heappop(self._resting)[1])

    def _line_up(self, host: str) -> None:
        if host in self._in_line or not self._waiting[host] or self._open[host] >= self._per_host:
            return
        self._in_line.add(host)
        if self._clocks[host].seconds_left > 0:
            heappush(self._resting, (self._clocks[host].next_at, host))
        else:
            self._ready.append(host)


def host_of(url: str) -> str:
    """Host and port, as the URL spells them, in lower case.

    >>> host_of("http://CDN.example:81/a")
    'cdn.example:81'
    """
    return url.partition("//")[2].partition("/")[0].lower()

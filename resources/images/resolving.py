"""Look up names of hosts, many at once, and remember for a while which have no address."""

import socket
import time
from collections import OrderedDict

from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver

MAX_NAMES = 10_000
"""Names that are remembered, of those that have an address as of those that have none."""
_FAILED_SECONDS = 60.0


class Resolver(ThreadedResolver):
    """The system's, asked in threads. What has an address the client remembers by itself."""

    def __init__(self) -> None:
        super().__init__()
        self._failed: OrderedDict[str, float] = OrderedDict()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The host's addresses; raises OSError where there are none, and for a minute then at once."""
        if time.monotonic() < self._failed.get(host, 0.0):
            raise OSError(None, "no address a moment ago")
        try:
            return await super().resolve(host, port, family)
        except OSError:
            self._failed[host] = time.monotonic() + _FAILED_SECONDS
            self._failed.move_to_end(host)
            if len(self._failed) > MAX_NAMES:
                self._failed.popitem(last=False)
            raise

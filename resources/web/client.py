"""Fetch from the web as a guest: few connections, resume where a transfer was cut, back off, stop when told to.

Imports no Dagster: workers do this.
"""

import email.utils
import fcntl
import hashlib
import io
import math
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, cast
from urllib.parse import urlsplit

import urllib3

from resources.files.local import sync_folder

PROJECT = "metaclip_dagster/0.1"
NO_CONTACT = (
    "METACLIP_CONTACT is not set: the owners of hosts cannot write to you, and will block you sooner; "
    "set it to an address of yours"
)
_PIECE = 1 << 20
_BLOCKED_SECONDS = 3600.0
_AGAIN = {408, 425, 429, 500, 502, 503, 504}


class Announced(NamedTuple):
    """What a host says of a body before it sends it; None where it does not say."""

    num_bytes: int | None
    tag: str | None
    """Its ETag, or else when it was last modified."""


@dataclass(frozen=True)
class Web:
    """How hosts are asked; one for all processes of a machine, that share what `folder` says of each host."""

    folder: str
    """Where the connections in use and the hosts that refused us are noted, as locked and as dated files."""
    contact: str = ""
    """An address for whoever runs the host, in the user agent."""
    connections: int = 4
    """Transfers from one host at a time, over all processes."""
    lane: str = "connections"
    """Where in `folder` they are counted: who asks little and cannot wait takes a lane apart from long transfers."""
    attempts: int = 8
    """Tries in a row that bring no byte before a transfer fails."""
    wait_seconds: float = 1.0
    """Before the second try; twice as long before each further one, up to `max_wait_seconds`, less up to a half."""
    max_wait_seconds: float = 120.0
    timeout_seconds: float = 60.0
    """To connect, and between two pieces of a body."""
    slot_seconds: float = 6 * 3600.0
    """To wait for one of the connections, all of which others may be using."""
    total_seconds: float = math.inf
    """From the connection to the end of a body."""

    def open(self, url: str, *, num_bytes: int | None = None) -> BinaryIO:
        """The body at an http(s) URL as a stream that resumes by itself; close it to give its connection back.

        `num_bytes` is what `describe` announced: a body of another length is refused with an OSError. `tell` counts the
        bytes that were read.

        Raises FileNotFoundError for 404 and 410, PermissionError for 401, 403 and 451, after which this machine asks
        the host for nothing for an hour, TimeoutError where `slot_seconds` or `total_seconds` are over, and OSError for
        what stays broken or changes midway.
        """
        return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, _Body(self, url, num_bytes=num_bytes)), _PIECE))

    def describe(self, url: str) -> Announced:
        """What the host announces for the URL, without the body: nothing where it answers no HEAD requests.

        Raises as `open` does.
        """
        with _Body(self, url, method="HEAD") as head:
            return head.announced

    def read(self, url: str, *, at_most: int = 64 << 20) -> bytes:
        """The whole body; raises ValueError where it is larger than `at_most` bytes."""
        with self.open(url) as body:
            found = body.read(at_most + 1)
        if len(found) > at_most:
            raise ValueError(f"{_without_secrets(url)}: more than {at_most:,} bytes; is this the right file?")
        return found

    def exists(self, url: str) -> bool:
        """Whether there is something at the URL."""
        try:
            with self.open(url) as body:
                body.read(1)
        except FileNotFoundError:
            return False
        return True

    def download(self, url: str, path: Path, *, sha1: str | None = None, num_bytes: int | None = None) -> Path:
        """Bring the body to a file, which is whole or not there; a transfer that was cut, or killed, is resumed.

        A file that is there is left as it is. Raises as `open` does, also for `num_bytes`, and ValueError for another
        `sha1`.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        while not path.exists():
            with part.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if _is_at(file, part):  # else another process, which was waited for here, has brought it
                    self._fill(url, file, part.with_suffix(".tag"), sha1, num_bytes)
                    part.rename(path)
                    part.with_suffix(".tag").unlink()
        sync_folder(path.parent)
        return path

    def _fill(self, url: str, file: io.BufferedRandom, tag: Path, sha1: str | None, num_bytes: int | None) -> None:
        start = file.seek(0, os.SEEK_END)  # now: whoever had the lock before may have written and died
        known_tag = tag.read_text("utf-8") if tag.exists() else None
        body = _Body(self, url, start=start, tag=known_tag, num_bytes=num_bytes)
        with body:
            if body.start != start:
                file.truncate(body.start)
            tag.write_text(body.tag or "", encoding="utf-8")
            while piece := body.read(_PIECE):
                file.write(piece)
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        if sha1 and (found := hashlib.file_digest(file, "sha1").hexdigest()) != sha1:
            file.truncate(0)
            raise ValueError(
                f"{_without_secrets(url)}: SHA-1 is {found}, not {sha1} as announced; thrown away, try again"
            )


class _Body(io.RawIOBase):
    """A body that is asked for again from where it broke off, as long as it is the same body."""

    def __init__(
        self,
        web: Web,
        url: str,
        *,
        start: int = 0,
        tag: str | None = None,
        num_bytes: int | None = None,
        method: Literal["GET", "HEAD"] = "GET",
    ) -> None:
        self.tag = tag
        self._expected_bytes, self._method = num_bytes, method
        self._web, self._url, self._host = web, url, _host(url)
        self._name = _without_secrets(url)
        self._at, self._size = start if tag else 0, -1
        self._response: Any = None
        self._is_read = False
        self._held = ExitStack()
        _refuse_blocked(web, self._host)
        self._held.enter_context(_connection(web, self._host, self._name))
        self._until = time.monotonic() + web.total_seconds
        try:
            self._try(lambda: None)
        except BaseException:
            self._held.close()
            raise
        self.start = self._at
        self._is_read = self._at > 0  # what is resumed was read before: no other body may follow it

    @property
    def announced(self) -> Announced:
        """What the host says of the body."""
        return Announced(None if self._size < 0 else self._size, self.tag)

    def readable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """How many bytes were read, those that were there before a resumed transfer among them."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """The next bytes; 0 at the end."""
        if self._at == self._size:
            return 0
        piece = self._try(lambda: self._read(len(buffer)))
        buffer[: len(piece)] = piece
        self._at += len(piece)
        self._is_read = True
        return len(piece)

    def close(self) -> None:
        """Give the connection back."""
        self._drop()
        self._held.close()
        super().close()

    def _try(self, action: Callable[[], Any]) -> Any:
        """Act on a response, and on another one as long as that brings nothing."""
        for failed in count(1):
            if time.monotonic() > self._until:
                raise TimeoutError(f"{self._name}: at byte {self._at:,} after {self._web.total_seconds:g} s; too slow")
            try:
                if self._response is None:
                    self._ask()
                return action()
            except (urllib3.exceptions.HTTPError, _LaterError) as error:
                self._drop()
                if failed == self._web.attempts:
                    raise OSError(
                        f"{self._name}: {failed} tries in a row brought nothing at byte {self._at:,} "
                        f"({type(error).__name__}: {error}); try again later"
                    ) from error
                self._pause(failed, error.seconds if isinstance(error, _LaterError) else 0.0)
        raise AssertionError

    def _ask(self) -> None:
        headers = {"User-Agent": f"{PROJECT} ({self._web.contact})" if self._web.contact else PROJECT}
        headers["Accept-Encoding"] = "identity"
        if self._at and self.tag:
            headers |= {"Range": f"bytes={self._at}-", "If-Range": self.tag}
        self._response = _pool().request(
            self._method,
            self._url,
            headers=headers,
            preload_content=False,
            retries=False,
            redirect=False,
            timeout=self._web.timeout_seconds,
        )
        told, status = self._response.headers, self._response.status
        tag, length = told.get("ETag") or told.get("Last-Modified"), told.get("Content-Length", "")
        num_bytes = int(length) if length.isdecimal() else None
        if status in _AGAIN:
            raise _LaterError(f"status {status}", retry_after_seconds(told.get("Retry-After")))
        if status == 206 and tag == self.tag and _first_byte(told.get("Content-Range", "")) == self._at:
            self._size = -1 if num_bytes is None else self._at + num_bytes
        elif status == 200 and not self._is_read:
            self._at, self._size, self.tag = 0, -1 if num_bytes is None else num_bytes, tag
        elif status == 416 and not self._is_read and tag == self.tag and _all_bytes(told) == self._at:
            self._size = self._at  # whoever was killed had all of it
        elif status == 416 and not self._is_read:
            self._at = 0
            raise _LaterError("nothing left to resume")
        elif not (self._method == "HEAD" and status in {405, 501}):
            self._drop()
            raise self._failure(status)
        if self._method == "HEAD":
            self._response.release_conn()  # without a body, the next request may go over the same connection
            self._response = None
        self._refuse_other_length()

    def _refuse_other_length(self) -> None:
        """Refuse a body that is shorter or longer than announced; where its own headers do not say, count its bytes."""
        if self._expected_bytes is None or self._size == self._expected_bytes:
            return
        if self._size >= 0:
            self._drop()
            raise OSError(
                f"{self._name}: {self._size:,} bytes are served, and {self._expected_bytes:,} were announced: it was "
                "cut, or changed meanwhile; run it again"
            )
        self._size = self._expected_bytes

    def _read(self, at_most: int) -> bytes:
        piece = bytes(self._response.read1(at_most, decode_content=False))
        if not piece and self._size >= 0:
            raise _LaterError(f"cut at {self._at:,} of {self._size:,} bytes")
        return piece

    def _failure(self, status: int) -> OSError:
        if status in {404, 410}:
            return FileNotFoundError(f"{self._name}: status {status}; it is not there")
        if status in {401, 403, 451}:
            _block(self._web, self._host, f"status {status} for {self._name}")
            return _refused(self._host, f"status {status} for {self._name}")
        if status in {200, 206, 416}:
            return OSError(f"{self._name}: changed, or cannot be resumed, after {self._at:,} bytes; fetch it again")
        return OSError(f"{self._name}: status {status}; is this the address of a file?")

    def _pause(self, failed: int, asked_for: float) -> None:
        own = min(self._web.wait_seconds * 2 ** (failed - 1), self._web.max_wait_seconds)
        time.sleep(max(own * random.uniform(0.5, 1.0), min(asked_for, self._web.max_wait_seconds)))  # noqa: S311

    def _drop(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None


class _LaterError(Exception):
    """Asking again may help."""

    def __init__(self, why: str, seconds: float = 0.0) -> None:
        super().__init__(why)
        self.seconds = seconds


@cache
def _pool() -> urllib3.PoolManager:
    return urllib3.PoolManager(maxsize=8)  # knows no proxy and follows nothing by itself


@contextmanager
def _connection(web: Web, host: str, name: str) -> Iterator[None]:
    """Hold one of the host's connections; the system gives back those of a process that died."""
    folder = Path(web.folder, web.lane, host)
    folder.mkdir(parents=True, exist_ok=True)
    slots = [folder / str(number) for number in range(web.connections)]
    until = time.monotonic() + web.slot_seconds
    while True:
        for path in slots:
            with path.open("a", encoding="utf-8") as slot:
                try:
                    fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                slot.truncate(0)
                slot.write(f"process {os.getpid()}: {name}")
                slot.flush()
                yield
                return
        if time.monotonic() > until:
            held = "; ".join(path.read_text("utf-8", "replace") for path in slots)
            raise TimeoutError(
                f"{name}: no connection to {host} was free for {web.slot_seconds:g} s ({held}); try again later"
            )
        time.sleep(random.uniform(0.05, 0.2))  # noqa: S311


def _block(web: Web, host: str, why: str) -> None:
    path = Path(web.folder, "blocked", host)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(why, encoding="utf-8")


def _refuse_blocked(web: Web, host: str) -> None:
    path = Path(web.folder, "blocked", host)
    if path.exists() and time.time() - path.stat().st_mtime < _BLOCKED_SECONDS:
        raise _refused(host, path.read_text("utf-8"))


def _refused(host: str, why: str) -> PermissionError:
    return PermissionError(
        f"{host} refuses us ({why}). Asking on makes that worse, so nothing is asked of it for an hour. Give fewer "
        "connections, name a contact, or read from S3; what was read so far is kept"
    )


def _without_secrets(url: str) -> str:
    """The URL as messages have it.

    >>> _without_secrets("https://me:word@example.org/a?token=1")
    'https://example.org/a'
    """
    scheme, _, rest = url.partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _host(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{_without_secrets(url)}: not an http or https URL")
    return f"{parts.hostname}_{parts.port}" if parts.port else parts.hostname


def _first_byte(content_range: str) -> int | None:
    first = content_range.removeprefix("bytes ").partition("-")[0]
    return int(first) if first.isdecimal() else None


def _all_bytes(headers: Mapping[str, str]) -> int | None:
    total = headers.get("Content-Range", "").removeprefix("bytes */")
    return int(total) if total.isdecimal() else None


def retry_after_seconds(retry_after: str | None) -> float:
    """Seconds that a Retry-After asks for, which may be a number or a date.

    >>> retry_after_seconds("7"), retry_after_seconds("soon"), retry_after_seconds(None)
    (7.0, 0.0, 0.0)
    """
    if not retry_after:
        return 0.0
    try:
        if retry_after.isdecimal():
            return float(retry_after)
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, OverflowError):  # whatever a host may write
        return 0.0


def _is_at(file: io.BufferedRandom, path: Path) -> bool:
    """Whether the open file is the one of that name, and has not been renamed or deleted."""
    return path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())

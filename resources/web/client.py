"""Fetch files from the web as a guest: few connections, resume what was cut, back off, stop when told to."""

import email.utils
import fcntl
import hashlib
import io
import math
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar
from urllib.parse import urlsplit

import urllib3

from resources.files.local import sync_folder
from resources.web.hosts import block_host, hold_connection, refuse_blocked

AGENT = "metaclip_dagster"
"""What hosts may call us, as in robots.txt."""
PROJECT = f"{AGENT}/0.1"
NO_CONTACT = (
    "METACLIP_CONTACT is not set: the owners of hosts cannot write to you, and will block you sooner; "
    "set it to an address of yours"
)
_PIECE = 1 << 20
_BUSY = {408, 425, 429, 500, 502, 503, 504}
_REFUSED = {401, 403, 451}

Answer = TypeVar("Answer")


class ArchiveVersion(NamedTuple):
    """What changes when a file or a body does, as far as its host says it."""

    num_bytes: int | None
    tag: str
    """Its ETag, or else when it was last modified."""

    def __str__(self) -> str:
        """As fingerprints have it."""
        return self.tag if self.num_bytes is None else f"{self.num_bytes} {self.tag}"


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
        """The body at an http(s) URL, brought whole before it is opened; the disk is free again once it is closed.

        `num_bytes` is what `describe` announced: a body of another length is refused with an OSError.

        Raises FileNotFoundError for 404 and 410, PermissionError for 401, 403 and 451, after which this machine asks
        the host for nothing for an hour, TimeoutError where `slot_seconds` or `total_seconds` are over, and OSError for
        what stays broken.
        """
        Path(self.folder).mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            with tempfile.TemporaryDirectory(dir=self.folder) as nameless:  # a killed process leaves nothing
                name = _without_secrets(url).rpartition("/")[2] or "body"
                file = stack.enter_context(Path(nameless, name).open("w+b"))
            _Transfer(self, url, file, num_bytes=num_bytes).finish()
            file.seek(0)
            stack.pop_all()
        return file

    def describe(self, url: str) -> ArchiveVersion:
        """What the host announces for the URL, without the body: nothing where it answers no HEAD requests.

        Raises as `open` does.
        """

        def read_headers(_: float) -> ArchiveVersion:
            with _ask(self, url, "HEAD") as response:
                return _read_announced(response.headers) if response.status == 200 else ArchiveVersion(None, "")

        return _persist(self, url, read_headers)

    def read(self, url: str, *, at_most: int = 64 << 20) -> bytes:
        """The whole body; raises ValueError where it is larger than `at_most` bytes."""
        body = io.BytesIO()
        _Transfer(self, url, body, at_most=at_most).finish()
        return body.getvalue()

    def exists(self, url: str) -> bool:
        """Whether there is something at the URL, which is read to find out; raises as `read` does."""
        try:
            self.read(url)
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
        tag = part.with_suffix(".tag")
        while not path.exists():
            with part.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if _is_at(file, part):  # else another process, which was waited for here, has brought it
                    _Transfer(self, url, file, tag_file=tag, num_bytes=num_bytes).finish()
                    file.flush()
                    os.fsync(file.fileno())
                    _check_digest(file, url, sha1)
                    part.rename(path)
                    tag.unlink()
        sync_folder(path.parent)
        return path


class _LaterError(Exception):
    """Asking again may help."""

    def __init__(self, why: str, seconds: float = 0.0) -> None:
        super().__init__(why)
        self.seconds = seconds


class _Transfer:
    """A body on its way into a file: what is missing is asked for and appended, as long as it is the same body."""

    def __init__(
        self,
        web: Web,
        url: str,
        file: BinaryIO | io.BufferedRandom,
        *,
        tag_file: Path | None = None,
        num_bytes: int | None = None,
        at_most: float = math.inf,
    ) -> None:
        self._web, self._url, self._name = web, url, _without_secrets(url)
        self._file, self._tag_file = file, tag_file
        self._expected_bytes, self._at_most = num_bytes, at_most
        self._tag = tag_file.read_text("utf-8") if tag_file and tag_file.exists() else ""

    def finish(self) -> None:
        """Bring what is missing, or raise as `Web.open` does."""
        _persist(self._web, self._url, self._append, self._size)

    def _size(self) -> int:
        return self._file.seek(0, os.SEEK_END)

    def _append(self, until: float) -> None:
        at = self._size()  # now: whoever wrote to the file before may have died since it was opened
        resume = {"Range": f"bytes={at}-", "If-Range": self._tag} if at and self._tag else {}
        with _ask(self._web, self._url, "GET", resume) as response:
            size = self._check_length(self._begin(response, at, bool(resume)))
            while size is None or self._file.tell() < size:
                if not (piece := response.read1(_PIECE, decode_content=False)):
                    break
                self._file.write(piece)
                if self._file.tell() > self._at_most:
                    raise ValueError(f"{self._name}: more than {self._at_most:,} bytes; is this the right file?")
                if time.monotonic() > until:
                    raise _LaterError("slow")
        if size is not None and self._file.tell() < size:
            raise _LaterError(f"cut at {self._file.tell():,} of {size:,} bytes")

    def _begin(self, response: Any, at: int, is_resumed: bool) -> int | None:
        """How long the body is, if the response says so, with the file ready to be appended to."""
        length, tag = _read_announced(response.headers)
        if response.status == 200:
            self._file.truncate(0)
            self._file.seek(0)
            self._tag = tag
            if self._tag_file:
                self._tag_file.write_text(self._tag, encoding="utf-8")
            return length
        if is_resumed and tag == self._tag:
            content_range = response.headers.get("Content-Range", "")
            if response.status == 206 and content_range.startswith(f"bytes {at}-"):
                return None if length is None else at + length
            if response.status == 416 and content_range == f"bytes */{at}":
                return at  # whoever was killed had all of it
        self._file.truncate(0)
        raise _LaterError(f"status {response.status} cannot be joined at byte {at:,}")

    def _check_length(self, size: int | None) -> int | None:
        """Refuse a body of another length than announced; where its own headers do not say, count its bytes."""
        if self._expected_bytes is None or size is None or size == self._expected_bytes:
            return self._expected_bytes if size is None else size
        raise OSError(
            f"{self._name}: {size:,} bytes are served, and {self._expected_bytes:,} were announced: it was "
            "cut, or changed meanwhile; run it again"
        )


def _persist(web: Web, url: str, act: Callable[[float], Answer], measure: Callable[[], int] = lambda: 0) -> Answer:
    """Act over one of the host's connections, and try again as long as that brings more bytes than ever before.

    `act` takes the time at which it is to give up, by the monotonic clock; `measure` tells how many bytes are there.
    """
    host, name = _host(url), _without_secrets(url)
    refuse_blocked(web.folder, host)
    with hold_connection(Path(web.folder, web.lane, host), name, num_slots=web.connections, seconds=web.slot_seconds):
        until, most, failed = time.monotonic() + web.total_seconds, measure(), 0
        while True:
            try:
                return act(until)
            except (urllib3.exceptions.HTTPError, _LaterError) as error:
                size = measure()
                failed, most = (1, size) if size > most else (failed + 1, most)
                if time.monotonic() > until:
                    raise TimeoutError(f"{name}: at byte {size:,} after {web.total_seconds:g} s; too slow") from error
                if failed == web.attempts:
                    raise OSError(
                        f"{name}: {failed} tries in a row brought nothing at byte {size:,} "
                        f"({type(error).__name__}: {error}); try again later"
                    ) from error
                seconds = min(getattr(error, "seconds", 0.0), web.max_wait_seconds)
            ours = min(web.wait_seconds * 2 ** (failed - 1), web.max_wait_seconds)
            time.sleep(max(ours * random.uniform(0.5, 1.0), seconds))  # noqa: S311


@contextmanager
def _ask(web: Web, url: str, method: str, headers: Mapping[str, str] | None = None) -> Iterator[Any]:
    """The response to one request; raises _LaterError for a busy host, OSError for one that answers otherwise."""
    response: Any = _pool().request(
        method,
        url,
        headers={
            "User-Agent": f"{PROJECT} ({web.contact})" if web.contact else PROJECT,
            "Accept-Encoding": "identity",
            **(headers or {}),
        },
        preload_content=False,
        retries=False,
        redirect=False,
        timeout=web.timeout_seconds,
    )
    try:
        status, name = response.status, _without_secrets(url)
        if status in _BUSY:
            raise _LaterError(f"status {status}", retry_after_seconds(response.headers.get("Retry-After")))
        if status in {404, 410}:
            raise FileNotFoundError(f"{name}: status {status}; it is not there")
        if status in _REFUSED:
            raise block_host(web.folder, _host(url), f"status {status} for {name}")
        if status not in ({200, 206, 416} if headers else {200}) and not (method == "HEAD" and status in {405, 501}):
            raise OSError(f"{name}: status {status}; is this the address of a file?")
        yield response
        if method == "HEAD":
            response.release_conn()  # without a body, the next request may go over the same connection
    finally:
        response.close()


@cache
def _pool() -> urllib3.PoolManager:
    return urllib3.PoolManager(maxsize=8)  # knows no proxy and follows nothing by itself


def _read_announced(headers: Mapping[str, str]) -> ArchiveVersion:
    length = headers.get("Content-Length", "")
    tag = headers.get("ETag") or headers.get("Last-Modified") or ""
    return ArchiveVersion(int(length) if length.isdecimal() else None, tag)


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


def _check_digest(file: io.BufferedRandom, url: str, sha1: str | None) -> None:
    """Empty the file and raise ValueError if its SHA-1 is another."""
    file.seek(0)
    if sha1 and (digest := hashlib.file_digest(file, "sha1").hexdigest()) != sha1:
        file.truncate(0)
        raise ValueError(f"{_without_secrets(url)}: SHA-1 is {digest}, not {sha1} as announced; thrown away, try again")


def _is_at(file: io.BufferedRandom, path: Path) -> bool:
    """Whether the open file is the one of that name, and has not been renamed or deleted."""
    return path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())

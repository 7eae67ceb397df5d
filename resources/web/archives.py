"""Open an archive of a crawl in a folder, an object store or the web, and tell its version."""

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec

from resources.deferred import named
from resources.web.client import ArchiveVersion, Web


@dataclass(frozen=True)
class Access:
    """How the files of a crawl are reached."""

    storage_options: dict[str, Any] = field(default_factory=dict)
    """fsspec's, for folders and object stores."""
    web: Web | None = None
    """For http and https."""
    cache: str = ""
    """A folder that keeps what came from the web, up to `cache_bytes`, the longest unread going first."""
    cache_bytes: int = 0


ABSENT = ArchiveVersion(None, "absent")
RELEASED = ArchiveVersion(None, "released")
"""Of what is on the web and cannot be asked for its version: it is taken not to change once it is released."""

_LOCAL = Access()


@named("resources.archives:open_archive")
def open_archive(url: str, access: Access = _LOCAL, version: ArchiveVersion = RELEASED) -> BinaryIO:
    """The archive's bytes as they lie there, to be closed by the caller. Raises FileNotFoundError naming it.

    On the web a body of another length than the version's is refused with an OSError.
    """
    try:
        if access.web is None or not is_web(url):
            return cast(BinaryIO, fsspec.open(url, "rb", **access.storage_options).open())
        if not access.cache_bytes:
            return access.web.open(url, num_bytes=version.num_bytes)
        return _open_kept(url, access.web, version, Path(access.cache), access.cache_bytes)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{url}: the path list names it and it is not there ({error}); was the crawl copied whole?"
        ) from None


def archive_version(url: str, access: Access = _LOCAL) -> ArchiveVersion:
    """What changes when the archive does: its size and, where the filesystem or the host tells one, its time or tag.

    An archive on the web is asked for it by one request for headers, where `access` says how the web is reached.
    """
    try:
        if is_web(url):
            num_bytes, tag = access.web.describe(url) if access.web else RELEASED
            return ArchiveVersion(num_bytes or None, tag) if num_bytes or tag else RELEASED  # some HEADs say 0 bytes
        filesystem, path = fsspec.core.url_to_fs(url, **access.storage_options)
        info = filesystem.info(path)
    except FileNotFoundError:
        return ABSENT
    except PermissionError:  # a host that refuses is asked nothing more
        raise
    except OSError:
        if not is_web(url):
            raise
        return RELEASED  # one answer that does not come is for the archive's own shard to fail by
    return ArchiveVersion(info.get("size"), str(info.get("ETag") or info.get("mtime") or ""))


def is_web(url: str) -> bool:
    """Whether it is an address of the web, and no folder or object store."""
    return url.startswith(("http://", "https://"))


def _open_kept(url: str, web: Web, version: ArchiveVersion, cache: Path, cache_bytes: int) -> BinaryIO:
    name = f"{sha256(f'{url} {version}'.encode()).hexdigest()[:16]}-{url.rsplit('/', 1)[-1]}"
    while True:
        path = web.download(url, cache / name, num_bytes=version.num_bytes)
        with suppress(FileNotFoundError):  # another process has trimmed it already
            archive = path.open("rb")  # from here on it may be deleted: an open file stays readable
            break
    with suppress(FileNotFoundError):
        os.utime(path)
    _trim(cache, cache_bytes)
    return archive


def _trim(cache: Path, cache_bytes: int) -> None:
    with (cache / ".trim").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        files = [(entry.stat(), entry.path) for entry in os.scandir(cache) if not entry.name.startswith(".")]
        excess = sum(status.st_size for status, _ in files) - cache_bytes
        for status, path in sorted(files, key=lambda one: one[0].st_mtime):
            if excess <= 0:
                break
            with suppress(FileNotFoundError):
                Path(path).unlink()
            excess -= status.st_size

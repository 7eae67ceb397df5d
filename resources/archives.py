"""Open an archive of a crawl wherever it lies. Imports no Dagster: workers do this."""

from typing import Any, BinaryIO, cast

import fsspec


def open_archive(url: str, storage_options: dict[str, Any]) -> BinaryIO:
    """The archive's bytes as they lie there, to be closed by the caller. Raises FileNotFoundError naming it."""
    try:
        return cast(BinaryIO, fsspec.open(url, "rb", **storage_options).open())
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{url}: the path list names it and it is not there; was the crawl copied whole?"
        ) from None


def archive_version(url: str, storage_options: dict[str, Any]) -> str:
    """What changes when the archive does: its size and, where the filesystem tells one, its time or tag."""
    filesystem, path = fsspec.core.url_to_fs(url, **storage_options)
    try:
        info = filesystem.info(path)
    except FileNotFoundError:
        return "absent"
    return f"{info.get('size')} {info.get('ETag') or info.get('mtime') or ''}"

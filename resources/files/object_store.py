"""Write files whole or not at all on a disk or in an object store, through fsspec; trust no listing."""

import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import fsspec

PART_BYTES = 16 * 2**20
"""Of a multipart upload; S3 takes 10,000 of them, 156 GiB. What is smaller goes in one request."""
PAUSES = (0.2, 1.0, 5.0)
"""Seconds between tries to create an object that another request is just creating."""
_CREDENTIALS = re.compile(r"secret|token|passw|credential|connection_string|(^|_|customer)key(_id)?$|^username$", re.I)
_RETRIES = {"mode": "standard", "total_max_attempts": 9}


def connect(url: str, options: Mapping[str, Any]) -> tuple[Any, str]:  # fsspec ships no types
    """The file system of a URL and the path in it. Of S3, what fails in passing is tried again, with back-off.

    Nothing that was listed once is believed later, and a read fetches the bytes that it asks for, none ahead. Cheap
    enough to be called each time: fsspec keeps one connection to a store for each process. Raises ValueError for
    credentials among the options: they belong in the environment.
    """
    filesystem, path = fsspec.core.url_to_fs(url, **settings(url, options))
    return filesystem, str(path)


def settings(url: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that `connect` gives fsspec. Raises as it does."""
    refuse_credentials(url, options)
    complete = {**options, "use_listings_cache": False}
    if url.partition("://")[0] in ("s3", "s3a"):
        complete.setdefault("default_cache_type", "none")
        complete["config_kwargs"] = {"retries": _RETRIES, **options.get("config_kwargs", {})}
    return complete


def refuse_credentials(url: str, options: Mapping[str, Any]) -> None:
    """Raise ValueError for a password in the URL, or for options that are named like credentials; it shows none."""
    credentials = [name for name, value in _flatten(options) if _CREDENTIALS.search(name) or _has_password(value)]
    if credentials or _has_password(url):
        names = ", ".join(credentials)
        where = f"the storage options hold credentials ({names})" if credentials else "the URL holds a password"
        raise ValueError(
            f"{where}, which would end up in logs: give them in the environment alone, as AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, a profile or a role of the machine"
        )


def is_local(filesystem: Any) -> bool:
    """Whether its files are on this machine's disks."""
    return "file" in filesystem.protocol


@contextlib.contextmanager
def create_object(filesystem: Any, path: str) -> Iterator[BinaryIO]:
    """Open an object that appears when the block has ended well; what a failed one has uploaded is thrown away."""
    file = filesystem.open(path, "wb", block_size=PART_BYTES)
    try:
        yield file
        file.close()
    except BaseException:
        file.closed = True  # else fsspec completes it when the file is collected
        with contextlib.suppress(Exception):  # an upload that cannot be aborted now is left to `Lake.tidy`
            file.discard()
        raise


def create_object_once(filesystem: Any, path: str, content: bytes) -> bool:
    """Write an object if there is none, by a conditional put; False where another stands there.

    A store that fails may have written all the same, and the try after that finds what the first one wrote: what
    stands there decides, not the answer.
    """
    for pause in (*PAUSES, None):
        try:
            filesystem.pipe_file(path, content, mode="create")  # on S3: If-None-Match
        except (FileNotFoundError, PermissionError):
            raise
        except Exception:  # of the store or of the way to it: botocore's errors have no base in common with OSError
            stored = read_object(filesystem, path)
            if stored is not None:
                return stored == content
            if pause is None:
                raise
            time.sleep(pause)
        else:
            break
    return True


def read_object(filesystem: Any, path: str) -> bytes | None:
    """All of a file that is not empty, by one request; None where there is none."""
    try:
        return bytes(filesystem.cat_file(path, start=0))  # without a start, s3fs asks for the size first
    except FileNotFoundError:
        return None


def abort_uploads(filesystem: Any, root: str, *, older_than_seconds: float, now: float) -> list[str]:
    """Abort multipart uploads below a path that were begun so long ago; gives their paths.

    Only S3 keeps them, and has them paid for; other stores forget them by themselves.
    """
    if not hasattr(filesystem, "abort_mpu"):
        return []
    bucket, key, _ = filesystem.split_path(root)
    gone: list[str] = []
    after: dict[str, str] = {}
    while True:
        listed = filesystem.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=f"{key}/" if key else "", **after)
        for upload in listed.get("Uploads", []):
            if now - upload["Initiated"].timestamp() >= older_than_seconds:
                with contextlib.suppress(FileNotFoundError):
                    filesystem.abort_mpu(bucket, upload["Key"], upload["UploadId"])
                gone.append(f"{bucket}/{upload['Key']}")
        if not listed.get("IsTruncated"):
            return gone
        after = {"KeyMarker": listed["NextKeyMarker"], "UploadIdMarker": listed["NextUploadIdMarker"]}


def _flatten(options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _flatten(value)
        else:
            yield name, value


def _has_password(value: Any) -> bool:
    return isinstance(value, str) and "://" in value and urlsplit(value).password is not None

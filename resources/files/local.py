"""Write files that are there whole or not at all, and lines that a kill cannot spoil."""

import contextlib
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO


@contextlib.contextmanager
def create(path: Path, *, once: bool = False, partial: Path | None = None) -> Iterator[BinaryIO]:
    """Open a file that appears under its name when the block has ended well and all of it is on the disk.

    `partial` is its name until then: whoever is the only writer names one, and what a killed one left is replaced.
    With `once` the first one wins, and the others raise FileExistsError.
    """
    partial = partial or path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if once:
            path.hardlink_to(partial)
        else:
            partial.replace(path)
        sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace a file by this text in UTF-8, whole or not at all."""
    with create(path) as file:
        file.write(text.encode())


def append_line(path: Path, content: Mapping[str, Any], *, sync: bool = False) -> None:
    """Add a line of JSON. It begins the line itself: what a killed writer left of its own spoils no other.

    With `sync` it is on the disk when this returns.
    """
    with path.open("a", encoding="utf-8") as file:
        file.write(f"\n{json.dumps(content)}")
        if sync:
            file.flush()
            os.fsync(file.fileno())
    if sync:
        sync_folder(path.parent)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines that were written whole, none if there is no file."""
    contents = []
    for line in path.read_text("utf-8", "replace").splitlines() if path.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):
            contents.append(json.loads(line))
    return contents


def sync_folder(folder: Path) -> None:
    """Wait until the folder's names are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

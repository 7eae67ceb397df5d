"""Read, write, check and blank the members of a tar of images, by the index beside it."""

import hashlib
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc


def read_members(file: BinaryIO, tar: str, rows: pa.Table) -> Iterator[tuple[dict[str, Any], bytes, bytes]]:
    """Of every row that has an image the row, the tar's header of it and its bytes, in the tar's order."""
    for row in rows.filter(pc.is_valid(rows["tar"])).sort_by("offset").to_pylist():
        file.seek(row["offset"] - tarfile.BLOCKSIZE)
        header, data = file.read(tarfile.BLOCKSIZE), file.read(row["size"])
        if len(data) != row["size"]:
            raise ValueError(describe_cut(tar))
        yield row, header, data


def check_members(file: BinaryIO, tar: str, rows: pa.Table) -> None:
    """Compare every member's name and bytes with its row; raises ValueError naming the first that differs."""
    for row, header, data in read_members(file, tar, rows):
        member = f"{row['image_id']}.{row['format']}"
        if header.partition(b"\0")[0] != member.encode() or hashlib.sha256(data).hexdigest() != row["sha256"]:
            raise ValueError(f"{tar}: {member} is not what its index says; {_WAY_OUT}")


def check_length(tar: str, rows: pa.Table, size: Callable[[], int | None]) -> None:
    """Raise ValueError if the tar is missing, or not as long as the rows of its index say."""
    ends = pc.add(rows["offset"], rows["size"])
    if not (end := pc.max(ends).as_py()):
        return
    if (num_bytes := size()) is None:
        raise ValueError(f"{tar}: missing, and its index names it; {_WAY_OUT}")
    blocks = -(-end // tarfile.BLOCKSIZE) + 2  # a tar ends with two blocks of zeros, and is filled up to a record
    if num_bytes != -(-blocks * tarfile.BLOCKSIZE // tarfile.RECORDSIZE) * tarfile.RECORDSIZE:
        raise ValueError(describe_cut(tar))


def write_tar(file: BinaryIO, rows: list[dict[str, Any]], spool: BinaryIO) -> None:
    """A tar of the rows' bytes, the same for the same images; each row's `offset` in the spool becomes that in it."""
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for row in rows:
            member = tarfile.TarInfo(f"{row['image_id']}.{row['format']}")
            member.size = row["size"]
            spool.seek(row["offset"])
            row["offset"] = file.tell() + tarfile.BLOCKSIZE
            tar.addfile(member, spool)


def blank_members(tar: Path, rows: pa.Table) -> None:
    """Write zeros over the rows' bytes, where they are not zeros yet; the tar keeps its length and its headers."""
    if not rows.num_rows:
        return
    with tar.open("r+b") as file:
        for row in rows.to_pylist():
            file.seek(row["offset"])
            if file.read(row["size"]).strip(b"\0"):
                file.seek(row["offset"])
                file.write(bytes(row["size"]))
        file.flush()
        os.fsync(file.fileno())


_WAY_OUT = (
    "restore it, or delete it and its .parquet, materialize images of every t with force and then the training sets: "
    "what it held is fetched again"
)


def describe_cut(tar: str) -> str:
    """What to tell of a tar that ends too early, and the way out."""
    return f"{tar}: not as long as its index says; was it cut short by a full disk or a copy? {_WAY_OUT}"

"""Read, write, check and blank the members of a tar of images, by the index beside it."""

import hashlib
import os
import tarfile
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc


def read_member(tar: Path, offset: int, size: int) -> bytes:
    """The bytes of one image; raises ValueError where the tar ends before it."""
    with tar.open("rb") as file:
        file.seek(offset)
        data = file.read(size)
    if len(data) != size:
        raise ValueError(_describe_cut(tar))
    return data


def check_members(tar: Path, rows: pa.Table) -> None:
    """Compare every member's name and bytes with its row; raises ValueError naming the first that differs."""
    check_length(tar, rows)
    with tar.open("rb") as file:
        for row in rows.filter(pc.is_valid(rows["tar"])).to_pylist():
            file.seek(row["offset"] - tarfile.BLOCKSIZE)
            header, data = file.read(tarfile.BLOCKSIZE), file.read(row["size"])
            member = f"{row['image_id']}.{row['format']}"
            if header.partition(b"\0")[0] != member.encode() or hashlib.sha256(data).hexdigest() != row["sha256"]:
                raise ValueError(f"{tar}: {member} is not what its index says; {_WAY_OUT}")


def check_length(tar: Path, rows: pa.Table) -> None:
    """Raise ValueError if the tar is missing, or not as long as the rows of its index say."""
    ends = pc.add(rows["offset"], rows["size"])
    if not (end := pc.max(ends).as_py()):
        return
    if not tar.exists():
        raise ValueError(f"{tar}: missing, and its index names it; {_WAY_OUT}")
    blocks = -(-end // tarfile.BLOCKSIZE) + 2  # a tar ends with two blocks of zeros, and is filled up to a record
    if tar.stat().st_size != -(-blocks * tarfile.BLOCKSIZE // tarfile.RECORDSIZE) * tarfile.RECORDSIZE:
        raise ValueError(_describe_cut(tar))


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


def _describe_cut(tar: Path) -> str:
    return f"{tar}: not as long as its index says; was it cut short by a full disk or a copy? {_WAY_OUT}"

"""Keep images by id in append-only tars, each with an index beside it.

<root>/<bucket>/<number>.tar        members <image_id>.<format>, in the order of their ids
<root>/<bucket>/<number>.parquet    the segment's index: a row for each of those, and for each failure
<root>/locks/<bucket>.lock          who holds it is the bucket's only writer; holds the next number: none comes twice
"""

import contextlib
import fcntl
import hashlib
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from resources.files.local import create
from resources.images.tars import blank_members, check_length, check_members, read_member, write_tar


@dataclass(frozen=True)
class ImageStore:
    """Images under one folder of a local file system, or of one that all writers share and that honours flock.

    Readers follow indices only. A tar comes before its index, each whole or not at all, so a killed writer leaves a tar
    that nobody reads and that the bucket's next writer replaces.
    """

    root: Path
    retry_failed: bool = False
    """Whether failures that are held count as missing; read by who fetches."""
    fetch_again: bool = False
    """Whether images that are held with too little for the form asked for count as missing; read by who fetches."""
    segment_images: int = 10_000
    """How many images are fetched for one tar, which is what a killed writer loses at most."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of images that are not kept, whatever their URL, and the reason."""

    @contextlib.contextmanager
    def bucket(self, number: int, schema: pa.Schema) -> Iterator["Bucket"]:
        """One bucket, with nobody else writing to it: waits until its other writer is done.

        Whoever reads the index, fetches what is missing and appends it under one such lock fetches nothing twice,
        whatever else runs. The lock goes with the process. `schema` is that of the index's rows.
        """
        folder, lock = self.root / f"{number:05d}", self.root / "locks" / f"{number:05d}.lock"
        folder.mkdir(parents=True, exist_ok=True)
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield Bucket(folder, schema, file, self.refused)

    def read(self, tar: str, offset: int, size: int) -> bytes:
        """One image's bytes. Raises ValueError where the tar ends before it."""
        return read_member(self.root / tar, offset, size)

    def members(self, tar: str) -> Iterator[tuple[str, bytes]]:
        """Name and bytes of every image of a tar, in its order. Raises ValueError where it ends early."""
        rows = pq.read_table((self.root / tar).with_suffix(".parquet"))
        check_length(self.root / tar, rows)
        for row in rows.filter(pc.is_valid(rows["tar"])).sort_by("offset").to_pylist():
            yield f"{row['image_id']}.{row['format']}", self.read(tar, row["offset"], row["size"])

    def find(self, sha256: Collection[str]) -> dict[str, set[str]]:
        """By digest, the ids of images whose bytes, as they came or as they are or were stored, have it."""
        chosen = pa.array(sorted(sha256), pa.string())
        image_ids: dict[str, set[str]] = {digest: set() for digest in sha256}
        for index in self.root.glob("*/*.parquet"):
            rows = pq.read_table(index, schema=pa.schema([(name, pa.string()) for name in _REMEMBERED]))
            for name in _DIGESTS:
                having = rows.filter(pc.is_in(rows[name], chosen))
                for digest, image_id in zip(having[name].to_pylist(), having["image_id"].to_pylist(), strict=True):
                    image_ids[digest].add(image_id)
        return image_ids

    def forget(
        self, judge: Callable[[pa.RecordBatch], pa.Array], reason: str, *, dry_run: bool = False
    ) -> Counter[str]:
        """Blank the images of all index rows that `judge` picks, bucket by bucket; counts their `images` and `bytes`.

        Of an image stay its id, its digest and the reason, so that nobody fetches it again. The index is first to say
        so; what is then left to blank, after a kill too, is found in it. Every other image stays where it lies.
        A dry run counts them alone, and waits for no writer: indices are replaced whole.
        """
        gone = Counter(images=0, bytes=0)
        for folder in sorted(self.root.glob("[0-9]*")):
            if dry_run:
                for index in _indices(folder):
                    gone.update(_pick(pq.read_table(index), judge, reason)[1])
            else:
                with self.bucket(int(folder.name), pa.schema([])) as bucket:
                    gone.update(bucket.forget(judge, reason))
        return gone

    def drop_superseded(self, named: Collection[str], *, older_than_seconds: float = 0.0) -> list[str]:
        """Delete the tars of which every image was written again since, in another form; gives their names.

        Those `named` by tables stay, and those that were superseded of late: a training may still read them. What
        failed stays in their indices, and of every image its digests, by which a takedown may name it.
        """
        gone = []
        for folder in sorted(self.root.glob("[0-9]*")):
            with self.bucket(int(folder.name), _PLACES) as bucket:
                gone += bucket.drop_superseded(named, time.time() - older_than_seconds)
        return gone

    def tars(self) -> list[str]:
        """The tars that indices name, relative to the store, in order."""
        columns = (pq.read_table(index, columns=["tar"])["tar"] for index in sorted(self.root.glob("*/*.parquet")))
        return [tar for column in columns for tar in pc.unique(column.drop_null()).to_pylist()]

    def check(self, tar: str) -> None:
        """Compare every member's name and bytes with the tar's index. Raises ValueError naming the first that differs.

        Reads the tar whole, an image at a time.
        """
        check_members(self.root / tar, pq.read_table((self.root / tar).with_suffix(".parquet")))


class Bucket:
    """One bucket's segments, whose lock the caller holds."""

    def __init__(self, folder: Path, schema: pa.Schema, lock: BinaryIO, refused: Mapping[str, str]) -> None:
        self._folder = folder
        self._refused = refused
        self._schema = schema
        self._lock = lock

    def index(self) -> pa.Table:
        """The row of every image that was ever asked for, sorted by image_id; an image supersedes its failures.

        Of an image that was written again, in another form, it is the latest.
        Raises ValueError where a tar is missing or not as long as its index says.
        """
        segments = []
        for path in _indices(self._folder):
            rows = pq.read_table(path, schema=self._schema)  # a column that came later than the file is null
            check_length(path.with_suffix(".tar"), rows)
            segments.append(rows)
        rows = pa.concat_tables([self._schema.empty_table(), *segments])
        rows = rows.filter(pc.or_(pc.is_valid(rows["tar"]), pc.is_valid(rows["reason"])))  # others were superseded
        tars = rows["tar"].to_pylist()
        latest: dict[str, int] = {}
        for row, image_id in enumerate(rows["image_id"].to_pylist()):
            if image_id not in latest or tars[row] is not None or tars[latest[image_id]] is None:
                latest[image_id] = row
        return rows.take(pa.array([latest[image_id] for image_id in sorted(latest)], pa.int64()))

    def append(self, images: Iterable[tuple[Mapping[str, Any], bytes | None]]) -> None:
        """Write one segment: for each image its row, without tar, offset, size and sha256, and its bytes if any.

        They may come in any order, the tar's does not follow it. Bytes pass through a nameless file beside the tar;
        memory holds the rows. What is refused gets a row like one that was forgotten. If `images` raises, nothing is
        written.
        """
        number = self._next_number()
        tar = self._folder / f"{number:05d}.tar"
        rows: list[dict[str, Any]] = []
        with tempfile.TemporaryFile(dir=self._folder) as spool:
            for columns, data in images:
                row = dict.fromkeys(self._schema.names) | dict(columns)
                if data is not None:
                    row["sha256"] = hashlib.sha256(data).hexdigest()
                if reason := next((self._refused[row[of]] for of in _DIGESTS if row.get(of) in self._refused), None):
                    row = {name: row[name] if name in _REMEMBERED else None for name in row} | {"reason": reason}
                elif data is not None:
                    row |= {"tar": f"{self._folder.name}/{tar.name}", "offset": spool.tell(), "size": len(data)}
                    spool.write(data)
                rows.append(row)
            rows.sort(key=lambda row: str(row["image_id"]))
            tar.unlink(missing_ok=True)  # of a writer that was killed before it wrote the index
            if any(row["tar"] for row in rows):
                with _create(tar) as file:
                    write_tar(file, [row for row in rows if row["tar"]], spool)
        with _create(tar.with_suffix(".parquet")) as file:
            pq.write_table(pa.Table.from_pylist(rows, self._schema), file, compression="zstd")
        self._lock.truncate(0)
        self._lock.write(str(number + 1).encode())
        self._lock.flush()

    def forget(self, judge: Callable[[pa.RecordBatch], pa.Array], reason: str) -> Counter[str]:
        """Blank the bucket's images that `judge` picks; counts their `images` and `bytes`. See `ImageStore.forget`."""
        gone = Counter[str]()
        for path in _indices(self._folder):
            rows = pq.read_table(path)
            picked, counted = _pick(rows, judge, reason)
            gone.update(counted)
            if pc.any(picked).as_py():
                rows = _erase(rows, picked, set(rows.column_names) - {"offset", "size", *_REMEMBERED}, reason=reason)
                with _create(path) as file:
                    pq.write_table(rows, file, compression="zstd")
            blank_members(
                path.with_suffix(".tar"), rows.filter(pc.and_(pc.is_null(rows["tar"]), pc.is_valid(rows["offset"])))
            )
        self._delete_unread()
        return gone

    def drop_superseded(self, named: Collection[str], before: float) -> list[str]:
        """Delete tars whose images lie in later segments from before that time. See `ImageStore.drop_superseded`."""
        places = self.index()
        latest = dict(zip(places["image_id"].to_pylist(), places["tar"].to_pylist(), strict=True))
        gone = []
        for path in _indices(self._folder):
            rows, name = pq.read_table(path), f"{self._folder.name}/{path.stem}.tar"
            if not pc.any(pc.is_valid(rows["offset"])).as_py():
                path.with_suffix(".tar").unlink(missing_ok=True)  # of one that was killed right here
                continue
            tars = {latest[image_id] for image_id in rows.filter(pc.is_valid(rows["tar"]))["image_id"].to_pylist()}
            segments = [path.with_name(f"{Path(tar).stem}.parquet") for tar in tars]
            if not tars or {name} & {*tars, *named} or any(index.stat().st_mtime > before for index in segments):
                continue
            in_tar = pc.is_valid(rows["tar"])
            rows = _erase(rows, in_tar, set(rows.column_names) - set(_REMEMBERED))
            rows = _erase(rows, pc.invert(in_tar), ("offset", "size"))  # of images that were forgotten
            with _create(path) as file:
                pq.write_table(rows, file, compression="zstd")
            path.with_suffix(".tar").unlink()
            gone.append(name)
        return gone

    def _delete_unread(self) -> None:
        """Delete what killed writers left: it may hold any image."""
        named = {path.stem for path in _indices(self._folder)}
        for path in self._folder.iterdir():
            if path.suffix == ".tmp" or (path.suffix == ".tar" and path.stem not in named):
                path.unlink()

    def _next_number(self) -> int:
        """Above all that there are and that there were: tables may still name a tar that was deleted."""
        self._lock.seek(0)
        return max([int(self._lock.read() or 0), *(int(path.stem) + 1 for path in _indices(self._folder))])


def open_image_store(
    root: str,
    retry_failed: bool = False,
    segment_images: int = 10_000,
    refused: Mapping[str, str] | None = None,
    fetch_again: bool = False,
) -> ImageStore:
    """The store under this folder, made if it is not there. Raises ValueError for an object store: it has no flock."""
    if "://" in root:
        raise ValueError(
            f"{root}: the image store needs a folder, for its writers lock files; mount it, or give a path"
        )
    Path(root).mkdir(parents=True, exist_ok=True)
    return ImageStore(Path(root), retry_failed, fetch_again, segment_images, refused or {})


def fix_num_buckets(root: str, num_buckets: int) -> None:
    """Note at the first call how many buckets the store has; raises ValueError where it was begun with others."""
    note = Path(root, "buckets.txt")
    if not note.exists():
        with contextlib.suppress(FileExistsError), create(note, once=True) as file:
            file.write(str(num_buckets).encode())
    if (begun := note.read_text(encoding="utf-8")) != str(num_buckets):
        raise ValueError(f"{root} has {begun} buckets, not {num_buckets}: nothing would be found in it")


_PLACES = pa.schema(
    {"image_id": pa.string(), "tar": pa.string(), "offset": pa.uint64(), "size": pa.uint64(), "reason": pa.string()}
)
_DIGESTS = ("sha256", "fetched_sha256")
_REMEMBERED = ("image_id", *_DIGESTS)
"""What stays of an image that is forgotten or superseded, so that nobody keeps again what is taken down."""


def _indices(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.parquet"))


def _pick(
    rows: pa.Table, judge: Callable[[pa.RecordBatch], pa.Array], reason: str
) -> tuple[pa.Array, Mapping[str, int]]:
    """Which rows of an index are to be forgotten and are not yet; how many `images` that is, and `bytes`."""
    [batch] = rows.combine_chunks().to_batches() or [pa.RecordBatch.from_pylist([], rows.schema)]
    picked = pc.and_not(judge(batch), pc.equal(pc.fill_null(batch["reason"], ""), reason))
    num_images = pc.sum(pc.and_(picked, pc.is_valid(batch["tar"]))).as_py() or 0
    return picked, {"images": num_images, "bytes": pc.sum(batch["size"].filter(picked)).as_py() or 0}


def _erase(rows: pa.Table, picked: pa.Array, names: Collection[str], **instead: str) -> pa.Table:
    """The table with nulls, or what is given instead, in these columns of the rows that are picked."""
    for name in names:
        at = rows.column_names.index(name)
        value = pa.scalar(instead.get(name), rows.schema.field(at).type)
        rows = rows.set_column(at, rows.schema.field(at), pc.if_else(picked, value, rows[name]))
    return rows


def _create(path: Path) -> contextlib.AbstractContextManager[BinaryIO]:
    """A new file under one name until it is whole: the lock's holder replaces what a killed one left."""
    return create(path, partial=path.with_name(f".{path.name}.tmp"))

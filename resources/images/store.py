"""Keep images by id in append-only tars, each with an index beside it.

<root>/<bucket>/<number>.tar        members <image_id>.<format>, in the order of their ids
<root>/<bucket>/<number>.parquet    the segment's index: a row for each of those, and for each failure
<root>/locks/<bucket>.lock          who holds it is the bucket's only writer; holds the next number: none comes twice

That is a folder; resources/images/leases.py says what lies in an object store.
"""

import contextlib
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from resources.files.local import create
from resources.files.object_store import connect, create_object_once, read_object, settings
from resources.images.folders import FolderSegments, Segments
from resources.images.leases import LeasedSegments
from resources.images.tars import check_length, check_members, describe_cut, read_members, write_tar


@dataclass(frozen=True)
class ImageStore:
    """Images under one folder, or under the fsspec URL of an object store; nothing that is half-written is ever read.

    A tar's name, as tables have it, stays the same for good: `<bucket>/<number>.tar`, in either place. What reaches an
    object store, beside its URL, comes from the environment, as credentials do.
    """

    root: Path | str
    retry_failed: bool = False
    """Whether failures that are held count as missing; read by who fetches."""
    fetch_again: bool = False
    """Whether images that are held with too little for the form asked for count as missing; read by who fetches."""
    segment_images: int = 10_000
    """How many images are fetched for one tar, which is what a killed writer loses at most."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of images that are not kept, whatever their URL, and the reason."""
    lease_seconds: float = 120.0
    """In an object store, after how long a writer of which nothing is heard loses its bucket."""
    _opened: dict[str, Segments] = field(default_factory=dict, init=False, repr=False, compare=False)

    @contextlib.contextmanager
    def bucket(self, number: int, schema: pa.Schema) -> Iterator["Bucket"]:
        """One bucket, with nobody else writing to it: waits until its other writer is done.

        Whoever reads the index, fetches what is missing and appends it under one such lock fetches nothing twice,
        whatever else runs. `schema` is that of the index's rows. In an object store the lock is a lease: `append`
        raises LostLeaseError, and stores nothing, where another writer has taken the bucket over.
        """
        name = f"{number:05d}"
        segments = self._open(name)
        with segments.lock():
            yield Bucket(name, segments, schema, self.refused)

    def read(self, tar: str, offset: int, size: int) -> bytes:
        """One image's bytes. Raises ValueError where the tar ends before it, FileNotFoundError where it is missing."""
        segments, number = self._find_segment(tar)
        data = segments.read(number, offset, size)
        if len(data) != size:
            raise ValueError(describe_cut(segments.name_tar(number)))
        return data

    def open_tar(self, tar: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """A tar to read from, best from its beginning to its end: an object store is asked for 8 MiB at a time.

        Raises FileNotFoundError where it is missing.
        """
        segments, number = self._find_segment(tar)
        return segments.open_tar(number)

    def tar_size(self, tar: str) -> int:
        """Bytes of a tar. Raises FileNotFoundError where it is missing."""
        segments, number = self._find_segment(tar)
        if (num_bytes := segments.tar_size(number)) is None:
            raise FileNotFoundError(f"{segments.name_tar(number)}: missing")
        return num_bytes

    def locate(self, tars: Iterable[str]) -> dict[str, str]:
        """The name of each tar's object below the root as it is now; a purge gives it another. Empty for a folder."""
        if not is_url(self.root):
            return {}
        names = {}
        for tar in tars:
            segments, number = self._find_segment(tar)
            names[tar] = segments.name_tar(number).removeprefix(f"{self.root}/")
        return names

    @property
    def connection(self) -> dict[str, Any]:
        """What fsspec opens the root with."""
        return settings(str(self.root), {}) if is_url(self.root) else {}

    def members(self, tar: str) -> Iterator[tuple[str, bytes]]:
        """Name and bytes of every image of a tar, in its order. Raises ValueError where it ends early."""
        segments, number = self._find_segment(tar)
        rows = _read_index(segments, number)
        with segments.open_tar(number) as file:
            for row, _, data in read_members(file, segments.name_tar(number), rows):
                yield f"{row['image_id']}.{row['format']}", data

    def indices(self, schema: pa.Schema | None = None, bucket: int | None = None) -> Iterator[pa.Table]:
        """The rows of every segment, of one bucket or all, of the columns of `schema`; an image may be in several."""
        for name in self._list_buckets() if bucket is None else [f"{bucket:05d}"]:
            segments = self._open(name)
            for number in segments.numbers():
                yield segments.read_index(number, schema)

    def find(self, sha256: Collection[str]) -> dict[str, set[str]]:
        """By digest, the ids of images whose bytes, as they came or as they are or were stored, have it."""
        chosen = pa.array(sorted(sha256), pa.string())
        image_ids: dict[str, set[str]] = {digest: set() for digest in sha256}
        for rows in self.indices(pa.schema([(name, pa.string()) for name in _REMEMBERED])):
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
        so (in an object store both change at once); what is then left to blank, after a kill too, is found in it. Every
        other image stays where it lies.
        A dry run counts them alone, and waits for no writer: indices are replaced whole.
        """
        gone = Counter(images=0, bytes=0)
        if dry_run:
            for rows in self.indices():
                gone.update(_pick(rows, judge, reason)[1])
        else:
            for name in self._list_buckets():
                with self.bucket(int(name), pa.schema([])) as bucket:
                    gone.update(bucket.forget(judge, reason))
        return gone

    def drop_superseded(self, named: Collection[str], *, older_than_seconds: float = 0.0) -> list[str]:
        """Delete the tars of which every image was written again since, in another form; gives their names.

        Those `named` by tables stay, and those that were superseded of late: a training may still read them. What
        failed stays in their indices, and of every image its digests, by which a takedown may name it.
        """
        gone = []
        for name in self._list_buckets():
            with self.bucket(int(name), _PLACES) as bucket:
                gone += bucket.drop_superseded(named, time.time() - older_than_seconds)
        return gone

    def tars(self, bucket: int | None = None) -> list[str]:
        """The tars that indices name, of one bucket or of all, relative to the store, in order."""
        columns = (rows["tar"] for rows in self.indices(pa.schema([("tar", pa.string())]), bucket))
        return [tar for column in columns for tar in pc.unique(column.drop_null()).to_pylist()]

    def check(self, tar: str) -> None:
        """Compare every member's name and bytes with the tar's index. Raises ValueError naming the first that differs.

        Reads the tar whole, an image at a time.
        """
        segments, number = self._find_segment(tar)
        rows = _read_index(segments, number)
        with segments.open_tar(number) as file:
            check_members(file, segments.name_tar(number), rows)

    def _find_segment(self, tar: str) -> tuple[Segments, str]:
        """The bucket and the number of a tar; buckets that were read before are remembered."""
        name = PurePosixPath(tar).parent.name
        if name not in self._opened:
            self._opened[name] = self._open(name)
        return self._opened[name], PurePosixPath(tar).stem

    def _open(self, name: str) -> Segments:
        if is_url(self.root):
            return LeasedSegments(str(self.root), name, self.lease_seconds)
        return FolderSegments(Path(self.root), name)

    def _list_buckets(self) -> list[str]:
        if is_url(self.root):
            filesystem, root = connect(str(self.root), {})
            try:
                paths = filesystem.ls(root, detail=False)
            except FileNotFoundError:
                return []
        else:
            paths = map(str, Path(self.root).glob("[0-9]*"))
        return sorted(name for path in paths if (name := path.rstrip("/").rsplit("/", 1)[-1]).isdigit())


class Bucket:
    """One bucket's segments, whose lock the caller holds."""

    def __init__(self, name: str, segments: Segments, schema: pa.Schema, refused: Mapping[str, str]) -> None:
        self._name = name
        self._segments = segments
        self._schema = schema
        self._refused = refused

    def index(self) -> pa.Table:
        """The row of every image that was ever asked for, sorted by image_id; an image supersedes its failures.

        Of an image that was written again, in another form, it is the latest.
        Raises ValueError where a tar is missing or not as long as its index says.
        """
        indices = [_read_index(self._segments, number, self._schema) for number in self._segments.numbers()]
        rows = pa.concat_tables([self._schema.empty_table(), *indices])
        rows = rows.filter(pc.or_(pc.is_valid(rows["tar"]), pc.is_valid(rows["reason"])))  # others were superseded
        tars = rows["tar"].to_pylist()
        latest: dict[str, int] = {}
        for row, image_id in enumerate(rows["image_id"].to_pylist()):
            if image_id not in latest or tars[row] is not None or tars[latest[image_id]] is None:
                latest[image_id] = row
        return rows.take(pa.array([latest[image_id] for image_id in sorted(latest)], pa.int64()))

    def append(self, images: Iterable[tuple[Mapping[str, Any], bytes | None]]) -> None:
        """Write one segment: for each image its row, without tar, offset, size and sha256, and its bytes if any.

        They may come in any order, the tar's does not follow it. Bytes pass through a nameless file; memory
        holds the rows. What is refused gets a row like one that was forgotten. If `images` raises, nothing is
        written.
        """
        number = f"{self._segments.next_number():05d}"
        rows: list[dict[str, Any]] = []
        with self._segments.open_spool() as spool:
            for columns, data in images:
                row = dict.fromkeys(self._schema.names) | dict(columns)
                if data is not None:
                    row["sha256"] = hashlib.sha256(data).hexdigest()
                if reason := next((self._refused[row[of]] for of in _DIGESTS if row.get(of) in self._refused), None):
                    row = {name: row[name] if name in _REMEMBERED else None for name in row} | {"reason": reason}
                elif data is not None:
                    row |= {"tar": f"{self._name}/{number}.tar", "offset": spool.tell(), "size": len(data)}
                    spool.write(data)
                rows.append(row)
            rows.sort(key=lambda row: str(row["image_id"]))
            stored = [row for row in rows if row["tar"]]
            self._segments.add(
                number,
                (lambda file: write_tar(file, stored, spool)) if stored else None,
                lambda: pa.Table.from_pylist(rows, self._schema),
            )

    def forget(self, judge: Callable[[pa.RecordBatch], pa.Array], reason: str) -> Counter[str]:
        """Blank the bucket's images that `judge` picks; counts their `images` and `bytes`. See `ImageStore.forget`."""
        gone = Counter[str]()
        for number in self._segments.numbers():
            rows = self._segments.read_index(number)
            picked, counted = _pick(rows, judge, reason)
            gone.update(counted)
            if is_new := bool(pc.any(picked).as_py()):
                rows = _erase(rows, picked, set(rows.column_names) - {"offset", "size", *_REMEMBERED}, reason=reason)
            self._segments.blank(number, rows, is_new=is_new)
        self._segments.delete_unread()
        return gone

    def drop_superseded(self, named: Collection[str], before: float) -> list[str]:
        """Delete tars whose images lie in later segments from before that time. See `ImageStore.drop_superseded`."""
        places = self.index()
        latest = dict(zip(places["image_id"].to_pylist(), places["tar"].to_pylist(), strict=True))
        gone = []
        for number in self._segments.numbers():
            rows, name = self._segments.read_index(number), f"{self._name}/{number}.tar"
            if not pc.any(pc.is_valid(rows["offset"])).as_py():
                self._segments.drop_tar(number, None)  # of one that was killed right here
                continue
            tars = {latest[image_id] for image_id in rows.filter(pc.is_valid(rows["tar"]))["image_id"].to_pylist()}
            later = [PurePosixPath(tar).stem for tar in tars]
            if not tars or {name} & {*tars, *named} or any(self._segments.changed_at(it) > before for it in later):
                continue
            in_tar = pc.is_valid(rows["tar"])
            rows = _erase(rows, in_tar, set(rows.column_names) - set(_REMEMBERED))
            rows = _erase(rows, pc.invert(in_tar), ("offset", "size"))  # of images that were forgotten
            self._segments.drop_tar(number, rows)
            gone.append(name)
        self._segments.tidy()
        return gone


def open_image_store(
    root: str,
    retry_failed: bool = False,
    segment_images: int = 10_000,
    refused: Mapping[str, str] | None = None,
    fetch_again: bool = False,
) -> ImageStore:
    """The store under this folder, made if it is not there, or under the fsspec URL of an object store.

    Raises ValueError for a URL with a password.
    """
    if is_url(root):
        connect(root, {})
    else:
        Path(root).mkdir(parents=True, exist_ok=True)
    return ImageStore(root if is_url(root) else Path(root), retry_failed, fetch_again, segment_images, refused or {})


def fix_num_buckets(root: str, num_buckets: int) -> None:
    """Note at the first call how many buckets the store has; raises ValueError where it was begun with others."""
    content = str(num_buckets).encode()
    if is_url(root):
        filesystem, path = connect(f"{root}/buckets.txt", {})
        begun = None if create_object_once(filesystem, path, content) else read_object(filesystem, path)
    else:
        note = Path(root, "buckets.txt")
        if not note.exists():
            with contextlib.suppress(FileExistsError), create(note, once=True) as file:
                file.write(content)
        begun = note.read_bytes()
    if begun not in (None, content):
        raise ValueError(f"{root} has {begun.decode()} buckets, not {num_buckets}: nothing would be found in it")


def is_url(root: Path | str) -> bool:
    """Whether a store lies in an object store, and not in a folder."""
    return isinstance(root, str) and "://" in root


_PLACES = pa.schema(
    {"image_id": pa.string(), "tar": pa.string(), "offset": pa.uint64(), "size": pa.uint64(), "reason": pa.string()}
)
_DIGESTS = ("sha256", "fetched_sha256")
_REMEMBERED = ("image_id", *_DIGESTS)
"""What stays of an image that is forgotten or superseded, so that nobody keeps again what is taken down."""


def _read_index(segments: Segments, number: str, schema: pa.Schema | None = None) -> pa.Table:
    rows = segments.read_index(number, schema)
    check_length(segments.name_tar(number), rows, lambda: segments.tar_size(number))
    return rows


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

"""Read a WAT some megabytes at a time into PAIRS: what is simple in columns, what is odd record by record."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import orjson
import pyarrow as pa

from metaclip_dagster.parsing.pages import EXPECTED, Page, descend, describe_page, list_links, read_path
from metaclip_dagster.parsing.pairing import BATCH_CHARACTERS, BATCH_PAIRS, pair_texts
from metaclip_dagster.parsing.quotes import PADDING, Bytes
from metaclip_dagster.parsing.records import BrokenRecordError, Record
from metaclip_dagster.parsing.runs import pair_images
from metaclip_dagster.parsing.scanning import NO_IMAGE, PAGE, scan_records

Member = tuple[int, bytes]  # where it begins in the file, and what it inflates to


def read_columns(
    members: Iterable[Member],
    read_odd: Callable[[int, bytes], Iterator[Page]],
    types: set[str],
    *,
    dropped: Counter[str],
    seen: Counter[str],
) -> Iterator[pa.RecordBatch]:
    """The distinct pairs of a WAT's members. What is not as nearly all records are goes to `read_odd`, whole.

    So the pairs, their order and what is counted are those of `read_odd` for all members, followed by `pair_texts`.
    """
    reader = _Reader(read_odd, types, dropped, seen)
    yield from _join_batches(batch for chunk in _list_chunks(members) for batch in reader.read(chunk))


def compile_columns() -> None:
    """Compile what is not compiled yet, by reading a page."""
    for _ in read_columns([(0, _SMALLEST)], lambda *_: iter(()), set(), dropped=Counter(), seen=Counter()):
        pass


_SMALLEST = (
    b"WARC/1.0\r\nWARC-Type: metadata\r\nContent-Type: application/json\r\n\r\n"
    b'{"Envelope":{"Payload-Metadata":{"HTTP-Response-Metadata":{"HTML-Metadata":{"Links":['
    b'{"path":"IMG@/src","url":"a","alt":"b"}]}}},"WARC-Header-Metadata":{"WARC-Target-URI":"http://a.b/"}}}\r\n\r\n'
)
_CHUNK_BYTES = 4 << 20
# Parsers of JSON differ in how deep they go, and which of them is asked may hang on what is cut out here.
_MAX_OPENINGS = 500


def _list_chunks(members: Iterable[Member]) -> Iterator[list[Member]]:
    """Members together that fill a chunk; a larger one alone."""
    chunk: list[Member] = []
    room = _CHUNK_BYTES
    for member in members:
        if chunk and len(member[1]) > room:
            yield chunk
            chunk, room = [], _CHUNK_BYTES
        chunk.append(member)
        room -= len(member[1])
    if chunk:
        yield chunk


def _join_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Batches of BATCH_PAIRS rows, or with some 16 MB in them, whatever the size of those that come."""
    waiting: list[pa.RecordBatch] = []
    num_rows = num_bytes = 0
    for batch in batches:
        waiting.append(batch)
        num_rows, num_bytes = num_rows + batch.num_rows, num_bytes + batch.nbytes
        if num_rows >= BATCH_PAIRS or num_bytes > BATCH_CHARACTERS:
            joined = _concat(waiting)
            full = num_rows if num_bytes > BATCH_CHARACTERS else num_rows // BATCH_PAIRS * BATCH_PAIRS
            yield from (joined.slice(at, min(BATCH_PAIRS, full - at)) for at in range(0, full, BATCH_PAIRS))
            waiting = [joined.slice(full)] if full < num_rows else []
            num_rows, num_bytes = num_rows - full, sum(rest.nbytes for rest in waiting)
    if waiting:
        yield _concat(waiting)


def _concat(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0] if len(batches) > 1 else batches[0]


class _Reader:
    """What is known of a file while its chunks are read, and arrays that serve each of them: fresh ones cost more."""

    def __init__(
        self,
        read_odd: Callable[[int, bytes], Iterator[Page]],
        types: set[str],
        dropped: Counter[str],
        seen: Counter[str],
    ) -> None:
        self._read_odd, self._types, self._dropped, self._seen = read_odd, types, dropped, seen
        self._pair_ids: set[int] = set()
        self._shortened = np.empty(_CHUNK_BYTES + PADDING, np.uint8)
        self._images = np.empty((_CHUNK_BYTES // len(b'{"path":"IMG@/src"},') + 1, 6), np.int32)
        self._quotes = np.empty(_CHUNK_BYTES + PADDING, np.int32)

    def read(self, chunk: Sequence[Member]) -> Iterator[pa.RecordBatch]:
        """The pairs of a chunk that no chunk before it has given."""
        if len(chunk[0][1]) > _CHUNK_BYTES:
            yield from self._pair_odd(chunk[0])
            return
        data = np.frombuffer(b"".join([*(inflated for _, inflated in chunk), bytes(PADDING)]), np.uint8)
        begins = np.cumsum([0, *(len(inflated) for _, inflated in chunk)])
        kinds, places = np.empty(len(chunk), np.int8), np.zeros((len(chunk), 5), np.int64)
        scan_records(data, begins, kinds, places, self._shortened, self._images, self._quotes)
        self._see_records(int(np.count_nonzero(kinds == NO_IMAGE)))
        pages: list[Page] = []
        sizes: list[int] = []
        begin = 0
        for r in np.flatnonzero(kinds != NO_IMAGE).tolist():
            page = None
            if kinds[r] == PAGE:
                block, start, end, first, after = places[r].tolist()
                record = Record(chunk[r][0], chunk[r][1], 0, block - int(begins[r]), len(chunk[r][1]))
                page = _read_page(self._shortened[start:end].tobytes(), after - first, record)
            if page is not None:
                begin = begin if pages else first
                pages.append(page)
                sizes.append(after - first)
            else:  # what is before it goes first, for the first place keeps a pair
                yield from self._pair(data, begin, pages, sizes)
                pages, sizes = [], []
                yield from self._pair_odd(chunk[r])
        yield from self._pair(data, begin, pages, sizes)

    def _see_records(self, num_records: int) -> None:
        if num_records:
            self._seen["records"] += num_records
            self._types.add(EXPECTED)

    def _pair_odd(self, member: Member) -> Iterator[pa.RecordBatch]:
        yield from pair_texts(self._read_odd(*member), self._pair_ids, dropped=self._dropped, seen=self._seen)

    def _pair(self, data: Bytes, begin: int, pages: Sequence[Page], sizes: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """The pairs of these pages, with as many images each, from this image on."""
        if pages:
            self._see_records(len(pages))
            self._seen["images"] += sum(sizes)
            images = self._images[begin : begin + sum(sizes)]
            yield from pair_images(data, images, sizes, pages, self._pair_ids, dropped=self._dropped)


def _read_page(shortened: bytes, num_images: int, record: Record) -> Page | None:
    """The page whose JSON this is, without its images; None where it is odd after all."""
    if shortened.count(b"{") + shortened.count(b"[") > _MAX_OPENINGS:
        return None
    try:
        content = orjson.loads(shortened)
    except orjson.JSONDecodeError:
        return None
    for link in list_links(descend(content, "Envelope")):
        if read_path(link) == "IMG@/src":
            return None
        num_images -= link.get("", 0) if isinstance(link, dict) else 0
    if num_images:  # some are in another array
        return None
    try:
        return describe_page(content, record)
    except BrokenRecordError:
        return None

"""Read images by URL out of WARC archives that a crawl brought along."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any, BinaryIO

from resources.pools.images import Answer, Fetch, join_headers
from resources.web.urls import resolve_url

RecordStart = tuple[int, int]
"""Which archive, and the byte where the record begins."""


def open_warc_images(archives: Sequence[Callable[[], BinaryIO]], *, max_bytes: int = 20 << 20) -> Fetch:
    """Look all records up once, plain or gzipped one by one, and give a fetch that reads them by URL.

    `archives` open an archive each; they are opened when they are read. A URL's first response in their order counts;
    a revisit record gives the response of the URL that it refers to, in whichever archive, and no further. Reasons:
    `not_found`, `not_ok` (an HTTP status other than 200), `too_large` and `corrupt`. Memory holds every URL.

    Where this call is deferred its version must be declared: an opening has none that outlives a process.
    Raises ValueError for an archive whose records cannot be told apart.
    """
    responses: dict[str, RecordStart] = {}
    revisits: dict[str, str] = {}
    for number, open_archive in enumerate(archives):
        for offset, url, refers_to in _list_records(open_archive):
            if refers_to is None:
                responses.setdefault(url, (number, offset))
            else:
                revisits.setdefault(url, refers_to)
    return partial(_fetch, archives, responses, revisits, max_bytes)


def _list_records(open_archive: Callable[[], BinaryIO]) -> Iterator[tuple[int, str, str | None]]:
    """Byte and URL of each response, and besides, of each revisit, the URL that it refers to."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType  # noqa: PLC0415

    with open_archive() as archive:
        name, offset, url = getattr(archive, "name", "image archive"), -1, ""
        try:
            for record in ArchiveIterator(archive, parse_http=False):
                offset, url = record.stream_pos, _url(record, "WARC-Target-URI")
                if record.record_type == WarcRecordType.response:
                    yield offset, url, None
                elif record.record_type == WarcRecordType.revisit:
                    yield offset, url, _url(record, "WARC-Refers-To-Target-URI")
        except OSError as error:
            raise ValueError(f"{name}: unreadable beyond byte {max(offset, 0)} ({error}); fetch it again") from None
        if offset < 0:
            raise ValueError(f"{name}: no WARC record in it; fetch it again")
        if _read_record(archive, offset, url) is None:
            raise ValueError(f"{name}: its records do not begin where gzip members do; compress it record by record")


def _fetch(
    archives: Sequence[Callable[[], BinaryIO]],
    responses: Mapping[str, RecordStart],
    revisits: Mapping[str, str],
    max_bytes: int,
    urls: Iterable[str],
) -> Iterator[tuple[str, Answer]]:
    """Each URL's answer, in the order of the archives: a record that several URLs share is read once."""
    urls_of_records: defaultdict[tuple[int, int, str], list[str]] = defaultdict(list)
    for url in urls:
        target = url if url in responses else revisits.get(url, "")
        if target in responses:
            urls_of_records[*responses[target], target].append(url)
        else:
            yield url, "not_found"
    for number, records in groupby(sorted(urls_of_records), key=lambda record: record[0]):
        with archives[number]() as archive:
            for record in records:
                answer = _read_response(archive, *record[1:], max_bytes)
                yield from ((url, answer) for url in urls_of_records[record])


def _read_response(archive: BinaryIO, offset: int, url: str, max_bytes: int) -> Answer:
    """The body of the HTTP response recorded there, chunks put together; a stale URL there means another archive."""
    record = _read_record(archive, offset, url)
    if record is None:
        return "corrupt"
    try:
        record.parse_http(auto_decode="transfer")
        if record.http_headers is None or record.http_headers.status_code != 200:
            return "not_ok"
        if record.content_length > max_bytes:
            return "too_large"
        body = bytes(record.reader.read(max_bytes + 1))
        headers = list(record.http_headers.astuples())
        is_chunked = "chunked" in (record.http_headers.get("Transfer-Encoding") or "").lower()
    except OSError:
        return "corrupt"
    if len(body) > max_bytes:
        return "too_large"
    return join_headers(body, headers) if is_chunked or len(body) == record.content_length else "corrupt"


def _read_record(archive: BinaryIO, offset: int, url: str) -> Any:
    """The record that begins there, if it is the URL's."""
    from fastwarc.warc import ArchiveIterator  # noqa: PLC0415

    archive.seek(offset)
    try:
        record = next(iter(ArchiveIterator(archive, parse_http=False)), None)
    except OSError:
        return None
    return record if record is not None and _url(record, "WARC-Target-URI") == url else None


def _url(record: Any, header: str) -> str:
    """As PAIRS spell it, whichever way the crawler did."""
    url = (record.headers.get(header) or "").strip("<>")  # wget writes the brackets of WARC 1.0's grammar
    try:
        return resolve_url(url)
    except ValueError:
        return url

"""Make PAIRS of WAT or WARC bytes: what each page says of each image that it shows.

Xu et al. 2023, section 3.1.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow as pa

from metaclip_dagster.parsing.pages import EXPECTED, Page, is_warc_record, is_wat_record, read_warc_page, read_wat_page
from metaclip_dagster.parsing.pairing import pair_texts
from metaclip_dagster.parsing.records import BrokenRecordError, Record, read_members, read_records, split_member
from metaclip_dagster.schemas import PAIRS, writes
from metaclip_dagster.urls import URL_NORMALISATION, normalise_url

# Reasons in `dropped` that mean a record which could not be read; all others mean one image or one pair.
BROKEN_RECORDS = frozenset(
    (
        *("bad_body", "bad_json", "corrupt", "extra_fields", "link", "no_envelope", "no_page_url", "segmented"),
        *("sparse", "too_complex", "too_large", "truncated"),
    )
)


PoolRow = tuple[object, Sequence[object], object, int, str | None, *tuple[Any, ...]]


def _compile_columns() -> None:
    """Load what `parse_wat` needs, and compile what is not compiled yet."""
    from metaclip_dagster.parsing.columns import compile_columns  # noqa: PLC0415  # numba: for who parses, not who loads the graph

    compile_columns()


@writes(PAIRS, name="parsing:parse_wat", version=2 + URL_NORMALISATION, prepare=_compile_columns)
def parse_wat(
    archive: BinaryIO,
    *,
    name: str,
    dropped: Counter[str],
    seen: Counter[str] | None = None,
    max_record_bytes: int = 64 << 20,
) -> Iterator[pa.RecordBatch]:
    """Every distinct pair in a WAT, from any readable stream: gzip members or plain records.

    `name` is the file's, for messages; `warc` and `offset` come from each record's Container, null where it has none.
    An image with several distinct texts gives a pair for each; a text that stands twice has the first source.

    `dropped` counts records that could not be read (BROKEN_RECORDS), images without a pair (`no_text`, `no_url`,
    `data_url`, `other_scheme`, `bad_url`, `long_url`) and pairs that the file has already given (`repeat`). `seen`
    counts what was read: the `records` of every kind, and the `images` of all pages.

    Memory: one record or some megabytes of them, one batch, and the pair_ids of the file.

    Raises:
        ValueError: no record of a WAT can be read; the message names the file, the likely cause and the way out.
        EOFError: the archive ends inside a record, after all that can be read was given: it is not whole.

    """
    from metaclip_dagster.parsing.columns import read_columns  # noqa: PLC0415  # as above

    seen = Counter() if seen is None else seen
    num_cut, types = dropped["truncated"], set[str]()
    members = read_members(archive, name=name, dropped=dropped, max_record_bytes=max_record_bytes)

    def read_odd(offset: int, inflated: bytes) -> Iterator[Page]:
        records = split_member(inflated, offset, dropped)
        return _read_pages(records, read_wat_page, is_wat_record, types, dropped=dropped, seen=seen)

    yield from read_columns(members, read_odd, types, dropped=dropped, seen=seen)
    _refuse_others(types, name)
    _refuse_cut(dropped["truncated"] - num_cut, name)


@writes(PAIRS, name="parsing:parse_warc", version=2 + URL_NORMALISATION)
def parse_warc(
    archive: BinaryIO,
    *,
    name: str,
    dropped: Counter[str],
    seen: Counter[str] | None = None,
    max_record_bytes: int = 64 << 20,
) -> Iterator[pa.RecordBatch]:
    """Every distinct pair in a WARC's HTML pages, from any readable stream: gzip members or plain records.

    `warc` is `name`, `offset` counts from the first byte of the stream. A page gives the pairs that `parse_wat` makes
    of its WAT, and those of data-image-title, which no WAT carries. `dropped` and `seen` count, and memory holds, what
    they do in `parse_wat`.

    Raises:
        ValueError: no record of a WARC can be read; the message names the file, the likely cause and the way out.
        EOFError: the archive ends inside a record, after all that can be read was given: it is not whole.

    """

    def read_page(record: Record) -> Page | None:
        return read_warc_page(record, name=name, max_bytes=max_record_bytes)

    seen = Counter() if seen is None else seen
    num_cut, types = dropped["truncated"], set[str]()
    records = read_records(archive, name=name, dropped=dropped, max_record_bytes=max_record_bytes)
    pages = _read_pages(records, read_page, is_warc_record, types, dropped=dropped, seen=seen)
    yield from pair_texts(pages, set(), dropped=dropped, seen=seen)
    _refuse_others(types, name)
    _refuse_cut(dropped["truncated"] - num_cut, name)


@writes(PAIRS, name="parsing:parse_rows", version=3 + URL_NORMALISATION)
def parse_rows(
    rows: Iterable[PoolRow | str],
    *,
    name: str,
    dropped: Counter[str],
    seen: Counter[str] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Every distinct pair of a file of another pool, by rows: an image's URL, its texts, page, number and pool_address.

    What else a row has is not read. A row that could not be read is one of BROKEN_RECORDS instead. What a crawl's
    images go through, these do: texts are cleaned, URLs normalised, repeats dropped, with the same reasons, and
    `too_many_texts` for those of an image beyond a thousand. An image whose origin is unknown, or no URL of the web,
    has its pool_address for its URL. `warc` is `name`, the file's, and `offset` the row's number.
    """
    seen = Counter() if seen is None else seen

    def read() -> Iterator[Page]:
        for row in rows:
            if isinstance(row, str):
                dropped[row] += 1
                continue
            url, texts, page, number, address, *_ = row
            seen["records"] += 1
            if len(texts) > _MAX_TEXTS:
                dropped["too_many_texts"] += len(texts) - _MAX_TEXTS
            if address and not (isinstance(url, str) and normalise_url(url, "")[0]):
                url = address
            images: list[tuple[object, Sequence[object]]] = [(url, [text]) for text in texts[:_MAX_TEXTS]]
            yield Page(page if isinstance(page, str) else "", None, images or [(url, ())], name, number, address)

    yield from pair_texts(read(), set(), dropped=dropped, seen=seen)


_MAX_TEXTS = 1000


def _refuse_cut(num_cut: int, name: str) -> None:
    """An archive that was cut is no archive: the rest may come another time, and a count alone would hide that."""
    if num_cut:
        raise EOFError(
            f"{name}: ends inside a record, so it was cut, where it lies or on its way; read it again, or compare its "
            "length with the source's"
        )


def _read_pages(
    records: Iterable[Record],
    read_page: Callable[[Record], Page | None],
    is_expected: Callable[[Record], bool],
    types: set[str],
    *,
    dropped: Counter[str],
    seen: Counter[str],
) -> Iterator[Page]:
    """The pages that can be read; `types` gets those of the records up to an expected one, which is EXPECTED."""
    for record in records:
        try:
            page = read_page(record)
        except BrokenRecordError as fault:
            dropped[str(fault)] += 1
            continue
        seen["records"] += 1
        if EXPECTED not in types:
            types.add(EXPECTED if is_expected(record) else record.headers.get("warc-type", ""))
        if page is not None:
            yield page


def _refuse_others(types: set[str], name: str) -> None:
    """An archive without one record of the kind expected is another's."""
    if EXPECTED not in types:
        raise ValueError(f"{name}: {_name_way_out(types)}")


def _name_way_out(types: set[str]) -> str:
    """What is wrong with an archive that has none of the records expected, from the types of those it has."""
    if "response" in types:
        return "this is a WARC, not a WAT: parse it as WARC, or give its WAT (/wat/ for /warc/, .warc.wat.gz last)"
    if "metadata" in types:
        return "this is a WAT, not a WARC: parse it as WAT, or give its WARC (/warc/ for /wat/, .warc.gz last)"
    if "conversion" in types:
        return "this is a WET, which has no images: give its WAT (/wat/ for /wet/, .warc.wat.gz last)"
    return "no record of a page in it can be read: fetch it again, or leave it out"

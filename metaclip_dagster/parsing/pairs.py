"""Make PAIRS of WAT or WARC bytes: what each page says of each image that it shows.

Xu et al. 2023, section 3.1.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow as pa

from metaclip_dagster.parsing.licenses import NO_LICENSE, Named
from metaclip_dagster.parsing.pages import (
    TEXT_SOURCES,
    Page,
    compile_thinning,
    is_warc_record,
    is_wat_record,
    read_warc_page,
    read_wat_page,
)
from metaclip_dagster.parsing.records import BrokenRecordError, Record, read_records
from metaclip_dagster.parsing.responses import drop_nul
from metaclip_dagster.schemas import PAIRS, writes
from metaclip_dagster.urls import URL_NORMALISATION, image_id_of, normalise_url, pair_id_of

# Reasons in `dropped` that mean a record which could not be read; all others mean one image or one pair.
BROKEN_RECORDS = frozenset(
    (
        *("bad_body", "bad_json", "corrupt", "extra_fields", "link", "no_envelope", "no_page_url", "segmented"),
        *("sparse", "too_complex", "too_large", "truncated"),
    )
)


PoolRow = tuple[object, Sequence[object], object, int, str | None, *tuple[Any, ...]]


@writes(PAIRS, name="parsing:parse_wat", version=2 + URL_NORMALISATION, prepare=compile_thinning)
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

    Memory: one record, one batch, and the pair_ids of the file.

    Raises:
        ValueError: no record of a WAT can be read; the message names the file, the likely cause and the way out.
        EOFError: the archive ends inside a record, after all that can be read was given: it is not whole.

    """
    seen = Counter() if seen is None else seen
    num_cut = dropped["truncated"]
    records = read_records(archive, name=name, dropped=dropped, max_record_bytes=max_record_bytes)
    pages = _read_pages(records, read_wat_page, is_wat_record, name=name, dropped=dropped, seen=seen)
    yield from _pair_texts(pages, dropped=dropped, seen=seen)
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
    num_cut = dropped["truncated"]
    records = read_records(archive, name=name, dropped=dropped, max_record_bytes=max_record_bytes)
    pages = _read_pages(records, read_page, is_warc_record, name=name, dropped=dropped, seen=seen)
    yield from _pair_texts(pages, dropped=dropped, seen=seen)
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

    yield from _pair_texts(read(), dropped=dropped, seen=seen)


def clean_text(text: str) -> str:
    r"""Runs of white space as one blank, none around; other C0 controls dropped, lone surrogates replaced.

    >>> clean_text(" a\n\x00b\u00a0 c ")
    'a b c'
    """
    return " ".join((text if text.isprintable() else text.translate(_DELETED_OR_REPLACED)).split())


# The C0 controls that are not white space to Python go. U+FFFD is what an HTML parser makes of a surrogate.
_DELETED_OR_REPLACED = dict.fromkeys([*range(9), *range(14, 28)]) | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
_BATCH_PAIRS = 8192
_BATCH_CHARACTERS = 16 << 20
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
    *,
    name: str,
    dropped: Counter[str],
    seen: Counter[str],
) -> Iterator[Page]:
    has_expected = False
    types: set[str] = set()
    for record in records:
        try:
            page = read_page(record)
        except BrokenRecordError as fault:
            dropped[str(fault)] += 1
            continue
        seen["records"] += 1
        if not has_expected:
            has_expected = is_expected(record)
            types.add(record.headers.get("warc-type", ""))
        if page is not None:
            yield page
    if not has_expected:
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


def _pair_texts(pages: Iterable[Page], *, dropped: Counter[str], seen: Counter[str]) -> Iterator[pa.RecordBatch]:
    """A pair for each distinct text of each image, no pair twice; batches are bounded in rows and in characters."""
    pair_ids: set[int] = set()
    rows: list[tuple[object, ...]] = []
    num_characters = 0
    for page in pages:
        seen["images"] += len(page.images)
        page_url = clean_text(page.url)
        base = _resolve_base(page)
        place = (page.warc, page.offset, page.pool_address, page.crawled_at, page.signals)
        licenses = _license_images(page, base)
        for src, texts in page.images:
            sources = _clean_texts(texts)
            if not sources:
                dropped["no_text"] += 1
                continue
            url, reason = normalise_url(drop_nul(src), base) if isinstance(src, str) else (None, "no_url")
            if url is None:
                dropped[str(reason)] += 1
                continue
            for text, source in sources.items():
                pair_id = pair_id_of(url, text)
                if pair_id in pair_ids:
                    dropped["repeat"] += 1
                    continue
                pair_ids.add(pair_id)
                rows.append(
                    (pair_id, image_id_of(url), url, text, source, page_url, *place, *licenses.get(url, page.license))
                )
                num_characters += len(url) + len(text) + len(page_url)
                if len(rows) == _BATCH_PAIRS or num_characters > _BATCH_CHARACTERS:
                    yield _batch_rows(rows)
                    rows, num_characters = [], 0
    if rows:
        yield _batch_rows(rows)


def _license_images(page: Page, base: str) -> dict[str | None, Named]:
    """What the page says of the licences of single images, by their URLs; none where two spellings of one disagree."""
    licenses: dict[str | None, Named] = {}
    for src, named in page.image_licenses.items():
        url, _ = normalise_url(src, base)
        licenses[url] = named if licenses.get(url, named)[0] == named[0] else NO_LICENSE
    return licenses


def _resolve_base(page: Page) -> str:
    """The page's base where it can be resolved, else the page itself, as HTML says."""
    if not isinstance(page.base, str):
        return page.url
    href = drop_nul(page.base)
    base, reason = normalise_url(href, page.url)
    if reason == "other_scheme" and not href.strip().lower().startswith("javascript:"):
        return href  # as of a page saved from a disk: what is relative to it has no address on the web
    return base or page.url


def _clean_texts(texts: Iterable[object]) -> dict[str, str]:
    """The distinct texts that are left after cleaning, each with the first source that has it."""
    sources: dict[str, str] = {}
    for source, text in zip(TEXT_SOURCES, texts, strict=False):  # a WAT has the first two
        if text and isinstance(text, str) and (cleaned := clean_text(text)) and cleaned not in sources:
            sources[cleaned] = source
    return sources


def _batch_rows(rows: list[tuple[object, ...]]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, PAIRS, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=PAIRS)

"""Pair each image of a page with its texts: rows of PAIRS, one by one."""

from collections import Counter
from collections.abc import Iterable, Iterator

import pyarrow as pa

from metaclip_dagster.parsing.licenses import NO_LICENSE, Named
from metaclip_dagster.parsing.pages import TEXT_SOURCES, Page
from metaclip_dagster.parsing.responses import drop_nul
from metaclip_dagster.schemas import PAIRS
from metaclip_dagster.urls import image_id_of, normalise_url, pair_id_of

BATCH_PAIRS = 8192
BATCH_CHARACTERS = 16 << 20


def pair_texts(
    pages: Iterable[Page], pair_ids: set[int], *, dropped: Counter[str], seen: Counter[str]
) -> Iterator[pa.RecordBatch]:
    """A pair for each distinct text of each image, none of `pair_ids`, to which they are added.

    Batches are bounded in rows and in characters.
    """
    rows: list[tuple[object, ...]] = []
    num_characters = 0
    for page in pages:
        seen["images"] += len(page.images)
        page_url = clean_text(page.url)
        base = resolve_base(page)
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
                if len(rows) == BATCH_PAIRS or num_characters > BATCH_CHARACTERS:
                    yield _batch_rows(rows)
                    rows, num_characters = [], 0
    if rows:
        yield _batch_rows(rows)


def resolve_base(page: Page) -> str:
    """The page's base where it can be resolved, else the page itself, as HTML says."""
    if not isinstance(page.base, str):
        return page.url
    href = drop_nul(page.base)
    base, reason = normalise_url(href, page.url)
    if reason == "other_scheme" and not href.strip().lower().startswith("javascript:"):
        return href  # as of a page saved from a disk: what is relative to it has no address on the web
    return base or page.url


def clean_text(text: str) -> str:
    r"""Runs of white space as one blank, none around; other C0 controls dropped, lone surrogates replaced.

    >>> clean_text(" a\n\x00b\u00a0 c ")
    'a b c'
    """
    return " ".join((text if text.isprintable() else text.translate(_DELETED_OR_REPLACED)).split())


# The C0 controls that are not white space to Python go. U+FFFD is what an HTML parser makes of a surrogate.
_DELETED_OR_REPLACED = dict.fromkeys([*range(9), *range(14, 28)]) | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


def _license_images(page: Page, base: str) -> dict[str | None, Named]:
    """What the page says of the licences of single images, by their URLs; none where two spellings of one disagree."""
    licenses: dict[str | None, Named] = {}
    for src, named in page.image_licenses.items():
        url, _ = normalise_url(src, base)
        licenses[url] = named if licenses.get(url, named)[0] == named[0] else NO_LICENSE
    return licenses


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

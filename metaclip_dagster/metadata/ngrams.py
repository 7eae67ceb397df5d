"""Count words, pairs of neighbouring words and titles in Wikipedia's dumps and pageviews: NAME_COUNTS."""

import zlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain, pairwise

import mwparserfromhell.parser
import numpy as np
import pyarrow as pa

from metaclip_dagster.metadata.wikitext import split_runs, strip_markup
from metaclip_dagster.schemas import NAME_COUNT_PARTS, NAME_COUNTS, WIKIPEDIA_PAGES, writes
from metaclip_dagster.spilling import ROWS, insert, spilling

_MAX_COUNTED = 1_000_000  # distinct strings, or lines of views, counted in memory, some 150 MB, before they are written


@writes(NAME_COUNT_PARTS, name="metadata.ngrams:count_ngrams", version=4, rows_together=8192)
def count_ngrams(
    pages: Iterable[tuple[str, str | None]],
    *,
    language: str = "en",
    not_shown: Collection[str] = (),
    num_buckets: int = 1,
    dropped: Counter[str],
    seen: Counter[str],
) -> Iterator[pa.RecordBatch]:
    """Words of the pages' running text and pairs of neighbours, with one blank between, and how often each stands.

    `pages` are titles and wikitexts. A page whose text is None, for it is too large, or that cannot be parsed is
    dropped. Neighbours stand in one run of words: no mark, note or line end is between them.
    """
    counts: Counter[str] = Counter()
    for _, wikitext in pages:
        if wikitext is None:
            dropped["oversized_page"] += 1
            continue
        try:
            runs = [*split_runs(strip_markup(wikitext, not_shown), language)]
        except mwparserfromhell.parser.ParserError:
            dropped["unparsable_page"] += 1
            continue
        counts.update(chain.from_iterable(runs))
        counts.update(f"{first} {second}" for run in runs for first, second in pairwise(run))
        seen["pages"] += 1
        seen["words"] += sum(map(len, runs))
        if len(counts) >= _MAX_COUNTED:
            yield from _bucket_counts({language: counts}, num_buckets)
            counts.clear()
    yield from _bucket_counts({language: counts}, num_buckets)


@writes(NAME_COUNT_PARTS, name="metadata.ngrams:count_views", version=2, rows_together=8192)
def count_views(
    pageviews: Iterable[tuple[str, str, int] | None], *, num_buckets: int = 1, dropped: Counter[str], seen: Counter[str]
) -> Iterator[pa.RecordBatch]:
    """Views of each title in each language; None stands for a line that could not be read."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for viewed in pageviews:
        if viewed is None:
            dropped["unreadable_line"] += 1
            continue
        language, title, views = viewed
        counts[language][title] += views
        seen["lines"] += 1
        if seen["lines"] % _MAX_COUNTED == 0:
            yield from _bucket_counts(counts, num_buckets)
            counts.clear()
    yield from _bucket_counts(counts, num_buckets)


@writes(NAME_COUNTS, name="metadata.ngrams:sum_counts")
def sum_counts(parts: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The sum of each name of a bucket, by language and name; `parts` must hold the bucket whole."""
    with spilling() as query:
        query.sql("create table parts (language varchar, name varchar, n ubigint)")
        insert(query, "parts", parts, "language, name, num_occurrences")
        summed = "select language, name, sum(n)::ubigint as n from parts group by all order by language, name"
        for batch in query.sql(summed).to_arrow_reader(ROWS):
            yield pa.RecordBatch.from_arrays(batch.columns, schema=NAME_COUNTS)


@writes(WIKIPEDIA_PAGES, name="metadata.ngrams:list_pages")
def list_pages(titles: Iterable[tuple[str, str | None]], *, language: str = "en") -> Iterator[pa.RecordBatch]:
    """Titles and, where they redirect, their targets, as they come."""
    rows = ({"language": language, "title": title, "redirect": redirect} for title, redirect in titles)
    while batch := [row for row, _ in zip(rows, range(ROWS), strict=False)]:
        yield pa.RecordBatch.from_pylist(batch, schema=WIKIPEDIA_PAGES)


def _bucket_counts(counts: Mapping[str, Counter[str]], num_buckets: int) -> Iterator[pa.RecordBatch]:
    # Side by side, of all languages together, so that whoever sums a bucket reads few row groups.
    listed = [name for of_language in counts.values() for name in of_language]
    bucket = np.fromiter((zlib.crc32(name.encode()) % num_buckets for name in listed), np.uint32, len(listed))
    order = np.argsort(bucket, kind="stable")
    languages = np.repeat(np.arange(len(counts)), [*map(len, counts.values())])[order]
    num_occurrences = np.fromiter(
        (n for of_language in counts.values() for n in of_language.values()), np.uint64, len(listed)
    )[order]
    columns = [
        bucket[order],
        pa.array(counts, pa.string()).take(pa.array(languages)),
        pa.array(listed, pa.string()).take(pa.array(order)),
        num_occurrences,
    ]
    whole = pa.Table.from_arrays([*map(pa.array, columns)], schema=NAME_COUNT_PARTS)
    yield from whole.to_batches(max_chunksize=ROWS)

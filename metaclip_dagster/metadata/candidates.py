"""Count and rank what WordNet and Wikipedia offer as entries: four sources, each with its own score."""

import math
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice, pairwise

import duckdb
import mwparserfromhell.parser
import pyarrow as pa

from metaclip_dagster.metadata.wikitext import plain_text, runs_of_words
from metaclip_dagster.schemas import CANDIDATES, writes

_HELD = 1_000_000  # distinct strings counted in Python, some 100 MB, before they move on to DuckDB and its disk
_ROWS = 65_536


@writes(CANDIDATES)
def rank_synsets(names: Iterable[str], *, language: str = "en", dropped: Counter[str]) -> Iterator[pa.RecordBatch]:
    """Every name of WordNet's synsets once, scored by the number of synsets that bear it (Xu et al. 2023, Table 1)."""
    with _counted(_present(((name, 1) for name in names), dropped)) as query:
        yield from _candidates(query, "select entry, n::double as score, n from counts", language)


@writes(CANDIDATES)
def count_unigrams(
    pages: Iterable[tuple[str, str]], *, language: str = "en", min_count: int = 100, dropped: Counter[str]
) -> Iterator[pa.RecordBatch]:
    """Words of the pages' running text seen at least `min_count` times (Xu et al. 2023, section 3.1).

    `pages` are titles and wikitexts. A page that cannot be parsed is dropped; raises ValueError if no word is left.
    """
    words = ((word, 1) for text in _texts(pages, dropped) for run in runs_of_words(text) for word in run)
    with _counted(words) as query:
        _num_words(query)
        ranked = "select entry, n::double as score, n from counts where n >= ?"
        yield from _candidates(query, ranked, language, min_count)


@writes(CANDIDATES)
def count_bigrams(
    pages: Iterable[tuple[str, str]],
    *,
    language: str = "en",
    min_pmi: float = 30.0,
    min_count: int = 3,
    dropped: Counter[str],
) -> Iterator[pa.RecordBatch]:
    """Neighbouring words of the running text whose pointwise mutual information is at least `min_pmi`.

    PMI(xy) = log2(p(xy) / (p(x) p(y))), with p a count over the number of words; neighbours stand in one run of words.
    It is largest for what is seen least, log2(words / count) at most, so pairs seen fewer than `min_count` times are
    left out. The paper's 30 is an estimate that fits its budget (Xu et al. 2023, Table 1); it takes 3.2e9 words to
    let a pair seen three times pass. Raises ValueError where no pair could pass.
    """
    with _counted(_words_and_neighbours(_texts(pages, dropped))) as query:
        num_words = _num_words(query)
        reachable = math.log2(num_words / max(min_count, 1))
        if min_pmi > reachable:
            raise ValueError(
                f"min_pmi={min_pmi:g}: of {num_words:,} words, a pair seen min_count={min_count} times has a PMI of "
                f"{reachable:.1f} at most; lower one of the two, or count a larger dump"
            )
        ranked = """
            select pair.entry, log2(pair.n::double * ?) - log2(first.n::double * second.n::double) as score, pair.n
            from counts as pair
            join counts as first on first.entry = split_part(pair.entry, ' ', 1)
            join counts as second on second.entry = split_part(pair.entry, ' ', 2)
            where contains(pair.entry, ' ') and pair.n >= ? and score >= ?"""
        yield from _candidates(query, ranked, language, num_words, min_count, min_pmi)


@writes(CANDIDATES)
def rank_titles(
    pageviews: Iterable[tuple[str, int] | None],
    *,
    redirects: Iterable[tuple[str, str]] = (),
    language: str = "en",
    min_views: int = 70,
    dropped: Counter[str],
) -> Iterator[pa.RecordBatch]:
    """Titles viewed at least `min_views` times in all the files given (Xu et al. 2023, section 3.1).

    Views of a redirect (title and target) count for its target. None stands for a line that could not be read.
    """
    with _counted(_present(pageviews, dropped)) as query:
        query.sql("create table redirects (title varchar, target varchar)")
        _fill(query, "redirects", iter(redirects))
        ranked = """
            select coalesce(target, entry) as entry, sum(counts.n)::double as score, sum(counts.n)::ubigint as n
            from counts left join (select title, min(target) as target from redirects group by title) on title = entry
            group by all having score >= ?"""
        yield from _candidates(query, ranked, language, min_views)


def _present(counts: Iterable[tuple[str, int] | None], dropped: Counter[str]) -> Iterator[tuple[str, int]]:
    for counted in counts:
        if counted is None:
            dropped["unreadable_line"] += 1
        elif not counted[0]:
            dropped["empty_name"] += 1
        else:
            yield counted


def _texts(pages: Iterable[tuple[str, str]], dropped: Counter[str]) -> Iterator[str]:
    for _, wikitext in pages:
        try:
            yield plain_text(wikitext)
        except mwparserfromhell.parser.ParserError:
            dropped["unparsable_page"] += 1


def _words_and_neighbours(texts: Iterable[str]) -> Iterator[tuple[str, int]]:
    for text in texts:
        for run in runs_of_words(text):
            yield from ((word, 1) for word in run)
            yield from ((f"{first} {second}", 1) for first, second in pairwise(run))


@contextmanager
def _counted(counts: Iterable[tuple[str, int]]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database of one table, counts(entry, n), with the sum for each string; on disk, so it may outgrow memory."""
    with (
        tempfile.TemporaryDirectory(prefix="metaclip_dagster_") as folder,
        duckdb.connect(f"{folder}/counts.duckdb", config={"threads": 1, "temp_directory": folder}) as query,
    ):
        query.sql("create table partial (entry varchar, n ubigint)")
        _fill(query, "partial", _partial_sums(counts))
        query.sql("create table counts as select entry, sum(n)::ubigint as n from partial group by entry")
        yield query


def _partial_sums(counts: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    held: Counter[str] = Counter()
    for entry, n in counts:
        held[entry] += n
        if len(held) >= _HELD:
            yield from held.items()
            held.clear()
    yield from held.items()


def _fill(
    query: duckdb.DuckDBPyConnection, table: str, rows: Iterator[tuple[str, int]] | Iterator[tuple[str, str]]
) -> None:
    # Not a reader that DuckDB pulls from: it would hide which error a broken dump raised.
    while some := list(islice(rows, _ROWS)):
        query.from_arrow(pa.table([*zip(*some, strict=True)], names=["first", "second"])).insert_into(table)


def _num_words(query: duckdb.DuckDBPyConnection) -> int:
    num_words = query.sql("select coalesce(sum(n), 0)::ubigint from counts where not contains(entry, ' ')").fetchall()[
        0
    ][0]
    if not num_words:
        raise ValueError("no page has a word of running text; is the dump empty, or of another namespace?")
    return int(num_words)


def _candidates(
    query: duckdb.DuckDBPyConnection, ranked: str, language: str, *params: float
) -> Iterator[pa.RecordBatch]:
    relation = query.sql(f"select * from ({ranked}) as ranked order by score desc, entry", params=[*params])  # noqa: S608  # ours
    for batch in relation.to_arrow_reader(_ROWS):
        entry, score, n = batch.columns
        yield pa.RecordBatch.from_arrays([entry, pa.repeat(language, len(entry)), score, n], schema=CANDIDATES)

"""Rank by its source's own score what may become an entry: NAME_COUNTS and WordNet's names -> CANDIDATES."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator

import duckdb
import pyarrow as pa

from metaclip_dagster.schemas import CANDIDATES, writes
from metaclip_dagster.spilling import ROWS, insert, spilling
from metaclip_dagster.words.scripts import join_words

_DOUBLINGS = 4  # 16 redirects in a row; MediaWiki itself follows one


@writes(CANDIDATES, name="metadata.candidates:rank_synsets", version=2)
def rank_synsets(
    names: Iterable[str], *, language: str = "en", cut_at_points: bool = True, dropped: Counter[str]
) -> Iterator[pa.RecordBatch]:
    """Every name of WordNet's synsets once, scored by the number of synsets that bear it (Xu et al. 2023, Table 1).

    Where they are cut at points, the part of a name before its first point is a name too, as in MetaCLIP's release:
    `st. louis` cannot match, since texts are set apart at points; `et al`, cut from `et al.`, can.
    """
    counts = Counter[str]()
    for name in names:
        counts[name] += 1
        if cut_at_points and "." in name and (cut := name.partition(".")[0]):
            counts[cut] += 1
    if empty := counts.pop("", 0):
        dropped["empty_name"] += empty
    columns = [[*counts], [language] * len(counts), [*map(float, counts.values())], [*counts.values()]]
    candidates = pa.table([pa.array(c, f.type) for c, f in zip(columns, CANDIDATES, strict=True)], schema=CANDIDATES)
    yield from candidates.sort_by([("score", "descending"), ("entry", "ascending")]).to_batches(max_chunksize=ROWS)


@writes(CANDIDATES, name="metadata.candidates:rank_unigrams")
def rank_unigrams(
    ngrams: Iterable[pa.RecordBatch],
    *,
    language: str = "en",
    min_count: int = 100,
    top: int = 0,
    share: float | None = None,
) -> Iterator[pa.RecordBatch]:
    """Words seen at least `min_count` times, the first `top` of them or, with 0, all (Xu et al. 2023, section 3.1).

    With a `share` no more than that share of the language's distinct words, one at least. `ngrams` are all NAME_COUNTS
    of its running text. Where there is no word among them the list is empty, but of English ValueError is raised.
    """
    with spilling() as query:
        _load_counts(query, ngrams, "not contains(name, ' ')", language)
        ranked = "select name, n::double as score, n from counts where n >= ?"
        most = _cap(query, top, share, _WORDS)
        yield from _rank_rows(query, ranked, language, most, min_count)


@writes(CANDIDATES, name="metadata.candidates:rank_bigrams")
def rank_bigrams(
    ngrams: Iterable[pa.RecordBatch],
    *,
    language: str = "en",
    min_pmi: float = 30.0,
    min_count: int = 3,
    top: int = 0,
    share: float | None = None,
) -> Iterator[pa.RecordBatch]:
    """Neighbours whose pointwise mutual information is at least `min_pmi`, the first `top` of them or, with 0, all.

    With a `share` no more than that share of the number of the language's distinct words, one at least.
    PMI(xy) = log2(p(xy) / (p(x) p(y))), with p a count over the number of words. It is largest for what is seen least,
    log2(words / count) at most, so pairs seen fewer than `min_count` times are left out. The paper's 30 is an estimate
    that fits its budget (Xu et al. 2023, Table 1); it takes 3.2e9 words to let a pair seen three times pass. `ngrams`
    as for unigrams; entries are written as the language writes neighbours. Raises ValueError where no pair could pass.
    """
    with spilling() as query:
        num_words = _load_counts(
            query, ngrams, f"not contains(name, ' ') or num_occurrences >= {int(min_count)}", language
        )
        if not num_words:
            return
        reachable = math.log2(num_words / max(min_count, 1))
        if min_pmi > reachable:
            raise ValueError(
                f"min_pmi={min_pmi:g}: of {num_words:,} words in {language!r}, a pair seen min_count={min_count} times "
                f"has a PMI of {reachable:.1f} at most; lower one of the two, in `min_pmi_of` for this language alone"
            )
        ranked = """
            select pair.name, log2(pair.n::double * ?) - log2(first.n::double * second.n::double) as score,
                   pair.n
            from counts as pair
            join counts as first on first.name = split_part(pair.name, ' ', 1)
            join counts as second on second.name = split_part(pair.name, ' ', 2)
            where contains(pair.name, ' ') and score >= ?"""
        for batch in _rank_rows(query, ranked, language, _cap(query, top, share, _WORDS), num_words, min_pmi):
            pairs = (name.split(" ") for name in batch["entry"].to_pylist())
            entries = [join_words(first, second, language) for first, second in pairs]
            yield batch.set_column(0, CANDIDATES.field(0), pa.array(entries, pa.string()))


@writes(CANDIDATES, name="metadata.candidates:rank_titles", version=2)
def rank_titles(
    views: Iterable[pa.RecordBatch],
    *,
    pages: Iterable[pa.RecordBatch],
    language: str = "en",
    min_views: int = 70,
    top: int = 0,
    share: float | None = None,
    in_dump_only: bool = True,
    dropped: Counter[str],
) -> Iterator[pa.RecordBatch]:
    """Titles viewed at least `min_views` times, the first `top` of them or, with 0, all (Xu et al. 2023, section 3.1).

    With a `share` no more than that share of the titles that were viewed, one at least. `views` are all NAME_COUNTS of
    the language's titles, `pages` its WIKIPEDIA_PAGES. Views of a redirect count for the article at its end; redirects
    in a circle are dropped. With `in_dump_only` a title that is no article of the dump is
    dropped too: it is for dumps that are whole. The first letter of a title that the dump lacks is taken for a capital.
    """
    with spilling() as query:
        query.sql("create table views (title varchar, n ubigint)")
        insert(query, "views", views, "name, num_occurrences")
        query.sql("create table pages (title varchar, redirect varchar)")
        insert(query, "pages", pages, "title, redirect")
        query.sql(
            """create table redirects as
               select title, min(redirect) as target from pages where redirect is not null group by title"""
        )
        for _ in range(_DOUBLINGS):
            query.sql(
                """create or replace table redirects as
                   select one.title, coalesce(next.target, one.target) as target
                   from redirects as one left join redirects as next on next.title = one.target"""
            )
        query.sql(
            """create table found as
               select n, coalesce(target, if(?, asked, views.title)) as name,
                      name in (select title from redirects) as in_circle,
                      name in (select title from pages where redirect is null) as in_dump
               from (select title, n, if(title in (select title from pages), title,
                                         upper(left(title, 1)) || substring(title, 2)) as asked from views) as views
               left join redirects on redirects.title = asked""",
            params=[in_dump_only],
        )
        _count_dropped(query, dropped, "circular_redirect", "in_circle")
        if in_dump_only:
            _count_dropped(query, dropped, "not_in_dump", "not in_circle and not in_dump")
        ranked = """
            select name, sum(n)::double as score, sum(n)::ubigint as n
            from found where not in_circle and (in_dump or not ?) group by name having score >= ?"""
        viewed = "select count(distinct name) from found where not in_circle and (in_dump or not ?)"
        most = _cap(query, top, share, viewed, in_dump_only)
        yield from _rank_rows(query, ranked, language, most, in_dump_only, min_views)


def _load_counts(query: duckdb.DuckDBPyConnection, ngrams: Iterable[pa.RecordBatch], where: str, language: str) -> int:
    """Fill the table `counts` with the n-grams that hold `where`, all words among them; give the sum over the words."""
    query.sql("create table counts (name varchar, n ubigint)")
    insert(query, "counts", ngrams, "name, num_occurrences", where)
    [[num_words]] = query.sql(
        "select coalesce(sum(n), 0)::ubigint from counts where not contains(name, ' ')"
    ).fetchall()
    if not num_words and language == "en":  # of another the list is empty, so that one of 300 does not stop the rest
        raise ValueError(
            f"no page has a word of running text in {language!r}; is the dump empty, or of other namespaces? "
            "All other languages have their t from English"
        )
    return int(num_words)


def _count_dropped(query: duckdb.DuckDBPyConnection, dropped: Counter[str], reason: str, where: str) -> None:
    [[number]] = query.sql(f"select count(*) from found where {where}").fetchall()  # noqa: S608  # ours
    if number:
        dropped[reason] += number


_WORDS = "select count(*) from counts where not contains(name, ' ')"


def _cap(query: duckdb.DuckDBPyConnection, top: int, share: float | None, counted: str, *params: float) -> int:
    """The most that are taken, 0 for all: `top`, or less where the share of what a query counts is less."""
    if share is None:
        return top
    [[number]] = query.sql(counted, params=[*params]).fetchall()
    of_language = max(round(int(number) * share), 1)  # of the smallest language one is left
    return min(top, of_language) if top else of_language


def _rank_rows(
    query: duckdb.DuckDBPyConnection, ranked: str, language: str, top: int, *params: float
) -> Iterator[pa.RecordBatch]:
    limit = f" limit {int(top)}" if top else ""
    sql = f"select * from ({ranked}) as ranked order by score desc, name{limit}"  # noqa: S608  # ours
    relation = query.sql(sql, params=[*params])
    for batch in relation.to_arrow_reader(ROWS):
        name, score, n = batch.columns
        yield pa.RecordBatch.from_arrays([name, pa.repeat(language, len(name)), score, n], schema=CANDIDATES)

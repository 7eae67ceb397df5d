"""List the candidates of every source for the entries, and say whether a source that was never made is needed."""

from collections.abc import Mapping, Sequence
from itertools import takewhile

from metaclip_dagster.metadata import NUMBERS, count_missing, list_numbers
from resources.deferred import Deferred, defer, resolve
from resources.lake.resource import WHOLE, Lake, MissingPartitionError

Rows = Deferred | tuple[()]
Candidates = dict[str, dict[str, Rows]]
"""By language, then by source, the rows that only a worker reads, one language after the other; () where never made."""


def list_candidates(
    lake: Lake, own_lists: Sequence[str], sources: Sequence[str], languages: Sequence[str]
) -> Candidates:
    """One's own lists first, then the sources in their precedence."""
    by_source: dict[str, Mapping[str, Rows]] = {
        **{name: lake.where_each("own_entries", "language", languages, partitions=[name]) for name in own_lists},
        **{name: _rows(lake, name, languages) for name in sources},
    }
    return {language: {name: rows.get(language, ()) for name, rows in by_source.items()} for language in languages}


def _rows(lake: Lake, source: str, languages: Sequence[str]) -> Mapping[str, Rows]:
    """A source's rows by language, from the language's own shard where it has one: 300 languages open no 300 files.

    None of a source that was never made.
    """
    if source == NUMBERS:
        return {language: defer(list_numbers, language) for language in languages}
    if not lake.finished(source, [WHOLE]):
        return {}
    shards = lake.shards(source)
    rest = [language for language in languages if language not in shards]
    return {**lake.where_each(source, "language", rest), **shards}


def check_missing(candidates: Candidates, *, budget: int, caps: Mapping[str, int]) -> None:
    """Raise MissingPartitionError where a source was never made and a language's budget is not full before it."""
    [sources, *_] = candidates.values()
    absent = [name for name, rows in sources.items() if rows == () and caps.get(name) != 0]
    if not absent:
        return
    before = [*takewhile(lambda name: name != absent[0], sources)]
    called = {language: {name: resolve(of[name]) for name in before} for language, of in candidates.items()}
    missing = count_missing(called, budget=budget, caps=caps)
    if not missing:
        return
    entries = ", ".join(f"{num:,} of {budget:,} entries in {language}" for language, num in missing.items())
    no_more = ", ".join(f"{name}: 0" for name in absent)
    raise MissingPartitionError(
        f"{', '.join(absent)}: never materialized, and the sources before leave open {entries}; materialize what is "
        f"missing, or do without it (caps: {{{no_more}}}), or lower the budget to what your own lists fill"
    )

"""Count the pairs whose texts hold each of some names, whether or not the names are entries: NAME_TEXTS."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.covering.folding import Matcher, Search, index_folded
from metaclip_dagster.schemas import ENTRIES, NAME_TEXTS, named, writes
from metaclip_dagster.words.spacing import space_marks, why_unmatchable


@dataclass(frozen=True)
class NameSearches:
    """A search for names as they are spelled and one for them in any case; `rows` are their names and languages."""

    rows: pa.Table
    searches: tuple[Search, Search]


def space_name(name: str, language: str = "en") -> str:
    """The name as a text that holds it is searched: a space on both sides of each mark.

    >>> space_name("St. Bernard")
    'St .  Bernard'
    """
    return space_marks(" ".join(name.split()), language)[1:-1]


def why_uncountable(name: str, language: str = "en") -> str | None:
    """Why no text can be found to hold the name, such as `no word`; None where one can."""
    return why_unmatchable(space_name(name, language), language)


@named("covering:build_name_searches")
def build_name_searches(
    names: Sequence[str], languages: Sequence[str], build_matcher: Callable[[pa.Table], Matcher]
) -> NameSearches:
    """Index distinct names for texts of each of the languages; those that no text can hold are left out."""
    rows = [
        {"entry_id": 0, "entry": space_name(name, language), "language": language, "name": name}
        for language in languages
        for name in names
        if why_uncountable(name, language) is None
    ]
    table = pa.table({name: pa.array([row[name] for row in rows], pa.string()) for name in ("name", "language")})
    entries = pa.Table.from_pylist(rows, ENTRIES)
    folds: list[Callable[[str], str]] = [str, str.lower]
    as_spelled, any_case = (index_folded(entries, fold, build_matcher) for fold in folds)
    return NameSearches(table, (as_spelled, any_case))


@writes(NAME_TEXTS, name="covering:count_names")
def count_names(
    texts: Iterable[pa.RecordBatch],
    *,
    searches: NameSearches,
    training_set: str,
    thresholds: Mapping[str, float] | None = None,
    seen: Counter[str],
) -> pa.Table:
    """Count a set's pairs of each language whose text has each name; a row for each name that one has.

    `texts` are rows of the TRAINING_SETS of that name, or of its SUBSETS. With `thresholds`, each language's own t,
    only pairs that balancing at t keeps count. `seen` counts `pairs` that count, and `pairs <language>`.
    """
    counts = [np.zeros(len(search.members), np.uint64) for search in searches.searches]
    for batch in texts:
        pairs = _pairs_of(batch, thresholds)
        seen["pairs"] += pairs.num_rows
        for language, num_pairs in Counter(pairs["language"].to_pylist()).items():
            seen[f"pairs {language}"] += num_pairs
            of_language = pairs.filter(pc.equal(pairs["language"], language))["text"].to_pylist()
            for counted, search in zip(counts, searches.searches, strict=True):
                if engine := search.matcher.engines.get(language):
                    _, entry_ids = engine.match(pa.array(map(search.fold, of_language), pa.string()))
                    counted[:] += np.bincount(entry_ids, minlength=len(counted)).astype(np.uint64)
    columns = [
        pa.repeat(training_set, searches.rows.num_rows),
        *searches.rows.columns,
        *map(pa.array, map(_spread_counts, searches.searches, counts)),
    ]
    return pa.Table.from_arrays(columns, schema=NAME_TEXTS).filter(
        (pc.field("num_pairs") > 0) | (pc.field("num_any_case") > 0)
    )


def _pairs_of(batch: pa.RecordBatch, thresholds: Mapping[str, float] | None) -> pa.RecordBatch:
    if "texts" in batch.schema.names:
        batch = pa.RecordBatch.from_struct_array(batch["texts"].flatten())
    pairs = batch.select(["text", "language", "admitted_at"])
    if thresholds is None:
        return pairs
    t = np.array([thresholds.get(language, 0.0) for language in pairs["language"].to_pylist()])
    return pairs.filter(pa.array(pairs["admitted_at"].to_numpy() < t))


def _spread_counts(search: Search, counts: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The count of each row of names, from those of the folded names that rows became."""
    rows = search.members.flatten().to_numpy()
    spread = np.zeros(len(rows), np.uint64)
    spread[rows] = np.repeat(counts, pc.list_value_length(search.members).to_numpy())
    return spread

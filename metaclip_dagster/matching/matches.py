"""Search every pair's text for the entries of its language: PAIRS, ENTRIES -> MATCHES.

Xu et al. 2023, section 3.2.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.matching.automaton import BorderAutomaton
from metaclip_dagster.schemas import ENTRIES, MATCHES, named, writes
from metaclip_dagster.words.languages import CLAUSE_MARKS, PARTING, Identify, find_list
from metaclip_dagster.words.spacing import why_unmatchable_in_the_paper

INDEX = 1
"""How `index_entries` lays out what it gives; to be raised when that changes, for files of another are not read."""


class Engine(Protocol):
    """Whatever searches texts for the entries of one language; every engine gives the same answer."""

    def match(self, texts: pa.Array) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint32]]:
        """Give Arrow offsets, one more than texts, and the ids of the entries in each text, ascending and unique."""


@dataclass(frozen=True)
class Matcher:
    """What `match_entries` searches with: an engine for each language that has entries."""

    engines: Mapping[str, Engine]


@dataclass(frozen=True)
class ClauseEngine:
    """Searches texts in which a language's clause marks are set apart."""

    engine: Engine
    marks: str

    def match(self, texts: pa.Array) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint32]]:
        """As any engine does."""
        return self.engine.match(pc.replace_substring_regex(texts, f"([{self.marks}])", r" \1 "))


@named("matching:build_matcher")
def build_matcher(entries: pa.Table, *, clause_marks: bool = True) -> Matcher:
    """Index ENTRIES in memory; `index_entries` says what it takes. Workers share one index instead."""
    return open_matcher(index_entries(entries), clause_marks=clause_marks)


@named("matching:build_matcher_of_the_paper")
def build_matcher_of_the_paper(entries: pa.Table) -> Matcher:
    """`build_matcher` with no clause marks set apart but those of the paper."""
    return build_matcher(entries, clause_marks=False)


@named("matching:index_entries")
def index_entries(entries: pa.Table) -> pa.Table:
    """Index ENTRIES for `open_matcher`, a row a language; those that no text can contain are left out.

    What it gives may be kept in a file and mapped from there by any number of processes. `INDEX` says how it is laid
    out. Languages are fastText's codes, as language identification gives them: `en`, `de`, `no` for Norwegian, `zh` for
    all Chinese. Raises ValueError if there is no entry, if an entry_id is not its row's number or if a language names
    an entry twice.
    """
    from metaclip_dagster.matching.tokens import ARRAYS, index_tokens  # noqa: PLC0415  # numba: for who matches, not who loads the graph

    _check_entries(entries)
    arrays = {name: pa.large_list(type_) for name, type_ in ARRAYS.items()}
    list_types = {name: pa.large_list(ENTRIES.field(name).type) for name in ("entry", "entry_id")}
    schema = pa.schema({"language": pa.string(), **arrays, **list_types})
    rows = []
    for language in pc.unique(entries["language"]).to_pylist():
        matchable = entries.filter((pc.field("language") == language) & pc.field("unmatchable").is_null())
        matchable = _drop_unmatchable(matchable.combine_chunks(), language)
        entry, entry_id = (matchable[name].combine_chunks() for name in ("entry", "entry_id"))
        arrays_of_language = (
            {"entry": entry, "entry_id": entry_id} if language in PARTING else index_tokens(entry, entry_id)
        )
        columns = [
            pa.array([language]),
            *(_wrap_list(arrays_of_language.get(field.name), field.type) for field in [*schema][1:]),
        ]
        rows.append(pa.RecordBatch.from_arrays(columns, schema=schema))
    return pa.Table.from_batches(rows)


def open_matcher(index: pa.Table, *, clause_marks: bool = True) -> Matcher:
    """Search with what `index_entries` gave, which is read where it lies; only automata are built, once a process.

    Clause marks of other scripts than the paper's are set apart, or left on the words before them.
    """
    engines = {row["language"][0].as_py(): _open_engine(row) for row in index.to_batches()}
    marks = CLAUSE_MARKS if clause_marks else {}
    return Matcher({name: ClauseEngine(it, marks[name]) if name in marks else it for name, it in engines.items()})


@writes(MATCHES, name="matching:match_entries", version=2)
def match_entries(
    pairs: Iterable[pa.RecordBatch],
    *,
    matcher: Matcher,
    identify: Identify,
    dropped: Counter[str],
    seen: Counter[str] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Find the entries of its language in every pair's text; a pair that matches nothing leaves the pool.

    MATCHES has the pairs that stay, in the order of PAIRS.

    `identify` gives the language of each text and how sure it is, 0 to 1. A text in a language without entries counts
    as of the list that it shares, or of `other` where there are such entries (`find_list`). Dropped are pairs without
    such a list (`other_language`) and pairs without a match (`no_match`); `seen` counts each text that was identified,
    as `language <code>`. If all entries are of one language, only texts with a match are identified: the same pool in
    less time, but a pair that fails both ways is then `no_match`.
    """
    seen = Counter() if seen is None else seen
    for batch in pairs:
        matches = batch.select(["pair_id", "image_id", "text"])
        if len(matcher.engines) == 1:
            [engine] = matcher.engines.values()
            matches = _keep_matched(matches, _search_texts(engine, matches["text"]), dropped)
            matches = _keep_identified(matches, identify, matcher, dropped, seen)
        else:
            matches = _keep_identified(matches, identify, matcher, dropped, seen)
            matches = _keep_matched(matches, _search_languages(matcher, matches), dropped)
        if matches.num_rows:
            yield pa.RecordBatch.from_arrays([matches[name] for name in MATCHES.names], schema=MATCHES)


def _check_entries(entries: pa.Table) -> None:
    if not entries.num_rows:
        raise ValueError("ENTRIES has no row, so that no pair would be kept; build the entries first")
    entry_ids = entries["entry_id"].to_numpy()
    for row in np.flatnonzero(entry_ids != np.arange(len(entry_ids)))[:1]:
        raise ValueError(f"ENTRIES row {row} has entry_id {entry_ids[row]}; number the rows 0, 1, 2 and so on in order")
    names = entries.select(["language", "entry"])
    if names.group_by(names.column_names).aggregate([]).num_rows == entries.num_rows:
        return
    rows: dict[tuple[str, str], int] = {}
    for row, (language, entry) in enumerate(zip(*(column.to_pylist() for column in names.columns), strict=True)):
        if (first := rows.setdefault((language, entry), row)) != row:
            twice = f"ENTRIES rows {first} and {row} are both {entry!r} of language {language!r}"
            raise ValueError(f"{twice}; drop the later one and number the rest anew")


def _drop_unmatchable(entries: pa.Table, language: str) -> pa.Table:
    # Asked again, for tables made by hand: in joined texts a newline would match where a text ends.
    return entries.filter(
        pa.array([why_unmatchable_in_the_paper(e, language) is None for e in entries["entry"].to_pylist()], pa.bool_())
    )


def _wrap_list(values: pa.Array | None, list_type: pa.DataType) -> pa.Array:
    if values is None:
        return pa.nulls(1, list_type)
    return pa.LargeListArray.from_arrays(pa.array([0, len(values)], pa.int64()), values).cast(list_type)


def _open_engine(row: pa.RecordBatch) -> Engine:
    from metaclip_dagster.matching.tokens import ARRAYS, TokenEngine  # noqa: PLC0415  # as above

    if row["entry"].null_count == 0:
        entries, entry_ids = (row[name][0].as_py() for name in ("entry", "entry_id"))
        return BorderAutomaton(dict(zip(entries, entry_ids, strict=True)), row["language"][0].as_py())
    return TokenEngine({name: row[name].flatten().to_numpy() for name in ARRAYS})


def _search_texts(engine: Engine, texts: pa.Array) -> pa.Array:
    offsets, entry_ids = engine.match(texts)
    return pa.ListArray.from_arrays(offsets, entry_ids, type=MATCHES.field("entry_ids").type)


def _search_languages(matcher: Matcher, batch: pa.RecordBatch) -> pa.Array:
    rows = [np.flatnonzero(pc.equal(batch["language"], language)) for language in matcher.engines]
    engines_rows = zip(matcher.engines.values(), rows, strict=True)
    lists = [_search_texts(engine, batch["text"].take(pa.array(of_language))) for engine, of_language in engines_rows]
    return pa.concat_arrays(lists).take(pa.array(np.argsort(np.concatenate(rows))))


def _keep_matched(batch: pa.RecordBatch, lists: pa.Array, dropped: Counter[str]) -> pa.RecordBatch:
    matched = batch.append_column("entry_ids", lists).filter(pc.greater(pc.list_value_length(lists), 0))
    dropped["no_match"] += batch.num_rows - matched.num_rows
    return matched


def _keep_identified(
    batch: pa.RecordBatch, identify: Identify, matcher: Matcher, dropped: Counter[str], seen: Counter[str]
) -> pa.RecordBatch:
    languages, scores = identify(batch["text"].to_pylist())
    seen.update(f"language {language}" for language in languages)
    lists = {language: find_list(language, matcher.engines.keys()) for language in {*languages}}
    batch = batch.append_column("language", pa.array([lists[language] for language in languages], pa.string()))
    batch = batch.append_column("language_score", pa.array(scores, pa.float32()))
    identified = batch.filter(pc.is_valid(batch["language"]))
    dropped["other_language"] += batch.num_rows - identified.num_rows
    return identified

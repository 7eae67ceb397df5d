"""Search every pair's text for every entry of its language: PAIRS and ENTRIES -> MATCHES, the pool."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.automaton import automaton_for
from metaclip_dagster.schemas import MATCHES, writes
from metaclip_dagster.spacing import why_unmatchable

__all__ = ["Engine", "Matcher", "build_matcher", "match_entries", "why_unmatchable"]

Identify = Callable[[list[str]], tuple[list[str], list[float]]]


class Engine(Protocol):
    """Whatever searches texts for the entries of one language; every engine gives the same answer."""

    def match(self, texts: pa.Array) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint32]]:
        """Give Arrow offsets, one more than texts, and the ids of the entries in each text, ascending and unique."""


@dataclass(frozen=True)
class Matcher:
    """What `match_entries` searches with: an engine for each language that has entries."""

    engines: Mapping[str, Engine]


def build_matcher(entries: pa.Table) -> Matcher:
    """Index ENTRIES, once a process; those that no text can contain are left out.

    Languages are fastText's codes, as language identification gives them: `en`, `de`, `no` for Norwegian, `zh` for
    all Chinese. Raises ValueError if there is no entry, if an entry_id is not its row's number or if a language names
    an entry twice.
    """
    if not entries.num_rows:
        raise ValueError("ENTRIES has no row, so that no pair would be kept; build the entries first")
    for row, entry_id in enumerate(entries["entry_id"].to_pylist()):
        if entry_id != row:
            raise ValueError(f"ENTRIES row {row} has entry_id {entry_id}; number the rows 0, 1, 2 and so on in order")
    entry_ids: dict[str, dict[str, int]] = {}
    named = zip(entries["language"].to_pylist(), entries["entry"].to_pylist(), strict=True)
    for row, (language, entry) in enumerate(named):
        if (first := entry_ids.setdefault(language, {}).setdefault(entry, row)) != row:
            twice = f"ENTRIES rows {first} and {row} are both {entry!r} of language {language!r}"
            raise ValueError(f"{twice}; drop the later one and number the rest anew")
    reasons = entries["unmatchable"].to_pylist()
    matchable = {language: _matchable(own, language, reasons) for language, own in entry_ids.items()}
    return Matcher({language: automaton_for(own, language) for language, own in matchable.items()})


@writes(MATCHES, version=2)
def match_entries(
    pairs: Iterable[pa.RecordBatch],
    *,
    matcher: Matcher,
    identify: Identify,
    dropped: Counter[str],
    seen: Counter[str] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Find the entries of its own language in every pair's text; a pair that matches nothing leaves the pool.

    `identify` gives the language of each text and how sure it is, 0 to 1. Dropped are pairs whose language has no
    entries (`other_language`) and pairs without a match (`no_match`); `seen` counts each text that was identified, as
    `language <code>`. If all entries are of one language, only texts with a match are identified: the same pool in
    less time, but a pair that fails both ways is then `no_match`.
    """
    seen = Counter() if seen is None else seen
    for batch in pairs:
        found = batch.select(["pair_id", "image_id", "text"])
        if len(matcher.engines) == 1:
            [engine] = matcher.engines.values()
            found = _keep_matched(found, _lists(engine, found["text"]), dropped)
            found = _keep_known(found, identify, matcher, dropped, seen)
        else:
            found = _keep_known(found, identify, matcher, dropped, seen)
            found = _keep_matched(found, _lists_by_language(matcher, found), dropped)
        if found.num_rows:
            yield pa.RecordBatch.from_arrays([found[name] for name in MATCHES.names], schema=MATCHES)


def _matchable(entry_ids: Mapping[str, int], language: str, reasons: list[str | None]) -> dict[str, int]:
    # Asked again, for tables made by hand: in joined texts a newline would match where a text ends.
    return {
        entry: i for entry, i in entry_ids.items() if reasons[i] is None and why_unmatchable(entry, language) is None
    }


def _lists(engine: Engine, texts: pa.Array) -> pa.Array:
    offsets, entry_ids = engine.match(texts)
    return pa.ListArray.from_arrays(offsets, entry_ids, type=MATCHES.field("entry_ids").type)


def _lists_by_language(matcher: Matcher, batch: pa.RecordBatch) -> pa.Array:
    rows = [np.flatnonzero(pc.equal(batch["language"], language)) for language in matcher.engines]
    engines_rows = zip(matcher.engines.values(), rows, strict=True)
    lists = [_lists(engine, batch["text"].take(pa.array(own))) for engine, own in engines_rows]
    return pa.concat_arrays(lists).take(pa.array(np.argsort(np.concatenate(rows))))


def _keep_matched(batch: pa.RecordBatch, lists: pa.Array, dropped: Counter[str]) -> pa.RecordBatch:
    kept = batch.append_column("entry_ids", lists).filter(pc.greater(pc.list_value_length(lists), 0))
    dropped["no_match"] += batch.num_rows - kept.num_rows
    return kept


def _keep_known(
    batch: pa.RecordBatch, identify: Identify, matcher: Matcher, dropped: Counter[str], seen: Counter[str]
) -> pa.RecordBatch:
    languages, scores = identify(batch["text"].to_pylist())
    seen.update(f"language {language}" for language in languages)
    batch = batch.append_column("language", pa.array(languages, pa.string()))
    batch = batch.append_column("language_score", pa.array(scores, pa.float32()))
    kept = batch.filter(pc.is_in(batch["language"], pa.array([*matcher.engines], pa.string())))
    dropped["other_language"] += batch.num_rows - kept.num_rows
    return kept

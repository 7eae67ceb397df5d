"""Fill each language's budget from ranked candidates, source by source: CANDIDATES -> ENTRIES."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.schemas import CANDIDATES, ENTRIES, writes
from metaclip_dagster.words.languages import LANGUAGES, why_unidentified
from metaclip_dagster.words.spacing import has_word

Sources = Mapping[str, Iterable[pa.RecordBatch]]
"""CANDIDATES of one language by the name of their source, in declared precedence."""

NUM_NEXT = 20
TAKEN, ALREADY_THERE, NO_WORD = "taken", "already_there", "no_word"
BEYOND_CAP, BEYOND_BUDGET = "beyond_cap", "beyond_budget"

_BATCH = 65_536


@writes(ENTRIES, name="metadata.entries:build_entries", version=3)
def build_entries(
    languages: Mapping[str, Sources],
    *,
    budget: int = 500_000,
    caps: Mapping[str, int] | None = None,
    why_unmatchable: Callable[[str, str], str | None],
    identified: Collection[str] = LANGUAGES,
    dropped: Counter[str],
) -> Iterator[pa.RecordBatch]:
    """The first `budget` distinct candidates of each language, by the sources' declared order and in each by rank.

    In a source the higher score ranks first, and of equals the lower string, whatever the order of its rows; what an
    earlier source has belongs to that one. The paper leaves precedence open (Xu et al. 2023, section 3.1); a budget
    for each language is Meta CLIP 2's. `caps` are the most that a source may add to a language, 0 for none.
    A candidate of marks and symbols alone is refused, whatever its source. `why_unmatchable` says why no text can hold
    an entry: such entries keep their place, so that the list does not depend on the matcher, and are told apart. So are
    all of a language that no text is `identified` as.
    One language is held at a time. Raises ValueError for no source at all, a negative budget or cap, or a cap on a
    source that is not there.
    """
    caps = caps or {}
    names = {source for sources in languages.values() for source in sources}
    if not names or min(budget, *caps.values(), 0) < 0 or not caps.keys() <= names:
        raise ValueError(
            f"budget={budget}, caps={dict(caps)}, sources={sorted(names)}: name a source, numbers of 0 or more, and "
            "caps on sources that are there"
        )
    next_id = 0
    for language, sources in languages.items():
        candidates = _judge_candidates(language, sources, budget, caps)
        unidentified = why_unidentified(language, identified)
        while batch := list(islice(candidates, _BATCH)):
            dropped.update(candidate.fate for candidate in batch if candidate.fate != TAKEN)
            chosen = [candidate for candidate in batch if candidate.fate == TAKEN]
            columns = {
                "entry_id": range(next_id, next_id := next_id + len(chosen)),
                "entry": [candidate.entry for candidate in chosen],
                "language": [language] * len(chosen),
                "source": [candidate.source for candidate in chosen],
                "rank": [candidate.rank for candidate in chosen],
                "unmatchable": [unidentified or why_unmatchable(it.entry, language) for it in chosen],
            }
            yield pa.RecordBatch.from_pydict(columns, schema=ENTRIES)


def describe_entries(
    languages: Mapping[str, Sources], entries: pa.Table, *, budget: int, caps: Mapping[str, int] | None = None
) -> list[dict[str, Any]]:
    """What became of the candidates that `entries` were built from: a dictionary a language, in it one a source.

    For a source: how many candidates, and how many of them were taken, already there, no word, beyond its cap and
    beyond the budget; taken ones that no text can hold, by reason; the first and the last taken and the next ones after
    the cut, each with its score. For a language: its entries, and how many the budget still misses.
    """
    unmatchable = _count_unmatchable(entries)
    descriptions = []
    for language, sources in languages.items():
        by_source = {source: _start_description(unmatchable.get((language, source), {})) for source in sources}
        for candidate in _judge_candidates(language, sources, budget, caps or {}):
            description, ranked = by_source[candidate.source], {"entry": candidate.entry, "score": candidate.score}
            description["candidates"] += 1
            description[candidate.fate] += 1
            if candidate.fate == TAKEN:
                description["first"] = description["first"] or ranked
                description["last"] = ranked
            elif candidate.fate not in (ALREADY_THERE, NO_WORD) and len(description["next"]) < NUM_NEXT:
                description["next"].append(ranked)
        num_taken = sum(source[TAKEN] for source in by_source.values())
        rows = [{"source": name, **source} for name, source in by_source.items()]
        descriptions.append(
            {"language": language, "entries": num_taken, "missing": budget - num_taken, "sources": rows}
        )
    return descriptions


def count_missing(languages: Mapping[str, Sources], *, budget: int, caps: Mapping[str, int]) -> dict[str, int]:
    """How many entries of the budget these sources leave open, by language; languages that they fill are left out."""
    missing = {}
    for language, sources in languages.items():
        fates = Counter(candidate.fate for candidate in _judge_candidates(language, sources, budget, caps))
        if fates[TAKEN] < budget:
            missing[language] = budget - fates[TAKEN]
    return missing


class _Candidate(NamedTuple):
    source: str
    rank: int
    entry: str
    score: float
    fate: str


def _judge_candidates(language: str, sources: Sources, budget: int, caps: Mapping[str, int]) -> Iterator[_Candidate]:
    entries: set[str] = set()
    for source, batches in sources.items():
        full = min(budget, len(entries) + caps.get(source, budget))
        beyond = BEYOND_CAP if full < budget else BEYOND_BUDGET
        for rank, (entry, score) in enumerate(_rank_candidates(language, batches)):
            if entry in entries:
                fate = ALREADY_THERE
            elif not has_word(entry):
                fate = NO_WORD
            elif len(entries) == full:
                fate = beyond
            else:
                entries.add(entry)
                fate = TAKEN
            yield _Candidate(source, rank, entry, score, fate)


def _rank_candidates(language: str, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, float]]:
    candidates = pa.Table.from_batches((batch.select(CANDIDATES.names) for batch in batches), CANDIDATES)
    of_language = candidates.filter(pc.equal(candidates["language"], language)).select(["entry", "score"])
    for batch in of_language.sort_by([("score", "descending"), ("entry", "ascending")]).to_batches(
        max_chunksize=_BATCH
    ):
        yield from zip(batch["entry"].to_pylist(), batch["score"].to_pylist(), strict=True)


def _count_unmatchable(entries: pa.Table) -> dict[tuple[str, str], dict[str, int]]:
    keys = ["language", "source", "unmatchable"]
    unmatchable = entries.filter(pc.is_valid(entries["unmatchable"])).select(keys)
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for row in (
        unmatchable.group_by(keys)
        .aggregate([([], "count_all")])
        .sort_by([(key, "ascending") for key in keys])
        .to_pylist()
    ):
        counts.setdefault((row["language"], row["source"]), {})[row["unmatchable"]] = row["count_all"]
    return counts


def _start_description(unmatchable: Mapping[str, int]) -> dict[str, Any]:
    fates = dict.fromkeys(("candidates", TAKEN, ALREADY_THERE, NO_WORD, BEYOND_CAP, BEYOND_BUDGET), 0)
    return {**fates, "unmatchable": dict(unmatchable), "first": None, "last": None, "next": []}

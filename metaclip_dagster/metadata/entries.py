"""Fill the budget of entries from ranked candidates, source by source, and tell what became of each source."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from metaclip_dagster.schemas import ENTRIES, writes

_BATCH = 65_536


@writes(ENTRIES)
def build_entries(
    sources: Mapping[str, pa.Table],
    *,
    budget: int = 500_000,
    why_unmatchable: Callable[[str], str | None],
    dropped: Counter[str],
) -> Iterator[pa.RecordBatch]:
    """The first `budget` distinct candidates, by the sources' declared order and in each by rank.

    `sources` are CANDIDATES. In a source the higher score ranks first, and of equals the lower string, whatever the
    order of its rows; a candidate that an earlier source has (same language and entry) belongs to that one. The
    paper leaves precedence open (Xu et al. 2023, section 3.1). `why_unmatchable` says why no text can hold an entry:
    such entries keep their place, so that the list does not depend on the matcher, and are told apart.
    Raises ValueError for no source at all, or a negative budget.
    """
    if budget < 0 or not sources:
        raise ValueError(f"budget={budget}, sources={[*sources]}: name a source, and a budget of 0 or more entries")
    taken: dict[tuple[str, str], tuple[str, int]] = {}
    for source, candidates in sources.items():
        for rank, candidate in enumerate(_ranked(candidates)):
            if candidate in taken:
                dropped["already_there"] += 1
            elif len(taken) == budget:
                dropped["beyond_budget"] += 1
            else:
                taken[candidate] = source, rank
    yield from _numbered(taken, why_unmatchable).to_batches(max_chunksize=_BATCH)


def describe_entries(sources: Mapping[str, pa.Table], entries: pa.Table) -> dict[str, dict[str, Any]]:
    """What became of each source's candidates: taken, already there, beyond the budget; and unmatchable, by reason."""
    names = entries["source"].to_pylist()
    held = set(zip(entries["language"].to_pylist(), entries["entry"].to_pylist(), strict=True))
    taken, unmatchable = Counter(names), {source: Counter[str]() for source in sources}
    for source, reason in zip(names, entries["unmatchable"].to_pylist(), strict=True):
        if reason is not None:
            unmatchable[source][reason] += 1
    told: dict[str, dict[str, Any]] = {}
    for source, candidates in sources.items():
        beyond = sum(candidate not in held for candidate in _ranked(candidates))
        told[source] = {
            "candidates": candidates.num_rows,
            "taken": taken[source],
            "already_there": candidates.num_rows - taken[source] - beyond,
            "beyond_budget": beyond,
            "unmatchable": dict(sorted(unmatchable[source].items())),
        }
    return told


def _ranked(candidates: pa.Table) -> Iterator[tuple[str, str]]:
    ranked = candidates.sort_by([("score", "descending"), ("entry", "ascending"), ("language", "ascending")])
    return zip(ranked["language"].to_pylist(), ranked["entry"].to_pylist(), strict=True)


def _numbered(
    taken: Mapping[tuple[str, str], tuple[str, int]], why_unmatchable: Callable[[str], str | None]
) -> pa.Table:
    columns = {
        "entry_id": range(len(taken)),
        "entry": [entry for _, entry in taken],
        "language": [language for language, _ in taken],
        "source": [source for source, _ in taken.values()],
        "rank": [rank for _, rank in taken.values()],
        "unmatchable": [why_unmatchable(entry) for _, entry in taken],
    }
    return pa.Table.from_pydict(columns, schema=ENTRIES)

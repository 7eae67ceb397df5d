"""The distribution of matches before and after balancing at one t: tables and counts -> the data of its card."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.reporting.cards.distribution import Distribution, describe_entries
from metaclip_dagster.reporting.html.numbers import share

Card = dict[str, Any]  # JSON, whose shape only `describe_subset` and the page know
NUM_SCORE_BINS = 20


@dataclass(frozen=True)
class Pairs:
    """How many pairs there are, by language and by snapshot; both add up to the same `total`."""

    by_language: Mapping[str, int]
    by_snapshot: Mapping[str, int]

    def __post_init__(self) -> None:
        snapshots = sum(self.by_snapshot.values())
        if self.total != snapshots:
            raise ValueError(
                f"{self.total:,} pairs by language but {snapshots:,} by snapshot; count both over the same pairs"
            )

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.by_language.values())


def count_subset(subset: Iterable[pa.RecordBatch], num_entries: int) -> npt.NDArray[np.uint64]:
    """How many pairs of SUBSETS match each entry; memory is one batch and one number an entry.

    Raises ValueError if a pair matches an entry that is not among the `num_entries`.
    """
    counts = np.zeros(num_entries, np.uint64)
    for batch in subset:
        found = np.bincount(batch["entry_ids"].flatten().to_numpy())
        if len(found) > num_entries:
            raise ValueError(
                f"a pair matches entry {len(found) - 1}, but there are {num_entries} entries: "
                "the subset belongs to another version of entries; make it again"
            )
        counts[: len(found)] += found.astype(np.uint64)
    return counts


def count_pairs(batches: Iterable[pa.RecordBatch], column: str) -> dict[str, int]:
    """How many rows hold each value of a text column, such as `language` of ADMISSIONS or `snapshot` of SUBSETS."""
    counts: dict[str, int] = {}
    for batch in batches:
        for found in pc.value_counts(batch[column]).to_pylist():
            counts[found["values"]] = counts.get(found["values"], 0) + found["counts"]
    return dict(sorted(counts.items()))


def count_scores(matches: Iterable[pa.RecordBatch]) -> list[int]:
    """How many rows of MATCHES have a language_score in each twentieth of 0 to 1, the least sure first."""
    counts = np.zeros(NUM_SCORE_BINS, np.int64)
    for batch in matches:
        # Some identifiers give a hair more than 1; a twentieth is rounded so that float32 0.7 counts as 0.7.
        bins = np.floor(np.round(batch["language_score"].to_numpy().astype(np.float64) * NUM_SCORE_BINS, 4))
        counts += np.bincount(np.clip(bins, 0, NUM_SCORE_BINS - 1).astype(np.int64), minlength=NUM_SCORE_BINS)
    return [int(count) for count in counts]


def describe_subset(
    *,
    t: str,
    thresholds: Mapping[str, float],
    entries: pa.Table,
    entry_counts: pa.Table,
    subset_counts: npt.NDArray[np.uint64],
    pool: Pairs,
    subset: Pairs,
    stages: Sequence[Mapping[str, Any]] = (),
    language_scores: Sequence[int] = (),
    provenance: Mapping[str, str] | None = None,
    command: str = "",
) -> Card:
    """The data card of D(t), as strict JSON: no NaN, no Infinity, null for a share of nothing.

    `thresholds` is each language's own t; `subset_counts` is from `count_subset`, `language_scores` from
    `count_scores`. Each of `stages`, in the order that pairs pass them, is {stage, rows, dropped, seen}: rows that
    came out, and numbers by reason. `provenance` is what made the subset (seed, versions), and `command` what makes it
    again, both shown as they are. An entry is in the head when its count is above its language's t (Xu et al. 2023,
    section 3.4). Raises ValueError where
    the inputs cannot be of one pool.
    """
    if not float(t) > 0:
        raise ValueError(f"t must be a positive number or inf, not {t!r}")
    distribution = Distribution.build(entries, entry_counts, subset_counts, thresholds)
    before, after = distribution.num_matches
    return {
        "t": t,
        "pairs": {"pool": pool.total, "subset": subset.total, "kept": share(subset.total, pool.total)},
        "matches": {
            "pool": before,
            "subset": after,
            "per_pair_pool": share(before, pool.total),
            "per_pair_subset": share(after, subset.total),
        },
        "stages": _retention(stages),
        "languages": _languages(distribution, thresholds, pool, subset),
        "snapshots": [
            {"snapshot": name, **_kept(pool.by_snapshot, subset.by_snapshot, name)} for name in sorted(pool.by_snapshot)
        ],
        "language_scores": _scores(language_scores),
        **describe_entries(distribution, entries),
        "provenance": dict(provenance or {}),
        "command": command,
    }


def _retention(stages: Sequence[Mapping[str, Any]]) -> list[Card]:
    """Rows in are the rows the stage before gave, so that whatever no reason accounts for shows."""
    told: list[Card] = []
    for stage in stages:
        rows, dropped = int(stage["rows"]), _sorted(stage.get("dropped") or {})
        rows_in = told[-1]["rows"] if told else rows + sum(dropped.values())
        told.append(
            {
                "stage": str(stage["stage"]),
                "rows_in": rows_in,
                "rows": rows,
                "kept": share(rows, rows_in),
                "dropped": dropped,
                "unaccounted": rows_in - rows - sum(dropped.values()),
                "seen": _sorted(stage.get("seen") or {}),
            }
        )
    return told


def _sorted(numbers: Mapping[str, int]) -> dict[str, int]:
    return {str(name): int(n) for name, n in sorted(numbers.items(), key=lambda item: (-item[1], item[0])) if n}


def _languages(distribution: Distribution, thresholds: Mapping[str, float], pool: Pairs, subset: Pairs) -> list[Card]:
    own = distribution.by_language()
    names = sorted({*own, *pool.by_language}, key=lambda name: (-pool.by_language.get(name, 0), name))
    return [
        {
            "language": name,
            "t": _spell(thresholds[name]) if name in thresholds else None,
            **_kept(pool.by_language, subset.by_language, name),
            **own.get(name, {}),
        }
        for name in names
    ]


def _kept(pool: Mapping[str, int], subset: Mapping[str, int], name: str) -> Card:
    ours, kept = pool.get(name, 0), subset.get(name, 0)
    return {"pool": ours, "subset": kept, "kept": share(kept, ours)}


def _spell(t: float) -> str:
    return str(int(t)) if float(t).is_integer() and t < 2**53 else repr(float(t))


def _scores(counts: Sequence[int]) -> Card:
    if counts and len(counts) != NUM_SCORE_BINS:
        raise ValueError(f"language_scores has {len(counts)} numbers, not {NUM_SCORE_BINS}; make it with count_scores")
    below = {name: sum(counts[: round(edge * NUM_SCORE_BINS)]) for name, edge in (("below_05", 0.5), ("below_08", 0.8))}
    total = sum(counts)
    return {"pairs": total, "counts": [int(n) for n in counts], **{name: share(n, total) for name, n in below.items()}}

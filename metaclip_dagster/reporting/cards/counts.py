"""Count the pairs of a pool or a subset: by entry, language, snapshot and language score."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

NUM_SCORE_BINS = 20


@dataclass(frozen=True)
class PairCounts:
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
        """Pairs of all languages."""
        return sum(self.by_language.values())


def count_subset(subset: Iterable[pa.RecordBatch], num_entries: int) -> npt.NDArray[np.uint64]:
    """How many pairs of SUBSETS match each entry; memory is one batch and one number an entry.

    Raises ValueError if a pair matches an entry that is not among the `num_entries`.
    """
    counts = np.zeros(num_entries, np.uint64)
    for batch in subset:
        in_batch = np.bincount(batch["entry_ids"].flatten().to_numpy())
        if len(in_batch) > num_entries:
            raise ValueError(
                f"a pair matches entry {len(in_batch) - 1}, but there are {num_entries} entries: "
                "the subset belongs to another version of entries; make it again"
            )
        counts[: len(in_batch)] += in_batch.astype(np.uint64)
    return counts


def count_pairs(batches: Iterable[pa.RecordBatch], column: str) -> dict[str, int]:
    """How many rows hold each value of a text column, such as `language` of ADMISSIONS; null counts as ""."""
    counts: dict[str, int] = {}
    for batch in batches:
        for row in pc.value_counts(batch[column]).to_pylist():
            value = row["values"] or ""
            counts[value] = counts.get(value, 0) + row["counts"]
    return dict(sorted(counts.items()))


def count_scores(matches: Iterable[pa.RecordBatch]) -> dict[str, list[int]]:
    """How many rows of MATCHES have a language_score in each twentieth of 0 to 1, the least sure first, by language."""
    counts: defaultdict[str, npt.NDArray[np.int64]] = defaultdict(lambda: np.zeros(NUM_SCORE_BINS, np.int64))
    for batch in matches:
        # Some identifiers give a hair more than 1; a twentieth is rounded so that float32 0.7 counts as 0.7.
        bins = np.floor(np.round(batch["language_score"].to_numpy().astype(np.float64) * NUM_SCORE_BINS, 4))
        bins = np.clip(bins, 0, NUM_SCORE_BINS - 1).astype(np.int64)
        languages = batch["language"].dictionary_encode()
        codes = languages.indices.to_numpy()
        for code, language in enumerate(languages.dictionary.to_pylist()):
            counts[language] += np.bincount(bins[codes == code], minlength=NUM_SCORE_BINS)
    return {language: [int(count) for count in counts[language]] for language in sorted(counts)}

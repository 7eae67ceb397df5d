"""Work out each language's t, the t that gives a subset of a wanted size, and the sizes of subsets."""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float64]


def parse_threshold(text: str) -> float:
    """The t that a partition key names, which is the one spelling of a positive float64, or inf.

    >>> parse_threshold("20000"), parse_threshold("inf")
    (20000.0, inf)
    """
    try:
        t = float(text)
    except ValueError:
        t = math.nan
    if not t > 0:
        raise ValueError(f"t must be a positive number or inf, not {text!r}")
    spelled = str(int(t)) if t < 2**53 and t == int(t) else repr(t)
    if text != spelled:
        raise ValueError(f"t has one spelling: write {spelled!r}, not {text!r}")
    return t


def language_thresholds(entry_counts: pa.Table, t: float, *, reference: str = "en") -> dict[str, float]:
    """Each language's own t (Meta CLIP 2): that whose tail holds the share of matches that t's tail holds in English.

    Matches are those of the counts that balancing draws with, `balanced_to`.
    English, or what `reference` names, is held to t itself; another language's t is its largest count whose own tail
    share is at most English's, and at least its smallest count that is not 0. inf is inf everywhere. Nondecreasing in
    t, so subsets stay nested.

    Raises:
        ValueError: t is finite and English has no match to take the share from.

    """
    return prepare_thresholds(entry_counts, reference=reference)(t)


def prepare_thresholds(entry_counts: pa.Table, *, reference: str = "en") -> Callable[[float], dict[str, float]]:
    """`language_thresholds` as a function of t, for many: entries are sorted once."""
    languages = entry_counts["language"].combine_chunks().dictionary_encode()
    names, of_entry = languages.dictionary.to_pylist(), languages.indices.to_numpy()
    counts = entry_counts["balanced_to"].to_numpy()
    tails = {name: _sum_tails(counts[of_entry == names.index(name)]) for name in sorted(names)}

    def find_language_thresholds(t: float) -> dict[str, float]:
        if math.isinf(t):
            return dict.fromkeys(tails, math.inf)
        if list(tails) == [reference]:
            return {reference: t}
        reference_counts, reference_shares = tails.get(reference, _sum_tails(counts[:0]))
        if not len(reference_counts):
            raise ValueError(
                f"t = {t:g} is a share of {reference!r} matches, and the pool has none; only inf works without"
            )
        share = np.append(0.0, reference_shares)[np.searchsorted(reference_counts, t, "right")]
        return {name: t if name == reference else _find_count(*tail, share) for name, tail in tails.items()}

    return find_language_thresholds


def find_thresholds(
    sizes: Sequence[int], admissions: Iterable[pa.RecordBatch], entry_counts: pa.Table, *, reference: str = "en"
) -> list[float]:
    """For each size the least t whose subset has at least so many pairs; exactly so many, unless admitted_at ties.

    Quantiles too: the median t is that for half of the pool. Reads ADMISSIONS once, holds 8 bytes a pair, and twice
    that of one language at a time, sorted once, then bisects over all float64. With several languages, one step of t
    may admit a whole group of another language's pairs.

    Raises:
        ValueError: a size is not between 1 and the pool's.

    """
    batches: dict[str, list[Floats]] = {}
    for batch in admissions:
        for language, admitted_at in _split_languages(batch):
            batches.setdefault(language, []).append(admitted_at)
    ascending = {}
    for language in [*batches]:
        ascending[language] = np.concatenate(batches.pop(language))
        ascending[language].sort()
    pool_size = sum(map(len, ascending.values()))
    thresholds_at = prepare_thresholds(entry_counts, reference=reference)

    def measure_subset(bits: int) -> int:
        thresholds = thresholds_at(_from_bits(bits))
        return sum(int(np.searchsorted(values, thresholds[language])) for language, values in ascending.items())

    if wrong := [num_pairs for num_pairs in sizes if not 0 < num_pairs <= pool_size]:
        raise ValueError(f"no t keeps {wrong[0]:,} of a pool of {pool_size:,} pairs; ask for 1 to {pool_size:,}")
    every = range(1, int(np.float64(math.inf).view(np.uint64)) + 1)  # positive floats ascend as their bits do
    return [_from_bits(every[bisect_left(every, num_pairs, key=measure_subset)]) for num_pairs in sizes]


def count_sizes(admissions: Iterable[pa.RecordBatch], thresholds: Sequence[Mapping[str, float]]) -> list[int]:
    """|D(t)| for each of many t, given as each language's own; one pass over ADMISSIONS, memory bounded by a batch."""
    sizes = np.zeros(len(thresholds), np.int64)
    ladders: dict[str, tuple[Floats, npt.NDArray[np.intp]]] = {}
    for batch in admissions:
        for language, admitted_at in _split_languages(batch):
            if language not in ladders:
                unsorted = np.array([of_language[language] for of_language in thresholds])
                ladders[language] = np.sort(unsorted), np.argsort(np.argsort(unsorted, kind="stable"))
            rungs, rank = ladders[language]
            below = np.cumsum(np.bincount(np.searchsorted(rungs, admitted_at, "right"), minlength=len(rungs) + 1))
            sizes += below[rank]
    return sizes.tolist()


def _sum_tails(counts: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.uint64], Floats]:
    """The distinct counts that are not 0, ascending, and which share of all matches entries of at most that have."""
    distinct, num_entries = np.unique(counts[counts > 0], return_counts=True)
    matches = np.cumsum(distinct * num_entries.astype(np.uint64))
    return distinct, matches / matches[-1:]


def _find_count(distinct: npt.NDArray[np.uint64], shares: Floats, share: float) -> float:
    """The largest of a language's counts whose tail has at most this share of its matches, or else its smallest."""
    if not len(distinct):
        return 1.0  # nothing matched in this language: there is no pair to hold to any t
    return float(distinct[max(0, int(np.searchsorted(shares, share, "right")) - 1)])


def _split_languages(admissions: pa.RecordBatch) -> Iterator[tuple[str, Floats]]:
    languages, admitted_at = admissions["language"].dictionary_encode(), admissions["admitted_at"].to_numpy()
    for index, language in enumerate(languages.dictionary.to_pylist()):
        yield language, admitted_at[languages.indices.to_numpy() == index]


def _from_bits(bits: int) -> float:
    return float(np.uint64(bits).view(np.float64))

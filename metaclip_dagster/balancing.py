"""Flatten the head of the distribution, keep the tail whole: one number a pair serves every t."""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from metaclip_dagster.schemas import ADMISSIONS, MATCHES, SUBSETS, named, writes

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Draw:
    """What every pair is drawn with: each entry's count in the pool and a key of its language and words."""

    entry_count: Floats
    entry_key: Ids


@named("balancing:build_draw")
def build_draw(entry_counts: pa.Table) -> Draw:
    """Prepare ENTRY_COUNTS for `admit`. Keys are of words, not positions: a changed list redraws nothing else."""
    words = zip(entry_counts["language"].to_pylist(), entry_counts["entry"].to_pylist(), strict=True)
    beside = np.empty(len(entry_counts), [("count", np.float64), ("key", np.uint64)])  # one place in memory a match
    beside["count"] = entry_counts["entry_count"].to_numpy()
    beside["key"] = [xxhash.xxh3_64_intdigest(f"{language}\n{entry}".encode()) for language, entry in words]
    draw = Draw(beside["count"], beside["key"])
    admitted_at(pa.RecordBatch.from_pylist([], MATCHES), draw, 0)  # compiles what is not yet, not while pairs wait
    return draw


@writes(ADMISSIONS, name="balancing:admit")
def admit(pool: Iterable[pa.RecordBatch], *, draw: Draw, seed: int) -> Iterator[pa.RecordBatch]:
    """The t above which each pair of the pool is kept, from MATCHES without exclusions."""
    for batch in pool:
        if batch.num_rows:
            columns = [batch["pair_id"], batch["image_id"], batch["language"], pa.array(admitted_at(batch, draw, seed))]
            yield pa.RecordBatch.from_arrays(columns, schema=ADMISSIONS)


def admitted_at(matches: pa.RecordBatch, draw: Draw, seed: int) -> Floats:
    """The least, over a pair's entries, of u(pair, entry) times the entry's count.

    A coin with probability min(1, t / count) falls heads exactly when u * count < t, u uniform in [0, 1). The paper
    keeps a pair at its first heads (Xu et al. 2023, Algorithm 1): D(t) is the pairs whose least u * count is below t.
    """
    from metaclip_dagster.drawing import draw_least  # noqa: PLC0415  # numba: only what draws a pool pays for it

    lists, of_pair = matches["entry_ids"], _mix_pair(matches["pair_id"].to_numpy(), seed)
    return draw_least(of_pair, lists.offsets.to_numpy(), lists.values.to_numpy(), draw.entry_key, draw.entry_count)


def uniform(pair_id: Ids, entry_key: Ids, seed: int) -> Floats:
    """One number in [0, 1) for each pair and entry: a pure function of both and the seed.

    53 bits without an offset: the largest is 1 - 2**-53, so u * count stays below count and the tail is kept whole.
    """
    return (_mix(_mix_pair(pair_id, seed) + entry_key) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def keep_probability(entry_count: Floats, t: float) -> float:
    """P(a pair is in D(t)), given the counts of its entries: 1 - prod(1 - min(1, t / count)).

    >>> keep_probability(np.array([40.0, 40.0]), 20.0)
    0.75
    """
    return float(1.0 - np.prod(1.0 - np.minimum(1.0, t / entry_count)))


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

    English is held to t itself; another language's t is its largest count whose own tail share is at most English's,
    and at least its smallest count that is not 0. inf is inf everywhere. Nondecreasing in t, so subsets stay nested.
    Raises ValueError where a finite t has no English match to take the share from.
    """
    return hold_languages(entry_counts, reference=reference)(t)


def hold_languages(entry_counts: pa.Table, *, reference: str = "en") -> Callable[[float], dict[str, float]]:
    """`language_thresholds` as a function of t, for many: entries are sorted once."""
    languages = entry_counts["language"].combine_chunks().dictionary_encode()
    names, of_entry = languages.dictionary.to_pylist(), languages.indices.to_numpy()
    counts = entry_counts["entry_count"].to_numpy()
    tails = {name: _tail(counts[of_entry == names.index(name)]) for name in sorted(names)}

    def hold(t: float) -> dict[str, float]:
        if math.isinf(t):
            return dict.fromkeys(tails, math.inf)
        if list(tails) == [reference]:
            return {reference: t}
        ours, shares = tails.get(reference, _tail(counts[:0]))
        if not len(ours):
            raise ValueError(
                f"t = {t:g} is a share of {reference!r} matches, and the pool has none; only inf works without"
            )
        share = np.append(0.0, shares)[np.searchsorted(ours, t, "right")]
        return {name: t if name == reference else _own_threshold(*own, share) for name, own in tails.items()}

    return hold


@writes(SUBSETS, name="balancing:select_pairs")
def select_pairs(
    pairs: Iterable[pa.RecordBatch],
    matches: Iterable[pa.RecordBatch],
    admissions: Iterable[pa.RecordBatch],
    *,
    thresholds: Mapping[str, float],
    snapshot: str,
) -> Iterator[pa.RecordBatch]:
    """D(t) of one shard: its pairs with admitted_at below their language's t, with url and text, in place order.

    The three tables hold the same pairs in the same order, PAIRS and MATCHES more of them; only ids and numbers of
    the kept ones are held, texts stream.
    """
    kept = _concat([batch.filter(_below(batch, thresholds)) for batch in admissions], ADMISSIONS)
    ids = kept["pair_id"].combine_chunks()
    found = [
        batch.select(["pair_id", "entry_ids"]) for batch in (b.filter(pc.is_in(b["pair_id"], ids)) for b in matches)
    ]
    entry_ids = pa.chunked_array([b["entry_ids"] for b in found], SUBSETS.field("entry_ids").type)
    done = 0
    for batch in pairs:
        mine = batch.filter(pc.is_in(batch["pair_id"], ids))
        if not mine.num_rows:
            continue
        of = slice(done, done := done + mine.num_rows)
        if not mine["pair_id"].equals(ids[of]):
            raise ValueError(f"{snapshot}: pairs, matches and admissions of a shard disagree; run matches again")
        columns = {
            **{name: mine[name] for name in ("pair_id", "url", "text", "page_url", "pool_address")},
            "snapshot": pa.repeat(pa.scalar(snapshot), mine.num_rows),
            "image_id": pa.array([image.hex() for image in mine["image_id"].to_pylist()], pa.string()),
            "language": kept["language"][of].combine_chunks(),
            "entry_ids": entry_ids[of].combine_chunks(),
            "admitted_at": kept["admitted_at"][of].combine_chunks(),
            "t": pa.array([thresholds[name] for name in kept["language"][of].to_pylist()], pa.float64()),
        }
        yield pa.RecordBatch.from_arrays([columns[name] for name in SUBSETS.names], schema=SUBSETS)


def thresholds_for(
    sizes: Sequence[int], admissions: Iterable[pa.RecordBatch], entry_counts: pa.Table, *, reference: str = "en"
) -> list[float]:
    """For each size the least t whose subset has at least so many pairs; exactly so many, unless admitted_at ties.

    Quantiles too: the median t is that for half of the pool. Reads ADMISSIONS once, holds 8 bytes a pair, and twice
    that of one language at a time, sorted once, then bisects over all float64. With several languages, one step of t
    may admit a whole group of another language's pairs. Raises ValueError if the pool is smaller.
    """
    drawn: dict[str, list[Floats]] = {}
    for batch in admissions:
        for language, mine in _by_language(batch):
            drawn.setdefault(language, []).append(mine)
    ascending = {}
    for language in [*drawn]:
        ascending[language] = np.concatenate(drawn.pop(language))
        ascending[language].sort()
    pool, hold = sum(map(len, ascending.values())), hold_languages(entry_counts, reference=reference)

    def size(bits: int) -> int:
        own = hold(_from_bits(bits))
        return sum(int(np.searchsorted(values, own[language])) for language, values in ascending.items())

    if wrong := [num_pairs for num_pairs in sizes if not 0 < num_pairs <= pool]:
        raise ValueError(f"no t keeps {wrong[0]:,} of a pool of {pool:,} pairs; ask for 1 to {pool:,}")
    every = range(1, int(np.float64(math.inf).view(np.uint64)) + 1)  # positive floats ascend as their bits do
    return [_from_bits(every[bisect_left(every, num_pairs, key=size)]) for num_pairs in sizes]


def count_sizes(admissions: Iterable[pa.RecordBatch], thresholds: Sequence[Mapping[str, float]]) -> list[int]:
    """|D(t)| for each of many t, given as each language's own; one pass over ADMISSIONS, memory bounded by a batch."""
    sizes = np.zeros(len(thresholds), np.int64)
    known: dict[str, tuple[Floats, npt.NDArray[np.intp]]] = {}
    for batch in admissions:
        for language, mine in _by_language(batch):
            if language not in known:
                own = np.array([held_to[language] for held_to in thresholds])
                known[language] = np.sort(own), np.argsort(np.argsort(own, kind="stable"))
            rungs, place = known[language]
            below = np.cumsum(np.bincount(np.searchsorted(rungs, mine, "right"), minlength=len(rungs) + 1))
            sizes += below[place]
    return sizes.tolist()


def _tail(counts: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.uint64], Floats]:
    """The distinct counts that are not 0, ascending, and which share of all matches entries of at most that have."""
    own, num_entries = np.unique(counts[counts > 0], return_counts=True)
    matches = np.cumsum(own * num_entries.astype(np.uint64))
    return own, matches / matches[-1:]


def _own_threshold(own: npt.NDArray[np.uint64], shares: Floats, share: float) -> float:
    if not len(own):
        return 1.0  # nothing matched in this language: there is no pair to hold to any t
    return float(own[max(0, int(np.searchsorted(shares, share, "right")) - 1)])


def _by_language(admissions: pa.RecordBatch) -> Iterator[tuple[str, Floats]]:
    """The numbers of each language of a batch."""
    of_language, drawn = admissions["language"].dictionary_encode(), admissions["admitted_at"].to_numpy()
    for index, language in enumerate(of_language.dictionary.to_pylist()):
        yield language, drawn[of_language.indices.to_numpy() == index]


def _from_bits(bits: int) -> float:
    return float(np.uint64(bits).view(np.float64))


def _below(admissions: pa.RecordBatch, thresholds: Mapping[str, float]) -> pa.Array:
    of_language = admissions["language"].dictionary_encode()
    known = [thresholds[language] for language in of_language.dictionary.to_pylist()]
    t = np.array(known, np.float64)[of_language.indices.to_numpy()]
    return pa.array(admissions["admitted_at"].to_numpy() < t)


def _concat(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_batches([batch.cast(schema) for batch in batches], schema)


def _mix_pair(pair_id: Ids, seed: int) -> Ids:
    return _mix(pair_id ^ np.uint64(xxhash.xxh3_64_intdigest(f"seed {seed}".encode())))


def _mix(x: Ids) -> Ids:
    """Finaliser of splitmix64: every bit of the input moves every bit of the output."""
    x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return x ^ x >> np.uint64(31)

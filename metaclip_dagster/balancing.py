"""Flatten the head of the distribution, keep the tail whole: one number a pair serves every t."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from metaclip_dagster.schemas import ADMISSIONS, SUBSETS, writes

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Draw:
    """What every pair is drawn with: each entry's count in the pool and a key of its language and words."""

    entry_count: Floats
    entry_key: Ids


def build_draw(entry_counts: pa.Table) -> Draw:
    """Prepare ENTRY_COUNTS for `admit`. Keys are of words, not positions: a changed list redraws nothing else."""
    words = zip(entry_counts["language"].to_pylist(), entry_counts["entry"].to_pylist(), strict=True)
    keys = [xxhash.xxh3_64_intdigest(f"{language}\n{entry}".encode()) for language, entry in words]
    return Draw(entry_counts["entry_count"].to_numpy().astype(np.float64), np.array(keys, np.uint64))


@writes(ADMISSIONS)
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
    lists = matches["entry_ids"]
    entries, lengths = lists.flatten().to_numpy(), pc.list_value_length(lists).to_numpy()
    pairs = np.repeat(matches["pair_id"].to_numpy(), lengths)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    drawn = uniform(pairs, draw.entry_key[entries], seed) * draw.entry_count[entries]
    return np.minimum.reduceat(drawn, starts)


def uniform(pair_id: Ids, entry_key: Ids, seed: int) -> Floats:
    """One number in [0, 1) for each pair and entry: a pure function of both and the seed.

    53 bits without an offset: the largest is 1 - 2**-53, so u * count stays below count and the tail is kept whole.
    """
    start = np.uint64(xxhash.xxh3_64_intdigest(f"seed {seed}".encode()))
    mixed = _mix(_mix(pair_id ^ start) + entry_key)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


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
    language = entry_counts["language"].to_numpy(zero_copy_only=False)
    counts = {name: entry_counts["entry_count"].to_numpy()[language == name] for name in sorted(set(language))}
    if math.isinf(t):
        return dict.fromkeys(counts, math.inf)
    if list(counts) == [reference]:
        return {reference: t}
    ours = counts.get(reference, np.zeros(0, np.uint64))
    if not ours.any():
        raise ValueError(
            f"t = {t:g} is a share of {reference!r} matches, and the pool has none; only inf works without"
        )
    share = float(ours[ours <= t].sum()) / float(ours.sum())
    return {name: t if name == reference else _own_threshold(own, share) for name, own in counts.items()}


@writes(SUBSETS)
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
            **{name: mine[name] for name in ("pair_id", "url", "text", "page_url")},
            "snapshot": pa.repeat(pa.scalar(snapshot), mine.num_rows),
            "image_id": pa.array([image.hex() for image in mine["image_id"].to_pylist()], pa.string()),
            "language": kept["language"][of].combine_chunks(),
            "entry_ids": entry_ids[of].combine_chunks(),
            "admitted_at": kept["admitted_at"][of].combine_chunks(),
            "t": pa.array([thresholds[name] for name in kept["language"][of].to_pylist()], pa.float64()),
        }
        yield pa.RecordBatch.from_arrays([columns[name] for name in SUBSETS.names], schema=SUBSETS)


def threshold_for(
    num_pairs: int, admissions: Iterable[pa.RecordBatch], entry_counts: pa.Table, *, reference: str = "en"
) -> float:
    """The least t whose subset has at least `num_pairs` pairs; exactly so many, unless values of admitted_at tie.

    Reads ADMISSIONS once and holds 8 bytes a pair, then bisects over all float64. With several languages, one step of t
    may admit a whole group of another language's pairs. Raises ValueError if the pool is smaller.
    """
    drawn: dict[str, list[Floats]] = {}
    for batch in admissions:
        for language in pc.unique(batch["language"]).to_pylist():
            mine = batch.filter(pc.equal(batch["language"], language))
            drawn.setdefault(language, []).append(mine["admitted_at"].to_numpy())
    ascending = {language: np.sort(np.concatenate(parts)) for language, parts in drawn.items()}
    pool = sum(map(len, ascending.values()))
    if not 0 < num_pairs <= pool:
        raise ValueError(f"no t keeps {num_pairs:,} of a pool of {pool:,} pairs; ask for 1 to {pool:,}")
    low, high = 1, int(np.float64(math.inf).view(np.uint64))  # positive floats ascend as their bits do
    while low < high:
        middle = (low + high) // 2
        own = language_thresholds(entry_counts, _from_bits(middle), reference=reference)
        if sum(int(np.searchsorted(values, own[language])) for language, values in ascending.items()) >= num_pairs:
            high = middle
        else:
            low = middle + 1
    return _from_bits(low)


def count_sizes(admissions: Iterable[pa.RecordBatch], thresholds: Sequence[Mapping[str, float]]) -> list[int]:
    """|D(t)| for each of many t, given as each language's own; one pass over ADMISSIONS, memory bounded by a batch."""
    sizes = [0] * len(thresholds)
    for batch in admissions:
        for index, own in enumerate(thresholds):
            sizes[index] += pc.sum(_below(batch, own)).as_py() or 0
    return sizes


def _own_threshold(counts: npt.NDArray[np.uint64], share: float) -> float:
    own = np.sort(counts[counts > 0])
    if not len(own):
        return 1.0  # nothing matched in this language: there is no pair to hold to any t
    tail = np.cumsum(own, dtype=np.float64) / float(own.sum())
    last_of_ties = np.append(own[1:] != own[:-1], True)
    within = own[last_of_ties & (tail <= share)]
    return float(within[-1] if len(within) else own[0])


def _from_bits(bits: int) -> float:
    return float(np.uint64(bits).view(np.float64))


def _below(admissions: pa.RecordBatch, thresholds: Mapping[str, float]) -> pa.Array:
    of_language = admissions["language"].dictionary_encode()
    known = [thresholds[language] for language in of_language.dictionary.to_pylist()]
    t = np.array(known, np.float64)[of_language.indices.to_numpy()]
    return pa.array(admissions["admitted_at"].to_numpy() < t)


def _concat(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_batches([batch.cast(schema) for batch in batches], schema)


def _mix(x: Ids) -> Ids:
    """Finaliser of splitmix64: every bit of the input moves every bit of the output."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))

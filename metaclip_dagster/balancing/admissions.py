"""Give each pair one number, which says for every threshold t whether the pair is kept."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from metaclip_dagster.schemas import ADMISSIONS, MATCHES, named, writes

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Draw:
    """What pairs are drawn with, by entry_id: each entry's count, and a hash of its language and words."""

    entry_count: Floats
    """The count that it is balanced to: the pool's own, or a published one."""
    entry_key: Ids


@named("balancing:build_draw")
def build_draw(entry_counts: pa.Table) -> Draw:
    """Prepare ENTRY_COUNTS for `admit`. Keys are of words, not positions: a changed list redraws nothing else."""
    words = zip(entry_counts["language"].to_pylist(), entry_counts["entry"].to_pylist(), strict=True)
    interleaved = np.empty(len(entry_counts), [("count", np.float64), ("key", np.uint64)])  # one look-up an entry
    interleaved["count"] = entry_counts["balanced_to"].to_numpy()
    interleaved["key"] = [xxhash.xxh3_64_intdigest(f"{language}\n{entry}".encode()) for language, entry in words]
    draw = Draw(interleaved["count"], interleaved["key"])
    draw_pairs(pa.RecordBatch.from_pylist([], MATCHES), draw, 0)  # compiles what is not yet, not while pairs wait
    return draw


@writes(ADMISSIONS, name="balancing:admit")
def admit(pool: Iterable[pa.RecordBatch], *, draw: Draw, seed: int) -> Iterator[pa.RecordBatch]:
    """The t above which each pair of the pool is kept, from MATCHES without exclusions."""
    for batch in pool:
        if batch.num_rows:
            columns = [batch["pair_id"], batch["image_id"], batch["language"], pa.array(draw_pairs(batch, draw, seed))]
            yield pa.RecordBatch.from_arrays(columns, schema=ADMISSIONS)


def draw_pairs(matches: pa.RecordBatch, draw: Draw, seed: int) -> Floats:
    """Each pair's admitted_at: the least, over its entries, of u(pair, entry) times the entry's count.

    A coin with probability min(1, t / count) falls heads exactly when u * count < t, u uniform in [0, 1). The paper
    keeps a pair at its first heads (Xu et al. 2023, Algorithm 1): D(t) is the pairs whose least u * count is below t.

    Raises:
        IndexError: a match is of an entry that has no count.

    """
    from metaclip_dagster.balancing.drawing import draw_least  # noqa: PLC0415  # numba: for whoever draws a pool only

    lists, of_pair = matches["entry_ids"], _mix_pair(matches["pair_id"].to_numpy(), seed)
    return draw_least(of_pair, lists.offsets.to_numpy(), lists.values.to_numpy(), draw.entry_key, draw.entry_count)


def uniform(pair_id: Ids, entry_key: Ids, seed: int) -> Floats:
    """One number in [0, 1) for each pair and entry, arrays of one length: a pure function of both and the seed.

    53 bits without an offset: the largest is 1 - 2**-53, so u * count stays below count and the tail is kept whole.
    """
    return (_mix(_mix_pair(pair_id, seed) + entry_key) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def keep_probability(entry_count: Floats, t: float) -> float:
    """P(a pair is in D(t)), given the counts of its entries: 1 - prod(1 - min(1, t / count)).

    >>> keep_probability(np.array([40.0, 40.0]), 20.0)
    0.75
    """
    return float(1.0 - np.prod(1.0 - np.minimum(1.0, t / entry_count)))


def _mix_pair(pair_id: Ids, seed: int) -> Ids:
    return _mix(pair_id ^ np.uint64(xxhash.xxh3_64_intdigest(f"seed {seed}".encode())))


def _mix(x: Ids) -> Ids:
    """Finaliser of splitmix64: every bit of the input moves every bit of the output."""
    x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return x ^ x >> np.uint64(31)

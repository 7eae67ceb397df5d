"""Bin a pool by the t at which its pairs join D(t): sums of bins answer for every t at which a slider stops."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.schemas import ADMISSIONS, MATCHES

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

MOST_STOPS = 1024
NUM_SHOWN = 120
"""Entries that are shown with pairs, and counted at every stop."""
PAIRS_OF_EACH = 2
"""Pairs of each of them that join first, and as many of the least pair_id, which is a hash: any."""

EXAMPLES = pa.schema(
    [
        ("entry", pa.int64()),
        ("shard", pa.string()),
        *(ADMISSIONS.field(name) for name in ("pair_id", "image_id", "admitted_at")),
        ("stop", pa.int64()),
    ]
)


def choose_stops(largest: float, rungs: Iterable[float], most: int = MOST_STOPS) -> list[float]:
    """The t's at which a slider stops, ascending: whole numbers from 1 to `largest` at equal ratios, rungs, and inf.

    Where the whole numbers up to `largest` are no more than `most`, all of them.
    """
    if largest <= most:
        spread = [float(t) for t in range(1, max(int(largest), 1) + 1)]
    else:
        spread = np.round(np.geomspace(1, largest, most)).tolist()
    return sorted({*spread, *map(float, rungs), float("inf")})


def choose_shown(counts: npt.NDArray[np.uint64], num: int = NUM_SHOWN) -> Counts:
    """Entries at about equal ratios of their rank: the most frequent ones all, then fewer and fewer down the tail."""
    order = np.argsort(~counts, kind="stable")[: np.count_nonzero(counts)]
    ranks = np.geomspace(1, max(len(order), 1), num).round().astype(np.int64)
    return order[np.unique(ranks[: len(order)]) - 1] if len(order) else order


def join_entries(matches: Iterable[pa.RecordBatch], admissions: Iterable[pa.RecordBatch]) -> pa.Table:
    """ADMISSIONS of one shard with the entries of each pair, `entry_ids`, from MATCHES in the same order.

    Raises ValueError where the two are of different shards, or out of order.
    """
    admitted = pa.Table.from_batches(admissions, ADMISSIONS)
    ids = admitted["pair_id"].combine_chunks()
    columns = ["pair_id", "entry_ids"]
    schema = pa.schema([MATCHES.field(name) for name in columns])
    matched = pa.Table.from_batches((b.select(columns).filter(pc.is_in(b["pair_id"], ids)) for b in matches), schema)
    if not matched["pair_id"].combine_chunks().equals(ids):
        raise ValueError("matches and admissions of a shard disagree; run matches again")
    return admitted.append_column(MATCHES.field("entry_ids"), matched["entry_ids"])


@dataclass
class Bins:
    """How many pairs, and how many matches, join the subset at each stop; see `build`."""

    thresholds: Mapping[str, Floats]
    """Each language's own t at each stop, ascending."""
    at_rungs: Sequence[int]
    """Which stops are rungs."""
    shown: Counts
    """Entries that are counted at every stop."""
    pairs: dict[str, Counts]
    matches: dict[str, Counts]
    first: npt.NDArray[np.uint16]
    """The stop at which each entry's first pair joins; the number of stops where it has none."""
    of_entry: Counts
    """Pairs of each entry that join up to each rung, and above the rung before."""
    of_shown: Counts
    """Pairs of each shown entry that join at each stop."""
    examples: pa.Table = field(default_factory=EXAMPLES.empty_table)

    @classmethod
    def build(
        cls, thresholds: Mapping[str, Floats], *, at_rungs: Sequence[int], num_entries: int, shown: Counts
    ) -> "Bins":
        """Empty bins; the last of `at_rungs` is the last stop, inf, at which whatever is in the pool is in."""
        num_stops = len(next(iter(thresholds.values())))
        empty = {name: np.zeros(num_stops, np.int64) for name in thresholds}
        return cls(
            thresholds,
            at_rungs,
            shown,
            empty,
            {name: np.zeros(num_stops, np.int64) for name in thresholds},
            np.full(num_entries, num_stops, np.uint16),
            np.zeros((num_entries, len(at_rungs)), np.int64),
            np.zeros((len(shown), num_stops), np.int64),
        )

    def add(self, pool: pa.Table, shard: str) -> pa.Table:
        """Count what `join_entries` gave of a shard; gives `image_id` and `stop` of its pairs, for who counts images.

        Raises ValueError for a language without a t.
        """
        languages = pool["language"].combine_chunks().dictionary_encode()
        of_pair, admitted_at = languages.indices.to_numpy(), pool["admitted_at"].to_numpy()
        lists = pool["entry_ids"].combine_chunks()
        lengths, entries = lists.value_lengths().to_numpy(), lists.flatten().to_numpy()
        stops = np.zeros(len(pool), np.int64)
        for index, name in enumerate(languages.dictionary.to_pylist()):
            if name not in self.thresholds:
                raise ValueError(f"no t for {name}, a language of the pool; make entry_counts again")
            rows = of_pair == index
            stops[rows] = np.searchsorted(self.thresholds[name], admitted_at[rows], "right")
            num_stops = len(self.pairs[name])
            self.pairs[name] += np.bincount(stops[rows], minlength=num_stops)
            self.matches[name] += np.bincount(stops[rows], lengths[rows], minlength=num_stops).astype(np.int64)
        row_of_match = np.repeat(np.arange(len(pool)), lengths)
        of_match = stops[row_of_match]
        np.minimum.at(self.first, entries, of_match.astype(np.uint16))
        np.add.at(self.of_entry, (entries, np.searchsorted(self.at_rungs, of_match)), 1)
        self._add_shown(pool, shard, entries, row_of_match, stops)
        return pa.table({"image_id": pool["image_id"], "stop": stops})

    def _add_shown(self, pool: pa.Table, shard: str, entries: Counts, row_of_match: Counts, stops: Counts) -> None:
        numbers = np.full(len(self.first), -1)
        numbers[self.shown] = np.arange(len(self.shown))
        of_match = numbers[entries]
        rows, number = row_of_match[of_match >= 0], of_match[of_match >= 0]
        np.add.at(self.of_shown, (number, stops[rows]), 1)
        columns = {
            "entry": self.shown[number],
            "shard": pa.repeat(shard, len(rows)),
            "stop": stops[rows],
            **{name: pool[name].take(pa.array(rows)) for name in ("pair_id", "image_id", "admitted_at")},
        }
        candidates = pa.table([columns[name] for name in EXAMPLES.names], EXAMPLES)
        self.examples = _keep_least(pa.concat_tables([self.examples, candidates]))


def _keep_least(examples: pa.Table) -> pa.Table:
    """Of each entry the pairs that join first, and those of the least pair_id; a hash, so that these are any."""
    entry, pair_id = examples["entry"].to_numpy(), examples["pair_id"].to_numpy()
    is_least = np.zeros(len(examples), bool)
    for key in (pair_id, examples["admitted_at"].to_numpy()):
        order = np.lexsort((pair_id, key, entry))
        _, starts, sizes = np.unique(entry[order], return_index=True, return_counts=True)
        rank = np.arange(len(order)) - np.repeat(starts, sizes)
        is_least[order[rank < PAIRS_OF_EACH]] = True
    return examples.filter(pa.array(is_least)).combine_chunks()


def sum_tails(counts: pa.Table, language: str, thresholds: Floats) -> tuple[Counts, Counts]:
    """How many entries of a language, and how many of their matches, join the tail at each stop: ENTRY_COUNTS."""
    rows = counts.filter((pc.field("language") == language) & (pc.field("entry_count") > 0))
    stops = np.searchsorted(thresholds, rows["balanced_to"].to_numpy().astype(np.float64), "left")
    weights = rows["entry_count"].to_numpy()
    entries = np.bincount(stops, minlength=len(thresholds))
    return entries, np.bincount(stops, weights, minlength=len(thresholds)).astype(np.int64)

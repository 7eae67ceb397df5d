"""Small tables for tests, made from plain Python values."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from metaclip_dagster.schemas import ENTRIES, ENTRY_COUNTS, MATCHES, PAIRS


def image_of(pair_id: int) -> bytes:
    """An image id for a pair id."""
    return pair_id.to_bytes(12, "big")


def matches_of(pairs: Mapping[int, Sequence[int]], language: str = "en") -> pa.RecordBatch:
    """MATCHES of pair_id -> entry ids."""
    columns = {
        "pair_id": list(pairs),
        "image_id": [image_of(pair) for pair in pairs],
        "language": [language] * len(pairs),
        "language_score": [0.9] * len(pairs),
        "entry_ids": [sorted(entries) for entries in pairs.values()],
    }
    return pa.RecordBatch.from_pydict(columns, schema=MATCHES)


def entries_of(
    words: Sequence[str],
    language: str | Sequence[str] = "en",
    unmatchable: Sequence[str | None] | None = None,
    *,
    sources: Sequence[str] | None = None,
) -> pa.Table:
    """ENTRIES of these words."""
    languages = [language] * len(words) if isinstance(language, str) else list(language)
    columns = {
        "entry_id": range(len(words)),
        "entry": list(words),
        "language": languages,
        "source": sources or ["own"] * len(words),
        "rank": range(len(words)),
        "unmatchable": unmatchable or [None] * len(words),
    }
    return pa.Table.from_pydict(columns, schema=ENTRIES)


def pairs_of(texts: Sequence[str]) -> pa.RecordBatch:
    """PAIRS of these texts: the pair at place i is 10 * i, and its image i."""
    columns: dict[str, Sequence[object]] = {
        "pair_id": [10 * i for i in range(len(texts))],
        "image_id": [image_of(i) for i in range(len(texts))],
        "text": texts,
        "offset": range(len(texts)),
    }
    empty = {field.name: [None if field.type != pa.string() else ""] * len(texts) for field in PAIRS}
    return pa.RecordBatch.from_pydict(empty | columns, schema=PAIRS)


def counts_of(counts: Sequence[int], language: str | Sequence[str] = "en") -> pa.Table:
    """ENTRY_COUNTS of entries e0, e1 ..."""
    languages = [language] * len(counts) if isinstance(language, str) else list(language)
    columns = {
        "entry_id": range(len(counts)),
        "entry": [f"e{i}" for i in range(len(counts))],
        "language": languages,
        "entry_count": list(counts),
        "balanced_to": list(counts),
        "snapshot_counts": [[]] * len(counts),
    }
    return pa.Table.from_pydict(columns, schema=ENTRY_COUNTS)


def zipf_pool(num_pairs: int, num_entries: int, seed: int = 0) -> pa.RecordBatch:
    """MATCHES with one to six entries a pair, as head-heavy as the web."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 7, num_pairs)
    drawn = np.minimum(rng.zipf(1.3, int(lengths.sum())) - 1, num_entries - 1)
    parts = np.split(drawn, np.cumsum(lengths)[:-1])
    ids = rng.permutation(np.arange(num_pairs, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
    return matches_of({int(pair): sorted(set(part.tolist())) for pair, part in zip(ids, parts, strict=True)})


def count_naively(pool: pa.RecordBatch, num_entries: int) -> pa.Table:
    """ENTRY_COUNTS by a loop."""
    counts = [0] * num_entries
    for entries in pool["entry_ids"].to_pylist():
        for entry in entries:
            counts[entry] += 1
    return counts_of(counts)

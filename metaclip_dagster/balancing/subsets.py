"""Take from a pool's shard the pairs that one t keeps, with everything that a downloader needs of them."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.schemas import ADMISSIONS, SUBSETS, writes


@writes(SUBSETS, name="balancing:select_pairs")
def select_pairs(
    pairs: Iterable[pa.RecordBatch],
    matches: Iterable[pa.RecordBatch],
    admissions: Iterable[pa.RecordBatch],
    *,
    thresholds: Mapping[str, float],
    snapshot: str,
) -> Iterator[pa.RecordBatch]:
    """D(t) of one shard: its pairs with admitted_at below their language's t, with url and text, in PAIRS' order.

    The three tables hold the same pairs in the same order, PAIRS and MATCHES more of them; only ids and numbers of
    the admitted ones stay in memory, texts stream.

    Raises:
        ValueError: the tables are of different shards, or out of order.

    """
    below = (batch.filter(_is_below(batch, thresholds)).cast(ADMISSIONS) for batch in admissions)
    admitted = pa.Table.from_batches(below, ADMISSIONS)
    ids = admitted["pair_id"].combine_chunks()
    matched = [batch.select(["pair_id", "entry_ids"]).filter(pc.is_in(batch["pair_id"], ids)) for batch in matches]
    entry_ids = pa.chunked_array([batch["entry_ids"] for batch in matched], SUBSETS.field("entry_ids").type)
    num_rows = 0
    for batch in pairs:
        chosen = batch.filter(pc.is_in(batch["pair_id"], ids))
        if not chosen.num_rows:
            continue
        rows = slice(num_rows, num_rows := num_rows + chosen.num_rows)
        if not chosen["pair_id"].equals(ids[rows]):
            raise ValueError(f"{snapshot}: pairs, matches and admissions of a shard disagree; run matches again")
        columns = {
            **{name: chosen[name] for name in _OF_PAIRS},
            "snapshot": pa.repeat(pa.scalar(snapshot), chosen.num_rows),
            "image_id": pa.array([image.hex() for image in chosen["image_id"].to_pylist()], pa.string()),
            "language": admitted["language"][rows].combine_chunks(),
            "entry_ids": entry_ids[rows].combine_chunks(),
            "admitted_at": admitted["admitted_at"][rows].combine_chunks(),
            "t": pa.array([thresholds[name] for name in admitted["language"][rows].to_pylist()], pa.float64()),
        }
        yield pa.RecordBatch.from_arrays([columns[name] for name in SUBSETS.names], schema=SUBSETS)


_OF_PAIRS = ("pair_id", "url", "text", "page_url", "pool_address", "license", "license_evidence")


def _is_below(admissions: pa.RecordBatch, thresholds: Mapping[str, float]) -> pa.Array:
    languages = admissions["language"].dictionary_encode()
    of_language = [thresholds[language] for language in languages.dictionary.to_pylist()]
    t = np.array(of_language, np.float64)[languages.indices.to_numpy()]
    return pa.array(admissions["admitted_at"].to_numpy() < t)

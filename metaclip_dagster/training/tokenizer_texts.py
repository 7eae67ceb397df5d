"""Draw the texts that a tokenizer is trained from, languages balanced: PAIRS, ADMISSIONS -> TOKENIZER_TEXTS."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.schemas import TOKENIZER_TEXTS, writes

MOST_REPEATS = 10.0
"""However small a language is, a text of it is read no more often: else whole texts would become tokens."""


def balance_languages(num_texts: Mapping[str, int], *, alpha: float, most_texts: int) -> dict[str, float]:
    """How often a text of each language is read, in the mean, for a language's share to be its own to the power alpha.

    `num_texts` is the pool's. In all as many texts are read as the pool has, or `most_texts`; of a language that is
    smaller than its share, texts are read several times (Conneau and Lample 2019), at most MOST_REPEATS.

    >>> balance_languages({"en": 900, "de": 100}, alpha=0.5, most_texts=100)
    {'en': 0.08333333333333333, 'de': 0.25}
    """
    weights = {language: num**alpha for language, num in num_texts.items() if num}
    num_read = min(most_texts, sum(num_texts.values()))
    unit = num_read / sum(weights.values()) if weights else 0.0
    return {language: min(MOST_REPEATS, unit * weight / num_texts[language]) for language, weight in weights.items()}


@writes(TOKENIZER_TEXTS, name="training.tokenizer_texts:draw_texts")
def draw_texts(
    pairs: Iterable[pa.RecordBatch], admissions: Iterable[pa.RecordBatch], *, rates: Mapping[str, float]
) -> Iterator[pa.RecordBatch]:
    """The texts of one shard of the pool that a tokenizer reads, and how often, as `balance_languages` gives the rates.

    A pair's id, which is a hash, decides: neither order nor other shards have a say. Ids and languages of the shard
    stay in memory, texts stream. Raises KeyError for a language without a rate.
    """
    pool = pa.Table.from_batches([batch.select(["pair_id", "language"]) for batch in admissions], _POOL)
    ids, languages = pool["pair_id"].combine_chunks(), pool["language"].combine_chunks()
    for batch in pairs:
        places = pc.index_in(batch["pair_id"], ids)
        admitted = batch.filter(pc.is_valid(places))
        of_pair = languages.take(places.drop_null()).dictionary_encode()
        rate = np.array([rates[language] for language in of_pair.dictionary.to_pylist()], np.float64)
        drawn_below = (admitted["pair_id"].to_numpy() >> np.uint64(11)) * 2.0**-53
        repeats = np.floor(rate[of_pair.indices.to_numpy()] + drawn_below).astype(np.uint32)
        columns = [admitted["pair_id"], of_pair.dictionary_decode(), admitted["text"], pa.array(repeats)]
        rows = pa.RecordBatch.from_arrays(columns, schema=TOKENIZER_TEXTS)
        yield rows.filter(pc.greater(rows["repeats"], 0))


_POOL = pa.schema([("pair_id", pa.uint64()), ("language", pa.string())])

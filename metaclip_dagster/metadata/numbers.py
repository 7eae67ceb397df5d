"""Offer the numbers 0 to 99 as candidates in any language: the paper's first row has them beside WordNet's names."""

import pyarrow as pa

from metaclip_dagster.schemas import CANDIDATES, named

NUMBERS = "numbers"


@named("metadata.numbers:list_numbers")
def list_numbers(language: str) -> list[pa.RecordBatch]:
    """CANDIDATES of a language, 0 first: MetaCLIP's release adds these 100 strings to WordNet's.

    Xu et al. 2023, Table 1. They are written with the digits 0 to 9 in every language.
    """
    columns = {
        "entry": [str(number) for number in range(100)],
        "language": [language] * 100,
        "score": [float(-number) for number in range(100)],
        "num_occurrences": [1] * 100,
    }
    return [pa.RecordBatch.from_pydict(columns, schema=CANDIDATES)]

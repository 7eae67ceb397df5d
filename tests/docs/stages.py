"""Stages for the tests of the documentation."""

from collections.abc import Iterator

import pyarrow as pa

from metaclip_dagster.schemas import SUBSETS, writes


@writes(SUBSETS, name="tests.docs.stages:give_subset")
def give_subset() -> Iterator[pa.RecordBatch]:
    """One pair."""
    row = {
        "snapshot": "SAMPLE-2026-01",
        "pair_id": 1,
        "image_id": "00" * 12,
        "language": "en",
        "url": "http://h.example/dog.png",
        "text": "a dog",
        "page_url": "http://h.example/",
        "entry_ids": [0],
        "admitted_at": 3.0,
        "t": 20.0,
    }
    yield pa.RecordBatch.from_pylist([row], schema=SUBSETS)

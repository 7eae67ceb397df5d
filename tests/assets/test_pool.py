"""Neighbouring shards can be read as one."""

import pyarrow as pa

from assets.pool import chain_groups
from resources.deferred import defer


def test_shards_that_are_put_together_are_read_one_after_the_other() -> None:
    streams = {name: {key: defer(stream, f"{name} {key}") for key in "abc"} for name in ("texts", "images")}
    groups = chain_groups(streams, 2)
    assert {key: {name: read(of[name]()) for name in of} for key, of in groups.items()} == {
        "00000": {"texts": ["texts a", "texts b"], "images": ["images a", "images b"]},
        "00001": {"texts": ["texts c"], "images": ["images c"]},
    }


def stream(row: str) -> list[pa.RecordBatch]:
    return [pa.RecordBatch.from_pydict({"row": [row]})]


def read(batches: list[pa.RecordBatch]) -> list[str]:
    return [row for batch in batches for row in batch["row"].to_pylist()]

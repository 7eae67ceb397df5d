"""Tell DuckDB which images the store knows, so that a query can say what is yet to be fetched."""

import duckdb
import pyarrow as pa

from metaclip_dagster.spilling import insert
from resources.images.store import ImageStore


def insert_stored(query: duckdb.DuckDBPyConnection, images: str) -> None:
    """Make the table `stored`: image_id and size of every row of the store's indices, size null where it failed."""
    query.sql("create table stored (image_id varchar, size ubigint)")
    for rows in ImageStore(images).indices(pa.schema({"image_id": pa.string(), "size": pa.uint64()})):
        insert(query, "stored", rows.to_batches(), "image_id, size")

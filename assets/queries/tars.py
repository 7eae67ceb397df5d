"""List the tars of the image store that tables name, so that no other is read any more."""

import pyarrow.compute as pc

from resources.lake.resource import Lake

_TABLES = ("images", "training_sets")


def list_tars(lake: Lake) -> set[str]:
    """The tars that the rings of images and the training sets name as they are now, relative to the store."""
    tars = set[str]()
    for table, partition in lake.partitions():
        if table in _TABLES and lake.store(table, partition).manifest():
            for batch in lake.dataset(table, [partition]).to_batches(columns=["tar"]):
                tars.update(pc.unique(batch["tar"].drop_null()).to_pylist())
    return tars

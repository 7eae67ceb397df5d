"""Look after what is stored: say where it is, probe the store, delete leftovers, check images."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from tqdm import tqdm

from assets.queries.tars import list_tars
from resources.deployments import deployment
from resources.files.object_store import connect, create_object_once, is_local
from resources.images.store import ImageStore, is_url
from resources.lake.resource import open_lake


def main(asked: argparse.Namespace) -> None:
    """Do what was asked."""
    if asked.part == "home":
        print(deployment().dagster_home)
    elif asked.part == "probe":
        probe_store()
    elif asked.part == "tidy":
        tidy_lake(asked.older_than_hours)
    else:
        check_images()


def probe_store() -> None:
    """Probe where the lake lies, and the images if that is an object store; raises RuntimeError as `probe` does."""
    where = deployment()
    lake = open_lake(where)
    probe(lake.root, lake.storage_options, "lake")
    if is_url(where.images):
        probe(where.images, {}, "image store")


def probe(url: str, options: Mapping[str, Any], what: str) -> None:
    """Write an object twice, the second time with other content; raises RuntimeError where the first is not kept."""
    files, root = connect(url, options)
    path = f"{root}/probe-{uuid4().hex}"
    if is_local(files):
        files.makedirs(root, exist_ok=True)
    try:
        is_written, is_replaced = (create_object_once(files, path, content) for content in (b"1", b"2"))
    finally:
        if files.exists(path):
            files.rm_file(path)
    if is_replaced or not is_written:
        raise RuntimeError(f"{url} takes a second object of the same name: no {what} can be there, for writers mix")
    print(f"{url} refuses a second object of the same name: the {what} can be there")


def tidy_lake(older_than_hours: float) -> None:
    """Delete what no manifest names, and tars whose images all lie elsewhere; say how much it was."""
    where = deployment()
    lake = open_lake(where)
    before = lake.num_bytes()
    gone = lake.tidy(older_than_hours=older_than_hours)
    for name in gone:
        print(name)
    print(f"{len(gone):,} files deleted, {before - lake.num_bytes():,} bytes: {lake.root}")
    if is_url(where.images) or Path(where.images).exists():
        store = ImageStore(where.images)
        tars = store.drop_superseded(list_tars(lake), older_than_seconds=older_than_hours * 3600)
        print(f"{len(tars):,} tars deleted whose images were written again: {store.root}")


def check_images() -> None:
    """Read every tar of the image store whole; raises ValueError naming the first image that has changed."""
    store = ImageStore(deployment().images)
    tars = store.tars()
    for tar in tqdm(tars, unit="tar", disable=None):
        store.check(tar)
    print(f"{len(tars):,} tars are as they were written: {store.root}")

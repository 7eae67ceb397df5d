"""Cut the mini sample out of the sample: a few pages of every snapshot, a short dump, WordNet's adverbs."""

import bz2
import gzip
import json
import re
import shutil
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from resources.deployments import SAMPLE, Deployment, read_deployment

PAIRS_OF_A_FILE = 300
CRAWL = SAMPLE / "crawl"
DUMP = "enwiki-sample-pages-articles.xml.bz2"


def build_mini(folder: Path, num_files: int = 1, pairs_of_a_file: int = PAIRS_OF_A_FILE) -> Path:
    """Write the mini crawl and the short dump under `folder`; its WATs are made of the sample's own records."""
    snapshots = [item["id"] for item in json.loads((CRAWL / "collinfo.json").read_text(encoding="utf-8"))]
    pages = {snapshot: dict(_pages(snapshot)) for snapshot in snapshots}
    crawled_again = set(pages["SAMPLE-2026-01"]) & set(pages["SAMPLE-2026-02"])
    (folder / "crawl").mkdir(parents=True)
    shutil.copy(CRAWL / "collinfo.json", folder / "crawl")
    for snapshot in snapshots:
        ordered = sorted(pages[snapshot], key=lambda url: (url not in crawled_again, zlib.crc32(url)))
        again = [url for url in ordered if url in crawled_again]
        chosen = [pages[snapshot][url] for url in [*again[: 2 * num_files], *ordered[len(again) :]]]
        paths = _paths(snapshot, "wat")[:num_files]
        for path in paths:
            target = folder / "crawl" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            first = next(split_members((CRAWL / path).read_bytes()))
            target.write_bytes(first + b"".join(_take(chosen, pairs_of_a_file)))
        images = _paths(snapshot, "images")[:-1]  # whole, for they cost little; those of the last cannot be had
        for path in images:
            target = folder / "crawl" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(CRAWL / path)
        (folder / "crawl/crawl-data" / snapshot / "images.paths.gz").write_bytes(
            gzip.compress("\n".join(images).encode())
        )
        (folder / "crawl/crawl-data" / snapshot / "wat.paths.gz").write_bytes(gzip.compress("\n".join(paths).encode()))
        for path in [f"crawl-data/{snapshot}/robotstxt.paths.gz", *_paths(snapshot, "robotstxt")]:  # whole: tiny
            target = folder / "crawl" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(CRAWL / path)
    shutil.copytree(SAMPLE / "wikipedia", folder / "wikipedia")
    (folder / "wikipedia" / DUMP).write_bytes(bz2.compress(_short_dump()))
    return folder


def mini_deployment(
    folder: Path, home: Path, environment: Mapping[str, str] = MappingProxyType({}), workers: int = 1
) -> Deployment:
    """The sample deployment over the mini sample in `folder`, with lake and runs under `home`.

    One worker is the caller's own process: starting others takes longer than what a test has to do.
    """
    return replace(
        read_deployment(environment),
        home=home,
        crawl=str(folder / "crawl"),
        wikipedia=str(folder / "wikipedia"),
        parts_of_speech="r",
        workers=workers,
        image_buckets=4,
        models=("tiny",),
        tasks=(str(SAMPLE / "tasks" / "twemoji-unseen"),),
    )


def split_members(archive: bytes) -> Iterator[bytes]:
    """The gzip members of an archive, one a record."""
    while archive:
        inflate = zlib.decompressobj(31)
        inflate.decompress(archive)
        yield archive[: len(archive) - len(inflate.unused_data)]
        archive = inflate.unused_data


def _paths(snapshot: str, kind: str) -> list[str]:
    return gzip.decompress((CRAWL / "crawl-data" / snapshot / f"{kind}.paths.gz").read_bytes()).decode().split()


def _pages(snapshot: str) -> Iterator[tuple[bytes, bytes]]:
    """URL and WAT record of each of the snapshot's pages that has an image."""
    for path in _paths(snapshot, "wat"):
        for member in split_members((CRAWL / path).read_bytes()):
            record = zlib.decompress(member, 31)
            url = re.search(rb"WARC-Target-URI: (\S+)", record)
            if url and b'"IMG@/src"' in record:
                yield url.group(1), member


def _take(members: list[bytes], num_pairs: int) -> Iterator[bytes]:
    """Take records off the list until there are pairs enough for a file."""
    pairs = 0
    while members and pairs < num_pairs:
        pairs += zlib.decompress(members[0], 31).count(b'"IMG@/src"')
        yield members.pop(0)


def _short_dump() -> bytes:
    whole = bz2.decompress((SAMPLE / "wikipedia" / DUMP).read_bytes())
    return whole[: [page.end() for page in re.finditer(rb"</page>\s*", whole)][20]] + b"</mediawiki>\n"

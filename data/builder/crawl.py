"""The snapshots' pages and images -> a folder laid out as Common Crawl lays out its own."""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path

from data.builder.draws import draw
from data.builder.pages import Page
from data.builder.plan import Snapshot
from data.builder.sites import LOGO_EMOJI, LOGO_PATH
from data.builder.statements import Answer, rule_answers
from data.builder.warc import Record, compress, fetch_records, image_records, page_records, warcinfo
from data.builder.wat import wat_records

FILES_A_SNAPSHOT = 4
MISSING_SHARE = 0.005

Drawings = dict[str, dict[str, bytes]]


def write_crawl(root: Path, snapshots: list[Snapshot], drawings: Drawings) -> None:
    """All snapshots: collinfo.json, path lists, WARC, WAT, robots.txt and image files."""
    known: set[str] = set()
    for snapshot in snapshots:
        pages = snapshot.pages()
        images = {url: image for url, image in _images(snapshot.new, drawings).items() if url not in known}
        known |= images.keys()
        paths: dict[str, list[str]] = {"warc": [], "wat": [], "images": [], "robotstxt": []}
        for number, records in enumerate(_image_files(snapshot, images)):
            paths["images"].append(
                _write(root, _path(snapshot, "images", number, ".warc"), [r.to_bytes() for r in records])
            )
        for number in range(FILES_A_SNAPSHOT):
            mine = [page for page in pages if int(draw("file", snapshot.id, page.url) * FILES_A_SNAPSHOT) == number]
            for kind, path, members in _page_files(snapshot, number, mine):
                paths[kind].append(_write(root, path, members))
            path, members = _robots_file(snapshot, number, sorted({page.host for page in pages}))
            paths["robotstxt"].append(_write(root, path, members))
        for kind, listed in paths.items():
            lines = "".join(f"{path}\n" for path in listed).encode()
            _write(root, f"crawl-data/{snapshot.id}/{kind}.paths.gz", [gzip.compress(lines, 9, mtime=0)])
    collections = json.dumps([_collection(snapshot) for snapshot in reversed(snapshots)], indent=2) + "\n"
    _write(root, "collinfo.json", [collections.encode()])


def _collection(snapshot: Snapshot) -> dict[str, str]:
    index = f"http://index.sample.example/{snapshot.id}"
    return {
        "id": snapshot.id,
        "name": f"Sample {snapshot.month} of 2026, not a Common Crawl release",
        "timegate": f"{index}/",
        "cdx-api": f"{index}-index",
        "from": f"{_day(snapshot)}T00:00:00",
        "to": f"{_day(snapshot)}T03:00:00",
    }


def _images(pages: list[Page], drawings: Drawings) -> dict[str, bytes]:
    """Every image URL that the pages show, but for those that nobody answers."""
    shown = [p for page in pages for p in page.pictures if not page.is_lazy(p)]
    shown = [picture for picture in shown if draw("missing", picture.url) >= MISSING_SHARE]
    shown.sort(key=lambda picture: (*picture.drawing, picture.url))
    logos = {f"http://{page.host}{LOGO_PATH}": drawings["noto"][LOGO_EMOJI] for page in pages}
    return {picture.url: drawings[picture.drawing[0]][picture.drawing[1]] for picture in shown} | logos


def _image_files(snapshot: Snapshot, images: dict[str, bytes]) -> Iterable[list[Record]]:
    """The images in even parts; URLs of the same bytes stand side by side."""
    urls: dict[bytes, list[str]] = {}
    for url, image in images.items():
        urls.setdefault(image, []).append(url)
    length = -(-len(urls) // FILES_A_SNAPSHOT)
    groups = list(urls.items())
    serial = snapshot.month << 32
    for number in range(FILES_A_SNAPSHOT):
        name = _path(snapshot, "images", number, ".warc").rsplit("/", 1)[1]
        records = [warcinfo(name, snapshot.id, _date(snapshot, "images"))]
        for image, same in groups[number * length : (number + 1) * length]:
            records += image_records(same, image, _date(snapshot, "images"), serial)
            serial += len(same)
        yield records


def _page_files(snapshot: Snapshot, number: int, pages: list[Page]) -> list[tuple[str, str, list[bytes]]]:
    """A WARC file of pages and the WAT file beside it."""
    warc = _path(snapshot, "warc", number, ".warc.gz")
    wat = warc.replace("/warc/", "/wat/").removesuffix(".warc.gz") + ".warc.wat.gz"
    warc_name, wat_name = warc.rsplit("/", 1)[1], wat.rsplit("/", 1)[1]
    info = warcinfo(warc_name, snapshot.id, _date(snapshot, warc_name))
    records = [info]
    for page in pages:
        records += page_records(page, _date(snapshot, page.url), info)
    note = b"Not every answer is a page of HTML: this one is plain text, with an <img> that nobody parses.\n"
    answer = Answer(f"http://noto-emoji.example/notes/{number}.txt", note)
    records += fetch_records(answer, date=_date(snapshot, f"note {number}"), info=info)
    members = compress(records)
    metadata_records = wat_records(warc_name, wat_name, records, members, f"{_day(snapshot)}T06:00:00Z")
    return [("warc", warc, members), ("wat", wat, compress(metadata_records))]


def _robots_file(snapshot: Snapshot, number: int, hosts: list[str]) -> tuple[str, list[bytes]]:
    """A WARC file of what some of the hosts answered when they were asked for their robots.txt."""
    path = _path(snapshot, "robotstxt", number, ".warc.gz")
    name = path.rsplit("/", 1)[1]
    info = warcinfo(name, snapshot.id, _date(snapshot, f"robotstxt {name}"))
    mine = [host for host in hosts if int(draw("robotstxt", host) * FILES_A_SNAPSHOT) == number]
    records = [info]
    for answer in rule_answers(mine):
        records += fetch_records(answer, date=_date(snapshot, answer.url), info=info)
    return path, compress(records)


def _path(snapshot: Snapshot, kind: str, number: int, suffix: str) -> str:
    """Where a file lies: two segments a snapshot, names with the crawl's times, as Common Crawl has them."""
    day = _day(snapshot).replace("-", "")
    segment = f"{1767225600000 + snapshot.month * 2678400000}.{number // 2}"
    name = f"SAMPLE-{day}000000-{day}030000-{number:05d}{suffix}"
    return f"crawl-data/{snapshot.id}/segments/{segment}/{kind}/{name}"


def _day(snapshot: Snapshot) -> str:
    return f"2026-{snapshot.month:02d}-05"


def _date(snapshot: Snapshot, key: str) -> str:
    """When something was fetched: within the crawl's three hours."""
    seconds = int(draw("date", snapshot.id, key) * 3 * 3600)
    return f"{_day(snapshot)}T{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}Z"


def _write(root: Path, path: str, parts: list[bytes]) -> str:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(b"".join(parts))
    return path

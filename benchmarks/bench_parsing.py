"""Time the parsers against plain readers of the same archives, and show that their memory is flat.

python -m benchmarks.bench_parsing [--wat F] [--warc F] [--rounds N] [--json]

The plain reader of a WAT is gzip by lines and json; that of a WARC is warcio and lexbor. A WAT is read as it is, and
with its images among as many other links as a WAT of Common Crawl has, none of them to a licence. Inflating alone is
isal over all members: no reader can be faster than that. Times are CPU time of one process for the whole file, by
turns; equal pairs are asserted in every round. Peak memory is that of a fresh process which reads the file once, and
another which reads it ten times as one stream (repeats are dropped, not kept).
"""

import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from io import BytesIO, RawIOBase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, cast
from urllib.parse import urldefrag, urljoin

import numpy as np
import pyarrow as pa
import xxhash
from isal import isal_zlib
from selectolax.lexbor import LexborHTMLParser
from warcio.archiveiterator import ArchiveIterator

from benchmarks.inputs import dilute, sample_archives
from benchmarks.measure import Row, flat, in_fresh_process, options, peak_mb, print_rows, row, take_turns
from metaclip_dagster.parsing import parse_warc, parse_wat
from metaclip_dagster.schemas import PAIRS

CRAWL = Path(__file__).parents[2] / "shared" / "data" / "docs-crawl"
# A WAT of CC-MAIN-2022-40 had some 240,000 image links in 1.5 GB, as cc2dataset's authors counted them.
IMAGES_PER_MB = 160
MAX_DIFFERENT = 0.01
Found = tuple[str, str, str, str, str, int]  # url, text, text_source, page_url, warc, offset


def main() -> None:
    """Print what was measured."""
    parser = options(__doc__)
    default = CRAWL / "sample.warc.wat.gz"
    parser.add_argument("--wat", type=Path, default=default if default.exists() else sample_archives()[0])
    parser.add_argument("--warc", type=Path, help="measured too where it is named, or the default WAT is read")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    warc = args.warc or (CRAWL / "sample.warc.gz" if args.wat == default else None)
    for path in (args.wat, warc):
        if path and not path.exists():
            parser.error(f"{path} is not there; name another with --wat and --warc")
    rows = measure("WAT", args.wat, args.rounds)
    with TemporaryDirectory() as folder:
        path = Path(folder, args.wat.name)
        path.write_bytes(dilute(args.wat.read_bytes(), IMAGES_PER_MB))
        rows += measure("WAT", path, args.rounds, " of Common Crawl's link density")
    if warc:
        rows += measure("WARC", warc, args.rounds)
    print_rows(rows, args.json)


def measure(kind: str, path: Path, rounds: int, density: str = "") -> list[Row]:
    """Give the rows of one file; what is said of memory comes from fresh processes, started while this one is small."""
    name = f"{kind}{density}"
    once, ten_times = (in_fresh_process(_peak, kind, path, times) for times in (1, 10))
    archive = path.read_bytes()
    read, parse = (_read_wat_plainly, parse_wat) if kind == "WAT" else (_read_warc_plainly, parse_warc)
    images: Counter[str] = Counter()

    def parse_all() -> pa.Table:
        batches = parse(BytesIO(archive), name=path.name, dropped=Counter(), seen=images)
        return pa.Table.from_batches(batches, PAIRS)

    parse_all()  # warms up, and counts
    seconds = []
    for turn in range(rounds):
        spent, (parsed, plain, num_bytes) = take_turns(
            turn, parse_all, lambda: _table(read(archive, path.name)), lambda: _inflate(archive)
        )
        # A plain reader knows no broken URLs and characters: of other inputs a few pairs may differ.
        ids = [set(table["pair_id"].to_pylist()) for table in (parsed, plain)]
        assert len(ids[0] ^ ids[1]) <= MAX_DIFFERENT * len(ids[0]), "the two readers find different pairs"
        seconds.append(spent / (num_bytes / 1e9))
    parsed, plain, inflating = np.transpose(seconds)
    low, median, high = np.quantile(plain / parsed, (0.25, 0.5, 0.75))
    dense = images["images"] / (1 + rounds) / (num_bytes / 1e6)
    diluted = ", its images among more other links" if density else ""
    described = f"{path.name}{diluted}: {num_bytes / 1e6:.1f} MB raw, {dense:,.0f} images a MB"
    rows = [
        row(f"parsing {name}", np.median(parsed), "s/GB raw", np.median(plain), median),
        row(f"parsing {name}, lower quartile of the ratio", low, "x", 1.0, low),
        row(f"parsing {name}, upper quartile of the ratio", high, "x", 1.0, high),
        row(f"inflating {name} alone", np.median(inflating), "s/GB raw"),
        row(f"parsing {name}, beside inflating alone", np.median(parsed / inflating), "x"),
        row(f"inflating {name} alone, of parsing", 100 * np.median(inflating / parsed), "%"),
        flat(f"peak memory of ten times the {name}", once, ten_times),
    ]
    return [{**one, "input": described} for one in rows]


class _Repeated(RawIOBase):
    """A file's bytes, so many times over, as one stream."""

    def __init__(self, path: Path, times: int) -> None:
        self._files: Iterator[BinaryIO] = (path.open("rb") for _ in range(times))
        self._file = next(self._files)

    def read(self, size: int = -1, /) -> bytes:
        while not (piece := self._file.read(size)):
            self._file.close()
            following = next(self._files, None)
            if following is None:
                return b""
            self._file = following
        return piece


def _peak(kind: str, path: Path, times: int) -> float:
    """Resident megabytes at most."""
    parse = parse_wat if kind == "WAT" else parse_warc
    with _Repeated(path, times) as stream:
        assert sum(batch.num_rows for batch in parse(cast("BinaryIO", stream), name=path.name, dropped=Counter()))
    return peak_mb()


def _inflate(archive: bytes) -> int:
    """The bytes that isal inflates, member by member, as any reader of the archive must."""
    num_bytes, rest = 0, memoryview(archive)
    while rest:
        inflater, at = isal_zlib.decompressobj(31), 0
        while not inflater.eof:
            piece = rest[at : at + 8192]
            num_bytes += len(inflater.decompress(piece))
            at += len(piece)
        rest = rest[at - len(inflater.unused_data) :]
    return num_bytes


def _table(pages: Iterator[Found]) -> pa.Table:
    rows: list[tuple[object, ...]] = []
    pair_ids = set()
    for url, text, *place in pages:
        pair_id = xxhash.xxh3_64_intdigest(f"{url}\n{text}".encode())
        if pair_id not in pair_ids:
            pair_ids.add(pair_id)
            rows.append((pair_id, hashlib.sha224(url.encode()).digest()[:12], url, text, *place, None))
    columns = list(zip(*rows, strict=True))
    schema = pa.schema([PAIRS.field(i) for i in range(len(columns))])  # what pages say of their use, it does not read
    return pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )


def _read_wat_plainly(archive: bytes, _: str) -> Iterator[Found]:
    for line in gzip.GzipFile(fileobj=BytesIO(archive)):
        if not line.startswith(b"{"):
            continue
        content = json.loads(line)
        container, envelope = content["Container"], content["Envelope"]
        page = envelope["WARC-Header-Metadata"].get("WARC-Target-URI", "").strip("<>")
        html = envelope["Payload-Metadata"].get("HTTP-Response-Metadata", {}).get("HTML-Metadata", {})
        base = urljoin(page, html.get("Head", {}).get("Base", ""))
        for link in html.get("Links", []):
            if link["path"] == "IMG@/src":
                place = (page, container["Filename"], int(container["Offset"]))
                yield from _pairs(base, link["url"], {key: link.get(key, "") for key in ("alt", "title")}, place)


def _read_warc_plainly(archive: bytes, name: str) -> Iterator[Found]:
    records = ArchiveIterator(BytesIO(archive))
    for record in records:
        if record.rec_type != "response" or "text/html" not in record.http_headers.get_header("Content-Type", ""):
            continue
        page = record.rec_headers.get_header("WARC-Target-URI").strip("<>")
        tree = LexborHTMLParser(record.content_stream().read().decode("utf-8", "replace"))
        place = (page, name, records.get_record_offset())
        for node in tree.css("img"):
            texts = {key: node.attributes.get(key) or "" for key in ("alt", "title", "data-image-title")}
            yield from _pairs(page, node.attributes.get("src") or "", texts, place)


def _pairs(base: str, src: str, texts: dict[str, str], place: tuple[str, str, int]) -> Iterator[Found]:
    for source, text in texts.items():
        if (clean := " ".join(text.split())) and not src.startswith("data:"):
            yield urldefrag(urljoin(base, src)).url, clean, source, *place


if __name__ == "__main__":
    main()

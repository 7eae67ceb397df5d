"""Time the parsers against plain readers of the same archives, and show that their memory is flat.

python -m benchmarks.bench_parsing [--wat F] [--warc F] [--rounds N] [--json]

The plain reader of a WAT is gzip by lines and json; that of a WARC is warcio and lexbor. Times are CPU time of one
process for the whole file, by turns; equal pairs are asserted in every round. Peak memory is that of a fresh process
which reads the file once, and another which reads it ten times as one stream (repeats are dropped, not kept).
"""

import argparse
import gzip
import hashlib
import json
import resource
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO, RawIOBase
from multiprocessing import get_context
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import urldefrag, urljoin

import pyarrow as pa
import xxhash
from selectolax.lexbor import LexborHTMLParser
from warcio.archiveiterator import ArchiveIterator

from metaclip_dagster.parsing import parse_warc, parse_wat
from metaclip_dagster.schemas import PAIRS

CRAWL = Path(__file__).parents[2] / "shared" / "data" / "docs-crawl"
SAMPLE = next((Path(__file__).parents[1] / "data/sample/crawl/crawl-data/SAMPLE-2026-01").rglob("*.wat.gz"))
MAX_DIFFERENT = 0.01
Row = dict[str, Any]  # name, value, unit, baseline, ratio
Found = tuple[str, str, str, str, str, int]  # url, text, text_source, page_url, warc, offset


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = CRAWL / "sample.warc.wat.gz"
    parser.add_argument("--wat", type=Path, default=default if default.exists() else SAMPLE)
    parser.add_argument("--warc", type=Path, help="measured too where it is named, or the default WAT is read")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    warc = args.warc or (CRAWL / "sample.warc.gz" if args.wat == default else None)
    inputs = {kind: path for kind, path in (("WAT", args.wat), ("WARC", warc)) if path}
    for path in inputs.values():
        if not path.exists():
            parser.error(f"{path} is not there; name another with --wat and --warc")
    rows = [{**row, "input": path.name} for kind, path in inputs.items() for row in measure(kind, path, args.rounds)]
    if args.json:
        print(json.dumps(rows))
        return
    for row in rows:
        numbers = f"{row['value']:10.2f} {row['unit']:10} baseline {row['baseline']:10.2f}  ratio {row['ratio']:6.2f}"
        print(f"{row['name']:40} {numbers}")


def measure(kind: str, path: Path, rounds: int) -> list[Row]:
    """Give the rows of one file; what is said of memory comes from fresh processes, started while this one is small."""
    once, ten_times = (_in_fresh_process(_peak, kind, path, times) for times in (1, 10))
    archive = path.read_bytes()
    num_gb = len(gzip.decompress(archive)) / 1e9
    plain, tuned = _time(kind, archive, path.name, rounds)
    low, median, high = statistics.quantiles([p / t for p, t in zip(plain, tuned, strict=True)], n=4)
    seconds, baseline = statistics.median(tuned) / num_gb, statistics.median(plain) / num_gb
    return [
        _row(f"parsing {kind}", seconds, "s/GB raw", baseline, median),
        _row(f"parsing {kind}, lower quartile of the ratio", low, "x", 1.0, low),
        _row(f"parsing {kind}, upper quartile of the ratio", high, "x", 1.0, high),
        _row(f"peak memory of ten times the {kind}", ten_times, "MB", once, once / ten_times),
    ]


def _row(name: str, value: float, unit: str, baseline: float, ratio: float) -> Row:
    return {"name": name, "value": float(value), "unit": unit, "baseline": float(baseline), "ratio": float(ratio)}


def _in_fresh_process(function: Callable[..., float], *args: object) -> float:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


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
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _time(kind: str, archive: bytes, name: str, rounds: int) -> tuple[list[float], list[float]]:
    """CPU seconds of each round, plain and tuned."""
    read, parse = (_read_wat_plainly, parse_wat) if kind == "WAT" else (_read_warc_plainly, parse_warc)
    readers: tuple[Callable[[], pa.Table], ...] = (
        lambda: _table(read(archive, name)),
        lambda: pa.Table.from_batches(parse(BytesIO(archive), name=name, dropped=Counter()), PAIRS),
    )
    times: tuple[list[float], list[float]] = ([], [])
    for k in range(rounds + 1):
        found = [PAIRS.empty_table()] * 2
        for i in (0, 1) if k % 2 else (1, 0):  # by turns, so that neither always comes first
            start = time.process_time()
            found[i] = readers[i]()
            if k:  # the first round warms up
                times[i].append(time.process_time() - start)
        # A plain reader knows no broken URLs and characters: of other inputs a few pairs may differ.
        ids = [set(table["pair_id"].to_pylist()) for table in found]
        assert len(ids[0] ^ ids[1]) <= MAX_DIFFERENT * len(ids[1]), "the two readers find different pairs"
    return times


def _table(found: Iterator[Found]) -> pa.Table:
    rows: list[tuple[object, ...]] = []
    given = set()
    for url, text, *place in found:
        pair_id = xxhash.xxh3_64_intdigest(f"{url}\n{text}".encode())
        if pair_id not in given:
            given.add(pair_id)
            rows.append((pair_id, hashlib.sha224(url.encode()).digest()[:12], url, text, *place))
    return pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), PAIRS, strict=True)],
        schema=PAIRS,
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

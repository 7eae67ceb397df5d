"""What benchmarks run on: the tracked sample's archives, texts and names, and made-up pools of any size."""

import argparse
import gzip
import json
import random
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measure import options
from metaclip_dagster.filtering.hashes import Looks
from metaclip_dagster.matching import build_matcher, match_entries
from metaclip_dagster.parsing import parse_wat
from metaclip_dagster.schemas import ENTRIES, ENTRY_COUNTS, IMAGE_SCORES, MATCHES, writes
from metaclip_dagster.words.spacing import why_unmatchable
from resources.deployments import SAMPLE
from resources.lake.tables import TableStore
from resources.sources.wordnet import synset_names

SHARED = Path(__file__).parents[2] / "shared" / "data"
PAIRS_A_CHUNK = 65_536


def sample_archives(kind: str = "wat", snapshot: str = "*") -> list[Path]:
    """The sample's WATs or WARCs, in order."""
    return sorted((SAMPLE / "crawl" / "crawl-data").glob(f"{snapshot}/segments/*/{kind}/*.gz"))


def sample_names() -> list[str]:
    """The distinct names of WordNet's synsets, in order."""
    return list(dict.fromkeys(synset_names(str(SAMPLE / "nltk_data"))))


def read_lines(path: Path) -> list[str]:
    """The lines of a file, plain or .gz; blanks at their ends are theirs."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return data.decode("utf-8").removesuffix("\n").split("\n")


@writes(ENTRIES, name="benchmarks.inputs:listed_entries")
def listed_entries(path: str, num_entries: int | None = None) -> pa.Table:
    """The first ENTRIES of a file, one a line, or of the names of WordNet; a stage, so that workers make it."""
    names = (read_lines(Path(path)) if path else sample_names())[:num_entries]
    same = len(names)
    columns = [range(same), names, ["en"] * same, ["wordnet"] * same, range(same), [why_unmatchable(n) for n in names]]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, ENTRIES, strict=True)], schema=ENTRIES)


def write_sample(folder: Path) -> tuple[Path, Path]:
    """The sample as files of entries, one a line, and of texts, a Parquet file with a column `text`."""
    entries = folder / "names of WordNet"
    entries.write_text("\n".join(sample_names()) + "\n", "utf-8")
    return entries, write_texts(folder / "texts of the sample", sample_archives())


def write_texts(path: Path, wats: Sequence[Path]) -> Path:
    """The texts of WATs, as a Parquet file with a column `text`."""
    batches = [batch.select(["text"]) for wat in wats for batch in _parse(wat)]
    pq.write_table(pa.Table.from_batches(batches), path)
    return path


def replicate(archive: Path, copies: range, to: Path) -> None:
    """The archive so many times over, the hosts of each copy its own, so that no pair is another's.

    Names of hosts keep their length, so that records keep theirs.
    """
    members = list(_members(archive.read_bytes()))
    with to.open("wb") as file:
        for copy in copies:
            for member in members:
                file.write(gzip.compress(member.replace(b".example", b".x%06d" % copy), 1))


def dilute(wat: bytes, images_per_mb: float, seed: int = 7) -> bytes:
    """The WAT with all its images, so many a megabyte of JSON, among what a crawl's pages have and these have not.

    Each page gets headers, metas, scripts and a `metadata` record in the layout of Common Crawl's, and, until the
    images are as few as wished, links drawn from all pages of the file, but for those to licences.
    """
    draw = random.Random(seed)
    records = [record.partition(b"\r\n\r\n") for record in _members(wat)]
    described: list[Any] = [json.loads(block) if block.startswith(b"{") else None for _, _, block in records]
    pages = [(json_of, html) for json_of in described if (html := _html_of(json_of))]
    others = [_compact(link) for _, html in pages for link in html.get("Links", []) if not _is_image(link)]
    others = [link for link in others if b"creativecommons" not in link]  # or each page would have a licence
    others = others or [_compact({"path": "A@/href", "url": "/"})]
    diluted, size, num_images = [], 0, 0
    for (head, _, written), json_of in zip(records, described, strict=True):
        block = written
        if html := _html_of(json_of):
            about = _metadata_record(json_of)
            size += len(about)
            diluted.append(_wat_member(head, about))
            _add_head(json_of, html, draw)
            links = [_compact(link) for link in html.pop("Links", [])]
            num_images += sum(b'"IMG@/src"' in link for link in links)
            room = 1e6 * num_images / images_per_mb - size - len(_compact(json_of)) - sum(map(len, links))
            while room > 0:
                links.insert(draw.randrange(len(links) + 1), draw.choice(others))
                room -= len(links[-1]) + 1
            html["Links"] = "links"
            block = _compact(json_of).replace(b'"Links":"links"', b'"Links":[%b]' % b",".join(links))
        size += len(block)
        diluted.append(_wat_member(head, block))
    return b"".join(diluted)


def zipf_matches(num_pairs: int, num_entries: int, seed: int = 7) -> Iterator[pa.RecordBatch]:
    """MATCHES as head-heavy as a real pool: some 5 a pair, of which the top hundredth of entries holds two thirds."""
    weight = np.arange(1, num_entries + 1, dtype=np.float64) ** -1.0
    share = np.cumsum(weight) / weight.sum()
    entry_of_rank = np.random.default_rng(seed).permutation(num_entries)
    for start in range(0, num_pairs, PAIRS_A_CHUNK):
        draw, num = np.random.default_rng([seed, start]), min(PAIRS_A_CHUNK, num_pairs - start)
        pair = np.repeat(np.arange(num), 1 + draw.poisson(4.5, num))
        rank = np.minimum(np.searchsorted(share, draw.random(len(pair)), "right"), num_entries - 1)
        drawn = np.sort(pair * num_entries + entry_of_rank[rank])  # by pair, then by entry
        distinct = drawn[np.append(True, drawn[1:] != drawn[:-1])]
        pair, entry = distinct // num_entries, (distinct % num_entries).astype(np.uint32)
        offsets = np.searchsorted(pair, np.arange(num + 1)).astype(np.int32)
        ids = np.arange(start, start + num, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        image = np.pad(ids.view(np.uint8).reshape(num, 8), ((0, 0), (0, 4)))
        columns = [
            pa.array(ids),
            pa.FixedSizeBinaryArray.from_buffers(pa.binary(12), num, [None, pa.py_buffer(image.tobytes())]),
            pa.repeat(pa.scalar("en"), num),
            pa.array(draw.random(num, np.float32)),
            pa.ListArray.from_arrays(pa.array(offsets), pa.array(entry)),
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=MATCHES)


def write_matches(folder: Path, num_pairs: int, num_entries: int) -> str:
    """A made-up pool as one shard, written as the lake writes it; gives its path."""
    store = TableStore(str(folder), "matches", f"{num_pairs} pairs")
    name, *_ = store.commit("00000", "0" * 8, MATCHES, zipf_matches(num_pairs, num_entries))
    return str(folder / "matches" / f"{num_pairs}%20pairs" / name)


PAIR_IDS = pa.schema([MATCHES.field("pair_id")])


@writes(PAIR_IDS, name="benchmarks.inputs:repeating_pairs")
def repeating_pairs(*, index: int, num: int) -> Iterator[pa.RecordBatch]:
    """The pair_ids of a shard: nine tenths of `num` are new; up to a tenth, drawn, stand in one before it."""
    num_old = num // 10
    first = index * (num - num_old)
    new = np.arange(first, first + num - num_old, dtype=np.uint64)
    old = np.unique(np.random.default_rng(index).integers(first, size=num_old, dtype=np.uint64)) if index else new[:0]
    ids = np.concatenate([new, old]) * np.uint64(0x9E3779B97F4A7C15)  # odd: no two become one
    yield pa.record_batch([pa.array(ids)], schema=PAIR_IDS)


def pool_options(doc: str | None) -> argparse.ArgumentParser:
    """The options of a benchmark that reads MATCHES: how large a pool to make up, or whose texts to match."""
    parser = options(doc)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--num-entries", type=int, default=500_000)
    parser.add_argument("--entries", type=Path, help="one a line (.txt or .txt.gz), with --texts or --wat")
    parser.add_argument("--texts", type=Path, help="a Parquet file with a column `text`")
    parser.add_argument("--wat", type=Path)
    return parser


def write_pools(folder: Path, args: argparse.Namespace) -> tuple[list[str], int, str]:
    """The pool that the options name and one of ten times the pairs, how many entries there are, and what it is.

    Raises ValueError for entries without texts, or texts without entries.
    """
    if bool(args.entries) != bool(args.texts or args.wat):
        raise ValueError("--entries goes with --texts or --wat; without any of them a pool is made up")
    if not args.entries:
        paths = [write_matches(folder, pairs, args.num_entries) for pairs in (args.pairs, 10 * args.pairs)]
        return paths, args.num_entries, "made up by Zipf's law"
    read = partial(_read_texts, args.texts) if args.texts else partial(_parse, args.wat)
    entries = listed_entries(str(args.entries))
    names = f"{args.entries.name}, {(args.texts or args.wat).name}"
    return [_write_matches_of(folder, entries, read, times) for times in (1, 10)], entries.num_rows, names


def counts_of(entry_count: npt.NDArray[np.int64]) -> pa.Table:
    """ENTRY_COUNTS of entries e0, e1 ..."""
    num = len(entry_count)
    columns = [range(num), [f"e{i}" for i in range(num)], ["en"] * num, entry_count, entry_count, [[]] * num]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, ENTRY_COUNTS, strict=True)], schema=ENTRY_COUNTS)


def _html_of(described: Any) -> dict[str, Any]:
    payload = described["Envelope"]["Payload-Metadata"] if described else {}
    html: dict[str, Any] = payload.get("HTTP-Response-Metadata", {}).get("HTML-Metadata", {})
    return html


def _is_image(link: dict[str, str]) -> bool:
    return link["path"] == "IMG@/src"


def _compact(described: object) -> bytes:
    return json.dumps(described, ensure_ascii=False, separators=(",", ":")).encode()


def _metadata_record(described: dict[str, Any]) -> bytes:
    """The JSON of the record in which a crawler says how it fetched this page."""
    metadata = {
        "fetchTimeMs": "257",
        "charset-detected": "UTF-8",
        "languages-cld2": '{"reliable":true,"text-bytes":3918}',
    }
    fields = [{"Name": name, "Value": value} for name, value in metadata.items()]
    payload = {
        "Actual-Content-Type": "application/metadata-fields",
        "WARC-Metadata-Metadata": {"Metadata-Records": fields},
    }
    envelope = described["Envelope"] | {"Payload-Metadata": payload}
    return _compact({"Container": described["Container"], "Envelope": envelope})


def _add_head(described: dict[str, Any], html: dict[str, Any], draw: random.Random) -> None:
    response = described["Envelope"]["Payload-Metadata"]["HTTP-Response-Metadata"]
    response["Headers"] = response.get("Headers", {}) | {
        "Cache-Control": "no-store, no-cache, must-revalidate",
        "Set-Cookie": [f"session={draw.getrandbits(128):032x}; path=/; HttpOnly", "lang=en; path=/; SameSite=Lax"],
        "Link": '<https://h.example/wp-json/>; rel="https://api.w.org/"',
        "X-Crawler-Content-Encoding": "gzip",
    }
    head = html.setdefault("Head", {})
    names = ("og:title", "og:description", "og:url", "og:site_name", "twitter:card", "viewport", "generator", "robots")
    metas = [{"property": name, "content": f"{name} of page {draw.getrandbits(64):x}"} for name in names]
    scripts = [{"path": "SCRIPT@/src", "url": f"/js/{draw.getrandbits(32):x}.js?ver=6.4"} for _ in range(12)]
    head["Metas"], head["Scripts"] = head.get("Metas", []) + metas, head.get("Scripts", []) + scripts


def _wat_member(head: bytes, block: bytes) -> bytes:
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length:")]
    head = b"\r\n".join([*lines, b"Content-Length: %d" % len(block)])
    return gzip.compress(head + b"\r\n\r\n" + block + b"\r\n\r\n", 6)


def _write_matches_of(folder: Path, entries: pa.Table, read: Callable[[], Iterator[pa.RecordBatch]], times: int) -> str:
    """The pool that the pairs give, so many times over, as one shard; all texts pass for English."""
    matcher, store = build_matcher(entries), TableStore(str(folder), "matches", f"{times} times")
    matches = (
        batch
        for _ in range(times)
        for batch in match_entries(read(), matcher=matcher, identify=_all_english, dropped=Counter())
    )
    name, *_ = store.commit("00000", "0" * 8, MATCHES, matches)
    return str(folder / "matches" / f"{times}%20times" / name)


def _read_texts(path: Path) -> Iterator[pa.RecordBatch]:
    start = 0
    for batch in pq.ParquetFile(path).iter_batches(8192, columns=["text"]):
        ids = np.arange(start, start := start + batch.num_rows, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        images = pa.array([bytes(12)] * batch.num_rows, pa.binary(12))
        yield pa.record_batch([pa.array(ids), images, batch["text"]], ["pair_id", "image_id", "text"])


def _parse(wat: Path) -> Iterator[pa.RecordBatch]:
    with wat.open("rb") as archive:
        yield from parse_wat(archive, name=wat.name, dropped=Counter())


def _all_english(texts: list[str]) -> tuple[list[str], list[float]]:
    return ["en"] * len(texts), [1.0] * len(texts)


def _members(data: bytes) -> Iterator[bytes]:
    while data:
        member = zlib.decompressobj(31)
        yield member.decompress(data)
        data = member.unused_data


_BATCH = 65_536


@writes(IMAGE_SCORES, name="benchmarks.inputs:make_scores")
def make_scores(bucket: int, num_buckets: int, num: int, pool: int) -> Iterator[pa.RecordBatch]:
    """IMAGE_SCORES of one of the image store's buckets."""
    generator = np.random.default_rng(bucket)
    for start in range(0, num, _BATCH):
        size = min(_BATCH, num - start)
        looks = make_looks(generator, size, pool)
        prefixes = generator.integers(0, 2**32 // num_buckets, size) * num_buckets + bucket
        prefixes -= num_buckets * (prefixes >= 2**32)
        ids = [f"{prefix:08x}{start + at:016x}" for at, prefix in enumerate(prefixes.tolist())]
        empty = pa.array([[]] * size, IMAGE_SCORES.field("scores").type)
        yield pa.RecordBatch.from_arrays(
            [pa.array(ids), pa.array([""] * size), looks[:, 0], looks[:, 1], empty], schema=IMAGE_SCORES
        )


def make_looks(generator: np.random.Generator, num: int, pool: int) -> Looks:
    """Random ones, near copies of a few, the very same look, and one hash in the colours of blank pages."""
    kind, looks = generator.random(num), generator.integers(0, 2**60, (num, 2), np.uint64)
    looks[:, 0] ^= generator.integers(0, 2**32, num, np.uint64) << np.uint64(32)
    clusters = generator.integers(1, max(2, pool // 100), num).astype(np.uint64)
    is_copy, is_same, is_blank = (kind < 0.2), (kind >= 0.2) & (kind < 0.3), (kind >= 0.3) & (kind < 0.4)  # shares
    for column, odd in enumerate((0x9E3779B97F4A7C15, 0xD1B54A32D192ED03)):
        looks[is_copy, column] = (clusters * np.uint64(odd))[is_copy] >> np.uint64(4 * column)
    for _ in range(3):
        flipped = np.uint64(1) << generator.integers(0, 64, num, np.uint64)
        looks[:, 0] ^= np.where(is_copy & (generator.random(num) < 0.5), flipped, np.uint64(0))
    looks[is_same | is_blank, 0] = 1 << 63
    looks[is_same, 1] = 0
    colours = np.tile(generator.integers(1, 31, (num, 3)), 4) + generator.integers(-1, 2, (num, 12))
    packed = np.left_shift(colours.astype(np.uint64), np.arange(0, 60, 5, dtype=np.uint64)).sum(axis=1)
    looks[is_blank, 1] = packed[is_blank]
    return looks

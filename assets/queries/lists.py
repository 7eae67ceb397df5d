"""Copy ENTRIES into a folder of lists, a file a language, and say what they and their sources are made of."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets.queries.origins import read_origin
from metaclip_dagster.publishing.list_documents import DATA, LICENSES, TEXTS
from metaclip_dagster.publishing.list_facts import BIGRAMS, TITLES, UNIGRAMS, WORDNET, Lists, list_wordnets
from metaclip_dagster.schemas import ENTRIES
from resources.lake.resource import WHOLE, Lake
from resources.sources.resource import Sources

_NGRAMS = "wikipedia_ngrams"
_NOTED = {WORDNET: "wordnets", _NGRAMS: "dumps", UNIGRAMS: "dumps", BIGRAMS: "dumps", TITLES: "dumps"}
"""In the order in which they are made: what each notes of its origin."""


def list_missing(lake: Lake) -> list[str]:
    """The assets to be made before lists are published: entries with their sources, or sources that note no origin."""
    if not lake.finished("entries", [WHOLE]):
        return [*(name for name in _NOTED if not lake.finished(name, [WHOLE])), "entries"]
    names = {*lake.dataset("entries").to_table(columns=["source"])["source"].unique().to_pylist()}
    unnoted = [name for name in _NOTED if name in names and not read_origin(lake, name).get(_NOTED[name])]
    counts = [_NGRAMS] * (bool({UNIGRAMS, BIGRAMS} & {*unnoted}) and not read_origin(lake, _NGRAMS))
    return [name for name in _NOTED if name in {*unnoted, *counts}]


def write_lists(
    lake: Lake,
    folder: Path,
    *,
    precedence: Sequence[str],
    budget: int,
    caps: Mapping[str, int],
    is_of_sample: bool = False,
) -> Lists:
    """Write each language's entries as Parquet and as plain text into an empty folder; gives what is known of them.

    One batch is in memory at a time. Raises ValueError for a language that is no code, and for an entry that is more
    than a line.
    """
    for name in (DATA, TEXTS):
        (folder / name).mkdir(parents=True)
    counts, odd = dict[str, Counter[str]](), Counter[str]()
    for language, parts in groupby(_split_languages(lake.stream("entries")()), key=itemgetter(0)):
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", language):
            raise ValueError(f"entries: {language!r} is no code of a language, by which a file could be named")
        counts[language] = Counter()
        with (
            pq.ParquetWriter(folder / DATA / f"{language}.parquet", ENTRIES, compression="zstd") as rows,
            (folder / TEXTS / f"{language}.txt").open("w", encoding="utf-8", newline="") as lines,
        ):
            for _, batch in parts:
                rows.write_table(pa.Table.from_batches([batch.cast(ENTRIES)]))
                lines.writelines(_write_lines(language, batch["entry"]))
                counts[language].update(batch["source"].to_pylist())
                odd["unmatchable"] += len(batch) - batch["unmatchable"].null_count
                odd["controls"] += pc.sum(pc.match_substring_regex(batch["entry"], r"[\x00-\x1f\x7f-\x{9f}]")).as_py()
    return Lists(
        counts=counts,
        precedence=precedence,
        origins={name: read_origin(lake, name) for name in _NOTED},
        num_unmatchable=odd["unmatchable"],
        num_with_controls=odd["controls"],
        budget=budget,
        caps=caps,
        version=lake.manifest("entries").version,
        software=f"metaclip_dagster {version('metaclip-dagster')}",
        is_of_sample=is_of_sample,
    )


def write_licenses(lists: Lists, sources: Sources, folder: Path) -> None:
    """Copy the licence of every wordnet that has an entry; raises FileNotFoundError where its package is gone."""
    for name in {it["license_file"] for it in list_wordnets(lists)} - {""}:
        path = folder / LICENSES / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sources.read_license(name))


def _split_languages(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """The rows of ENTRIES, whose languages follow one another, in parts of one language."""
    for batch in batches:
        for language in batch["language"].unique().to_pylist():
            yield language, batch.filter(pc.equal(batch["language"], language))


def _write_lines(language: str, entries: pa.Array) -> Iterator[str]:
    for entry in entries.to_pylist():
        if "\n" in entry or "\r" in entry:
            raise ValueError(f"entries: {entry!r} in {language} is more than a line; take it out of its source")
        yield f"{entry}\n"

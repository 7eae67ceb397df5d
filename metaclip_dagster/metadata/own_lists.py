"""Read a user's own entries, a list, a table or an ontology, as candidates: labels first, then synonyms."""

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from pathlib import PurePosixPath
from typing import BinaryIO, cast

import pyarrow as pa

from metaclip_dagster.metadata import list_formats, ontologies
from metaclip_dagster.metadata.list_formats import Label
from metaclip_dagster.metadata.obo import read_obo
from metaclip_dagster.schemas import CANDIDATES, writes

MOST_CHARACTERS = 1000

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_ROWS = 65_536
_FORMATS: dict[str, Callable[[BinaryIO], Iterator[Label]]] = {
    ".txt": list_formats.read_lines,
    ".csv": list_formats.read_csv,
    ".tsv": list_formats.read_tsv,
    ".json": list_formats.read_json,
    ".jsonl": list_formats.read_json,
    ".ndjson": list_formats.read_json,
    ".parquet": list_formats.read_parquet,
    ".ttl": ontologies.read_turtle,
    ".nt": ontologies.read_ntriples,
    ".rdf": ontologies.read_rdf_xml,
    ".owl": ontologies.read_rdf_xml,
    ".xml": ontologies.read_rdf_xml,
    ".obo": read_obo,
}
_BROKEN = (ValueError, SyntaxError, RecursionError, EOFError, gzip.BadGzipFile, zlib.error, pa.ArrowException)


@writes(CANDIDATES, name="metadata.own_lists:read_own_entries", version=3)
def read_own_entries(
    file: BinaryIO, *, name: str, languages: Sequence[str] = ("en",), dropped: Counter[str]
) -> Iterator[pa.RecordBatch]:
    """Candidates of a file whose format its `name` tells: a list, a table, or an ontology of labels and synonyms.

    They rank as they stand, all labels before all synonyms. What names no language is in the first of `languages`;
    entries in others than `languages` are dropped. So are empty ones, repeats, those of more than MOST_CHARACTERS, with
    control characters (tabs too) or with bytes that are no UTF-8; each is counted. Blanks around an entry go. Memory is
    that of the distinct entries. Raises ValueError naming the file and the place for one that is broken, of no known
    format or without any entry.
    """
    kinds: tuple[dict[tuple[str, str], int], ...] = ({}, {})  # labels, synonyms
    try:
        for label in _read(file, name):
            language, entry = label.language or languages[0], label.text.strip(" \r\n")
            if reason := label.why_not or _why_not(entry, language, languages):
                dropped[reason] += 1
            else:
                kind = kinds[label.is_synonym]
                kind[language, entry] = kind.get((language, entry), 0) + 1
    except _BROKEN as error:
        so_far = sum(map(len, kinds))
        raise ValueError(f"{name}: not readable after {so_far:,} entries: {_explain(error)}") from error
    labels, synonyms = kinds
    for key in synonyms.keys() & labels.keys():
        labels[key] += synonyms.pop(key)
    distinct = len(labels) + len(synonyms)
    if not distinct:
        raise ValueError(f"{name}: holds no entry in {', '.join(languages)}; dropped: {dict(dropped) or 'nothing'}")
    if repeated := sum(labels.values()) + sum(synonyms.values()) - distinct:
        dropped["repeated"] += repeated
    ranked, scores = (item for kind in kinds for item in kind.items()), count(0, -1)
    while some := list(islice(ranked, _ROWS)):
        columns = {
            "entry": [entry for (_, entry), _ in some],
            "language": [language for (language, _), _ in some],
            "score": [float(score) for score in islice(scores, len(some))],
            "num_occurrences": [num for _, num in some],
        }
        yield pa.RecordBatch.from_pydict(columns, schema=CANDIDATES)


def _read(file: BinaryIO, name: str) -> Iterator[Label]:
    *_, last = ("", *PurePosixPath(name).suffixes)
    suffix = PurePosixPath(name.removesuffix(last)).suffix if last.lower() == ".gz" else last
    read = _FORMATS.get(suffix.lower())
    if read is None:
        raise ValueError(f"no format is known by the suffix {suffix!r}; there are {', '.join(_FORMATS)}, each also .gz")
    return read(cast(BinaryIO, gzip.open(file)) if last.lower() == ".gz" else file)


def _why_not(entry: str, language: str, languages: Sequence[str]) -> str | None:
    if not entry:
        return "empty"
    if len(entry) > MOST_CHARACTERS:
        return "too_long"
    if _SURROGATE.search(entry):
        return "not_unicode"
    if _CONTROL.search(entry):
        return "control_character"
    return None if language in languages else "other_language"


def _explain(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f"{error.msg}, line {error.lineno}"
    if isinstance(error, (EOFError, zlib.error, gzip.BadGzipFile)):
        return f"{error}; the compressed file is cut or damaged, copy it again"
    return str(error)

"""Count the pairs that hold each entry, say why others have none, and list words that are in no entry."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.covering.folding import CASE, FOUND, PUNCTUATION, Searches, split_words
from metaclip_dagster.schemas import COVERAGE, COVERAGE_PARTS, UNCOVERED_WORDS, writes
from metaclip_dagster.spilling import ROWS, spilling
from metaclip_dagster.words.languages import Identify, find_list

WORD = "word"
REASONS = ("unmatchable", CASE, PUNCTUATION, "rare")
"""Why an entry matches nothing: no text ever can; in another case, or with marks set apart, it is there; it is not."""

NUM_LISTED = 20

_MAX_WORDS = 1_000_000  # distinct words counted in Python before they are written down
_SHOWN = ["entry", "source", "num_near"]


@writes(COVERAGE_PARTS, name="covering:cover_pairs")
def cover_pairs(
    pairs: Iterable[pa.RecordBatch], *, searches: Searches, identify: Identify, seen: Counter[str]
) -> Iterator[pa.RecordBatch]:
    """Count a shard's pairs that have each entry, as it is or else read more loosely, and each word in no entry.

    Only texts in a language that has entries are searched, for those. `seen` counts `pairs` in all and, by language,
    `pairs` and `matched`. Memory is that of the searches and of a million words.
    """
    counts = {kind: np.zeros(len(search.members), np.uint64) for kind, search in searches.by_kind.items()}
    words: Counter[tuple[str, str]] = Counter()
    for batch in pairs:
        texts = batch["text"].to_pylist()
        seen["pairs"] += len(texts)
        identified_languages, _ = identify(texts)
        lists = {language: find_list(language, searches.words.keys()) for language in {*identified_languages}}
        languages = [lists[language] for language in identified_languages]
        for language in searches.words.keys() & set(languages):
            language_texts = [text for text, identified in zip(texts, languages, strict=True) if identified == language]
            seen[f"pairs {language}"] += len(language_texts)
            for kind, search in searches.by_kind.items():
                offsets, entry_rows = search.matcher.engines[language].match(
                    pa.array(map(search.fold, language_texts), pa.string())
                )
                counts[kind] += np.bincount(entry_rows, minlength=len(search.members)).astype(np.uint64)
                if kind == FOUND:
                    seen[f"matched {language}"] += int((np.diff(offsets) > 0).sum())
            entry_words = searches.words[language]
            words.update(
                (language, word) for text in language_texts for word in split_words(text, language) - entry_words
            )
        if len(words) >= _MAX_WORDS:
            yield from _batch_rows([(WORD, *key, num) for key, num in sorted(words.items())])
            words.clear()
    yield from _batch_rows([(WORD, *key, num) for key, num in sorted(words.items())])
    yield from _batch_rows(list(_settle_entries(searches, counts)))


@writes(COVERAGE, name="covering:merge_coverage")
def merge_coverage(parts: Iterable[pa.RecordBatch], *, entries: pa.Table) -> pa.Table:
    """One row an entry, in their order: the pairs that match it, or why none does."""
    with spilling() as query:
        query.register("parts", pa.RecordBatchReader.from_batches(COVERAGE_PARTS, iter(parts)))
        query.register("entries", entries)
        merged = query.sql(
            """with counted as (
                    select language, name, coalesce(sum(num_pairs) filter (kind = 'found'), 0) as found,
                           coalesce(sum(num_pairs) filter (kind = 'case'), 0) as cased,
                           coalesce(sum(num_pairs) filter (kind = 'punctuation'), 0) as loose
                    from parts where kind <> 'word' group by all)
                select entry_id, entry, entries.language as language, source, unmatchable,
                       coalesce(found, 0)::ubigint as num_pairs,
                       case when found > 0 then null when unmatchable is not null then 'unmatchable'
                            when cased > 0 then 'case' when loose > 0 then 'punctuation' else 'rare' end as why,
                       (case when found > 0 then 0 when cased > 0 then cased else coalesce(loose, 0) end)::ubigint
                           as num_near
                from entries left join counted on entries.language = counted.language and entry = name
                order by entry_id"""
        ).to_arrow_table()
    return merged.select(COVERAGE.names).cast(COVERAGE)


@writes(UNCOVERED_WORDS, name="covering:rank_words")
def rank_words(parts: Iterable[pa.RecordBatch], *, top: int) -> pa.Table:
    """The words that no entry of their language has, the most frequent `top` of each language."""
    with spilling() as query:
        query.register("parts", pa.RecordBatchReader.from_batches(COVERAGE_PARTS, iter(parts)))
        ranked = query.sql(
            """select language, name as word, sum(num_pairs)::ubigint as num_pairs from parts where kind = 'word'
               group by language, name
               qualify row_number() over (partition by language order by sum(num_pairs) desc, name) <= ?
               order by language, num_pairs desc, word""",
            params=[top],
        ).to_arrow_table()
    return ranked.cast(UNCOVERED_WORDS)


def describe_coverage(coverage: pa.Table, words: pa.Table, seen: Mapping[str, int]) -> dict[str, Any]:
    """What the tables and `seen` say: pairs, and by language entries found, why others are not, examples and words."""
    languages = []
    for language in pc.unique(coverage["language"]).to_pylist():
        of_language = coverage.filter(pc.equal(coverage["language"], language))
        lacking = {why: of_language.filter(pc.equal(of_language["why"], why)) for why in REASONS}
        nearest = {
            why: rows.sort_by([("num_near", "descending"), ("entry_id", "ascending")]) for why, rows in lacking.items()
        }
        unmatchable = pc.value_counts(lacking["unmatchable"]["unmatchable"]).to_pylist()
        summary = {
            "language": language,
            "pairs": seen.get(f"pairs {language}", 0),
            "matched": seen.get(f"matched {language}", 0),
            "entries": of_language.num_rows,
            "found": of_language.num_rows - sum(rows.num_rows for rows in lacking.values()),
            "why": {why: rows.num_rows for why, rows in lacking.items()},
            "unmatchable": {counted["values"]: counted["counts"] for counted in unmatchable},
            "examples": {why: rows.slice(0, NUM_LISTED).select(_SHOWN).to_pylist() for why, rows in nearest.items()},
            "words": words.filter(pc.equal(words["language"], language)).select(["word", "num_pairs"]).to_pylist(),
        }
        languages.append(summary)
    matched = sum(language["matched"] for language in languages)
    return {"pairs": seen.get("pairs", 0), "matched": matched, "languages": languages}


def _settle_entries(
    searches: Searches, counts: Mapping[str, npt.NDArray[np.uint64]]
) -> Iterator[tuple[str, str, str, int]]:
    """Each entry by the strictest way of reading in which the shard has it."""
    is_open = np.ones(searches.entries.num_rows, bool)
    for kind, search in searches.by_kind.items():
        rows = search.members.flatten().to_numpy()
        of_entry = np.repeat(counts[kind], pc.list_value_length(search.members).to_numpy())
        is_settled = is_open[rows] & (of_entry > 0)
        is_open[rows[is_settled]] = False
        settled = searches.entries.take(pa.array(rows[is_settled]))
        yield from zip(
            [kind] * len(settled),
            settled["language"].to_pylist(),
            settled["entry"].to_pylist(),
            of_entry[is_settled].tolist(),
            strict=True,
        )


def _batch_rows(rows: list[tuple[str, str, str, int]]) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(rows), ROWS):
        columns = zip(*rows[start : start + ROWS], strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, COVERAGE_PARTS, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=COVERAGE_PARTS)

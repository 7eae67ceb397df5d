"""Search texts for entries more loosely than a match does: without regard to case or punctuation."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from metaclip_dagster.schemas import ENTRIES, named
from metaclip_dagster.words.scripts import segment_words
from metaclip_dagster.words.spacing import space_marks

FOUND, CASE, PUNCTUATION = "found", "case", "punctuation"

_MARK = re.compile(r"[^\w\s]|_")


class Matcher(Protocol):
    """What finds the entries of a language in texts: `engines[language].match(texts)` gives offsets and entry ids."""

    @property
    def engines(self) -> Mapping[str, Any]: ...  # noqa: D102


@dataclass(frozen=True)
class Search:
    """Entries as one way of reading has them: folded, those that become the same together."""

    matcher: Matcher
    fold: Callable[[str], str]
    members: pa.ListArray
    """For each folded entry, the rows of ENTRIES that became it."""


@dataclass(frozen=True)
class Searches:
    """ENTRIES, the words of each language's entries, and a search for each way of reading, the strictest first."""

    entries: pa.Table
    words: Mapping[str, set[str]]
    by_kind: Mapping[str, Search]


@named("folding:build_searches")
def build_searches(entries: pa.Table, build_matcher: Callable[[pa.Table], Matcher]) -> Searches:
    """Index ENTRIES as they are, in lower case, and in lower case with every mark set apart; once a process."""
    words: dict[str, set[str]] = {}
    for language, entry in zip(entries["language"].to_pylist(), entries["entry"].to_pylist(), strict=True):
        words.setdefault(language, set()).update(split_words(entry, language))
    folds: dict[str, Callable[[str], str]] = {FOUND: str, CASE: str.lower, PUNCTUATION: loosen_text}
    return Searches(entries, words, {kind: index_folded(entries, fold, build_matcher) for kind, fold in folds.items()})


def index_folded(entries: pa.Table, fold: Callable[[str], str], build_matcher: Callable[[pa.Table], Matcher]) -> Search:
    """Index ENTRIES as they are when folded; those that become the same are found together."""
    members: dict[tuple[str, str], list[int]] = {}
    for row, (language, entry) in enumerate(
        zip(entries["language"].to_pylist(), entries["entry"].to_pylist(), strict=True)
    ):
        members.setdefault((language, fold(entry)), []).append(row)
    ids, same = range(len(members)), [None] * len(members)
    columns = [ids, [entry for _, entry in members], [language for language, _ in members], same, ids, same]
    folded = pa.table([pa.array(column, field.type) for column, field in zip(columns, ENTRIES, strict=True)], ENTRIES)
    return Search(build_matcher(folded), fold, pa.array(members.values(), pa.list_(pa.uint32())))


def split_words(text: str, language: str) -> set[str]:
    """The words of the text as matching parts them, and dictionaries where a language has no spaces.

    >>> sorted(split_words("Dogs, cats & the dog's tail!", "en"))
    ['Dogs', 'cats', "dog's", 'tail', 'the']
    """
    return {word for word in segment_words(space_marks(text, language), language) if any(map(str.isalnum, word))}


def loosen_text(text: str) -> str:
    """The text in lower case, each mark, hyphen, quote and symbol a space, and one space between words.

    >>> loosen_text("The (AC/DC) rock-'n'-roll!")
    'the ac dc rock n roll'
    """
    return " ".join(_MARK.sub(_space_mark, text.lower()).split())


def _space_mark(mark: re.Match[str]) -> str:
    # What is no letter to a regular expression may be a vowel: Thai and Indic scripts write them as combining marks.
    return " " if unicodedata.category(mark.group())[0] in "PS" else mark.group()

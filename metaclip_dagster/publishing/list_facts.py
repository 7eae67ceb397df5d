"""Describe lists of entries as they lie in a folder: numbers by language and source, rules, and where they are from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metaclip_dagster.reporting.html.numbers import percent

WORDNET, UNIGRAMS, BIGRAMS, TITLES = "wordnet_synsets", "wikipedia_unigrams", "wikipedia_bigrams", "wikipedia_titles"
NUMBERS = "numbers"
OWN = "own:"
"""What begins the name of a source that is a list of one's own."""

NOT_NOTED = "not noted: an earlier version made it"


@dataclass(frozen=True)
class Lists:
    """Lists of entries, one a language, and what their sources were made of."""

    counts: Mapping[str, Mapping[str, int]]
    """Entries by language, in the order of ENTRIES, and in each by source."""
    precedence: Sequence[str]
    """Every source that entries may have, the first one first."""
    origins: Mapping[str, Mapping[str, Any]]
    """By source: `wordnets`, `dumps` and `limits` by language, `days` of views."""
    num_unmatchable: int
    """Entries that no text can hold."""
    num_with_controls: int
    """Entries with a control character, which a list of one's own may not have."""
    budget: int
    """The most entries of a language."""
    caps: Mapping[str, int]
    """The most that a source adds to a language, by source."""
    version: str
    """Of ENTRIES."""
    software: str
    """What wrote it, with its version."""
    is_of_sample: bool = False

    @property
    def num_entries(self) -> int:
        """Of all languages."""
        return sum(sum(of.values()) for of in self.counts.values())

    @property
    def sources(self) -> list[str]:
        """Every source that has an entry, by precedence."""
        return [source for source in self.precedence if self.languages_of(source)]

    def languages_of(self, source: str) -> list[str]:
        """The languages that have an entry of a source."""
        return [language for language, of in self.counts.items() if of.get(source)]


def describe_rules(lists: Lists) -> list[tuple[str, str, list[str]]]:
    """For each source, what it takes, and of which languages: a row for each rule."""
    rows = []
    for source in lists.sources:
        rules: dict[str, list[str]] = {}
        for language in lists.languages_of(source):
            rules.setdefault(_describe_rule(source, lists.origins.get(source, {}), language), []).append(language)
        rows += [(source, rule, languages) for rule, languages in rules.items()]
    return rows


def list_wordnets(lists: Lists) -> list[dict[str, str]]:
    """Every wordnet that has an entry, with its language; with no name where its making did not note any."""
    wordnets = lists.origins.get(WORDNET, {}).get("wordnets", {})
    return [
        {"language": language, **wordnet}
        for language in lists.languages_of(WORDNET)
        for wordnet in wordnets.get(language) or [dict.fromkeys(("name", "url", "license", "license_file"), "")]
    ]


def list_dumps(lists: Lists) -> list[tuple[str, str, str]]:
    """Of each language with an entry from Wikipedia: the dumps of its words and pairs of words, and of its titles."""
    return [
        (language, of_words, of_titles)
        for language in lists.counts
        if (of_words := _name_dumps(lists, (UNIGRAMS, BIGRAMS), language))
        + (of_titles := _name_dumps(lists, (TITLES,), language))
    ]


def describe_views(lists: Lists) -> str:
    """Of how many days the views are that titles are ranked by; empty where no entry is a title."""
    if TITLES not in lists.sources:
        return ""
    days = sorted(day.removeprefix("pageviews-") for day in lists.origins[TITLES].get("days", []))
    if not days:
        return NOT_NOTED
    return f"{len(days)} days from {_format_day(days[0])} to {_format_day(days[-1])}"


def list_own(lists: Lists) -> list[str]:
    """The file names of one's own lists that have an entry."""
    return [source.removeprefix(OWN) for source in lists.sources if source.startswith(OWN)]


def _name_dumps(lists: Lists, sources: Sequence[str], language: str) -> str:
    used = [source for source in sources if lists.counts[language].get(source)]
    dumps = _distinct(
        dump for it in used for dump in lists.origins.get(it, {}).get("dumps", {}).get(language, [NOT_NOTED])
    )
    return ", ".join(dumps)


def _distinct(names: Iterable[str]) -> list[str]:
    return [*dict.fromkeys(names)]


def _describe_rule(source: str, origin: Mapping[str, Any], language: str) -> str:
    """What a source takes of a language, by the limits that it was made with."""
    if source == WORDNET:
        return "every name of every synset, by how many synsets bear it"
    if source == NUMBERS:
        return "0 to 99, in digits"
    if source.startswith(OWN):
        return "every entry of the file, as they stand there; labels before synonyms"
    limits = origin.get("limits", {}).get(language)
    if limits is None:
        return NOT_NOTED
    together = f" that stand together {origin.get('min_count', 1)} times at least"
    in_dump = " that are articles of the dump" if origin.get("in_dump_only") else ""
    what, by, limit, of = {
        UNIGRAMS: ("words", "count", "seen {min_count:,} times at least", "the words"),
        BIGRAMS: (f"neighbouring words{together}", "PMI", "with a PMI of {min_pmi:g} at least", "the number of words"),
        TITLES: (f"titles{in_dump}", "views", "with {min_views:,} views at least", "those that were viewed"),
    }[source]
    if limits["share"] is not None:
        return f"{what}, the first by {by}: {percent(limits['share'])} of {of}, at most {limits['top']:,}"
    most = f", at most {limits['top']:,}" if limits["top"] else ""
    return f"{what}, {limit.format(**limits)}, by {by}{most}"


def _format_day(day: str) -> str:
    return f"{day[:4]}-{day[4:6]}-{day[6:8]}"

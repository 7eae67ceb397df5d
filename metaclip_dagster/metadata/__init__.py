"""WordNet, Wikipedia and lists of one's own -> CANDIDATES -> ENTRIES, the metadata that texts are searched for."""

from metaclip_dagster.metadata.candidates import count_bigrams, count_unigrams, rank_synsets, rank_titles
from metaclip_dagster.metadata.entries import build_entries, describe_entries
from metaclip_dagster.metadata.own_lists import read_own_entries
from metaclip_dagster.metadata.wikitext import plain_text, runs_of_words

__all__ = [
    "build_entries",
    "count_bigrams",
    "count_unigrams",
    "describe_entries",
    "plain_text",
    "rank_synsets",
    "rank_titles",
    "read_own_entries",
    "runs_of_words",
]

"""Make the entries that texts are searched for, from WordNet, Wikipedia and own lists: CANDIDATES -> ENTRIES."""

from metaclip_dagster.metadata.candidates import rank_bigrams, rank_synsets, rank_titles, rank_unigrams
from metaclip_dagster.metadata.entries import build_entries, count_missing, describe_entries
from metaclip_dagster.metadata.ngrams import count_ngrams, count_views, list_pages, sum_counts
from metaclip_dagster.metadata.numbers import NUMBERS, list_numbers
from metaclip_dagster.metadata.own_lists import read_own_entries
from metaclip_dagster.metadata.wikitext import split_runs, strip_markup

"""Say which entries the texts hold, and why not the others: PAIRS, ENTRIES -> COVERAGE."""

from metaclip_dagster.covering.coverage import REASONS, cover_pairs, describe_coverage, merge_coverage, rank_words
from metaclip_dagster.covering.folding import split_words
from metaclip_dagster.covering.names import build_name_searches, count_names, space_name, why_uncountable

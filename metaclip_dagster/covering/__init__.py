"""Say which entries the texts hold, and why not the others: PAIRS, ENTRIES -> COVERAGE."""

from metaclip_dagster.covering.coverage import REASONS, cover_pairs, describe_coverage, merge_coverage, rank_words

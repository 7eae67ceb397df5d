"""Cut the head of the distribution and keep the tail: MATCHES, ENTRY_COUNTS -> ADMISSIONS -> SUBSETS."""

from metaclip_dagster.balancing.admissions import Draw, admit, build_draw, draw_pairs, keep_probability, uniform
from metaclip_dagster.balancing.subsets import select_pairs
from metaclip_dagster.balancing.thresholds import (
    count_sizes,
    find_thresholds,
    language_thresholds,
    parse_threshold,
    prepare_thresholds,
)

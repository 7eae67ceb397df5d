"""Find every entry in the texts of pairs: PAIRS, ENTRIES -> MATCHES."""

from metaclip_dagster.matching.matches import (
    INDEX,
    Engine,
    Matcher,
    build_matcher,
    build_matcher_of_the_paper,
    index_entries,
    match_entries,
    open_matcher,
)
from metaclip_dagster.words.spacing import why_unmatchable, why_unmatchable_in_the_paper

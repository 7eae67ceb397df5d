"""Find every entry in the texts of pairs: PAIRS, ENTRIES -> MATCHES."""

from metaclip_dagster.matching.matches import (
    INDEX,
    Engine,
    Matcher,
    build_matcher,
    index_entries,
    match_entries,
    open_matcher,
)
from metaclip_dagster.words.spacing import why_unmatchable

"""Count the pairs that match each entry, and set counts beside others: MATCHES, EXCLUSIONS -> ENTRY_COUNTS."""

from metaclip_dagster.counting.comparison import COMPARISON, FEWEST_MATCHES, compare_shares, describe_comparison
from metaclip_dagster.counting.distribution import DISTRIBUTION, build_distribution, write_distribution
from metaclip_dagster.counting.matches import MOST_ENTRIES, count_entries, merge_counts
from metaclip_dagster.counting.published import PublishedCounts, read_published

"""What a person reads: the data card of one t, before and after balancing, as JSON, plots and a page."""

from metaclip_dagster.reporting.cards import Pairs, count_pairs, count_scores, count_subset, describe_subset
from metaclip_dagster.reporting.pages import render_card
from metaclip_dagster.reporting.plots import plot_counts, plot_shares, plot_sizes

__all__ = [
    "Pairs",
    "count_pairs",
    "count_scores",
    "count_subset",
    "describe_subset",
    "plot_counts",
    "plot_shares",
    "plot_sizes",
    "render_card",
]

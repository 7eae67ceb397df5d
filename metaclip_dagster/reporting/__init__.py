"""What a person reads: the data card of one t and the sweep over all t, as JSON, plots and a page."""

from metaclip_dagster.reporting.cards import Pairs, count_pairs, count_scores, count_subset, describe_subset
from metaclip_dagster.reporting.coverages import render_coverage
from metaclip_dagster.reporting.entries import Distribution
from metaclip_dagster.reporting.entry_lists import render_entries
from metaclip_dagster.reporting.pages import render_card
from metaclip_dagster.reporting.plots import plot_counts, plot_shares, plot_sizes
from metaclip_dagster.reporting.sweep_cells import PoolVersion, TrainedCell
from metaclip_dagster.reporting.sweep_comparisons import bar_above
from metaclip_dagster.reporting.sweep_pages import render_sweep
from metaclip_dagster.reporting.sweep_plots import plot_losses, plot_sweep
from metaclip_dagster.reporting.sweep_scores import mean_over_tasks
from metaclip_dagster.reporting.sweep_tables import sweep_table
from metaclip_dagster.reporting.sweeps import Cost, SetFacts, describe_sweep

__all__ = [
    "Cost",
    "Distribution",
    "Pairs",
    "PoolVersion",
    "SetFacts",
    "TrainedCell",
    "bar_above",
    "count_pairs",
    "count_scores",
    "count_subset",
    "describe_subset",
    "describe_sweep",
    "mean_over_tasks",
    "plot_counts",
    "plot_losses",
    "plot_shares",
    "plot_sizes",
    "plot_sweep",
    "render_card",
    "render_coverage",
    "render_entries",
    "render_sweep",
    "sweep_table",
]

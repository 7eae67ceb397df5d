"""What a person reads: the data card of one t and the sweep over all t, as JSON, plots and a page."""

from metaclip_dagster.reporting.cards import Pairs, count_pairs, count_scores, count_subset, describe_subset
from metaclip_dagster.reporting.entries import Distribution
from metaclip_dagster.reporting.pages import render_card
from metaclip_dagster.reporting.plots import plot_counts, plot_shares, plot_sizes
from metaclip_dagster.reporting.sweep_cells import TrainedCell
from metaclip_dagster.reporting.sweep_pages import render_sweep
from metaclip_dagster.reporting.sweep_plots import plot_losses, plot_scores, plot_sweep
from metaclip_dagster.reporting.sweep_tables import sweep_markdown, sweep_table
from metaclip_dagster.reporting.sweeps import Cost, SetFacts, describe_sweep

__all__ = [
    "Cost",
    "Distribution",
    "Pairs",
    "SetFacts",
    "TrainedCell",
    "count_pairs",
    "count_scores",
    "count_subset",
    "describe_subset",
    "describe_sweep",
    "plot_counts",
    "plot_losses",
    "plot_scores",
    "plot_shares",
    "plot_sizes",
    "plot_sweep",
    "render_card",
    "render_sweep",
    "sweep_markdown",
    "sweep_table",
]

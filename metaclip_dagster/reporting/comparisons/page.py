"""Render the page of a comparison with published counts, and plot the shares of each entry on both sides."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.reporting.html.canvas import BEFORE, DASHED, MARK, new_axes, to_png, write_note
from metaclip_dagster.reporting.html.pages import render


def render_comparison(report: Mapping[str, Any], plot: bytes) -> str:
    """The page of what `describe_comparison` gives, with `compared`, `file` and `balanced_to` in words."""
    return render("comparisons/comparison.html", report=report, plot=plot)


def plot_shares_of_both(comparison: pa.Table) -> bytes:
    """Entries by their share there and here, darker where there are more of them; beside the line of equal shares.

    Only entries with a match on both sides are drawn, for both axes are logarithmic. PNG of 900 x 500 pixels.
    """
    both = comparison.filter((pc.field("share_here") > 0) & (pc.field("share_there") > 0))
    here, there = both["share_here"].to_numpy(), both["share_there"].to_numpy()
    figure, axes = new_axes("Share of all matches there (%, log)", "Share of all matches here (%, log)")
    axes.set(xscale="log", yscale="log")
    if not both.num_rows:
        axes.text(0.5, 0.5, "no entry has a match on both sides", transform=axes.transAxes, ha="center", color=MARK)
        return to_png(figure)
    from matplotlib.colors import LinearSegmentedColormap, LogNorm  # noqa: PLC0415  # heavy: only for who plots

    low, high = (100 * edge for edge in (min(here.min(), there.min()) / 2, max(here.max(), there.max()) * 2))
    blues = LinearSegmentedColormap.from_list("entries", ["#BFDDF0", BEFORE, "#00223A"])
    grid = (np.log10(low), np.log10(high)) * 2
    axes.hexbin(
        100 * there, 100 * here, xscale="log", yscale="log", gridsize=70, extent=grid, cmap=blues, norm=LogNorm()
    )
    axes.set(xlim=(low, high), ylim=(low, high))
    for factor in (0.5, 1, 2):
        axes.plot([low, high], [low * factor, high * factor], color=MARK, **(DASHED if factor != 1 else {"lw": 1.2}))
    write_note(axes, "richer here", (low * 1.3, high / 1.6), up=False, left=False)
    write_note(axes, "poorer here", (high / 1.3, low * 1.6), up=True, left=True)
    return to_png(figure)

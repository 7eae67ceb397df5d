"""Render the page of a comparison, and plot the shares of each entry on both sides."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.reporting.html.canvas import BEFORE, DASHED, MARK, new_axes, to_png, write_note
from metaclip_dagster.reporting.html.pages import render
from metaclip_dagster.reporting.html.text import reveal
from metaclip_dagster.reporting.html.thumbnails import Picture, Pictures

_PLAIN = re.compile(r"[\w ().-]{1,24}", re.ASCII)
"""A name for plots and headings: a longer one pushes columns out, others hold what fonts lack, or seem a formula."""
_MOST_OF_NAME = 60


def render_comparison(
    report: Mapping[str, Any],
    plot: bytes | None,
    pictures: Mapping[str, Sequence[Picture]] | None = None,
    mode: Pictures = "shown",
    *,
    foreign: Collection[str] = (),
) -> str:
    """The page of a comparison: of each part of the report that is there; the plot where there are counts.

    `pictures` are those of the examples of pairs that one side alone has, `only_here` and `only_there`. Those of
    `foreign`, which are of another deployment, are blurred at least: what it says of its pictures is not known here.
    """
    of_foreign = "blurred" if mode == "shown" else mode
    modes = {side: of_foreign if side in foreign else mode for side in pictures or {}}
    full = {f"full_{side}": reveal(report[side], _MOST_OF_NAME) for side in ("here", "there")}
    names = {**full, **dict(zip(("here", "there"), _shorten(report["here"], report["there"]), strict=True))}
    shown = {"pictures": pictures or {}, "mode": mode, "modes": modes}
    return render("comparisons/comparison.html", report=report, plot=plot, **shown, **names)


def plot_shares_of_both(comparison: pa.Table, here: str = "the first", there: str = "the second") -> bytes:
    """Entries by their share there and here, darker where there are more of them; beside the line of equal shares.

    Only entries with a match on both sides are drawn, for both axes are logarithmic. PNG of 900 x 500 pixels.
    """
    here, there = _shorten(here, there)
    both = comparison.filter((pc.field("share_here") > 0) & (pc.field("share_there") > 0))
    of_here, of_there = both["share_here"].to_numpy(), both["share_there"].to_numpy()
    figure, axes = new_axes(*(f"Share of all matches in {name} (%, log)" for name in (there, here)))
    axes.set(xscale="log", yscale="log")
    if not both.num_rows:
        axes.text(0.5, 0.5, "no entry has a match on both sides", transform=axes.transAxes, ha="center", color=MARK)
        return to_png(figure)
    from matplotlib.colors import LinearSegmentedColormap, LogNorm  # noqa: PLC0415  # heavy: only for who plots

    low, high = (
        100 * edge for edge in (min(of_here.min(), of_there.min()) / 2, max(of_here.max(), of_there.max()) * 2)
    )
    blues = LinearSegmentedColormap.from_list("entries", ["#BFDDF0", BEFORE, "#00223A"])
    grid = (np.log10(low), np.log10(high)) * 2
    axes.hexbin(
        100 * of_there, 100 * of_here, xscale="log", yscale="log", gridsize=70, extent=grid, cmap=blues, norm=LogNorm()
    )
    axes.set(xlim=(low, high), ylim=(low, high))
    for factor in (0.5, 1, 2):
        axes.plot([low, high], [low * factor, high * factor], color=MARK, **(DASHED if factor != 1 else {"lw": 1.2}))
    write_note(axes, f"richer in {here}", (low * 1.3, high / 1.6), up=False, left=False)
    write_note(axes, f"poorer in {here}", (high / 1.3, low * 1.6), up=True, left=True)
    return to_png(figure)


def _shorten(here: str, there: str) -> list[str]:
    return [name if _PLAIN.fullmatch(name) else f"the {rank}" for name, rank in ((here, "first"), (there, "second"))]

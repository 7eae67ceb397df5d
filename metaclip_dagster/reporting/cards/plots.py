"""Plot counts by rank, matches by rank and subset sizes over t for a data card, as PNG of 900 x 500 pixels."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from metaclip_dagster.reporting.html.canvas import (
    AFTER,
    BEFORE,
    DASHED,
    MARK,
    draw_curve,
    new_axes,
    shorten_labels,
    spell_t,
    to_png,
    write_note,
)
from metaclip_dagster.reporting.html.numbers import shorten_number

Counts = npt.NDArray[np.uint64]

CAPTIONS = {
    "counts": "Pairs that match each entry, entries ranked by their own count before and after. Above t the curve is "
    "flattened, though not to a line: a pair kept for one entry brings its other entries along.",
    "shares": "Share of all matches that the most frequent entries hold. The lower curve is the more even one.",
    "sizes": "Pairs kept at every t. A subset of smaller t lies inside every subset of larger t.",
}
"""What to see in each plot, by name, in the order in which the card has them."""


def plot_counts(before: Counts, after: Counts, t: str) -> bytes:
    """Entries by rank against the pairs that match them, before and after, each ranked by its own counts, with t.

    After the paper's Figure 2; both axes logarithmic, so entries that nothing matches are not drawn.
    """
    figure, axes = new_axes(f"Rank of the entry, of {len(before):,} (log)", "Pairs that match it (log)")
    highest = max(int(before.max(initial=1)), 10)
    axes.set(xscale="log", yscale="log", xlim=(1, max(len(before), 10)), ylim=(0.7, highest * 2))
    shorten_labels(axes.xaxis, axes.yaxis)
    draw_curve(axes, *_rank_counts(before), color=BEFORE, wide=True, label="before: the pool")
    draw_curve(axes, *_rank_counts(after), color=AFTER, label=f"after: t = {spell_t(t)}")
    if not before.any():
        axes.text(0.5, 0.5, "no entry has a match", transform=axes.transAxes, ha="center", color=MARK)
    if float(t) < highest * 2:
        axes.axhline(float(t), color=MARK, **DASHED)
        # To the right the curves run low, and only a t near the top would meet the legend.
        write_note(axes, f"t = {spell_t(t)}", (max(len(before), 10), float(t)), up=float(t) < highest / 30, left=True)
    axes.legend(loc="upper right")
    return to_png(figure)


def plot_shares(before: Counts, after: Counts) -> bytes:
    """Share of all matches that the first so many entries hold, before and after: how heavy the head is.

    After the paper's Figure 3, but ranked from the head; the dashed line marks the first hundredth of the entries.
    """
    figure, axes = new_axes(f"First so many of {len(before):,} entries, by count (log)", "Share of all matches (%)")
    axes.set(xscale="log", xlim=(1, max(len(before), 10)), ylim=(0, 102))
    hundredth = max(len(before) // 100, 1)
    for counts, name, colour in ((before, "before", BEFORE), (after, "after", AFTER)):
        if not counts.any():
            continue
        matches = np.cumsum(np.sort(counts)[::-1], dtype=np.float64)
        ranks = _space_ranks(len(matches))
        percent = 100 * matches / matches[-1]
        label = f"{name}: the first {hundredth:,} of {len(matches):,} hold {percent[hundredth - 1]:.0f}% of the matches"
        draw_curve(axes, ranks, percent[ranks - 1], color=colour, wide=name == "before", label=label)
        axes.plot([hundredth], [percent[hundredth - 1]], "o", color=colour, markersize=7, markeredgecolor="white")
    shorten_labels(axes.xaxis)
    axes.axvline(hundredth, color=MARK, **DASHED)
    if axes.get_legend_handles_labels()[0]:
        # Above the axes, for a heavy head fills the free corner.
        axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), borderaxespad=0.2)
    return to_png(figure)


def plot_sizes(t_values: Sequence[float], sizes: Sequence[int], rungs: Mapping[str, int]) -> bytes:
    """Pairs in D(t) over t, with the rungs, t as text and its pairs, as points; inf as the line of the whole pool."""
    figure, axes = new_axes("t: matches above which an entry is thinned (log)", "Pairs kept, |D(t)|")
    finite = {text: num for text, num in rungs.items() if np.isfinite(float(text))}
    curve = [(t, num) for t, num in zip(t_values, sizes, strict=True) if 0 < t < np.inf]
    every_t = [t for t, _ in curve] + [float(text) for text in finite]
    top = max([1, *sizes, *rungs.values()])
    low, high = (min(every_t), max(every_t)) if every_t else (1.0, 10.0)
    axes.set(xscale="log", xlim=(low / 1.5, high * 1.5), ylim=(0, top * 1.12))
    shorten_labels(axes.xaxis, axes.yaxis)
    draw_curve(axes, [t for t, _ in curve], [num for _, num in curve], color=BEFORE)
    for text in sorted(set(rungs) - set(finite)):
        axes.axhline(rungs[text], color=MARK, **DASHED)
        pool = f"t = inf, the pool: {shorten_number(rungs[text])} pairs"
        write_note(axes, pool, (low / 1.5, rungs[text]), up=True, left=False)
    points = [float(text) for text in finite]
    axes.plot(points, [*finite.values()], "o", color=AFTER, markersize=9, markeredgecolor="white")
    for text, num in finite.items():
        # Above and left of a point no rising curve can be, unless the axis ends there.
        near_edge = np.log(float(text) / low) < 0.15 * np.log(high / low)
        size = f"t = {spell_t(text)}\n{shorten_number(num)} pairs"
        write_note(axes, size, (float(text), num), up=True, left=not near_edge)
    return to_png(figure)


def _rank_counts(counts: Counts) -> tuple[npt.NDArray[np.int64], Counts]:
    ranked = np.sort(counts[counts > 0])[::-1]
    ranks = _space_ranks(len(ranked))
    return ranks, ranked[ranks - 1]


def _space_ranks(num: int, points: int = 1500) -> npt.NDArray[np.int64]:
    """Ranks from 1 to `num`, dense where a logarithmic axis shows them: a curve of millions in a small file."""
    return np.unique(np.round(np.geomspace(1, num, points)).astype(np.int64)) if num else np.zeros(0, np.int64)

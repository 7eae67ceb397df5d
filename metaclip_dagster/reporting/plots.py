"""Counts by rank, matches by rank and subset sizes over t as PNG of 900 x 500; same numbers, same bytes."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.uint64]

WIDTH, HEIGHT = 900, 500  # pixels

# Okabe and Ito's blue and vermilion, which no colour blindness confuses; marks and words are grey.
BEFORE, AFTER, MARK, INK = "#0072B2", "#C44E00", "#5F6670", "#1F2328"


def plot_counts(before: Counts, after: Counts, t: str) -> bytes:
    """Entries by rank against the pairs that match them, before and after, each ranked by its own counts, with t.

    After the paper's Figure 2; both axes logarithmic, so entries that nothing matches are not drawn.
    """
    figure, axes = _axes(f"Rank of the entry, of {len(before):,} (log)", "Pairs that match it (log)")
    highest = max(int(before.max(initial=1)), 10)
    axes.set(xscale="log", yscale="log", xlim=(1, max(len(before), 10)), ylim=(0.7, highest * 2))
    _compact_labels(axes.xaxis, axes.yaxis)
    _draw(axes, *_ranked(before), color=BEFORE, wide=True, label="before: the pool")
    _draw(axes, *_ranked(after), color=AFTER, label=f"after: t = {_short(t)}")
    if not before.any():
        axes.text(0.5, 0.5, "no entry has a match", transform=axes.transAxes, ha="center", color=MARK)
    if float(t) < highest * 2:
        axes.axhline(float(t), color=MARK, **_DASHED)
        # To the right the curves run low, and only a t near the top would meet the legend.
        _note(axes, f"t = {_short(t)}", (max(len(before), 10), float(t)), up=float(t) < highest / 30, left=True)
    axes.legend(loc="upper right")
    return _png(figure)


def plot_shares(before: Counts, after: Counts) -> bytes:
    """Share of all matches that the first so many entries hold, before and after: how heavy the head is.

    After the paper's Figure 3, but ranked from the head; the dashed line marks the first hundredth of the entries.
    """
    figure, axes = _axes(f"First so many of {len(before):,} entries, by count (log)", "Share of all matches (%)")
    axes.set(xscale="log", xlim=(1, max(len(before), 10)), ylim=(0, 102))
    hundredth = max(len(before) // 100, 1)
    for counts, name, colour in ((before, "before", BEFORE), (after, "after", AFTER)):
        held = np.cumsum(np.sort(counts)[::-1], dtype=np.float64)
        if not len(held) or not held[-1]:
            continue
        ranks = _log_spaced(len(held))
        percent = 100 * held / held[-1]
        label = f"{name}: the first {hundredth:,} of {len(held):,} hold {percent[hundredth - 1]:.0f}% of the matches"
        _draw(axes, ranks, percent[ranks - 1], color=colour, wide=name == "before", label=label)
        axes.plot([hundredth], [percent[hundredth - 1]], "o", color=colour, markersize=7, markeredgecolor="white")
    _compact_labels(axes.xaxis)
    axes.axvline(hundredth, color=MARK, **_DASHED)
    if axes.get_legend_handles_labels()[0]:
        # Above the axes, for a heavy head fills the free corner.
        axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), borderaxespad=0.2)
    return _png(figure)


def plot_sizes(t_values: Sequence[float], sizes: Sequence[int], rungs: Mapping[str, int]) -> bytes:
    """Pairs in D(t) over t, with the rungs, t as text and its pairs, as points; inf as the line of the whole pool."""
    figure, axes = _axes("t: matches above which an entry is thinned (log)", "Pairs kept, |D(t)|")
    finite = {text: num for text, num in rungs.items() if np.isfinite(float(text))}
    drawn = [(t, num) for t, num in zip(t_values, sizes, strict=True) if 0 < t < np.inf]
    places = [t for t, _ in drawn] + [float(text) for text in finite]
    top = max([1, *sizes, *rungs.values()])
    low, high = (min(places), max(places)) if places else (1.0, 10.0)
    axes.set(xscale="log", xlim=(low / 1.5, high * 1.5), ylim=(0, top * 1.12))
    _compact_labels(axes.xaxis, axes.yaxis)
    _draw(axes, [t for t, _ in drawn], [num for _, num in drawn], color=BEFORE)
    for text in sorted(set(rungs) - set(finite)):
        axes.axhline(rungs[text], color=MARK, **_DASHED)
        _note(axes, f"t = inf, the pool: {_compact(rungs[text])} pairs", (low / 1.5, rungs[text]), up=True, left=False)
    points = [float(text) for text in finite]
    axes.plot(points, [*finite.values()], "o", color=AFTER, markersize=9, markeredgecolor="white")
    for text, num in finite.items():
        # Above and left of a point no rising curve can be, unless the axis ends there.
        near_edge = np.log(float(text) / low) < 0.15 * np.log(high / low)
        _note(axes, f"t = {_short(text)}\n{_compact(num)} pairs", (float(text), num), up=True, left=not near_edge)
    return _png(figure)


_DASHED: dict[str, Any] = {"linewidth": 1.2, "linestyle": (0, (5, 3)), "zorder": 1}


def _axes(x_label: str, y_label: str) -> tuple[Any, Any]:  # Any: matplotlib is imported late and is not typed here
    from matplotlib.figure import Figure  # noqa: PLC0415  # heavy: only for who plots

    figure = Figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=100, layout="constrained", facecolor="white")
    axes = figure.add_subplot(facecolor="white")
    axes.set_xlabel(x_label, fontsize=13, color=INK, labelpad=8)
    axes.set_ylabel(y_label, fontsize=13, color=INK, labelpad=8)
    axes.tick_params(labelsize=12, colors=MARK, which="both", length=4)
    axes.tick_params(which="minor", length=2, labelsize=0)
    axes.grid(which="major", color="#E3E6EA", linewidth=0.9)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#B4BAC2")
    return figure, axes


def _draw(axes: Any, x: Any, y: Any, *, color: str, wide: bool = False, label: str | None = None) -> None:
    """A curve; a wide pale one under a narrow one still shows where both run along the same line."""
    look = {"linewidth": 6.0, "alpha": 0.55} if wide else {"linewidth": 2.4}
    axes.plot(x, y, color=color, solid_capstyle="round", label=label, **look)


def _note(axes: Any, text: str, place: tuple[float, float], *, up: bool, left: bool) -> None:
    side, height = ("right" if left else "left"), ("bottom" if up else "top")
    offset = (-9 if left else 9, 6 if up else -6)
    axes.annotate(text, place, xytext=offset, textcoords="offset points", ha=side, va=height, color=INK, fontsize=12)


def _compact_labels(*sides: Any) -> None:
    for side in sides:
        side.set_major_formatter(lambda value, _: _compact(value))


def _ranked(counts: Counts) -> tuple[npt.NDArray[np.int64], Counts]:
    ranked = np.sort(counts[counts > 0])[::-1]
    ranks = _log_spaced(len(ranked))
    return ranks, ranked[ranks - 1]


def _log_spaced(num: int, points: int = 1500) -> npt.NDArray[np.int64]:
    """Ranks from 1 to `num`, dense where a logarithmic axis shows them: a curve of millions in a small file."""
    return np.unique(np.round(np.geomspace(1, num, points)).astype(np.int64)) if num else np.zeros(0, np.int64)


def _short(t: str) -> str:
    return f"{float(t):,.10g}"


def _compact(number: float) -> str:
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def _png(figure: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415  # matplotlib's own PNG writer

    for axes in figure.axes:
        legend = axes.get_legend()
        if legend:
            legend.set_frame_on(False)
            for text in legend.get_texts():
                text.set(fontsize=13, color=INK)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    file = io.BytesIO()
    # Few colours are enough for lines and words, and make the file three times smaller.
    picture.quantize(128, dither=Image.Dither.NONE).save(file, format="png", optimize=True)
    return file.getvalue()

"""Draw the axes, curves and notes of every plot as PNG; the same numbers give the same bytes."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from metaclip_dagster.reporting.html.numbers import shorten_number

WIDTH, HEIGHT = 900, 500  # pixels

# Okabe and Ito's blue and vermilion, which no colour blindness confuses; marks and words are grey.
BEFORE, AFTER, MARK, INK = "#0072B2", "#C44E00", "#5F6670", "#1F2328"
COLOURS = (AFTER, BEFORE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Theirs of as many lines, in the order in which they are told apart best on white."""
DASHED: dict[str, Any] = {"linewidth": 1.2, "linestyle": (0, (5, 3)), "zorder": 1}


def new_figure(height: int = HEIGHT) -> Any:  # Any: matplotlib is imported late and is not typed here
    """An empty figure of 900 pixels by `height`."""
    from matplotlib.figure import Figure  # noqa: PLC0415  # heavy: only for who plots

    return Figure(figsize=(WIDTH / 100, height / 100), dpi=100, layout="constrained", facecolor="white")


def new_axes(x_label: str, y_label: str) -> tuple[Any, Any]:
    """A figure of 900 x 500 with one pair of axes."""
    figure = new_figure()
    axes = figure.add_subplot(facecolor="white")
    style_axes(axes, x_label, y_label)
    return figure, axes


def style_axes(axes: Any, x_label: str, y_label: str) -> None:
    """Give axes their labels and the look that all have."""
    axes.set_xlabel(x_label, fontsize=13, color=INK, labelpad=8)
    axes.set_ylabel(y_label, fontsize=13, color=INK, labelpad=8)
    axes.tick_params(labelsize=12, colors=MARK, which="both", length=4)
    axes.tick_params(which="minor", length=2, labelsize=0)
    axes.grid(which="major", color="#E3E6EA", linewidth=0.9)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#B4BAC2")


def draw_curve(axes: Any, x: Any, y: Any, *, color: str, wide: bool = False, label: str | None = None) -> None:
    """Draw a curve; a wide pale one under a narrow one still shows where both run along the same line."""
    look = {"linewidth": 6.0, "alpha": 0.55} if wide else {"linewidth": 2.4}
    axes.plot(x, y, color=color, solid_capstyle="round", label=label, **look)


def write_note(axes: Any, text: str, point: tuple[float, float], *, up: bool, left: bool) -> None:
    """Write words beside a point of the plot: above or below it, and to its left or right."""
    side, height = ("right" if left else "left"), ("bottom" if up else "top")
    offset = (-9 if left else 9, 6 if up else -6)
    axes.annotate(text, point, xytext=offset, textcoords="offset points", ha=side, va=height, color=INK, fontsize=12)


def label_points(axes: Any, points: Mapping[str, tuple[float, float]]) -> None:
    """Name points of axes that have their limits, each on the first side of its own where it covers nothing.

    Eight sides are near it and eight farther off; it is the upper right where all are covered.
    """
    from matplotlib.transforms import Bbox  # noqa: PLC0415  # heavy: only for who plots

    axes.figure.draw_without_rendering()  # only then is it known where on the page a point lies
    covered = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in axes.transData.transform([*points.values()])]
    for name, point in points.items():
        label = axes.annotate(name, point, (0, 0), textcoords="offset points", color=INK, fontsize=11)
        for side in (*_SIDES, _SIDES[0]):
            label.update(side)
            if not label.get_window_extent().count_overlaps(covered):
                break
        covered.append(label.get_window_extent())


_SIDES = [
    {
        "position": (far * x, far * y),
        "ha": {-1: "right", 0: "center", 1: "left"}[x],
        "va": {-1: "top", 0: "center", 1: "bottom"}[y],
    }
    for far in (4, 14)
    for x, y in ((1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1), (1, 0), (-1, 0))
]


def spell_plainly(text: str) -> str:
    r"""At most 40 characters of a text that others wrote, without glyphs that the font lacks and without formulas.

    >>> spell_plainly("$x$ \u732b")
    'x \\u732b'
    """
    return ascii(text)[1:-1][:40].replace("$", "")


def shorten_labels(*sides: Any) -> None:
    """Write an axis' numbers as 20k and 1.6B."""
    for side in sides:
        side.set_major_formatter(lambda value, _: shorten_number(value))


def spell_t(t: str) -> str:
    """A t as it is written beside a curve.

    >>> spell_t("20000.0")
    '20,000'
    """
    return f"{float(t):,.10g}"


def to_png(figure: Any) -> bytes:
    """The figure's pixels, in few colours and without date or program."""
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

"""Plot accuracy over the pairs with a class's name, and the slopes of all training sets, as PNG 900 pixels wide."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from metaclip_dagster.reporting.html.canvas import (
    AFTER,
    BEFORE,
    COLOURS,
    DASHED,
    INK,
    MARK,
    new_axes,
    new_figure,
    spell_plainly,
    style_axes,
    to_png,
)
from metaclip_dagster.reporting.html.numbers import percent, shorten_number
from metaclip_dagster.reporting.html.text import reveal

Json = Mapping[str, Any]

MOST_TASKS = 4
_ACCURACY = (
    "Top-1 accuracy of test images by the number of training pairs whose text has the name of their class, a colour a "
    "training set. Points are classes with no pair, 1 to 9, 10 to 99 and so on, at their mean; bars are Wilson's 95% "
    "interval over images, and one of few images may run out of the picture; open diamonds are redrawn by t at every "
    "epoch."
)
_SLOPES = "Slopes with 95% intervals over classes; pale points are the slopes of single seeds."
_ROW, _MARGINS = 34, 110  # pixels


def plot_concepts(report: Json) -> dict[str, bytes]:
    """Two plots of each of the first tasks that have a slope: `accuracy <task number>` and `slopes <task number>`."""
    plots = {}
    for index, task in enumerate(report["tasks"][:MOST_TASKS]):
        if any(fit["slope"] is not None for fit in task["fits"]):
            plots[f"accuracy {index}"] = _plot_accuracy(task)
            plots[f"slopes {index}"] = _plot_slopes(task["fits"])
    return plots


def caption_plots(report: Json) -> dict[str, str]:
    """The caption of each plot that `plot_concepts` may give, by its name; it begins with the task."""
    captions = {}
    for index, task in enumerate(report["tasks"][:MOST_TASKS]):
        if task["best"]:
            name, line = reveal(task["task"]), f"The dashed line is fitted to the classes of {task['best']['label']}."
            captions[f"accuracy {index}"] = f"{name}. {_ACCURACY} {line}"
            captions[f"slopes {index}"] = f"{name}. {_SLOPES}"
    return captions


def slopes_height(fits: Sequence[Json]) -> int:
    """Pixels of the plot of slopes."""
    return _MARGINS + _ROW * max(3, len(fits))


def _plot_accuracy(task: Json) -> bytes:
    """Accuracy of images by the pairs with their class's name, of the best fit's recipe, a colour a training set.

    Points are bins, bars Wilson's 95% interval, the line is fitted to the classes of the best set. 900 x 500.
    """
    figure, axes = new_axes("Pairs of the training set whose text has the class's name (log)", "Top-1 accuracy (%)")
    fits = [fit for fit in task["fits"] if fit["recipe"] == task["best"]["recipe"]]
    largest = max(it["mean_log_pairs"] for fit in fits for it in fit["bins"])
    handles = []
    for index, fit in enumerate(fits):
        colour = COLOURS[index % len(COLOURS)]
        shift = 0.015 * max(1.0, largest) * (index - (len(fits) - 1) / 2)
        places = [it["mean_log_pairs"] + shift for it in fit["bins"]]
        values = [100 * it["accuracy"] for it in fit["bins"]]
        bars = [[100 * abs(it[side] - it["accuracy"]) for it in fit["bins"]] for side in ("low", "high")]
        online = fit["training_set"].startswith("online-")
        look = {"marker": "D" if online else "o", "markersize": 7, "markerfacecolor": "white" if online else colour}
        bar_look = {"yerr": bars, "linewidth": 1.6, "alpha": 0.9, "label": _label(fit)}
        handles.append(axes.errorbar(places, values, color=colour, **bar_look, **look))
        if fit["training_set"] == task["best"]["training_set"] and fit["slope"] is not None:
            ends = [0.0, max(it["mean_log_pairs"] for it in fit["bins"])]
            line = [100 * (fit["intercept"] + fit["slope"] * end) for end in ends]
            axes.plot(ends, line, color=colour, **{**DASHED, "linewidth": 1.8})
    chance = f"chance, {percent(task['chance'])}"
    handles.append(axes.axhline(100 * task["chance"], color=MARK, label=chance, **DASHED))
    # A bin of few images has a bar up to the top: the points would be lost below it.
    highest = max(it["accuracy"] for fit in fits for it in fit["bins"])
    axes.set_ylim(0, 100 * min(1.0, max(2 * highest, 4 * task["chance"])))
    ticks = [0, *(10**power for power in range(math.ceil(largest) + 1))]
    axes.set_xticks([math.log10(1 + tick) for tick in ticks], [shorten_number(tick) for tick in ticks])
    axes.set_xlim(-0.08 * max(1.0, largest), 1.08 * max(1.0, largest))
    axes.legend(
        handles=handles, ncols=5, columnspacing=1.2, handlelength=1.6, loc="lower left", bbox_to_anchor=(-0.01, 1.0)
    )
    return to_png(figure)


def _plot_slopes(fits: Sequence[Json]) -> bytes:
    """The slope of every recipe and training set with its interval over classes; pale points are single seeds."""
    figure = new_figure(slopes_height(fits))
    axes = figure.add_subplot(facecolor="white")
    style_axes(axes, "Percentage points for ten times as many pairs", "")
    several = len({fit["recipe"] for fit in fits}) > 1
    for row, fit in enumerate(fits):
        if fit["slope"] is None:
            continue
        bars = [[100 * (fit["slope"] - fit["low"])], [100 * (fit["high"] - fit["slope"])]]
        axes.errorbar([100 * fit["slope"]], [row], xerr=bars, fmt="o", color=BEFORE, markersize=8, linewidth=2)
        slopes = [100 * slope for slope in fit["slope_by_seed"] if slope is not None]
        if len(slopes) > 1:
            axes.plot(slopes, [row] * len(slopes), "o", color=AFTER, alpha=0.5, markersize=5, markeredgewidth=0)
    names = [f"{spell_plainly(fit['recipe'])}, {_label(fit)}" if several else _label(fit) for fit in fits]
    axes.set_yticks(range(len(fits)), names)
    axes.set_ylim(len(fits) - 0.5, -0.5)
    axes.axvline(0, color=INK, linewidth=1.2)
    return to_png(figure)


def _label(fit: Json) -> str:
    return spell_plainly(fit["label"])

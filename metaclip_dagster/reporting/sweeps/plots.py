"""Plot a sweep: scores and subset sizes over t, and losses over pairs seen, as PNG 900 pixels wide."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from metaclip_dagster.reporting.html.canvas import (
    AFTER,
    BEFORE,
    COLOURS,
    DASHED,
    INK,
    MARK,
    label_points,
    new_axes,
    new_figure,
    shorten_labels,
    spell_plainly,
    style_axes,
    to_png,
)
from metaclip_dagster.reporting.html.numbers import percent, shorten_number
from metaclip_dagster.reporting.html.text import reveal
from metaclip_dagster.reporting.sweeps.scores import Json, find_score, name_metric
from metaclip_dagster.reporting.sweeps.training_sets import CONTROL, rank_set, read_t, split_filters

SCORES_HEIGHT = 700  # pixels
CAPTIONS = {
    "scores": "Score over t. Circles are balanced at t, the square is the unbalanced control, open diamonds redraw "
    "the subset at every epoch. Bars are one standard deviation over seeds, or with one seed the 95% interval over "
    "test images; pale points are single seeds. Beneath: pairs in D(t).",
    "losses": "Contrastive loss while training. Each set's loss is on its own pairs: an unbalanced set repeats its "
    "head, so a lower loss there is no better model.",
    "languages": "The first task's metric in each language, over the matches that the language's entries have in the "
    "pool; a colour a t. Fewer images, or fewer names to choose from, stand behind some languages: see the table.",
}
"""What to see in each kind of plot."""
MAX_LABELS = 40
"""Languages that are named in their plot; of more, none is."""
_PARTS = {"all": INK, "tail": AFTER, "head": BEFORE}
_ABOVE: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (-0.01, 1.0), "borderaxespad": 0.2}


def plot_sweep(sweep: Json) -> dict[str, bytes]:
    """Every plot of the sweep by name: `scores <recipe>` and, where losses are known, `losses <recipe>`."""
    plots: dict[str, bytes] = {}
    for comparison in sweep["comparisons"]:
        recipe = comparison["recipe"]
        plots[f"scores {recipe}"] = _plot_scores(sweep, comparison)
        cells = [cell for cell in sweep["cells"] if cell["recipe"] == recipe and cell["losses"]]
        if cells:
            losses = {f"{cell['model']}|{cell['training_set']}": cell["losses"] for cell in cells}
            plots[f"losses {recipe}"] = plot_losses(losses)
        if png := _plot_languages([row for row in sweep["languages"] if row["recipe"] == recipe], comparison):
            plots[f"languages {recipe}"] = png
    return plots


def caption_plots(plots: Iterable[str]) -> dict[str, str]:
    """The caption of each of the sweep's plots, by the plot's name; it begins with the recipe."""
    kinds = {name: name.split(" ", 1) for name in plots}
    return {name: f"{reveal(recipe)}. {CAPTIONS[kind]}" for name, (kind, recipe) in kinds.items()}


def plot_losses(losses: Mapping[str, Sequence[Sequence[float | None]]]) -> bytes:
    """Contrastive loss over pairs seen, from (pairs seen, loss) by cell, `<model>|<training set>`. 900 x 500.

    A colour a t, online dashed; sets by named filters dotted, a colour each. One line a cell; a loss that is no number
    leaves a gap.
    """
    figure, axes = new_axes("Pairs seen", "Training loss")
    training_set = {cell: cell.rsplit("|", 1)[-1] for cell in losses}
    t_values = sorted({t for key in training_set.values() if (t := read_t(key)) and math.isfinite(t)})
    colours = {t: COLOURS[index % len(COLOURS)] for index, t in enumerate(t_values)} | {math.inf: INK, None: MARK}
    filtered = sorted({key for key in training_set.values() if split_filters(key)[1]}, key=rank_set)
    of_filtered = {key: COLOURS[(len(t_values) + index) % len(COLOURS)] for index, key in enumerate(filtered)}
    in_legend: set[str] = set()
    for cell in sorted(losses, key=lambda cell: (*rank_set(training_set[cell]), cell)):
        key = training_set[cell]
        points = [[pairs_seen, math.nan if loss is None else loss] for pairs_seen, loss in losses[cell]]
        pairs_seen, values = np.array(points, float).reshape(-1, 2).T
        style = (0, (4, 2)) if key.startswith("online-") else ":" if key in of_filtered else "-"
        look = {"linestyle": style, "linewidth": 1.8, "alpha": 0.8}
        label = None if key in in_legend else _name_set(key)
        axes.plot(pairs_seen, values, color=of_filtered.get(key) or colours[read_t(key)], label=label, **look)
        in_legend.add(key)
    shorten_labels(axes.xaxis)
    if in_legend:
        axes.legend(ncols=5, columnspacing=1.2, handlelength=1.6, **_ABOVE)
    return to_png(figure)


def _plot_languages(rows: Sequence[Json], comparison: Json) -> bytes | None:
    """The comparison's score by language over its matches (log), a colour a training set; None for fewer than two."""
    key = (comparison["task"], "all", comparison["metric"])
    points = [
        (row["training_set"], row["language"], row["matches"], 100 * score["mean"])
        for row in rows
        if row["matches"] and (score := find_score(row["scores"], *key))
    ]
    if len({language for _, language, *_ in points}) < 2:
        return None
    figure, axes = new_axes("Matches of the language's entries in the pool (log)", f"{name_metric(key[2])} (%)")
    axes.set_xscale("log")
    labels: dict[str, tuple[float, float]] = {}
    for index, name in enumerate(sorted({training_set for training_set, *_ in points}, key=rank_set)):
        of_set = [
            (language, matches, score) for training_set, language, matches, score in points if training_set == name
        ]
        colour = INK if name == CONTROL else COLOURS[index % len(COLOURS)]
        axes.plot(
            [it[1] for it in of_set], [it[2] for it in of_set], "o", color=colour, label=_name_set(name), alpha=0.8
        )
        if index == 0 and len(of_set) <= MAX_LABELS:
            labels = {spell_plainly(language): (matches, score) for language, matches, score in of_set}
    axes.set_ylim(bottom=0)
    label_points(axes, labels)
    axes.legend(ncols=5, columnspacing=1.2, handletextpad=0.4, **_ABOVE)
    return to_png(figure)


def _plot_scores(sweep: Json, comparison: Json) -> bytes:
    """The comparison's score over t in all, tail and head, with chance; beneath, |D(t)|. 900 x 700.

    Finite t stand on a logarithmic axis and inf to their right; online sets are open diamonds beside their t. Bars are
    one standard deviation over seeds, of one seed the interval over images, pale points single seeds. Sets whose name
    is no t are left out.
    """
    recipe = next(recipe for recipe in sweep["recipes"] if recipe["recipe"] == comparison["recipe"])
    places = _place_sets([row["training_set"] for row in sweep["sets"]])
    figure = new_figure(SCORES_HEIGHT)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.6, 1))
    style_axes(upper, "", f"{name_metric(comparison['metric']).capitalize()} (%)")
    style_axes(lower, "t: matches above which an entry is thinned (log)", "Pairs, |D(t)|")
    for index, (part, colour) in enumerate(_PARTS.items()):
        key = (comparison["task"], part, comparison["metric"])
        _draw_part(upper, recipe, key, places, colour, shift=0.012 * (index - 1))
    if (chance := comparison["chance"]) is not None:
        upper.axhline(100 * chance, color=MARK, label=f"chance, {percent(chance)}", **DASHED)
    upper.set_ylim(bottom=0)
    if upper.get_legend_handles_labels()[0]:
        upper.plot([], [], "D", color=MARK, markerfacecolor="white", markersize=8, markeredgewidth=2, label="online")
        upper.legend(ncols=5, columnspacing=1.4, handletextpad=0.5, **_ABOVE)
    _draw_sizes(lower, sweep["sets"], places)
    offline = {key: place for key, place in places.items() if not key.startswith("online-")}
    ticks = _thin_out(offline)
    labels = ["inf\nunbalanced" if key == CONTROL else shorten_number(float(key)) for key in ticks]
    lower.set_xticks([*ticks.values()], labels)
    lower.set_xlim(-0.08, 1.12)
    return to_png(figure)


def _place_sets(names: Sequence[str]) -> dict[str, float]:
    """Where each training set stands between 0 and 1: log t, inf to the right, online a little right of its t."""
    t_values = {name: t for name in sorted(names, key=rank_set) if (t := read_t(name)) is not None}
    logs = [math.log(t) for t in t_values.values() if math.isfinite(t)]
    low, span = min(logs, default=0.0), (max(logs, default=0.0) - min(logs, default=0.0)) or 1.0
    width = 0.72 if math.inf in t_values.values() else 1.0
    places = {name: width * (math.log(t) - low) / span if math.isfinite(t) else 1.0 for name, t in t_values.items()}
    return {name: place + 0.06 * name.startswith("online-") for name, place in places.items()}


def _draw_part(axes: Any, recipe: Json, key: tuple[str, str, str], places: Json, colour: str, *, shift: float) -> None:
    scores = {row["training_set"]: score for row in recipe["sets"] if (score := find_score(row["scores"], *key))}
    scores = {name: score for name, score in scores.items() if name in places}
    if not scores:
        return
    offline = [name for name in scores if not name.startswith("online-")]
    finite = [name for name in offline if name != CONTROL]
    for names, look in (
        (finite, {"linewidth": 2.4, "label": key[1]}),
        (offline[len(finite) - 1 :], {**DASHED, "linewidth": 1.8}),
    ):
        means = [100 * scores[name]["mean"] for name in names]
        axes.plot([places[name] + shift for name in names], means, color=colour, **look)
    for name, score in scores.items():
        place, online = places[name] + shift, name.startswith("online-")
        if len(score["values"]) > 1:
            pale = {"color": colour, "alpha": 0.35, "markeredgewidth": 0, "markersize": 5, "zorder": 2}
            axes.plot([place] * len(score["values"]), [100 * value for value in score["values"]], "o", **pale)
        bars = _measure_bars(score)
        mark = {"marker": "D" if online else "s" if name == CONTROL else "o", "markersize": 8, "markeredgewidth": 2}
        inside = "white" if online else colour
        axes.errorbar([place], [100 * score["mean"]], yerr=bars, color=colour, markerfacecolor=inside, **mark)


def _measure_bars(score: Json) -> list[list[float]]:
    """How far the bar of a score reaches below and above it: its spread over seeds, else its interval over images."""
    if score["spread"] is not None:
        return [[100 * score["spread"]]] * 2
    low, high = score["interval"] or [score["mean"]] * 2
    return [[100 * max(0.0, score["mean"] - low)], [100 * max(0.0, high - score["mean"])]]


def _draw_sizes(axes: Any, sets: Sequence[Json], places: Mapping[str, float]) -> None:
    offline = [row for row in sets if row["training_set"] in places and not row["online"]]
    sizes = {row["training_set"]: row["pairs_in_subset"] for row in offline if row["pairs_in_subset"] is not None}
    axes.bar([places[name] for name in sizes], [*sizes.values()], width=0.06, color="#B4BAC2")
    for name, size in sizes.items():
        above = {"xytext": (0, 3), "textcoords": "offset points", "ha": "center"}
        axes.annotate(shorten_number(size), (places[name], size), fontsize=12, **above)
    axes.set_ylim(0, 1.25 * max([1, *sizes.values()]))
    shorten_labels(axes.yaxis)


def _thin_out(places: Mapping[str, float]) -> dict[str, float]:
    """The places whose labels do not run into the one before."""
    ticks: dict[str, float] = {}
    for name, place in sorted(places.items(), key=lambda item: item[1]):
        if not ticks or place - max(ticks.values()) > 0.07:
            ticks[name] = place
    return ticks


def _name_set(training_set: str) -> str:
    t = read_t(training_set)
    if t is None:
        t, name = split_filters(training_set)
        return spell_plainly(training_set if t is None else f"t = {t:,.10g}, {name}")
    return f"{'online ' if training_set.startswith('online-') else ''}t = {t:,.10g}"

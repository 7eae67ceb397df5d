"""Lay the report on concepts out as tables of text, headings first, for the page and for Dagster."""

from collections.abc import Mapping
from typing import Any

from metaclip_dagster.reporting.concepts.findings import describe_slope, points
from metaclip_dagster.reporting.concepts.starving import find_best_fit
from metaclip_dagster.reporting.html.numbers import number, percent

Json = Mapping[str, Any]
Rows = list[list[str]]

KINDS = {
    "name": "name is no entry",
    "word": "word is no entry",
    "thinned": "entry thinned by t",
}
"""Why something is suggested, in words."""


def fit_table(report: Json) -> Rows:
    """Accuracy and slope of every task, recipe and training set, in percentage points for ten times as many pairs."""
    headings = ["Task", "Recipe", "Training set", "Seeds", "Classes", "Mean accuracy", "Slope (95%)"]
    rows = [[*headings, "± of seeds", "In any case", "Rank correlation", "Names in no pair"]]
    for task in report["tasks"]:
        for fit in task["fits"]:
            spread = "" if fit["accuracy_spread"] is None else f" ± {100 * fit['accuracy_spread']:.1f}"
            rows.append(
                [
                    task["task"],
                    fit["recipe"],
                    fit["label"],
                    number(len(fit["seeds"])),
                    number(fit["classes"]),
                    percent(fit["mean_accuracy"]) + spread,
                    describe_slope(fit),
                    points(fit["slope_spread"]).lstrip("+"),
                    describe_slope(fit["in_any_case"]),
                    number(fit["spearman"], 2),
                    number(fit["without_pairs"]),
                ]
            )
    return rows


def within_table(report: Json) -> Rows:
    """What the same class gains where it is seen more often, by task and recipe."""
    rows = [["Task", "Recipe", "Training sets", "Classes", "Slope (95%)"]]
    for task in report["tasks"]:
        for fit in task["within"]:
            sets = ", ".join(fit["over"])
            rows.append([task["task"], fit["recipe"], sets, number(fit["classes"]), describe_slope(fit)])
    return rows


def language_table(report: Json) -> Rows:
    """The slope over pairs of one language alone, of each task's best set; headings alone for one language."""
    rows = [["Task", "Training set", "Language", "Pairs of it", "Slope (95%)", "Rank correlation"]]
    sizes = {of_set["training_set"]: of_set["pairs_by_language"] for of_set in report["sets"]}
    for task in report["tasks"]:
        if fit := find_best_fit(task):
            rows += [
                [
                    task["task"],
                    fit["label"],
                    language,
                    number(sizes[fit["training_set"]][language]),
                    describe_slope(of_language),
                    number(of_language["spearman"], 2),
                ]
                for language, of_language in fit["by_language"].items()
            ]
    return rows


def bin_table(task: Json) -> Rows:
    """Accuracy of each bin of a task's best fit, with Wilson's interval over images and the spread over seeds."""
    rows = [["Pairs with the name", "Classes", "Images", "Accuracy", "95%", "± of seeds"]]
    fit = find_best_fit(task)
    for it in fit["bins"] if fit else []:
        span = number(it["from"]) if it["from"] == it["to"] else f"{number(it['from'])} to {number(it['to'])}"
        interval = f"{percent(it['low'])} to {percent(it['high'])}"
        spread = points(it["spread"]).lstrip("+")
        rows.append([span, number(it["classes"]), number(it["images"]), percent(it["accuracy"]), interval, spread])
    return rows


def class_table(report: Json, kind: str) -> Rows:
    """The classes of all tasks that are `starved` or `failing`, with their pairs at every training set."""
    sets = [of_set["training_set"] for of_set in report["sets"]]
    rows = [["Class", "Task", "An entry", "Images", "Accuracy", *(f"Pairs, {name}" for name in sets), "Any case, most"]]
    for task in report["tasks"]:
        by_id = {row["class_id"]: row for row in task["classes"]}
        for row in map(by_id.__getitem__, task[kind]):
            accuracy = row["accuracy"][task["best"]["recipe"]][task["best"]["training_set"]]
            rows.append(
                [
                    row["class_name"],
                    task["task"],
                    "yes" if row["is_entry"] else "no",
                    number(row["num_images"]),
                    percent(accuracy),
                    *(number(row["pairs"][name]) for name in sets),
                    number(max(row["any_case"].values(), default=0)),
                ]
            )
    return rows


def suggestion_table(report: Json) -> Rows:
    """What may bring starved classes more pairs, with the pairs that each training set has of it now."""
    sets = [of_set["training_set"] for of_set in report["sets"]]
    rows = [["Entry", "Why", "For", *(f"Pairs, {name}" for name in sets), "Any case, most", "As an entry, about"]]
    for it in report["suggestions"]:
        more = f" and {number(it['num_classes'] - len(it['classes']))} more" if it["num_classes"] > 5 else ""
        as_entry = ", ".join(f"{number(num)} at t = {t}" for t, num in it["as_entry"].items())
        rows.append(
            [
                it["entry"],
                KINDS[it["kind"]],
                ", ".join(it["classes"]) + more,
                *(number(it["pairs"][name]) for name in sets),
                number(max(it["any_case"].values(), default=0)),
                as_entry or "–",
            ]
        )
    return rows

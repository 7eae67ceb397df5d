"""State what the report on concepts found, as its numbers bear it: also that nothing can be told."""

from collections.abc import Mapping
from typing import Any

from metaclip_dagster.reporting.concepts.starving import find_best_fit
from metaclip_dagster.reporting.html.numbers import number, percent
from metaclip_dagster.reporting.html.text import reveal

Json = Mapping[str, Any]

FEW_IMAGES = 10
"""With fewer images of a class, in the median, its score alone says little."""


def write_findings(report: Json) -> list[str]:
    """Sentences, the most important first; names in them are written out but not escaped."""
    sentences = []
    for task in report["tasks"][:1]:
        sentences += _write_task(task)
    if not sentences:
        sentences = ["No task with classes has been scored yet, so nothing is known of what frequency does."]
    if num := len(report["suggestions"]):
        num_gains = sum(it["gain"] > 0 for it in report["suggestions"])
        suggested = count_things(num, "entry, or a larger t for one, is", "entries, or a larger t for one, are")
        sentences.append(
            f"{suggested} suggested for starved classes; {number(num_gains)} of them would bring pairs that the pool "
            "has already."
        )
    return sentences


def count_things(num: int, one: str, several: str) -> str:
    """A number with its noun, and with the verb that goes by it.

    >>> count_things(1, "class is", "classes are"), count_things(0, "class is", "classes are")
    ('1 class is', '0 classes are')
    """
    return f"{number(num)} {one if num == 1 else several}"


def points(share: float | None) -> str:
    """A difference of shares in percentage points, signed.

    >>> points(0.0123), points(-0.004), points(None)
    ('+1.2', '−0.4', '–')
    """
    if share is None:
        return "–"
    digits = 1 if abs(share) >= 0.001 or share == 0 else 2
    return f"{'−' if share < 0 else '+'}{abs(100 * share):.{digits}f}"


def describe_slope(fit: Json) -> str:
    """A slope with its interval, in percentage points.

    >>> describe_slope({"slope": 0.02, "low": 0.01, "high": 0.03})
    '+2.0 (+1.0 to +3.0)'
    """
    return "–" if fit["slope"] is None else f"{points(fit['slope'])} ({points(fit['low'])} to {points(fit['high'])})"


def _write_task(task: Json) -> list[str]:
    if (at := find_best_fit(task)) is None:
        return [f"On {reveal(task['task'])}, no class has both an image and a name that a text can hold."]
    where = f"On {reveal(task['task'])}, {reveal(at['recipe'])} trained with {at['label']}"
    sentences = []
    if at["slope"] is None:
        sentences.append(f"{where}: too few classes, or nearly all with equally many pairs, so there is no slope.")
    else:
        certainty = (
            "so more pairs and better scores go together"
            if at["low"] > 0
            else "so more pairs go with worse scores"
            if at["high"] < 0
            else "which may be chance"
        )
        sentences.append(
            f"{where}: ten times as many pairs with a class's name go with {points(at['slope'])} percentage points of "
            f"top-1 accuracy (95%: {points(at['low'])} to {points(at['high'])}), {certainty}. The classes' mean is "
            f"{percent(at['mean_accuracy'])} (chance {percent(task['chance'])}), the rank correlation "
            f"{number(at['spearman'], 2)}."
        )
    within = next((it for it in task["within"] if it["recipe"] == at["recipe"] and it["slope"] is not None), None)
    if within:
        sentences.append(
            f"Within the same class, over {within['sets']} training sets, being seen ten times as often goes with "
            f"{points(within['slope'])} points (95%: {points(within['low'])} to {points(within['high'])})."
        )
    be = "is" if at["without_pairs"] == 1 else "are"
    sentences.append(
        f"{number(at['without_pairs'])} of {number(at['classes'])} names {be} in no text of that set. "
        f"{count_things(task['num_starved'], 'class is', 'classes are')} starved (few pairs, low accuracy), and "
        f"{count_things(task['num_failing'], 'fails although it has', 'fail although they have')} many pairs."
        f"{_doubt_classes(task)}"
    )
    return sentences


def _doubt_classes(task: Json) -> str:
    """That a list of classes which score low is partly luck, where each has few images."""
    if task["median_images"] >= FEW_IMAGES:
        return ""
    images = number(task["median_images"], 2)
    return f" With {images} test image{'' if images == '1' else 's'} a class, much of a single class's score is luck."

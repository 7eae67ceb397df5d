"""Line two sides' tables of facts and scores up by name, for a comparison's page."""

from collections.abc import Iterable, Mapping
from typing import Any

from metaclip_dagster.reporting.html.numbers import share

Value = int | float | str | None
Row = dict[str, Any]
_OF_SCORE = ("task", "part", "metric", "recipe", "pairs_seen", "task_version")
_SHOWN = ("mean", "spread", "seeds", "interval")


def line_up(here: Mapping[str, Value], there: Mapping[str, Value], *, with_shares: bool = False) -> list[Row]:
    """A row for each name that a side has: both values, null where a side lacks it, and here less there of numbers.

    `with_shares` adds each number's share of the sum of its side, in which what a side lacks counts as 0.

    >>> line_up({"pairs": 3}, {"pairs": 5})
    [{'name': 'pairs', 'here': 3, 'there': 5, 'difference': -2}]
    """
    rows: list[Row] = [{"name": name, "here": here.get(name), "there": there.get(name)} for name in {**here, **there}]
    for row in rows:
        row["difference"] = _subtract(row["here"], row["there"])
    if with_shares:
        for side, values in (("here", here), ("there", there)):
            total = sum(values.values())  # type: ignore[arg-type]  # counts alone have shares
            for row in rows:
                row[f"share_{side}"] = share(row[side] or 0, total)
        rows.sort(key=lambda row: (-max(row["here"] or 0, row["there"] or 0), row["name"]))
    return rows


def line_up_scores(here: Iterable[Row], there: Iterable[Row]) -> list[Row]:
    """A row for each score: by task and its version, part, metric, recipe and pairs seen, which both must share.

    Scores are averages over seeds, each with its interval over the task's images where its metric has one. Nothing
    where either side has no scores.
    """
    of_sides = [{tuple(score[name] for name in _OF_SCORE): score for score in side} for side in (here, there)]
    if not all(of_sides):
        return []
    rows = []
    for key in dict.fromkeys([*of_sides[0], *of_sides[1]]):
        scores = [of_side.get(key) for of_side in of_sides]
        one, two = ({name: score[name] for name in _SHOWN} if score else None for score in scores)
        difference = one["mean"] - two["mean"] if one and two else None
        either = scores[0] or scores[1] or {}
        names = {**dict(zip(_OF_SCORE, key, strict=True)), "num_images": either["num_images"]}
        rows.append({**names, "chance": either["chance"], "here": one, "there": two, "difference": difference})
    return rows


def _subtract(here: Value, there: Value) -> float | None:
    if isinstance(here, str) or isinstance(there, str) or here is None or there is None:
        return None
    return here - there

"""Name the classes with few pairs that score low, those with many that do, and what may bring the former more pairs."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

Json = Mapping[str, Any]

MOST_LISTED, MOST_SUGGESTED = 200, 200
LEAST_MANY = 10
"""Fewer pairs are never many, however few the other classes have."""


class Counted(Protocol):
    """A training set in which names were counted, as `concepts.CountedSet`."""

    @property
    def training_set(self) -> str: ...  # noqa: D102

    def count(self, names: Sequence[str], language: str | None = None, *, any_case: bool = False) -> Any: ...  # noqa: D102


def choose_classes(task: Json) -> dict[str, Any]:
    """What is `starved` and what is `failing` of a task, by its best fit: that with the highest mean accuracy.

    A class scores low at no more than half of the classes' mean accuracy. It is starved where, besides, it has no more
    pairs than the quarter of classes that have fewest; it fails where it has no fewer than the quarter that have most,
    and at least ten. Where both quarters are alike, ten pairs part them. Starved ones stand in order of the pairs that
    the largest set has and this one lacks, failing ones in order of pairs. `starved` and `failing` are class_ids, at
    most 200 of each, beside `num_starved` and `num_failing`.
    """
    nothing: dict[str, Any] = {"best": None, "num_starved": 0, "num_failing": 0, "starved": [], "failing": []}
    if not task["fits"]:
        return nothing
    best = max(task["fits"], key=lambda fit: fit["mean_accuracy"])
    recipe, name = best["recipe"], best["training_set"]
    num_pairs = np.array([row["pairs"][name] for row in task["classes"]])
    accuracy = np.array([row["accuracy"][recipe][name] for row in task["classes"]])
    fewest, most = np.quantile(num_pairs, [0.25, 0.75])
    is_low = accuracy <= best["mean_accuracy"] / 2
    is_many = num_pairs >= max(most, LEAST_MANY)
    is_starved, is_failing = is_low & (num_pairs <= fewest) & ~is_many, is_low & is_many
    starved = [row for row, chosen in zip(task["classes"], is_starved, strict=True) if chosen]
    failing = [row for row, chosen in zip(task["classes"], is_failing, strict=True) if chosen]
    starved.sort(key=lambda row: (row["pairs"][name] - max(row["pairs"].values()), row["pairs"][name], row["class_id"]))
    failing.sort(key=lambda row: (-row["pairs"][name], row["class_id"]))
    return {
        "best": {key: best[key] for key in ("recipe", "training_set", "label", "mean_accuracy")},
        "few": float(fewest),
        "many": float(max(most, LEAST_MANY)),
        "num_starved": len(starved),
        "num_failing": len(failing),
        "starved": [row["class_id"] for row in starved[:MOST_LISTED]],
        "failing": [row["class_id"] for row in failing[:MOST_LISTED]],
    }


def find_best_fit(task: Json) -> Json | None:
    """The fit of a described task that its `best` names; None where it has none."""
    best = task["best"] or {"recipe": None, "training_set": None}
    key = best["recipe"], best["training_set"]
    return next((fit for fit in task["fits"] if (fit["recipe"], fit["training_set"]) == key), None)


def suggest_entries(
    tasks: Sequence[Json],
    sets: Sequence[Counted],
    entries: Collection[str],
    words: Mapping[str, Sequence[str]],
    spell: Callable[[str], str],
) -> list[dict[str, Any]]:
    """At most 200 things that may bring starved classes more pairs, those that are in most pairs which are left out.

    `name` is the name of a class that is no entry, `word` a word of it that is none: as an entry, D(t) keeps about
    `as_entry` of its pairs, by t: what it keeps for other entries' sake, and by an independent draw t of all that there
    are. `thinned` is a name that is an entry, of which a larger t keeps more. `gain` is how many pairs more that is at
    the t of the best set, or for a thinned one at the next larger t; pairs that match nothing today come on top.
    `entry` is how `spell` spells it for a list of entries. `pairs` and `any_case` are by training set.
    """
    classes: dict[tuple[str, str], list[str]] = {}
    at: dict[tuple[str, str], str] = {}
    for task in tasks:
        by_id = {row["class_id"]: row for row in task["classes"]}
        for row in map(by_id.__getitem__, task["starved"]):
            name, best = row["class_name"], task["best"]["training_set"]
            kinds = [
                ("thinned" if name in entries else "name", name),
                *(("word", word) for word in words.get(name, ())),
            ]
            for key in kinds:
                classes.setdefault(key, []).append(name)
                at.setdefault(key, best)
    suggestions = [_suggest(*key, names, at[key], sets) for key, names in classes.items()]
    # A thinned one without a gain has all pairs that there are: neither an entry nor another t brings more.
    suggestions = [it for it in suggestions if it["gain"] or it["kind"] != "thinned"]
    suggestions = [{**it, "entry": spell(it["add"])} for it in suggestions]
    suggestions.sort(key=lambda it: (-it["gain"], -max(it["any_case"].values(), default=0), it["kind"], it["add"]))
    return suggestions[:MOST_SUGGESTED]


def _suggest(kind: str, text: str, names: Sequence[str], best: str, sets: Sequence[Counted]) -> dict[str, Any]:
    pairs = {of_set.training_set: int(of_set.count([text])[0]) for of_set in sets}
    any_case = {of_set.training_set: int(of_set.count([text], any_case=True)[0]) for of_set in sets}
    most, rungs = max(pairs.values(), default=0), [name for name in pairs if "-" not in name]
    as_entry = {t: _expect(pairs[t], most, float(t)) for t in rungs if t != "inf"} if kind != "thinned" else {}
    t = best.removeprefix("online-").partition("-")[0]
    larger = rungs[rungs.index(t) + 1 :] if t in rungs else []
    more = max(map(pairs.__getitem__, larger[:1]), default=0) if kind == "thinned" else as_entry.get(t, 0)
    return {
        "add": text,
        "kind": kind,
        "classes": list(names[:5]),
        "num_classes": len(names),
        "gain": max(0, more - pairs[best]),
        "pairs": pairs,
        "any_case": any_case,
        "as_entry": as_entry,
    }


def _expect(num_pairs: int, most: int, t: float) -> int:
    """How many of `most` pairs are kept where `num_pairs` are already, and each is drawn once more with chance t/most.

    >>> _expect(24, 775, 20), _expect(2, 137, 20), _expect(5, 5, 20), _expect(0, 0, 20)
    (43, 22, 5, 0)
    """
    return round(num_pairs + (most - num_pairs) * min(1.0, t / most)) if most else 0

"""Describe how the accuracy of a task's classes follows the number of training pairs that have their names."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from metaclip_dagster.reporting.concepts.findings import write_findings
from metaclip_dagster.reporting.concepts.relations import (
    Floats,
    bin_classes,
    fit_slope,
    relate,
    relate_within,
    spread_of,
)
from metaclip_dagster.reporting.concepts.starving import choose_classes, suggest_entries

Json = Mapping[str, Any]

CANNOT_TELL = (
    "A name is no concept. A class is counted by its name in full, as the task spells it: other words for the same "
    "thing, and other languages' words, do not count, and a name with a second meaning counts for both.",
    "A pair counts by its text. The words may stand there while the picture shows something else.",
    "Correlation is no cause. Names that are written often are also short, old and of things that are easy to "
    "picture. The comparison within classes takes this away as far as it is the same at every t.",
    "Balancing draws by entries, and names are not entries. What a larger t or another entry would do to accuracy is "
    "known only once it is trained.",
    "Intervals over classes do not know of seeds, and spreads over seeds do not know of classes; read both.",
)


@dataclass(frozen=True)
class ScoredCell:
    """The scores of one trained model by class: `class_scores` is a table of CLASS_SCORES."""

    training_set: str
    recipe: str
    seed: int
    pairs_seen: int
    class_scores: pa.Table


@dataclass(frozen=True)
class CountedSet:
    """How many pairs of a training set have each name, by (name, language): as it is spelled, and in any case."""

    training_set: str
    label: str
    counted_in: str
    """What was counted: training_sets, or subsets where the training set is gone."""
    pairs: Mapping[str, int]
    """Pairs in all, by language; of an online set those of one draw."""
    as_spelled: Mapping[tuple[str, str], int] = field(default_factory=dict)
    any_case: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @property
    def num_pairs(self) -> int:
        """Pairs in all languages."""
        return sum(self.pairs.values())

    def count(self, names: Sequence[str], language: str | None = None, *, any_case: bool = False) -> Floats:
        """Pairs that have each name, in one language or in all."""
        counts = self.any_case if any_case else self.as_spelled
        languages = [language] if language else [*self.pairs]
        return np.array([sum(counts.get((name, of), 0) for of in languages) for name in names], float)


def describe_concepts(
    *,
    cells: Iterable[ScoredCell],
    sets: Sequence[CountedSet],
    entries: Collection[str],
    words: Mapping[str, Sequence[str]],
    uncountable: Mapping[str, str],
    spell: Callable[[str], str] = str,
    left_out: Sequence[str] = (),
    without_classes: Sequence[str] = (),
) -> dict[str, Any]:
    """The report as strict JSON.

    `sets` stand in the order of t; `entries` are the class names that are entries, `words` the words of each class name
    that are none, `uncountable` the names that no text can hold, with why; `spell` spells a name as an entry.
    `left_out` says which cells are not compared and why, `without_classes` names tasks that have no classes. Classes
    without a test image are in no number.
    """
    by_task: dict[str, list[tuple[ScoredCell, list[Json]]]] = {}
    for cell in sorted(cells, key=lambda cell: (cell.recipe, cell.seed)):
        rows_by_task: dict[str, list[Json]] = {}
        for row in cell.class_scores.to_pylist():
            rows_by_task.setdefault(row["task"], []).append(row)
        for task, rows in rows_by_task.items():
            by_task.setdefault(task, []).append((cell, rows))
    described = [_describe_task(task, scored, sets, entries, uncountable) for task, scored in by_task.items()]
    described.sort(key=lambda task: (-len(task["classes"]), task["task"]))
    tasks = [{**task, **choose_classes(task)} for task in described]
    report = {
        "sets": [
            {
                "training_set": of_set.training_set,
                "label": of_set.label,
                "counted_in": of_set.counted_in,
                "pairs": of_set.num_pairs,
                "pairs_by_language": dict(of_set.pairs),
            }
            for of_set in sets
        ],
        "tasks": tasks,
        "suggestions": suggest_entries(tasks, sets, entries, words, spell),
        "left_out": [str(reason) for reason in left_out],
        "without_classes": list(without_classes),
        "cannot_tell": list(CANNOT_TELL),
    }
    return {"findings": write_findings(report), **report}


def _describe_task(
    task: str,
    scored: Sequence[tuple[ScoredCell, Sequence[Json]]],
    sets: Sequence[CountedSet],
    entries: Collection[str],
    uncountable: Mapping[str, str],
) -> dict[str, Any]:
    """One task: its classes with counts and accuracies, and what relates them, by recipe and training set."""
    _, rows = scored[0]
    classes = [row for row in rows if row["num_images"] and row["class_name"] not in uncountable]
    names = [row["class_name"] for row in classes]
    images = np.array([row["num_images"] for row in classes], float)
    accuracies: dict[str, dict[str, dict[int, Floats]]] = {}
    pairs_seen = {cell.recipe: cell.pairs_seen for cell, _ in scored}
    for cell, of_cell in scored:
        by_id = {row["class_id"]: row["acc1"] for row in of_cell}
        values = np.array([by_id.get(row["class_id"], np.nan) for row in classes], float)
        if np.isfinite(values).all():
            accuracies.setdefault(cell.recipe, {}).setdefault(cell.training_set, {})[cell.seed] = values
    counted = {of_set.training_set: of_set for of_set in sets}
    num_pairs = {of_set.training_set: of_set.count(names) for of_set in sets}
    num_any_case = {of_set.training_set: of_set.count(names, any_case=True) for of_set in sets}
    means = {
        recipe: {
            of_set.training_set: np.mean([*by_set[of_set.training_set].values()], axis=0)
            for of_set in sets
            if of_set.training_set in by_set
        }
        for recipe, by_set in accuracies.items()
    }
    return {
        "task": task,
        "num_classes": len(rows),
        "num_images": int(images.sum()),
        "median_images": float(np.median(images)) if classes else None,
        "chance": 1 / len(rows),
        "without_images": sum(not row["num_images"] for row in rows),
        "uncountable": {
            row["class_name"]: uncountable[row["class_name"]] for row in rows if row["class_name"] in uncountable
        },
        "fits": [
            _fit(recipe, counted[name], accuracies[recipe][name], names, images)
            for recipe, by_set in means.items()
            for name in by_set
        ]
        if classes
        else [],
        "within": [
            {"recipe": recipe, "over": [*by_set], **_fit_within(by_set, counted, names, pairs_seen[recipe])}
            for recipe, by_set in means.items()
            if classes
        ],
        "classes": [
            {
                **{key: row[key] for key in ("class_id", "class_name", "part", "num_images")},
                "is_entry": row["class_name"] in entries,
                "pairs": {name: int(counts[place]) for name, counts in num_pairs.items()},
                "any_case": {name: int(counts[place]) for name, counts in num_any_case.items()},
                "accuracy": {
                    recipe: {name: float(mean[place]) for name, mean in by_set.items()}
                    for recipe, by_set in means.items()
                },
            }
            for place, row in enumerate(classes)
        ],
    }


def _fit(
    recipe: str, counted: CountedSet, by_seed: Mapping[int, Floats], names: Sequence[str], images: Floats
) -> dict[str, Any]:
    """What relates accuracy and counts of one recipe and training set: over seeds, in any case, by language."""
    num_pairs, mean = counted.count(names), np.mean([*by_seed.values()], axis=0)
    of_mean = relate(num_pairs, mean)
    slopes = [None if of_mean["slope"] is None else fit_slope(num_pairs, values) for values in by_seed.values()]
    bins = bin_classes(num_pairs, mean, images)
    bins_by_seed = [bin_classes(num_pairs, values, images) for values in by_seed.values()]
    for place, of_bin in enumerate(bins):
        of_bin["spread"] = spread_of([seed_bins[place]["accuracy"] for seed_bins in bins_by_seed])
    languages = [language for language in counted.pairs if counted.count(names, language).any()]
    return {
        "recipe": recipe,
        "training_set": counted.training_set,
        "label": counted.label,
        "seeds": [*by_seed],
        "mean_accuracy": float(mean.mean()),
        "accuracy_spread": spread_of([float(values.mean()) for values in by_seed.values()]),
        "without_pairs": int((num_pairs == 0).sum()),
        **of_mean,
        "slope_by_seed": slopes,
        "slope_spread": spread_of(slopes),
        "in_any_case": relate(counted.count(names, any_case=True), mean),
        "by_language": {language: relate(counted.count(names, language), mean) for language in languages}
        if len(languages) > 1
        else {},
        "bins": bins,
    }


def _fit_within(
    by_set: Mapping[str, Floats], counted: Mapping[str, CountedSet], names: Sequence[str], pairs_seen: int
) -> dict[str, Any]:
    times_seen = [counted[name].count(names) / max(1, counted[name].num_pairs) * pairs_seen for name in by_set]
    return relate_within(np.transpose(times_seen), np.transpose([*by_set.values()]))

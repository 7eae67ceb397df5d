"""Compare models test image by test image: how sure a difference in top-1 is, and which images show it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from metaclip_dagster.reporting.html.intervals import bound_difference
from metaclip_dagster.reporting.sweeps.cells import TrainedCell
from metaclip_dagster.reporting.sweeps.scores import Json, rank_part
from metaclip_dagster.reporting.sweeps.training_sets import CONTROL, rank_set

SIDES = ("helped", "hurt")
"""What images are shown of: classes that balancing helped, and classes that it hurt."""
NUM_IMAGES = 12
"""Test images that are shown on either side."""
NUM_OF_CLASS = 3
"""Of these, of one class."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """Which class each test image of a task is, and which a model named it, in the task's order."""

    class_id: Ints
    predicted: Ints

    @property
    def right(self) -> npt.NDArray[np.float64]:
        """1 for each image that was named right, else 0."""
        return np.asarray(self.class_id == self.predicted, np.float64)


ClassNames = Mapping[int, tuple[str, str]]
"""Name and part of each class, by class_id; the part is empty where it is in none."""
AnswersOfCells = Mapping[tuple[str, int], Answers]  # by training set and seed


def read_answers(cells: Iterable[TrainedCell], recipe: str, task: str) -> tuple[AnswersOfCells, list[str]]:
    """The answers of the recipe's cells on a task, and the cells that have a top-1 score and no answers beside it.

    Answers that do not give the cell's own score are of another scoring, and count as none.
    """
    answers, missing = dict[tuple[str, int], Answers](), list[str]()
    for cell in (cell for cell in cells if cell.recipe == recipe):
        accuracy = next((row for row in cell.rows() if _key(row) == (task, "all", "acc1")), None)
        if accuracy is None:
            continue
        table = cell.read_predictions(task) if cell.read_predictions else None
        if table is not None:
            columns = table.sort_by("sample").select(["class_id", "predicted_class_id"])
            of_cell = Answers(*(column.to_numpy().astype(np.int64) for column in columns.columns))
            if table.num_rows == accuracy["num_images"] and np.isclose(of_cell.right.mean(), accuracy["score"]):
                answers[cell.training_set, cell.seed] = of_cell
                continue
        missing.append(f"{cell.model} on {cell.training_set}")
    return answers, missing


def read_class_names(cells: Iterable[TrainedCell]) -> dict[str, ClassNames]:
    """The names and parts of each task's classes."""
    names: dict[str, dict[int, tuple[str, str]]] = {}
    for cell in cells:
        for row in cell.class_scores.to_pylist() if cell.class_scores is not None else []:
            names.setdefault(row["task"], {})[row["class_id"]] = row["class_name"], row["part"] or ""
    return dict(names)


def compare_answers(task: str, answers: AnswersOfCells, class_names: ClassNames) -> list[dict[str, Any]]:
    """Top-1 of each training set less the control's on the same images, in all and by part, each with its interval.

    Over the seeds that both have, an image counts with its mean.
    """
    rows = []
    for training_set in sorted({key for key, _ in answers} - {CONTROL}, key=rank_set):
        seeds = sorted(seed for key, seed in answers if key == training_set and (CONTROL, seed) in answers)
        if not seeds:
            continue
        leads = [answers[training_set, seed].right - answers[CONTROL, seed].right for seed in seeds]
        lead = np.mean(leads, axis=0)
        class_ids = answers[training_set, seeds[0]].class_id.tolist()
        part_of_image = np.array([class_names[number][1] if number in class_names else "" for number in class_ids])
        for part in sorted({"all", *part_of_image.tolist()} - {""}, key=rank_part):
            of_part = lead if part == "all" else lead[part_of_image == part]
            low, high = bound_difference(of_part)
            rows.append(
                {
                    "task": task,
                    "training_set": training_set,
                    "part": part,
                    "num_images": len(of_part),
                    "seeds": seeds,
                    "difference": float(of_part.mean()),
                    "interval": [low, high],
                }
            )
    return rows


def find_difference(comparison: Json, training_set: str, task: str, part: str = "all") -> Json | None:
    """The row of `compare_answers` for a training set, if there is one."""
    key = (training_set, task, part)
    rows = (row for row in comparison["paired"] if (row["training_set"], row["task"], row["part"]) == key)
    return next(rows, None)


def is_within(row: Json) -> bool:
    """Whether the interval of a difference of `compare_answers` holds 0: other images could turn it."""
    low, high = row["interval"]
    return bool(low <= 0 <= high)


def choose_images(
    answers: AnswersOfCells, classes: Json, comparison: Json, class_names: ClassNames
) -> dict[str, Any] | None:
    """A few test images of the classes that balancing helped and hurt most, each with the name it was given by set.

    All of the first seed that both sides of the comparison have. Images that balancing turned come first, then in the
    task's order. `classes` are of `compare_classes`; None where the sides share no seed, or either has no answers.
    """
    shared = [seed for seed in comparison["best"]["seeds"] if seed in comparison["control"]["seeds"]]
    if not shared:
        return None
    seed = int(shared[0])
    best, control = answers.get((classes["training_set"], seed)), answers.get((CONTROL, seed))
    if best is None or control is None:
        return None
    of_seed = {key: answers[key, seed] for key in sorted({key for key, of in answers if of == seed}, key=rank_set)}
    turned = best.right - control.right

    def describe_images(rows: Iterable[Json], sign: int) -> list[dict[str, Any]]:
        images = []
        for row in rows:
            [of_class] = np.nonzero(best.class_id == row["class_id"])
            order = of_class[np.argsort(-sign * turned[of_class], kind="stable")]
            for sample in order[:NUM_OF_CLASS].tolist():
                named = [
                    {
                        "training_set": key,
                        "class_name": class_names[int(of_set.predicted[sample])][0],
                        "right": bool(of_set.right[sample]),
                    }
                    for key, of_set in of_seed.items()
                ]
                images.append({"sample": sample, "class_name": row["class_name"], "answers": named})
        return images[:NUM_IMAGES]

    return {
        "task": classes["task"],
        "seed": seed,
        "training_sets": [*of_seed],
        "helped": describe_images(classes["helped"], 1),
        "hurt": describe_images(classes["hurt"], -1),
    }


def _key(row: Json) -> tuple[str, str, str]:
    return row["task"], row["part"], row["metric"]

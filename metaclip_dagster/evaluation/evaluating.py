"""Score a model on a zero-shot task: embed its images and texts, then rank the right answer of each, by language."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from metaclip_dagster.clip_models import LoadedModel
from metaclip_dagster.evaluation.answering import evaluate
from metaclip_dagster.evaluation.scoring import (
    Answered,
    Chosen,
    Classified,
    Retrieved,
    Score,
    count_per_class,
    score_chosen,
    score_classified,
    score_retrieved,
)
from metaclip_dagster.evaluation.tasks import PARTS, Task
from metaclip_dagster.evaluation.wordings import BARE
from metaclip_dagster.schemas import CLASS_SCORES, SAMPLE_PREDICTIONS, SCORES, writes

PART_METRICS = ("acc1", "acc5", "mean_per_class")
IN_ENGLISH = "english"
"""The part of a language's questions as they are asked in English."""


@writes(SCORES, name="evaluation.evaluating:score_model", version=3)
def score_model(
    task: Task,
    *,
    model: LoadedModel,
    model_name: str,
    languages: Sequence[str] = ("en",),
    training_set: str | None = None,
    seed: int | None = None,
    pairs_seen: int | None = None,
    batch_size: int = 256,
) -> pa.Table:
    """Every metric of a task in each language, its own once more as `main`, and those of the parts that it names.

    The part's images are named among all classes. A baseline has no training set, seed or pairs seen. The task's own
    language comes first, whether or not it is one of `languages`.
    """
    shared_columns = {
        "task": task.name,
        "training_set": training_set,
        "model": model_name,
        "seed": seed,
        "pairs_seen": pairs_seen,
        "task_version": task.version,
    }
    names = ("part", "metric", "score", "chance", "num_images")
    rows: list[dict[str, Any]] = []
    for language, answered in evaluate(task, model, languages=languages, batch_size=batch_size).items():
        of_language = {"language": language, **_count_texts(task, language, answered)}
        scores = _score_parts(task, language, answered)
        rows += [shared_columns | of_language | dict(zip(names, row, strict=True)) for row in scores]
    return pa.Table.from_pylist(rows, SCORES)


@writes(CLASS_SCORES, name="evaluation.evaluating:score_classes", version=3)
def score_classes(
    task: Task, *, model: LoadedModel, languages: Sequence[str] = ("en",), batch_size: int = 256
) -> pa.Table:
    """acc1 and acc5 of each class that a language has a name for, null where it has no image; no rows for others."""
    tables = [CLASS_SCORES.empty_table()]
    for language, answered in evaluate(task, model, languages=languages, batch_size=batch_size).items():
        if not isinstance(answered.answers, Classified):
            continue
        num_images, right, among_five = count_per_class(answered.answers)
        is_empty = num_images == 0
        shares = [pa.array(counted / np.maximum(num_images, 1), mask=is_empty) for counted in (right, among_five)]
        [wording] = [wording for wording in task.wordings if wording.language == language]
        names = pa.array([wording.names[number][0] for number in answered.classes], pa.string())
        parts = pa.array([task.parts[number] for number in answered.classes], pa.string())
        class_id, counted = answered.classes.astype(np.uint32), num_images.astype(np.uint64)
        shared = [pa.repeat(pa.scalar(text), len(names)) for text in (task.name, language)]
        columns = map(pa.array, (class_id, names, parts, counted))
        tables.append(pa.Table.from_arrays([*shared, *columns, *shares], schema=CLASS_SCORES))
    return pa.concat_tables(tables).combine_chunks()


@writes(SAMPLE_PREDICTIONS, name="evaluation.evaluating:predict_samples", version=2)
def predict_samples(
    task: Task, *, model: LoadedModel, languages: Sequence[str] = ("en",), batch_size: int = 256
) -> pa.Table:
    """Which class or option each test image is given, in the task's order; no rows for retrieval, which has none."""
    tables = [SAMPLE_PREDICTIONS.empty_table()]
    for language, answered in evaluate(task, model, languages=languages, batch_size=batch_size).items():
        answers = answered.answers
        if isinstance(answers, Classified):
            right, given = (answered.classes[numbers] for numbers in (answers.class_id, answers.nearest))
        elif isinstance(answers, Chosen):
            right, given = answers.answer, answers.chosen
        else:
            continue
        columns = [pa.array(column.astype(np.uint32)) for column in (answered.samples, right, given, answers.rank)]
        shared = [pa.repeat(pa.scalar(text), len(right)) for text in (task.name, language)]
        tables.append(pa.Table.from_arrays([*shared, *columns], schema=SAMPLE_PREDICTIONS))
    return pa.concat_tables(tables).combine_chunks()


Row = tuple[str, str, float, float | None, int]


def _score_parts(task: Task, language: str, answered: Answered) -> list[Row]:
    answers, number = answered.answers, len(answered.samples)
    whole = _score(answers)
    if task.metric not in whole:
        raise ValueError(
            f"{task.folder}: {task.metric} needs images of both classes, and {language} has not; name another in "
            "metric.txt"
        )
    rows: list[Row] = [("all", metric, *score, number) for metric, score in whole.items()]
    rows.append(("all", "main", *whole[task.metric], number))
    if isinstance(answers, Classified):
        for part in PARTS:
            of_part = answers.of_classes(np.flatnonzero([task.parts[number] == part for number in answered.classes]))
            if num_images := len(of_part.class_id):
                scores = score_classified(of_part)
                rows += [(part, metric, *scores[metric], num_images) for metric in PART_METRICS]
    if answered.in_english is not None:
        scores = score_chosen(answered.in_english)
        rows += [(IN_ENGLISH, metric, *score, len(answered.in_english.answer)) for metric, score in scores.items()]
    return rows


def _score(answers: Classified | Retrieved | Chosen) -> dict[str, Score]:
    if isinstance(answers, Classified):
        return score_classified(answers)
    return score_retrieved(answers) if isinstance(answers, Retrieved) else score_chosen(answers)


def _count_texts(task: Task, language: str, answered: Answered) -> dict[str, int | None]:
    """How many names there are to choose from, and how many prompts each stands in."""
    if isinstance(answered.answers, Chosen):
        return {"num_classes": int(answered.answers.num_options.max()), "num_templates": None}
    templates = next((wording.templates for wording in task.wordings if wording.language == language), None)
    return {
        "num_classes": len(answered.classes),
        "num_templates": None if templates is None else 0 if templates == BARE else len(templates),
    }

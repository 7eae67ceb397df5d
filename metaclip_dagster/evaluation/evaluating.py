"""Score a model on a zero-shot task: embed its images and texts, then rank the right answer of each."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from metaclip_dagster.evaluation.images import Sample, decode_image, read_samples
from metaclip_dagster.evaluation.models import LoadedModel
from metaclip_dagster.evaluation.scoring import (
    Classified,
    Retrieved,
    count_per_class,
    rank_answers,
    retrieve,
    score_classified,
    score_retrieved,
)
from metaclip_dagster.evaluation.tasks import PARTS, Task
from metaclip_dagster.schemas import CLASS_SCORES, SAMPLE_PREDICTIONS, SCORES, writes

if TYPE_CHECKING:
    import torch

PART_METRICS = ("acc1", "acc5", "mean_per_class")


@writes(SCORES, name="evaluation.evaluating:score_model", version=2)
def score_model(
    task: Task,
    *,
    model: LoadedModel,
    model_name: str,
    training_set: str | None = None,
    seed: int | None = None,
    pairs_seen: int | None = None,
    batch_size: int = 256,
) -> pa.Table:
    """Every metric of a task, its own once more as `main`, and those of its head and tail where groups.tsv names them.

    The part's images are named among all classes. A baseline has no training set, seed or pairs seen.
    """
    answers = evaluate(task, model, batch_size=batch_size)
    whole = score_classified(answers) if isinstance(answers, Classified) else score_retrieved(answers)
    if task.metric not in whole:
        raise ValueError(f"{task.folder}: {task.metric} needs images of both classes; name another in metric.txt")
    rows = [("all", metric, *score, _count_images(answers)) for metric, score in whole.items()]
    rows.append(("all", "main", *whole[task.metric], _count_images(answers)))
    if isinstance(answers, Classified):
        for part in PARTS:
            part_answers = answers.of_classes(np.flatnonzero([of_class == part for of_class in task.parts]))
            if _count_images(part_answers):
                part_scores = score_classified(part_answers)
                rows += [(part, metric, *part_scores[metric], _count_images(part_answers)) for metric in PART_METRICS]
    shared_columns = {
        "task": task.name,
        "num_classes": len(task.class_names),
        "training_set": training_set,
        "model": model_name,
        "seed": seed,
        "pairs_seen": pairs_seen,
        "task_version": task.version,
    }
    names = ("part", "metric", "score", "chance", "num_images")
    return pa.Table.from_pylist([shared_columns | dict(zip(names, row, strict=True)) for row in rows], SCORES)


@writes(CLASS_SCORES, name="evaluation.evaluating:score_classes", version=2)
def score_classes(task: Task, *, model: LoadedModel, batch_size: int = 256) -> pa.Table:
    """acc1 and acc5 of each class, null where it has no image; no rows for retrieval."""
    answers = evaluate(task, model, batch_size=batch_size)
    if isinstance(answers, Retrieved):
        return CLASS_SCORES.empty_table()
    num_images, right, among_five = count_per_class(answers)
    is_empty = num_images == 0
    shares = [pa.array(counted / np.maximum(num_images, 1), mask=is_empty) for counted in (right, among_five)]
    names, parts = pa.array(task.class_names, pa.string()), pa.array(task.parts, pa.string())
    class_id = np.arange(len(names), dtype=np.uint32)
    columns = [pa.repeat(pa.scalar(task.name), len(names)), class_id, names, parts, num_images.astype(np.uint64)]
    return pa.Table.from_arrays([*map(pa.array, columns), *shares], schema=CLASS_SCORES)


@writes(SAMPLE_PREDICTIONS, name="evaluation.evaluating:predict_samples")
def predict_samples(task: Task, *, model: LoadedModel, batch_size: int = 256) -> pa.Table:
    """Which class each test image is given, in the task's order; no rows for retrieval, which has no classes."""
    answers = evaluate(task, model, batch_size=batch_size)
    if isinstance(answers, Retrieved):
        return SAMPLE_PREDICTIONS.empty_table()
    of_images = [np.arange(len(answers.class_id)), answers.class_id, answers.nearest, answers.rank]
    columns = [pa.array(column.astype(np.uint32)) for column in of_images]
    task_name = pa.repeat(pa.scalar(task.name), len(answers.class_id))
    return pa.Table.from_arrays([task_name, *columns], schema=SAMPLE_PREDICTIONS)


def evaluate(task: Task, model: LoadedModel, *, batch_size: int = 256) -> Classified | Retrieved:
    """Embed a task's images and texts and find the rank of each right answer; a model remembers them for the task.

    One batch of images is held. A name's embedding is the normalised mean of its normalised prompts (Radford et al.
    2021, section 3.1.4). Raises ValueError for a task that cannot be read whole and for embeddings that are not finite.
    """
    if task not in model.evaluations:
        import torch  # noqa: PLC0415  # seconds, and the graph's definitions reach this module

        with torch.inference_mode(), ThreadPoolExecutor() as threads:
            batches = _embed_images(task, model, batch_size, threads)
            find = _classify if task.kind == "classification" else _retrieve
            model.evaluations[task] = find(task, model, batches, batch_size)
    return model.evaluations[task]


Batches = Iterator[tuple[list[Sample], "torch.Tensor"]]


def _embed_images(task: Task, model: LoadedModel, batch_size: int, threads: ThreadPoolExecutor) -> Batches:
    import torch  # noqa: PLC0415

    samples, num_images = read_samples(task), 0
    while batch := list(islice(samples, batch_size)):
        images = torch.stack(list(threads.map(lambda sample: model.preprocess(decode_image(sample)), batch)))
        yield batch, model.model.encode_image(images.to(model.device), normalize=True).float()
        num_images += len(batch)
    if not num_images:
        raise ValueError(f"{task.folder}: has no image to score")


def _classify(task: Task, model: LoadedModel, batches: Batches, batch_size: int) -> Classified:
    import open_clip  # noqa: PLC0415

    names = open_clip.build_zero_shot_classifier(
        model.model,
        model.tokenizer,
        task.class_names,
        [partial(template.replace, "{c}") for template in task.templates],
        num_classes_per_batch=max(1, batch_size // len(task.templates)),
        device=model.device,
    ).float()
    class_ids, ranks, nearest, margins = [], [], [], []
    for samples, images in batches:
        similarity = (images @ names).cpu().numpy()
        class_ids.append(np.array([sample.class_id for sample in samples], np.int64))
        ranks.append(rank_answers(similarity, class_ids[-1]))
        nearest.append(similarity.argmax(axis=1).astype(np.int64))
        margins.append((similarity[:, -1] - similarity[:, 0]).astype(np.float64))
    return Classified(len(task.class_names), *map(np.concatenate, (class_ids, ranks, nearest, margins)))


def _retrieve(task: Task, model: LoadedModel, batches: Batches, batch_size: int) -> Retrieved:
    image_parts, text_parts, num_captions = [], [], []
    for samples, embedded in batches:
        captions = [caption for sample in samples for caption in sample.captions]
        for start in range(0, len(captions), batch_size):
            tokens = model.tokenizer(captions[start : start + batch_size]).to(model.device)
            text_parts.append(model.model.encode_text(tokens, normalize=True).float().cpu().numpy())
        image_parts.append(embedded.cpu().numpy())
        num_captions += [len(sample.captions) for sample in samples]
    return retrieve(np.concatenate(image_parts), np.concatenate(text_parts), np.array(num_captions, np.int64))


def _count_images(answers: Classified | Retrieved) -> int:
    return len(answers.class_id if isinstance(answers, Classified) else answers.text_rank)

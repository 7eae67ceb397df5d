"""Embed a task's images once, and find what a model answers to them in each language: Task -> Answered by language."""

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from metaclip_dagster.clip_models import LoadedModel
from metaclip_dagster.evaluation.images import Sample, decode_image, read_samples
from metaclip_dagster.evaluation.scoring import Answered, Chosen, Classified, Embeddings, Ints, rank_answers, retrieve
from metaclip_dagster.evaluation.tasks import Task
from metaclip_dagster.evaluation.texts import ENGLISH
from metaclip_dagster.evaluation.wordings import Wording, read_code
from metaclip_dagster.words.languages import ALL, OTHER, list_names

if TYPE_CHECKING:
    import torch

Batches = Sequence[tuple[list[Sample], "torch.Tensor"]]


def evaluate(
    task: Task, model: LoadedModel, *, languages: Sequence[str] = (ENGLISH,), batch_size: int = 256
) -> dict[str, Answered]:
    """Find the rank of each right answer in the task's own language, then in others of `languages` that it has.

    `languages` are codes of lists of entries, or `all`. The images are embedded once; one batch of them is held, and
    the embeddings of all. A name's embedding is the normalised mean of its normalised prompts (Radford et al. 2021,
    section 3.1.4), of several names that of all their prompts (Mu et al. 2021, SLIP's evaluation of FER2013). A model
    remembers a task's answers. Raises ValueError for a task that cannot be read whole and for embeddings that are not
    finite.
    """
    key = task, tuple(sorted(languages))
    if key not in model.evaluations:
        import torch  # noqa: PLC0415  # seconds, and the graph's definitions reach this module

        with torch.inference_mode(), ThreadPoolExecutor() as threads:
            batches = [*_embed_images(task, model, batch_size, threads)]
            available = _list_languages(task, batches)
            model.evaluations[key] = {
                language: _ANSWER[task.kind](task, language, model, batches, batch_size)
                for language in choose_languages(task.language, available, languages)
            }
    answers: dict[str, Answered] = model.evaluations[key]
    return answers


def choose_languages(own_language: str, available: Collection[str], asked: Sequence[str]) -> list[str]:
    """The task's own language, or the first that it has in its place, then those whose texts belong to lists asked for.

    Raises ValueError for what is asked for and is no code.

    >>> choose_languages("en", ["de", "en", "yue"], ["zh", "fr"]), choose_languages("en", ["ja", "de"], ["en"])
    (['en', 'yue'], ['de'])
    """
    first = own_language if own_language in available else min(available)
    lists = {code if code in (ALL, OTHER) else read_code(code, "languages to score in") for code in asked}
    chosen = (code for code in sorted(available) if ALL in lists or lists.intersection((code, *list_names(code))))
    return [first, *(code for code in chosen if code != first)]


def _list_languages(task: Task, batches: Batches) -> set[str]:
    samples = (sample for of_batch, _ in batches for sample in of_batch)
    if task.kind == "classification":
        return {wording.language for wording in task.wordings}
    return {code for it in samples for code in (it.question.options if it.question else it.captions)}


def _embed_images(
    task: Task, model: LoadedModel, batch_size: int, threads: ThreadPoolExecutor
) -> Iterator[tuple[list[Sample], "torch.Tensor"]]:
    import torch  # noqa: PLC0415

    samples, num_images = read_samples(task), 0
    while batch := list(islice(samples, batch_size)):
        images = torch.stack([*threads.map(lambda sample: model.preprocess(decode_image(sample)), batch)])
        embedded = model.model.encode_image(images.to(model.device), normalize=True).float()
        yield [replace(sample, image=b"") for sample in batch], embedded
        num_images += len(batch)
    if not num_images:
        raise ValueError(f"{task.folder}: has no image to score")


def _classify(task: Task, language: str, model: LoadedModel, batches: Batches, batch_size: int) -> Answered:
    """Name the images whose class has a name in the language, among the classes that have."""
    [wording] = [wording for wording in task.wordings if wording.language == language]
    classes = np.flatnonzero([bool(names) for names in wording.names])
    number_of = np.full(len(wording.names), -1)
    number_of[classes] = np.arange(len(classes))
    names = _embed_names(wording, classes, model, batch_size)
    samples, class_ids, ranks, nearest, margins = [], [], [], [], []
    first = 0
    for of_batch, images in batches:
        numbers = number_of[[sample.class_id for sample in of_batch]]
        rows = np.flatnonzero(numbers >= 0)
        if len(rows):
            similarity = (images @ names).cpu().numpy()[rows]
            class_ids.append(numbers[rows])
            ranks.append(rank_answers(similarity, class_ids[-1]))
            nearest.append(similarity.argmax(axis=1).astype(np.int64))
            margins.append((similarity[:, -1] - similarity[:, 0]).astype(np.float64))
            samples.append(first + rows)
        first += len(of_batch)
    if not samples:
        raise ValueError(f"{task.folder}: {language} has a name for no class that has images; add it, or leave it out")
    answers = Classified(len(classes), *map(np.concatenate, (class_ids, ranks, nearest, margins)))
    return Answered(answers, np.concatenate(samples), classes)


def _embed_names(wording: Wording, classes: Ints, model: LoadedModel, batch_size: int) -> "torch.Tensor":
    """A column for each of the classes, those with equally many names together."""
    import open_clip  # noqa: PLC0415
    import torch  # noqa: PLC0415

    counts = np.array([len(wording.names[number]) for number in classes])
    columns, order = [], []
    for count in np.unique(counts).tolist():
        [places] = np.nonzero(counts == count)
        prompts = [_fill(template, number) for template in wording.templates for number in range(count)]
        columns.append(
            open_clip.build_zero_shot_classifier(
                model.model,
                model.tokenizer,
                [wording.names[classes[place]] for place in places],
                prompts,
                num_classes_per_batch=max(1, batch_size // len(prompts)),
                device=model.device,
            ).float()
        )
        order.append(places)
    return torch.cat(columns, dim=1)[:, np.argsort(np.concatenate(order))] if len(columns) > 1 else columns[0]


def _fill(template: str, number: int) -> Callable[[tuple[str, ...]], str]:
    return lambda names: template.replace("{c}", names[number])


def _retrieve(task: Task, language: str, model: LoadedModel, batches: Batches, batch_size: int) -> Answered:
    """Find images by captions and captions by images, among the images that have a caption in the language."""
    image_parts, text_parts, num_captions, numbers, first = [], [], list[int](), list[int](), 0
    for samples, images in batches:
        rows = [row for row, sample in enumerate(samples) if language in sample.captions]
        captions = [caption for row in rows for caption in samples[row].captions[language]]
        text_parts.append(_embed_texts(captions, model, batch_size))
        image_parts.append(images.cpu().numpy()[rows])
        num_captions += [len(samples[row].captions[language]) for row in rows]
        numbers += [first + row for row in rows]
        first += len(samples)
    texts = np.concatenate([part for part in text_parts if len(part)])
    answers = retrieve(np.concatenate(image_parts), texts, np.array(num_captions, np.int64))
    return Answered(answers, np.array(numbers), np.array([], np.int64))


def _choose(task: Task, language: str, model: LoadedModel, batches: Batches, batch_size: int) -> Answered:
    """Choose among the options of each question in the language; of one asked in it, also among those in English."""
    samples = [sample for of_batch, _ in batches for sample in of_batch]
    questions = [question for sample in samples if (question := sample.question)]
    rows = np.array([row for row, question in enumerate(questions) if language in question.options])
    images = np.concatenate([embedded.cpu().numpy() for _, embedded in batches])
    in_english = [row for row in rows if language != ENGLISH and ENGLISH in questions[row].options]

    def answer(code: str, asked: Sequence[int]) -> Chosen:
        options = [questions[row].options[code] for row in asked]
        texts = _embed_texts([text for of_question in options for text in of_question], model, batch_size)
        right, ends = np.array([questions[row].answer for row in asked]), np.cumsum([len(it) for it in options])
        chosen, ranks = [], []
        for row, end, number, of_question in zip(asked, ends, right, options, strict=True):
            similarity = images[row] @ texts[end - len(of_question) : end].T
            chosen.append(int(similarity.argmax()))
            ranks.append(int(rank_answers(similarity[None], np.array([number]))[0]))
        return Chosen(right, np.array(chosen), np.array(ranks), np.array([len(it) for it in options]))

    english = answer(ENGLISH, in_english) if in_english else None
    return Answered(answer(language, rows.tolist()), rows, np.array([], np.int64), english)


def _embed_texts(texts: Sequence[str], model: LoadedModel, batch_size: int) -> Embeddings:
    parts = []
    for start in range(0, len(texts), batch_size):
        tokens = model.tokenizer([*texts[start : start + batch_size]]).to(model.device)
        parts.append(model.model.encode_text(tokens, normalize=True).float().cpu().numpy())
    return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)


_ANSWER = {"classification": _classify, "retrieval": _retrieve, "multiple choice": _choose}

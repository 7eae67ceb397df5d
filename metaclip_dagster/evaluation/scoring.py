"""Compute accuracy, recall and other scores from the ranks of right answers, each beside that of guessing."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Embeddings = npt.NDArray[np.float32]

RECALL_AT = (1, 5, 10)

_BLOCK = 512


class Score(NamedTuple):
    """A metric's value and the mean of random guesses, both 0 to 1."""

    value: float
    chance: float


@dataclass(frozen=True)
class Classified:
    """Images against names, a row an image."""

    num_classes: int
    class_id: Ints
    """The image's class."""
    rank: Ints
    """How many names are nearer to it than that of its class."""
    nearest: Ints
    """The class of the name that is nearest to it."""
    margin: Floats
    """Similarity to the last name less that to the first: with two classes, how sure the second is."""

    def of_classes(self, classes: Ints) -> "Classified":
        """Only the images of these classes; their ranks among all names stay."""
        rows = np.isin(self.class_id, classes)
        return Classified(self.num_classes, self.class_id[rows], self.rank[rows], self.nearest[rows], self.margin[rows])


@dataclass(frozen=True)
class Retrieved:
    """Images against captions."""

    image_rank: Ints
    """For each caption: how many images are nearer to it than its own."""
    text_rank: Ints
    """For each image: how many captions are nearer to it than the nearest of its own."""
    num_captions: Ints
    """How many captions each image has."""


@dataclass(frozen=True)
class Chosen:
    """Images against the options of their questions, a row a question."""

    answer: Ints
    """The number of the right option."""
    chosen: Ints
    """The number of the option that is nearest to the image; of equal ones the first."""
    rank: Ints
    """How many options are nearer to it than the right one."""
    num_options: Ints
    """Options to choose from."""


@dataclass(frozen=True)
class Answered:
    """What a model answers to a task's images in one language."""

    answers: Classified | Retrieved | Chosen
    samples: Ints
    """Numbers of the images, in the task's order: those that have a name, a caption or a question in the language."""
    classes: Ints
    """Of a classification: the class of each number in its answers, for not every class has a name."""
    in_english: Chosen | None = None
    """The same questions asked in English, where they are."""


def rank_answers(similarity: Embeddings, right: Ints) -> Ints:
    """For each row how many columns are above the right one; of equal ones the first is the higher.

    `similarity` has a row a question and a column an answer, `right` a column number for each row. The rule for ties
    is not kind: a model that finds all names alike gets what the first name gets. A similarity that is no number would
    be above nothing and so below nothing: it raises ValueError.
    """
    if not np.isfinite(similarity).all():
        raise ValueError("the model gives embeddings that are not finite; did its training diverge?")
    of_right = np.take_along_axis(similarity, right[:, None], axis=1)
    before = np.arange(similarity.shape[1]) < right[:, None]
    return np.asarray(((similarity > of_right) | (similarity == of_right) & before).sum(axis=1), np.int64)


def score_classified(answers: Classified) -> dict[str, Score]:
    """acc1, acc5, mean_per_class and f1_macro (of classes with images), acc1_acc5 and, with two classes, roc_auc."""
    num_images, right, among_five = count_per_class(answers)
    has_images = num_images > 0
    chance1, chance5 = 1 / answers.num_classes, min(1.0, 5 / answers.num_classes)
    acc1, acc5 = right.sum() / num_images.sum(), among_five.sum() / num_images.sum()
    scores = {
        "acc1": Score(acc1, chance1),
        "acc5": Score(acc5, chance5),
        "mean_per_class": Score(float((right[has_images] / num_images[has_images]).mean()), chance1),
        "acc1_acc5": Score((acc1 + acc5) / 2, (chance1 + chance5) / 2),
        "f1_macro": _score_f1(answers, num_images, right),
    }
    if answers.num_classes == 2 and has_images.all():
        scores["roc_auc"] = Score(roc_auc(answers.margin, answers.class_id == 1), 0.5)
    return scores


def _score_f1(answers: Classified, num_images: Ints, right: Ints) -> Score:
    """The mean over classes with images of F1 = 2 right / (images + namings), as WILDS has it (Koh et al. 2021).

    A random guess names each class equally often, and is right with 1 of num_classes.
    """
    namings = np.bincount(answers.nearest, minlength=answers.num_classes)
    guesses = num_images.sum() / answers.num_classes
    has_images = num_images > 0
    images = num_images[has_images]
    f1 = 2 * right[has_images] / (images + namings[has_images])
    by_chance = 2 * images / answers.num_classes / (images + guesses)
    return Score(float(f1.mean()), float(by_chance.mean()))


def score_chosen(answers: Chosen) -> dict[str, Score]:
    """acc1: the share of questions whose nearest option is the right one; a guess is right once in its options."""
    return {"acc1": Score(float((answers.rank < 1).mean()), float((1 / answers.num_options).mean()))}


def count_per_class(answers: Classified) -> tuple[Ints, Ints, Ints]:
    """For each class its images, those whose nearest name is its own, and those that have it among the five nearest."""
    images, right, among_five = (
        np.bincount(answers.class_id[chosen], minlength=answers.num_classes)
        for chosen in (slice(None), answers.rank < 1, answers.rank < 5)
    )
    return images, right, among_five


def roc_auc(score: Floats, positive: npt.NDArray[np.bool_]) -> float:
    """P(a positive scores above a negative), equal scores counting half (Mann and Whitney 1947).

    >>> roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.75
    """
    _, of_value, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[of_value]
    num_positive, num_negative = int(positive.sum()), int((~positive).sum())
    above = rank[positive].sum() - num_positive * (num_positive + 1) / 2
    return float(above / (num_positive * num_negative))


def retrieve(images: Embeddings, texts: Embeddings, num_captions: Ints) -> Retrieved:
    """Find captions by image and images by caption, a block of similarities at a time.

    Embeddings are rows of length 1; image i has the next `num_captions[i]` texts, at least one.
    """
    image_of, first = np.repeat(np.arange(len(images)), num_captions), np.cumsum(num_captions) - num_captions
    image_rank, text_rank = [], []
    for start in range(0, len(texts), _BLOCK):
        rows = slice(start, start + _BLOCK)
        image_rank.append(rank_answers(texts[rows] @ images.T, image_of[rows]))
    for start in range(0, len(images), _BLOCK):
        rows = slice(start, start + _BLOCK)
        similarity = images[rows] @ texts.T
        captions = [slice(at, at + count) for at, count in zip(first[rows], num_captions[rows], strict=True)]
        nearest = [span.start + row[span].argmax() for row, span in zip(similarity, captions, strict=True)]
        text_rank.append(rank_answers(similarity, np.array(nearest, np.int64)))
    return Retrieved(np.concatenate(image_rank), np.concatenate(text_rank), num_captions)


def score_retrieved(answers: Retrieved) -> dict[str, Score]:
    """Recall at 1, 5 and 10 of images by caption and of captions by image, and the mean of both at 1.

    An image counts as right if one of its captions is among the k nearest, as in papers on CLIP.
    """
    num_images, num_texts = len(answers.text_rank), len(answers.image_rank)
    scores = dict[str, Score]()
    for k in RECALL_AT:
        by_caption = Score(float((answers.image_rank < k).mean()), min(1.0, k / num_images))
        # Of k captions drawn at random, none is the image's own: the draws miss one after the other.
        drawn = np.arange(min(k, num_texts))
        missed = np.clip(num_texts - answers.num_captions[:, None] - drawn, 0, None) / (num_texts - drawn)
        by_image = Score(float((answers.text_rank < k).mean()), float(1 - missed.prod(axis=1).mean()))
        scores |= {f"image_retrieval_recall@{k}": by_caption, f"text_retrieval_recall@{k}": by_image}
    both = [scores["image_retrieval_recall@1"], scores["text_retrieval_recall@1"]]
    scores["mean_recall@1"] = Score(sum(s.value for s in both) / 2, sum(s.chance for s in both) / 2)
    return scores

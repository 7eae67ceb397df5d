"""From the place of the right answer among all answers to scores, each beside what guessing gives."""

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
    own: Ints
    """The image's class."""
    place: Ints
    """How many names are nearer to it than its own."""
    nearest: Ints
    """The class of the name that is nearest to it."""
    margin: Floats
    """Similarity to the last name less that to the first: with two classes, how sure the second is."""

    def of_classes(self, classes: Ints) -> "Classified":
        """Only the images of these classes; their places among all names stay."""
        mine = np.isin(self.own, classes)
        return Classified(self.num_classes, self.own[mine], self.place[mine], self.nearest[mine], self.margin[mine])


@dataclass(frozen=True)
class Retrieved:
    """Images against captions."""

    image_place: Ints
    """For each caption: how many images are nearer to it than its own."""
    text_place: Ints
    """For each image: how many captions are nearer to it than the nearest of its own."""
    num_own: Ints
    """For each image: its captions."""


def places(similarity: Embeddings, own: Ints) -> Ints:
    """For each row the columns above its own one; of equal ones the first is the higher.

    The rule for ties is not kind: a model that finds all names alike gets what the first name gets. A similarity that
    is no number would be above nothing and so below nothing: it raises ValueError.
    """
    if not np.isfinite(similarity).all():
        raise ValueError("the model gives embeddings that are not finite; did its training diverge?")
    mine = np.take_along_axis(similarity, own[:, None], axis=1)
    before = np.arange(similarity.shape[1]) < own[:, None]
    return np.asarray(((similarity > mine) | (similarity == mine) & before).sum(axis=1), np.int64)


def score_classified(found: Classified) -> dict[str, Score]:
    """acc1, acc5, mean_per_class and f1_macro (of classes with images), acc1_acc5 and, with two classes, roc_auc."""
    num_images, right, among_five = count_per_class(found)
    has_images = num_images > 0
    one, five = 1 / found.num_classes, min(1.0, 5 / found.num_classes)
    acc1, acc5 = right.sum() / num_images.sum(), among_five.sum() / num_images.sum()
    scores = {
        "acc1": Score(acc1, one),
        "acc5": Score(acc5, five),
        "mean_per_class": Score(float((right[has_images] / num_images[has_images]).mean()), one),
        "acc1_acc5": Score((acc1 + acc5) / 2, (one + five) / 2),
        "f1_macro": _score_f1(found, num_images, right),
    }
    if found.num_classes == 2 and has_images.all():
        scores["roc_auc"] = Score(roc_auc(found.margin, found.own == 1), 0.5)
    return scores


def _score_f1(found: Classified, num_images: Ints, right: Ints) -> Score:
    """The mean over classes with images of F1 = 2 right / (images + namings), as WILDS has it (Koh et al. 2021).

    A random guess names each class equally often, and is right with 1 of num_classes.
    """
    namings = np.bincount(found.nearest, minlength=found.num_classes)
    guesses = num_images.sum() / found.num_classes
    has_images = num_images > 0
    images = num_images[has_images]
    f1 = 2 * right[has_images] / (images + namings[has_images])
    by_chance = 2 * images / found.num_classes / (images + guesses)
    return Score(float(f1.mean()), float(by_chance.mean()))


def count_per_class(found: Classified) -> tuple[Ints, Ints, Ints]:
    """For each class its images, those whose nearest name is its own, and those that have it among the five nearest."""
    images, right, among_five = (
        np.bincount(found.own[chosen], minlength=found.num_classes)
        for chosen in (slice(None), found.place < 1, found.place < 5)
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


def retrieve(images: Embeddings, texts: Embeddings, num_own: Ints) -> Retrieved:
    """Find captions by image and images by caption, a block of similarities at a time.

    Embeddings are rows of length 1; image i has the next `num_own[i]` texts, at least one.
    """
    image_of, first = np.repeat(np.arange(len(images)), num_own), np.cumsum(num_own) - num_own
    image_place, text_place = [], []
    for start in range(0, len(texts), _BLOCK):
        rows = slice(start, start + _BLOCK)
        image_place.append(places(texts[rows] @ images.T, image_of[rows]))
    for start in range(0, len(images), _BLOCK):
        rows = slice(start, start + _BLOCK)
        similarity = images[rows] @ texts.T
        own = [slice(at, at + count) for at, count in zip(first[rows], num_own[rows], strict=True)]
        nearest = [span.start + row[span].argmax() for row, span in zip(similarity, own, strict=True)]
        text_place.append(places(similarity, np.array(nearest, np.int64)))
    return Retrieved(np.concatenate(image_place), np.concatenate(text_place), num_own)


def score_retrieved(found: Retrieved) -> dict[str, Score]:
    """Recall at 1, 5 and 10 of images by caption and of captions by image, and the mean of both at 1.

    An image counts as right if one of its captions is among the k nearest, as in papers on CLIP.
    """
    num_images, num_texts = len(found.text_place), len(found.image_place)
    scores = dict[str, Score]()
    for k in RECALL_AT:
        by_caption = Score(float((found.image_place < k).mean()), min(1.0, k / num_images))
        # Of k captions drawn at random, none is the image's own: the draws miss one after the other.
        drawn = np.arange(min(k, num_texts))
        missed = np.clip(num_texts - found.num_own[:, None] - drawn, 0, None) / (num_texts - drawn)
        by_image = Score(float((found.text_place < k).mean()), float(1 - missed.prod(axis=1).mean()))
        scores |= {f"image_retrieval_recall@{k}": by_caption, f"text_retrieval_recall@{k}": by_image}
    both = [scores["image_retrieval_recall@1"], scores["text_retrieval_recall@1"]]
    scores["mean_recall@1"] = Score(sum(s.value for s in both) / 2, sum(s.chance for s in both) / 2)
    return scores

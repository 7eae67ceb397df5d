"""Perceptual hashes of images with their colours, and which of many look alike."""

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image

Looks = npt.NDArray[np.uint64]
"""A row an image: its perceptual hash and its colours."""
Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

MAX_DISTANCE = 15
MAX_COLOUR_DISTANCE = 2
"""Steps of 8 of 256; a copy in JPEG at quality 75 is 1 off, a purple heart instead of a red one 6."""


def perceptual_hash(image: "Image.Image") -> int:
    """64 bits that a resized or re-encoded copy shares but for a few: which low frequencies are above their median.

    In whole numbers throughout, so that it is the same on every machine. Of the grey image only: see `mean_colours`.
    """
    from PIL import Image  # noqa: PLC0415  # what reads the graph must not load it

    small = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    low = _COSINES @ np.asarray(small, np.int64) @ _COSINES.T
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def mean_colours(image: "Image.Image") -> int:
    """The mean red, green and blue of each quarter of an RGB image, in 5 bits each of 60."""
    from PIL import Image  # noqa: PLC0415

    # Right to a step of 256 whatever the sides; resized to 2 x 2 at once it would be off by up to 45.
    small = image.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    sums = np.asarray(small, np.uint64).reshape(2, _SIDE // 2, 2, _SIDE // 2, 3).sum((1, 3)).ravel()
    return int(np.left_shift(sums // np.uint64(8 * (_SIDE // 2) ** 2), _COLOURS).sum())


def nearest_earlier(looks: Looks, distance: int) -> Places:
    """For each image the first one before it that is near; -1 where there is none.

    Near are two whose hashes differ in at most `distance` bits, and whose every colour by at most MAX_COLOUR_DISTANCE
    steps. Memory is 160 bytes an image. Time grows with the square of how many distinct images agree in
    64 / (distance + 1) bits.
    """
    first, of = _distinct(looks)
    distinct, best = looks[first], first.copy()
    for here, there in _near_pairs(distinct, distinct, distance):
        np.minimum.at(best, here, first[there])
    nearest = best[of]
    return np.where(nearest < np.arange(len(looks)), nearest, -1)


def nearest_of(looks: Looks, others: Looks, distance: int) -> Places:
    """For each image the first of `others` that is near, as in `nearest_earlier`; -1 where there is none."""
    none = len(others)
    mine, of = _distinct(looks)
    theirs, _ = _distinct(others)
    best = np.full(len(mine), none)
    for here, there in _near_pairs(looks[mine], others[theirs], distance):
        np.minimum.at(best, here, theirs[there])
    return np.where(best < none, best, -1)[of]


def differing_bits(looks: Looks, others: Looks, nearest: Places) -> npt.NDArray[np.float64]:
    """In how many bits each hash differs from that of the one of `others` nearest to it; 0 where none is (-1)."""
    differing = np.zeros(len(looks))
    [near] = np.nonzero(nearest >= 0)
    differing[near] = np.bitwise_count(looks[near, 0] ^ others[nearest[near], 0])
    return differing


def _distinct(looks: Looks) -> tuple[Places, Places]:
    """The first place of each distinct look, and for each place which of those it is of."""
    order = np.lexsort((looks[:, 1], looks[:, 0]))  # stable: equal ones stand by place
    is_new = np.ones(len(looks), np.bool_)
    is_new[1:] = (looks[order[1:]] != looks[order[:-1]]).any(axis=1)
    of = np.empty(len(looks), np.int64)
    of[order] = np.cumsum(is_new) - 1
    return order[is_new], of


_SIDE = 32
_COSINES = np.rint(4096 * np.cos(np.pi * np.outer(np.arange(8), 2 * np.arange(_SIDE) + 1) / (2 * _SIDE))).astype(
    np.int64
)


_COLOURS = np.arange(0, 60, 5, dtype=np.uint64)


def _near_pairs(looks: Looks, others: Looks, distance: int) -> Iterator[tuple[Places, Places]]:
    """Every pair of places that are near, some more than once.

    Of `distance` + 1 bands of bits at least one agrees (pigeonhole), so only those that share a band are compared.
    """
    if not 0 <= distance <= MAX_DISTANCE:
        raise ValueError(f"a distance of {distance} bits of 64: give 0 to {MAX_DISTANCE}; beyond, most images are near")
    for low, high in pairwise(64 * band // (distance + 1) for band in range(distance + 2)):
        mine, theirs = (_bits(of[:, 0], low, high) for of in (looks, others))
        order = np.argsort(theirs, kind="stable")
        begin, end = (np.searchsorted(theirs[order], mine, side) for side in ("left", "right"))
        here = np.flatnonzero(begin < end)
        step = 0
        while len(here):
            there = order[begin[here] + step]
            near = np.flatnonzero(np.bitwise_count(looks[here, 0] ^ others[there, 0]) <= distance)
            near = near[_are_alike(looks[here[near], 1], others[there[near], 1])]
            yield here[near], there[near]
            step += 1
            here = here[begin[here] + step < end[here]]


def _are_alike(colours: Hashes, others: Hashes) -> npt.NDArray[np.bool_]:
    """Whether each of the twelve colours is near its counterpart."""
    alike = np.ones(len(colours), np.bool_)
    for shift in _COLOURS.tolist():
        mine, theirs = (_bits(of, shift, shift + 5).astype(np.int8) for of in (colours, others))
        alike &= np.abs(mine - theirs) <= MAX_COLOUR_DISTANCE
    return alike


def _bits(hashes: Hashes, low: int, high: int) -> Hashes:
    return (hashes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)

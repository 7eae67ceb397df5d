"""Describe an image's looks in 124 bits, a perceptual hash and its colours, and find images that look alike."""

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
Rows = npt.NDArray[np.int64]
"""Numbers of rows of Looks; -1 for none."""

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


def find_nearest_earlier(looks: Looks, distance: int) -> Rows:
    """For each image the first one before it that is near; -1 where there is none.

    Near are two whose hashes differ in at most `distance` bits, and whose every colour by at most MAX_COLOUR_DISTANCE
    steps. Memory is 160 bytes an image. Time grows with the square of how many distinct images agree in
    64 / (distance + 1) bits.
    """
    first, look_of_row = _find_distinct(looks)
    distinct, best = looks[first], first.copy()
    for here, there in _find_near_pairs(distinct, distinct, distance):
        np.minimum.at(best, here, first[there])
    nearest = best[look_of_row]
    return np.where(nearest < np.arange(len(looks)), nearest, -1)


def find_nearest(looks: Looks, others: Looks, distance: int) -> Rows:
    """For each image the row of the first of `others` that is near (see `find_nearest_earlier`); -1 where none is."""
    none = len(others)
    look_rows, look_of_row = _find_distinct(looks)
    other_rows, _ = _find_distinct(others)
    best = np.full(len(look_rows), none)
    for here, there in _find_near_pairs(looks[look_rows], others[other_rows], distance):
        np.minimum.at(best, here, other_rows[there])
    return np.where(best < none, best, -1)[look_of_row]


def count_differing_bits(looks: Looks, others: Looks, nearest: Rows) -> npt.NDArray[np.float64]:
    """In how many bits each hash differs from that of the one of `others` nearest to it; 0 where none is (-1)."""
    differing = np.zeros(len(looks))
    [near] = np.nonzero(nearest >= 0)
    differing[near] = np.bitwise_count(looks[near, 0] ^ others[nearest[near], 0])
    return differing


def _find_distinct(looks: Looks) -> tuple[Rows, Rows]:
    """The first row of each distinct look, and for each row the number of its look among those."""
    order = np.lexsort((looks[:, 1], looks[:, 0]))  # stable: equal ones stand by row
    is_new = np.ones(len(looks), np.bool_)
    is_new[1:] = (looks[order[1:]] != looks[order[:-1]]).any(axis=1)
    look_of_row = np.empty(len(looks), np.int64)
    look_of_row[order] = np.cumsum(is_new) - 1
    return order[is_new], look_of_row


_SIDE = 32
_COSINES = np.rint(4096 * np.cos(np.pi * np.outer(np.arange(8), 2 * np.arange(_SIDE) + 1) / (2 * _SIDE))).astype(
    np.int64
)


_COLOURS = np.arange(0, 60, 5, dtype=np.uint64)


def _find_near_pairs(looks: Looks, others: Looks, distance: int) -> Iterator[tuple[Rows, Rows]]:
    """Every pair of rows that are near, one of each side, some pairs more than once.

    Of `distance` + 1 bands of bits at least one agrees (pigeonhole), so only those that share a band are compared.
    """
    if not 0 <= distance <= MAX_DISTANCE:
        raise ValueError(f"a distance of {distance} bits of 64: give 0 to {MAX_DISTANCE}; beyond, most images are near")
    for low, high in pairwise(64 * band // (distance + 1) for band in range(distance + 2)):
        bands, other_bands = (_cut_bits(each[:, 0], low, high) for each in (looks, others))
        order = np.argsort(other_bands, kind="stable")
        begin, end = (np.searchsorted(other_bands[order], bands, side) for side in ("left", "right"))
        here = np.flatnonzero(begin < end)
        step = 0
        while len(here):
            there = order[begin[here] + step]
            near = np.flatnonzero(np.bitwise_count(looks[here, 0] ^ others[there, 0]) <= distance)
            near = near[_compare_colours(looks[here[near], 1], others[there[near], 1])]
            yield here[near], there[near]
            step += 1
            here = here[begin[here] + step < end[here]]


def _compare_colours(colours: Hashes, others: Hashes) -> npt.NDArray[np.bool_]:
    """Whether each of the twelve colours is near its counterpart."""
    are_alike = np.ones(len(colours), np.bool_)
    for shift in _COLOURS.tolist():
        colour, other_colour = (_cut_bits(each, shift, shift + 5).astype(np.int8) for each in (colours, others))
        are_alike &= np.abs(colour - other_colour) <= MAX_COLOUR_DISTANCE
    return are_alike


def _cut_bits(hashes: Hashes, low: int, high: int) -> Hashes:
    return (hashes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)

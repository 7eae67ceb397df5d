"""Perceptual hashes of images, and which of many are near each other: in how many of 64 bits they differ."""

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

MAX_DISTANCE = 15


def perceptual_hash(image: "Image.Image") -> int:
    """64 bits that a resized or re-encoded copy shares but for a few: which low frequencies are above their median.

    In whole numbers throughout, so that it is the same on every machine.
    """
    from PIL import Image  # noqa: PLC0415  # what reads the graph must not load it

    small = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    low = _COSINES @ np.asarray(small, np.int64) @ _COSINES.T
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def nearest_earlier(hashes: Hashes, distance: int) -> Places:
    """For each hash the first one before it that differs in at most `distance` bits; -1 where there is none.

    Memory is 120 bytes a hash. Time grows with the square of how many hashes agree in 64 / (distance + 1) bits.
    """
    distinct, first, of = np.unique(hashes, return_index=True, return_inverse=True)
    best = first.copy()
    for here, there in _near_pairs(distinct, distinct, distance):
        np.minimum.at(best, here, first[there])
    found = best[of]
    return np.where(found < np.arange(len(hashes)), found, -1)


def nearest_of(hashes: Hashes, others: Hashes, distance: int) -> Places:
    """For each hash the first of `others` that differs from it in at most `distance` bits; -1 where there is none."""
    none = len(others)
    distinct, of = np.unique(hashes, return_inverse=True)
    known, first = np.unique(others, return_index=True)
    best = np.full(len(distinct), none)
    for here, there in _near_pairs(distinct, known, distance):
        np.minimum.at(best, here, first[there])
    return np.where(best < none, best, -1)[of]


def differing_bits(hashes: Hashes, others: Hashes, found: Places) -> npt.NDArray[np.float64]:
    """In how many bits each hash differs from the one of `others` that was found for it; 0 where none was (-1)."""
    differing = np.zeros(len(hashes))
    [near] = np.nonzero(found >= 0)
    differing[near] = np.bitwise_count(hashes[near] ^ others[found[near]])
    return differing


_SIDE = 32
_COSINES = np.rint(4096 * np.cos(np.pi * np.outer(np.arange(8), 2 * np.arange(_SIDE) + 1) / (2 * _SIDE))).astype(
    np.int64
)


def _near_pairs(hashes: Hashes, others: Hashes, distance: int) -> Iterator[tuple[Places, Places]]:
    """Every pair of places whose hashes are near, some more than once.

    Of `distance` + 1 bands of bits at least one agrees (pigeonhole), so only those that share a band are compared.
    """
    if not 0 <= distance <= MAX_DISTANCE:
        raise ValueError(f"a distance of {distance} bits of 64: give 0 to {MAX_DISTANCE}; beyond, most images are near")
    for low, high in pairwise(64 * band // (distance + 1) for band in range(distance + 2)):
        mine, theirs = (_bits(of, low, high) for of in (hashes, others))
        order = np.argsort(theirs, kind="stable")
        begin, end = (np.searchsorted(theirs[order], mine, side) for side in ("left", "right"))
        here = np.flatnonzero(begin < end)
        step = 0
        while len(here):
            there = order[begin[here] + step]
            near = np.bitwise_count(hashes[here] ^ others[there]) <= distance
            yield here[near], there[near]
            step += 1
            here = here[begin[here] + step < end[here]]


def _bits(hashes: Hashes, low: int, high: int) -> Hashes:
    return (hashes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)

"""Find images that look alike by bands of bits of their hashes: of each the first one that is near."""

from itertools import combinations, pairwise
from math import comb

import numpy as np
import numpy.typing as npt

from metaclip_dagster.filtering.hashes import Hashes, Looks, Rows

MAX_DISTANCE = 15


def find_nearest_earlier(looks: Looks, distance: int, *, num_bands: int | None = None, band: int | None = None) -> Rows:
    """For each image the first one before it that is near; -1 where there is none.

    Near are two whose hashes differ in at most `distance` bits, and whose every colour by at most MAX_COLOUR_DISTANCE
    steps. `num_bands` says how the search goes, not what it finds (`choose_num_bands`). With a `band`, only those are
    sure to be found whose first band in common it is. Memory is some 150 bytes an image.
    """
    first, look_of_row = find_distinct(looks)
    num_bands = num_bands or choose_num_bands(len(first), distance)
    lowest = _find_lowest(looks[first], distance, num_bands, band, begin=0, end=len(first))
    nearest = first[lowest][look_of_row]
    return np.where(nearest < np.arange(len(looks)), nearest, -1)


def find_nearest(looks: Looks, others: Looks, distance: int) -> Rows:
    """For each image the row of the first of `others` that is near (see `find_nearest_earlier`); -1 where none is."""
    look_rows, look_of_row = find_distinct(looks)
    other_rows, _ = find_distinct(others)
    both, num_others = np.concatenate([others[other_rows], looks[look_rows]]), len(other_rows)
    num_bands = choose_num_bands(len(both), distance)
    lowest = _find_lowest(both, distance, num_bands, None, begin=num_others, end=num_others)[num_others:]
    return np.append(other_rows, -1)[np.minimum(lowest, num_others)][look_of_row]


def choose_num_bands(num_images: int, distance: int) -> int:
    """Into how many bands of bits hashes are cut: what is estimated to find near ones among so many the soonest.

    Of B bands two near hashes share B - distance at least (pigeonhole). More bands are more combinations to sort by,
    each with fewer hashes alike to compare.
    """

    def estimate(num_bands: int) -> float:
        bits = min(32, _SHARE_OF_BITS * 64 * (num_bands - distance) / num_bands)
        return comb(num_bands, distance) * (_SORTED_AS_COMPARED + num_images / 2**bits)

    _check_distance(distance)
    return min(range(distance + 1, distance + 7), key=estimate)


def hash_band(looks: Looks, band: int, num_bands: int) -> Hashes:
    """32 bits for each image that are equal where that band of the perceptual hash is."""
    return _hash_bits(looks[:, 0], _list_bands(num_bands)[band]) >> np.uint64(32)


def count_differing_bits(looks: Looks, others: Looks, nearest: Rows) -> npt.NDArray[np.float64]:
    """In how many bits each hash differs from that of the one of `others` nearest to it; 0 where none is (-1)."""
    differing = np.zeros(len(looks))
    [near] = np.nonzero(nearest >= 0)
    differing[near] = np.bitwise_count(looks[near, 0] ^ others[nearest[near], 0])
    return differing


def find_distinct(looks: Looks) -> tuple[Rows, Rows]:
    """The first row of each distinct look, ascending, and for each row the number of its look among those."""
    order = np.lexsort((looks[:, 1], looks[:, 0]))  # stable: equal ones stand by row
    is_new = np.ones(len(looks), np.bool_)
    is_new[1:] = (looks[order[1:]] != looks[order[:-1]]).any(axis=1)
    first = order[is_new]
    place = np.empty(len(first), np.int64)
    place[np.argsort(first)] = np.arange(len(first))
    look_of_row = np.empty(len(looks), np.int64)
    look_of_row[order] = place[np.cumsum(is_new) - 1]
    return np.sort(first), look_of_row


_SORTED_AS_COMPARED = 20
"""Sorting a hash takes as long as comparing so many."""
_SHARE_OF_BITS = 0.75
"""Neighbouring frequencies go together: bits tell fewer images apart than random ones would."""
_ODD = np.uint64(0x9E3779B97F4A7C15)
"""Spreads bits upwards (Knuth, The Art of Computer Programming 6.4): 2**64 by the golden ratio."""


def _check_distance(distance: int) -> None:
    if not 0 <= distance <= MAX_DISTANCE:
        raise ValueError(f"a distance of {distance} bits of 64: give 0 to {MAX_DISTANCE}; beyond, most images are near")


def _list_bands(num_bands: int) -> list[int]:
    """The bits of each band, as a mask."""
    edges = [64 * band // num_bands for band in range(num_bands + 1)]
    return [(1 << high) - (1 << low) for low, high in pairwise(edges)]


def _combine_bands(distance: int, num_bands: int, band: int | None = None) -> list[int]:
    """Masks of bits in at least one of which near hashes agree; with a band, of those of which it is the first."""
    _check_distance(distance)
    bands = _list_bands(num_bands)
    of_first = combinations(range(num_bands), num_bands - distance)
    return [sum(bands[each] for each in chosen) for chosen in of_first if band in {None, chosen[0]}]


def _hash_bits(hashes: Hashes, mask: int) -> Hashes:
    """Equal in the upper half where the bits of the mask are; what is equal by chance is compared, and no more."""
    return (hashes & np.uint64(mask)) * _ODD


def _find_lowest(looks: Looks, distance: int, num_bands: int, band: int | None, *, begin: int, end: int) -> Rows:
    """For each row from `begin` the lowest one before it, and before `end`, that is near; itself for none.

    The rows of one hash stand together, so that a hash that millions of images have is compared once.
    """
    from metaclip_dagster.filtering.comparing import HIGH, compare_equal, compare_groups  # noqa: PLC0415  # numba: for who compares, not who loads the graph

    lowest, hashes, colours = np.arange(len(looks)), looks[:, 0].copy(), looks[:, 1].copy()
    rows = np.argsort(hashes, kind="stable")
    starts = np.flatnonzero(np.diff(hashes[rows], prepend=~hashes[rows[:1]]))
    by_first_row = np.argsort(rows[starts])
    spans = np.stack([starts, np.append(starts, len(rows))[1:]], axis=1)[by_first_row]
    hashes, numbers = hashes[rows[spans[:, 0]]], np.arange(len(spans), dtype=np.uint64)
    if band in {None, 0}:  # equal hashes have every band in common
        compare_equal(spans, rows, colours, lowest, begin, end)
    for mask in _combine_bands(distance, num_bands, band) if distance else []:
        keys = (_hash_bits(hashes, mask) & HIGH) | numbers  # sorted, hashes of one group stand by their first rows
        keys.sort()
        compare_groups(keys, hashes, spans, rows, colours, lowest, distance, begin, end)
    return lowest

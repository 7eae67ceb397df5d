"""Describe an image's looks in 124 bits: a perceptual hash and its colours."""

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


_SIDE = 32
_COSINES = np.rint(4096 * np.cos(np.pi * np.outer(np.arange(8), 2 * np.arange(_SIDE) + 1) / (2 * _SIDE))).astype(
    np.int64
)
_COLOURS = np.arange(0, 60, 5, dtype=np.uint64)

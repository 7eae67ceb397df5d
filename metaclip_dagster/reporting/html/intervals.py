"""Say how far scores and their differences could be off because they are of a sample of test images: intervals."""

from math import sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

LEVEL = 0.95
"""How often an interval holds what all images of the kind would give, were test images drawn again and again."""

Interval = tuple[float, float]

_Z = NormalDist().inv_cdf((1 + LEVEL) / 2)


def bound_share(share: float, num_images: float) -> Interval:
    """Wilson's score interval of a share of test images (Wilson 1927; Brown, Cai and DasGupta 2001).

    Of a mean over models that were scored on the same images it is no narrower than it should be, for a mean of
    values between 0 and 1 varies at most as much as a share does.

    >>> [round(bound, 3) for bound in bound_share(0.0, 10)]
    [0.0, 0.278]
    """
    spread = _Z**2 / num_images
    centre = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * sqrt(share * (1 - share) / num_images + spread / num_images / 4)
    return max(0.0, centre - half), min(1.0, centre + half)


def bound_difference(differences: npt.NDArray[np.float64]) -> Interval:
    """The interval of a mean difference between two models that were scored on the same images, 1, 0 or -1 an image.

    Agresti and Min's (2005): Wald's for paired shares, after half an image is added to each of right and wrong by
    either model. So it has a width even where the models differ on no image; where they differ on fewer than some five,
    it is too narrow. Means over several seeds may be between the whole numbers.

    >>> [round(bound, 3) for bound in bound_difference(np.array([1.0] * 20 + [0.0] * 75 + [-1.0] * 5))]
    [0.053, 0.241]
    """
    num_images = len(differences) + 2
    mean = float(differences.sum()) / num_images
    mean_square = (float(np.square(differences).sum()) + 1) / num_images
    half = _Z * sqrt((mean_square - mean**2) / num_images)
    return max(-1.0, mean - half), min(1.0, mean + half)

"""False alarms: images like the training images that are called outliers. Knows scores and counts only."""

import math

import numpy as np
from numpy.typing import NDArray

EARLIER_PERCENTILE = 0.99  # of the validation scores: the limit of models without a stated rate
ROUNDING = 1e-9  # 20 * 0.05 must not be less than 1


def limit(scores: NDArray[np.float32], alarms: float) -> tuple[float, float]:
    """The score above which an image is an outlier, and the rate of false alarms that it keeps.

    scores: (n,), of validation images. Of n scores it is the ceil((n + 1)(1 - alarms))-th smallest: whatever the
    scores' distribution, a new image of the same kind is above it with a probability of at most `alarms` (a split-
    conformal p-value; Bates et al., Testing for Outliers with Conformal p-values, 2023). Fewer than 1 / alarms - 1
    scores cannot keep this rate: then it is the largest, and the rate is 1 / (n + 1).
    """
    above = max(1, math.floor(alarms * (len(scores) + 1) + ROUNDING))
    return float(np.sort(scores)[len(scores) - above]), max(alarms, 1 / (len(scores) + 1))


def rank(images: int, alarms: float | None) -> int:
    """Of `images` validation scores, the place of the limit, counted from the largest, which is 1.

    alarms: the rate that the limit keeps; None: an earlier model's, at EARLIER_PERCENTILE.
    """
    if alarms is None:
        return images - math.ceil(EARLIER_PERCENTILE * (images - 1))
    return math.floor(alarms * (images + 1) + ROUNDING)

"""Fit prediction sets on validation images: which labels cannot be excluded for an image. Knows arrays only.

Split conformal prediction, class by class ("Mondrian"; Vovk, Gammerman and Shafer, Algorithmic Learning in a Random
World, 2005; Vovk, Conditional validity of inductive conformal predictors, 2012): of the images of each class, whatever
the class, at least 1 - error have their own label among the candidates, over the draws of validation images and of new
images like them. No distribution is assumed.

The score is the plain probability of the label (LAC; Sadinle, Lei and Wasserman, Least ambiguous set-valued
classifiers, 2019). At the same coverage of each class, about 0.90, its sets are no larger than those of APS (Romano,
Sesia and Candes, 2020) and RAPS (Angelopoulos et al., 2021), on the demo 1.14 labels against 1.25 and 1.17, and it
needs one number a class (benchmarks/sets.py; docs/how-it-works.md has the figures).

The validation images have also chosen the epoch and the temperature. That can cost a little of the coverage, so the
evaluation measures it on test images.
"""

import math

import numpy as np
from numpy.typing import NDArray

ROUNDING = 1e-9  # of a sum of weights


def candidates_above(
    scores: NDArray[np.float32], labels: NDArray[np.int64], units: NDArray[np.int64], error: float
) -> tuple[float, ...]:
    """Per class, the smallest score at which it stays a candidate; 0: it can never be excluded.

    scores: (n, classes), 0 and more, higher for a more likely label; labels: (n,); units: (n,), images with the same
    number show one scene or belong together; error: the share of a class's images that may lack their label.
    """
    classes = scores.shape[1]
    return tuple(_above(scores[labels == one, one], units[labels == one], error) for one in range(classes))


def _above(scores: NDArray[np.float32], units: NDArray[np.int64], error: float) -> float:
    """The threshold of one class, from the scores (m,) of its own images.

    The images of a unit share its weight, so that a new image of a new unit is covered (Lee, Barber and Willett,
    Distribution-free inference with hierarchical data, 2023); with units of one image this is the plain quantile.
    """
    _, unit, images = np.unique(units, return_inverse=True, return_counts=True)
    order = np.argsort(scores, kind="stable")
    weights = (1 / images[unit])[order]
    below = np.cumsum(weights) - weights
    # Excluding every smaller score excludes the new image with probability (1 + below) / (1 + units).
    allowed = np.flatnonzero(1 + below <= error * (1 + len(images)) + ROUNDING)
    return float(scores[order[allowed[-1]]]) if len(allowed) else 0.0


def fewest_images(error: float) -> int:
    """How many validation images, each a unit of its own, a class needs before it can be excluded at all."""
    return math.ceil(1 / error - 1 - ROUNDING)

"""Whether a night has more outliers than false alarms explain. Knows counts only."""

import math

import numpy as np

from pipeline.model.false_alarms import rank
from pipeline.model.reference import Reference
from pipeline.night.summary import OutlierTest


def outlier_test(outliers: int, images: int, reference: Reference) -> OutlierTest:
    """How likely so many outliers among `images` are when all of them are like the training images."""
    validated = reference.about.validation.images
    place = rank(validated, reference.outlier_alarms)
    return OutlierTest(
        images=images,
        expected=images * place / (validated + 1),
        p_value=p_value(outliers, images, place, validated),
    )


def p_value(outliers: int, images: int, place: int, validated: int) -> float:
    """The probability that at least `outliers` of `images` scores are above the `place`-th largest of `validated`.

    All scores come from one distribution. What share of it is above the limit is only as well known as so many
    validation scores tell: the share is Beta(place, validated + 1 - place), the count beta-binomial (Vovk, Conditional
    validity of inductive conformal predictors, 2012). A binomial with the stated rate would raise a false alarm on
    many large nights.
    """
    if outliers == 0:
        return 1.0
    # Each count's probability from that of one less: SciPy, whose import takes longer, would give the same.
    count = np.arange(images, dtype=np.float64)
    rest = validated + 1 - place
    steps = np.log((images - count) * (count + place)) - np.log((count + 1) * (images - count - 1 + rest))
    none = _log_beta(place, images + rest) - _log_beta(place, rest)
    logs = none + np.cumsum(steps)
    return float(min(1.0, np.exp(logs[outliers - 1 :]).sum()))


def _log_beta(one: float, other: float) -> float:
    return math.lgamma(one) + math.lgamma(other) - math.lgamma(one + other)

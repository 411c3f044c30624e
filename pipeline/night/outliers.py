"""Whether a night has more outliers than false alarms explain. Knows counts only."""

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
    from scipy.special import betaln

    count = np.arange(outliers, images + 1)
    ways = -np.log1p(images) - betaln(images - count + 1, count + 1)
    logs = ways + betaln(count + place, images - count + validated + 1 - place) - betaln(place, validated + 1 - place)
    return float(min(1.0, np.exp(logs).sum()))

"""How good the prediction sets are on test images: coverage class by class, and size. Knows arrays only."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from pipeline.evaluation.results import ClassSets, Interval, SetScores
from pipeline.model.answers import Judged
from pipeline.model.candidates import in_sets


def set_scores(judged: Judged, level: float) -> SetScores | None:
    """The scores of the candidates on the test images; None: the model is of a version that gave none."""
    if (above := judged.candidates_above) is None:
        return None
    inside, labels = in_sets(judged.answers.probabilities, above), judged.answers.labels
    covered, sizes = inside[np.arange(len(labels)), labels], inside.sum(axis=1)
    classes = {
        name: ClassSets(
            images=int((here := labels == number).sum()),
            set_coverage=exact_interval(covered[here], judged.groups[here], level),
            mean_size=float(sizes[here].mean()) if here.any() else None,
            always=above[number] == 0,
        )
        for number, name in enumerate(judged.class_names)
    }
    return SetScores(mean_size=float(sizes.mean()), single_share=float((sizes == 1).mean()), classes=classes)


def exact_interval(true: NDArray[np.bool_], groups: NDArray[np.int64], level: float) -> Interval | None:
    """The share of `true` (n,) with its exact interval (Clopper and Pearson, 1934); None without images.

    groups: (n,), images with the same number are not independent: they count as fewer images, by the design effect
    (Korn and Graubard, Confidence intervals for proportions with small expected number of positive counts estimated
    from survey data, 1998).
    """
    if len(true) == 0:
        return None
    share, count = float(true.mean()), len(true) / design_effect(true, groups)
    hits, tail = share * count, (1 - level) / 2
    low = float(beta.ppf(tail, hits, count - hits + 1)) if hits > 0 else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, count - hits)) if hits < count else 1.0
    return Interval(value=share, low=low, high=high)


def design_effect(true: NDArray[np.bool_], groups: NDArray[np.int64]) -> float:
    """How many times larger the variance of the share is than with independent images, 1 or more.

    Where all are true, or none, the variance says nothing: then the images of a group count as one.
    """
    _, group, images = np.unique(groups, return_inverse=True, return_counts=True)
    share, number = true.mean(), len(images)
    if share in (0, 1) or number == 1:
        return len(true) / number
    off = np.bincount(group, weights=true - share)  # sums of the residuals of each group
    clustered = (off**2).sum() * number / (number - 1)
    independent = len(true) * share * (1 - share) * len(true) / (len(true) - 1)
    return max(1.0, float(clustered / independent))

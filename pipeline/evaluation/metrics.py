"""Metrics of a classifier: each a function of labels and probabilities. Knows arrays only.

Each metric is written once, for many weightings of the images at a time: for the value every weight is 1, and for a
resample the weights are how much each image counts in it. Calling scikit-learn once per resample gives the same
numbers and takes 100 times as long.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]  # (n,), index into the classes
Probabilities = NDArray[np.float32]  # (n, classes), rows sum to 1
Weights = NDArray[np.float64]  # (r, n), weights of the images for each of r resamples
Values = NDArray[np.float64]  # (r,), one per resample; NaN where undefined

SMALLEST_PROBABILITY = 1e-12  # one sure mistake costs 28 nats, not infinitely many
CALIBRATION_BINS = 15  # as in Guo et al., On Calibration of Modern Neural Networks, 2017


class Metric:
    """A metric: call it with labels and probabilities for its value, NaN if they do not define it."""

    def __init__(self, weighted: Callable[..., Values]) -> None:
        """`weighted`: (labels, probabilities, weights, further options by name) -> values."""
        functools.update_wrapper(self, weighted)
        self.weighted = weighted

    def __call__(self, labels: Labels, probabilities: Probabilities, **options: int) -> float:
        """The value over all images, each counted once. Options are the metric's own, such as `bins` or `k`."""
        return float(self.weighted(labels, probabilities, np.ones((1, len(labels))), **options)[0])

    def given(self, **options: int) -> "Metric":
        """The same metric with these options."""
        return Metric(functools.wraps(self.weighted)(functools.partial(self.weighted, **options)))


def _mean(of_each: NDArray[Any], weights: Weights) -> Values:
    return np.asarray(weights @ of_each.astype(np.float64) / weights.sum(axis=1))


@Metric
def accuracy(labels: Labels, probabilities: Probabilities, weights: Weights) -> Values:
    """Share of images whose most probable class is the right one."""
    return _mean(probabilities.argmax(axis=1) == labels, weights)


@Metric
def top_k_accuracy(labels: Labels, probabilities: Probabilities, weights: Weights, k: int) -> Values:
    """Share of images whose label is among the `k` most probable classes; ties go to the first in class order."""
    return _mean(is_among_best(labels, probabilities, k), weights)


def is_among_best(labels: Labels, probabilities: Probabilities, k: int) -> NDArray[np.bool_]:
    """Whether each image's label is among its `k` most probable classes, (n,)."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return np.asarray((best == labels[:, None]).any(axis=1))


@Metric
def balanced_accuracy(labels: Labels, probabilities: Probabilities, weights: Weights) -> Values:
    """Mean over the classes present in `labels` of the share that is recognised (mean recall)."""
    hits, _, of_class = _counts(labels, probabilities, weights)
    return _mean_where(of_class > 0, hits / np.where(of_class > 0, of_class, 1))


@Metric
def macro_precision(labels: Labels, probabilities: Probabilities, weights: Weights) -> Values:
    """Mean over the classes present in `labels` of the precision; 0 for a class that no image was given."""
    hits, given, of_class = _counts(labels, probabilities, weights)
    return _mean_where(of_class > 0, hits / np.where(given > 0, given, 1))


@Metric
def macro_f1(labels: Labels, probabilities: Probabilities, weights: Weights) -> Values:
    """Mean over the classes present in `labels` of the harmonic mean of precision and recall."""
    hits, given, of_class = _counts(labels, probabilities, weights)
    return _mean_where(of_class > 0, 2 * hits / np.maximum(given + of_class, 1))


def _counts(
    labels: Labels, probabilities: Probabilities, weights: Weights
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Weight of the right answers, of the answers and of the images of each class: (r, classes) each."""
    predicted, classes = probabilities.argmax(axis=1), np.arange(probabilities.shape[1])
    is_label, is_given = labels[:, None] == classes, predicted[:, None] == classes
    hits, given, of_class = (weights @ which.astype(np.float64) for which in (is_label & is_given, is_given, is_label))
    return hits, given, of_class


def _mean_where(known: NDArray[np.bool_], of_classes: NDArray[np.float64]) -> Values:
    """Mean over the classes that have a value, (r,); NaN where no class has one."""
    count = known.sum(axis=1)
    return np.where(count > 0, np.where(known, of_classes, 0).sum(axis=1) / np.maximum(count, 1), np.nan)


@Metric
def roc_auc(labels: Labels, probabilities: Probabilities, weights: Weights) -> Values:
    """Mean over the classes of the chance that an image of the class gets a higher probability of it than another one.

    The area under the receiver operating characteristic, one class against the rest (Fawcett, 2006); equal
    probabilities count half. Only classes that some images have and others do not; NaN without such a class.
    """
    return _mean_over_classes(_area_under_roc, labels, probabilities, weights)


@Metric
def average_precision(labels: Labels, probabilities: Probabilities, weights: Weights) -> Values:
    """Mean over the classes of the precision, averaged over the steps of recall as the threshold falls.

    The area under the precision-recall curve without interpolation, as in scikit-learn; same classes as `roc_auc`.
    """
    return _mean_over_classes(_area_under_precision, labels, probabilities, weights)


def _mean_over_classes(
    area: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]],
    labels: Labels,
    probabilities: Probabilities,
    weights: Weights,
) -> Values:
    total, count = np.zeros(len(weights)), np.zeros(len(weights))
    for column in range(probabilities.shape[1]):
        order = np.argsort(-probabilities[:, column], kind="stable")
        scores, positive = probabilities[order, column], labels[order] == column
        if positive.all() or not positive.any():
            continue
        last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # equal scores are taken together
        ordered = weights[:, order]
        hits = np.cumsum(ordered * positive, axis=1)[:, last]
        others = np.cumsum(ordered * ~positive, axis=1)[:, last]
        defined = (hits[:, -1] > 0) & (others[:, -1] > 0)
        total += np.where(defined, area(hits, others), 0)
        count += defined
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _area_under_roc(hits: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """hits, others: weight of the images of the class and of the rest at each threshold or above, (r, thresholds)."""
    hits, others = (np.pad(side, ((0, 0), (1, 0))) for side in (hits, others))
    area = (np.diff(others, axis=1) * (hits[:, 1:] + hits[:, :-1])).sum(axis=1) / 2
    return np.asarray(area / np.maximum(hits[:, -1] * others[:, -1], 1e-300))


def _area_under_precision(hits: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    precision = hits / np.maximum(hits + others, 1e-300)  # before the first drawn image recall does not change
    return np.asarray((np.diff(hits, axis=1, prepend=0) * precision).sum(axis=1) / np.maximum(hits[:, -1], 1e-300))


@Metric
def mean_log_loss(labels: Labels, probabilities: Probabilities, weights: Weights) -> Values:
    """Mean negative logarithm of the right class's probability, in nats."""
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return _mean(-np.log(np.maximum(of_truth, SMALLEST_PROBABILITY)), weights)


@Metric
def brier_score(labels: Labels, probabilities: Probabilities, weights: Weights) -> Values:
    """Mean over the images of the squared distance between the probabilities and the truth as 0s and a 1 (Brier, 1950).

    The sum over all classes: 0 (sure and right) to 2 (sure and wrong) for any number of classes; for two
    classes it is twice scikit-learn's binary `brier_score_loss`.
    """
    wrong_by = probabilities.astype(np.float64)
    wrong_by[np.arange(len(labels)), labels] -= 1
    return _mean((wrong_by**2).sum(axis=1), weights)


@Metric
def expected_calibration_error(
    labels: Labels, probabilities: Probabilities, weights: Weights, bins: int = CALIBRATION_BINS
) -> Values:
    """How far confidence and accuracy are apart, 0 to 1, on average over the images (Guo et al., 2017, equation 3).

    Images are put into `bins` of equal width by their confidence, each open below and closed above, and each bin's
    distance between mean confidence and accuracy counts with its share of the images.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    gap = confidence - (probabilities.argmax(axis=1) == labels)
    in_bin = calibration_bin(confidence, bins)[:, None] == np.arange(bins)
    return np.asarray(np.abs(weights @ (gap[:, None] * in_bin)).sum(axis=1) / weights.sum(axis=1))


def calibration_bin(confidence: NDArray[np.float64], bins: int = CALIBRATION_BINS) -> NDArray[np.int64]:
    """Which of `bins` of equal width over 0..1, open below and closed above, each confidence (n,) is in."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)

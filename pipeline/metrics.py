"""Metrics of a classifier, and how far each can be trusted. Knows arrays only."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from pipeline.params_model import Evaluate

Statistic = Callable[[NDArray[np.int64], NDArray[np.float32]], float]  # of (labels, probabilities), as below
SMALLEST_PROBABILITY = 1e-12  # one sure mistake costs 28 nats, not infinitely many
CALIBRATION_BINS = 15  # as in Guo et al., On Calibration of Modern Neural Networks, 2017


def accuracy(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    """Share of images whose most probable class is the right one."""
    return float(np.mean(probabilities.argmax(axis=1) == labels))


def balanced_accuracy(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    """Mean over the classes present in `labels` of the share of each that is recognised (mean recall)."""
    correct = np.bincount(labels, weights=probabilities.argmax(axis=1) == labels)
    count = np.bincount(labels)
    return float(np.mean(correct[count > 0] / count[count > 0]))


def mean_log_loss(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    """Mean negative logarithm of the right class's probability, in nats."""
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(of_truth, SMALLEST_PROBABILITY)).mean())


def brier_score(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    """Mean over the images of the squared distance between the probabilities and the truth as 0s and a 1 (Brier, 1950).

    The sum over all classes, so 0 (sure and right) to 2 (sure and wrong) for any number of classes; of two classes it
    is twice scikit-learn's binary `brier_score_loss`.
    """
    wrong_by = probabilities.astype(np.float64)
    wrong_by[np.arange(len(labels)), labels] -= 1
    return float((wrong_by**2).sum(axis=1).mean())


def expected_calibration_error(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32], bins: int = CALIBRATION_BINS
) -> float:
    """How far confidence and accuracy are apart, 0 to 1, on average over the images (Guo et al., 2017, equation 3).

    Images are put into `bins` of equal width by their confidence, each open below and closed above, and each bin's
    distance between mean confidence and accuracy counts with its share of the images.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    gap = confidence - (probabilities.argmax(axis=1) == labels)
    bin_of = calibration_bin(confidence, bins)
    return float(np.abs(np.bincount(bin_of, weights=gap, minlength=bins)).sum() / len(labels))


def calibration_bin(confidence: NDArray[np.float64], bins: int = CALIBRATION_BINS) -> NDArray[np.int64]:
    """Which of `bins` of equal width over 0..1, open below and closed above, each confidence (n,) is in."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def interval(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32], statistic: Statistic, params: Evaluate, seed: int
) -> dict[str, float]:
    """`value`, and `low` and `high` of its percentile bootstrap interval over the images (Efron, 1979).

    labels: (n,), index into the classes; probabilities: (n, classes).
    """

    def of_rows(rows: NDArray[np.int64]) -> float:
        return statistic(labels[rows], probabilities[rows])

    rows = np.arange(len(labels))
    found = bootstrap(
        (rows,), of_rows, n_resamples=params.resamples, vectorized=False, method="percentile",
        confidence_level=params.interval_level, rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return {"value": of_rows(rows), "low": float(found.low), "high": float(found.high)}


def as_text(metric: dict[str, float]) -> str:
    """A headline for a person: the value, and its interval in brackets."""
    return f"{metric['value']:.3f} [{metric['low']:.3f}, {metric['high']:.3f}]"

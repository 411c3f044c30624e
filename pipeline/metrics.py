"""Metrics of a classifier, and how far each can be trusted. Knows arrays only."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from pipeline.params_model import Evaluate

Statistic = Callable[[NDArray[np.int64], NDArray[np.float32]], float]  # of (labels, probabilities), as below
SMALLEST_PROBABILITY = 1e-12  # one sure mistake costs 28 nats, not infinitely many


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

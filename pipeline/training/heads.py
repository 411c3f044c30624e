"""Last layers that a formula gives: ridge regression, and the nearest class mean. Knows arrays only.

With a few images a class they often tell new images apart better than gradient descent does.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV

from pipeline.training.calibration import fit_temperature

Floats = NDArray[np.float32]

FEW = 20  # images a class, on average; below, all methods are tried
STRENGTHS = np.logspace(0, 6, 13)  # of ridge regression on standardised features
SMALLEST_DEVIATION = 0.1  # of a feature, as a share of their mean: a feature that hardly varies says nothing


def closed_form(
    method: Literal["ridge", "nearest_mean"], rows: Floats, targets: Floats, class_weights: Floats,
    val: tuple[Floats, NDArray[np.int64]],
) -> tuple[Floats, Floats]:  # fmt: skip
    """Kernel (d, classes) and bias (classes,) from features (n, d) and targets (n, classes).

    val: features and labels of the validation images; they decide how confident the layer is, by a fitted temperature.
    """
    formula = ridge if method == "ridge" else nearest_mean
    kernel, bias = formula(rows.astype(np.float64), targets.astype(np.float64), class_weights.astype(np.float64))
    logits = rows @ kernel + bias
    scale = max(float((logits - logits.mean(axis=1, keepdims=True)).std()), 1e-12)  # else out of the fit's reach
    features, labels = val
    scale *= fit_temperature(np.asarray((features @ kernel + bias) / scale, np.float32), labels)
    return np.asarray(kernel / scale, np.float32), np.asarray(bias / scale, np.float32)


def ridge(rows: NDArray[np.float64], targets: NDArray[np.float64], class_weights: NDArray[np.float64]) -> tuple[
    NDArray[np.float64], NDArray[np.float64]
]:  # fmt: skip
    """Ridge regression of the targets; leaving each image out chooses the strength."""
    mean, deviation = rows.mean(axis=0), deviations(rows)
    found = RidgeCV(STRENGTHS).fit((rows - mean) / deviation, targets, sample_weight=targets @ class_weights)
    kernel = found.coef_.T / deviation[:, None]
    return kernel, found.intercept_ - mean @ kernel


def nearest_mean(rows: NDArray[np.float64], targets: NDArray[np.float64], class_weights: NDArray[np.float64]) -> tuple[
    NDArray[np.float64], NDArray[np.float64]
]:  # fmt: skip
    """The negative half squared distance to each class's mean, features in units of their deviation within classes.

    Diagonal discriminant analysis with equal priors (Dudoit, Fridlyand and Speed, 2002); the classes weigh the same,
    whatever `class_weights` says.
    """
    shares = targets / targets.sum(axis=0)
    means = shares.T @ rows  # (classes, d)
    deviation = deviations(rows - targets @ means)
    kernel = means.T / deviation[:, None] ** 2
    return kernel, -0.5 * (means.T * kernel).sum(axis=0)


def deviations(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The standard deviation of each feature, none of them tiny."""
    found = rows.std(axis=0)
    return np.asarray(np.maximum(found, max(SMALLEST_DEVIATION * float(found.mean()), 1e-12)), np.float64)

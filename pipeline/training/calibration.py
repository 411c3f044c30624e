"""Fit the temperature, and the threshold below which an answer is "unsure", on validation images. Knows arrays only."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from pipeline.evaluation.metrics import accuracy, balanced_accuracy, expected_calibration_error, mean_log_loss
from pipeline.model.certificate import Certificate
from pipeline.model.engine import probabilities
from pipeline.training.certify import certify

HELD = {  # metrics that must not get worse when a network computes in fewer bits; -1: less is better
    "val_accuracy": 1, "val_balanced_accuracy": 1, "val_calibration_error": -1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Calibration:
    """How logits become confidences, and which confidences are high enough."""

    temperature: float  # logits are divided by it before the softmax
    unsure_below: float  # a smaller confidence is "unsure"
    metrics: dict[str, float]  # on the validation images
    certificate: Certificate | None = None  # of the threshold; None: not asked for


def calibrate(
    logits: NDArray[np.float32], labels: NDArray[np.int64], scenes: NDArray[np.int64], target_precision: float,
    target_confidence: float | None,
) -> Calibration:  # fmt: skip
    """Temperature, then threshold, from the logits (n, classes) of the validation images, and the metrics with both.

    scenes: (n,), images with the same number show one scene or belong together. target_confidence: None takes the
    threshold that reaches the target on these images and certifies nothing.
    """
    temperature = fit_temperature(logits, labels)
    answers = probabilities(logits, temperature)
    predicted, confidence = answers.argmax(axis=1), answers.max(axis=1)
    correct, certificate = predicted == labels, None
    if target_confidence is None:
        threshold = unsure_threshold(confidence, correct, target_precision)
    else:
        threshold, certificate = certify(confidence, correct, scenes, target_precision, target_confidence)
    given, uncalibrated = confidence >= threshold, probabilities(logits, 1.0)
    metrics = {
        "val_accuracy": accuracy(labels, answers),
        "val_balanced_accuracy": balanced_accuracy(labels, answers),
        "val_log_loss": mean_log_loss(labels, answers),
        "val_log_loss_uncalibrated": mean_log_loss(labels, uncalibrated),
        "val_calibration_error": expected_calibration_error(labels, answers),
        "val_calibration_error_uncalibrated": expected_calibration_error(labels, uncalibrated),
        "val_coverage": float(given.mean()),  # share of images whose answer is not "unsure"
        "val_precision_covered": float(correct[given].mean()),
        "val_unsure_share": float((~given).mean()),
    }
    return Calibration(temperature, threshold, metrics, certificate)


def answers_hold(metrics: dict[str, float], others: dict[str, float], max_loss: float) -> bool:
    """Whether `others` are worse than `metrics`, both of a Calibration, by no more than `max_loss` in each of HELD."""
    losses = [sign * (metrics[name] - others[name]) for name, sign in HELD.items()]
    return max(losses) <= max_loss


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature with the smallest log loss, between 0.05 and 20 (Guo et al., 2017)."""

    def loss(log_temperature: float) -> float:
        return mean_log_loss(labels, probabilities(logits, np.exp(log_temperature)))

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded")
    return float(np.exp(found.x))


def unsure_threshold(confidence: NDArray[np.float32], correct: NDArray[np.bool_], target_precision: float) -> float:
    """The smallest confidence such that the answers at or above it are right at `target_precision`.

    If none reaches it, the confidence with the best precision; 0 if all answers together reach it.
    """
    order = np.argsort(-confidence, kind="stable")
    precision = np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    # Equal confidences are accepted or rejected together: only the last of equal ones can be a threshold.
    last = np.append(np.diff(confidence[order]) != 0, True)
    enough = np.flatnonzero(last & (precision >= target_precision))
    if len(enough) == 0:
        return float(confidence[order][np.argmax(np.where(last, precision, -1))])
    return 0.0 if enough[-1] == len(order) - 1 else float(confidence[order][enough[-1]])

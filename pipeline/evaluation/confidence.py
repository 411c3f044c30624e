"""Reliability and coverage: does the confidence match the accuracy, and how many answers does each threshold leave?

Knows arrays only.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.metrics import CALIBRATION_BINS, calibration_bin
from pipeline.model.answers import Answers


@dataclass(frozen=True, slots=True)
class Reliability:
    """The values of each bin of confidence, (bins,); a bin without images has NaN for both shares."""

    images: NDArray[np.int64]
    confidence: NDArray[np.float64]  # mean, 0..1
    accuracy: NDArray[np.float64]  # 0..1


def reliability(answers: Answers, bins: int = CALIBRATION_BINS) -> Reliability:
    """Mean confidence and accuracy in bins of equal width (Guo et al., 2017)."""
    confidence = answers.confidence.astype(np.float64)
    in_bin = calibration_bin(confidence, bins)
    images = np.bincount(in_bin, minlength=bins)
    count = np.where(images > 0, images, np.nan)
    return Reliability(
        images=images,
        confidence=np.bincount(in_bin, weights=confidence, minlength=bins) / count,
        accuracy=np.bincount(in_bin, weights=answers.correct, minlength=bins) / count,
    )


@dataclass(frozen=True, slots=True)
class Coverage:
    """The values at each threshold, from the highest to the lowest, (m,)."""

    threshold: NDArray[np.float64]  # an answer is given at this confidence or above
    coverage: NDArray[np.float64]  # share of the images with an answer
    accuracy: NDArray[np.float64]  # of these


def coverage_curve(answers: Answers) -> Coverage:
    """Accuracy against coverage at every confidence that occurs (El-Yaniv and Wiener, 2010)."""
    order = np.argsort(-answers.confidence, kind="stable")
    confidence = answers.confidence[order].astype(np.float64)
    last = np.append(np.diff(confidence) != 0, True)  # equal confidences are given or withheld together
    given = np.arange(1, len(order) + 1)
    right = np.cumsum(answers.correct[order])
    return Coverage(confidence[last], (given / len(order))[last], (right / given)[last])

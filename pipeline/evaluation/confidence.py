"""Reliability and coverage: does the confidence match the accuracy, and how many answers does each threshold leave?

Knows arrays only.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.metrics import CALIBRATION_BINS, calibration_bin
from pipeline.evaluation.shares import Groups, design_effect
from pipeline.model.answers import Answers

FEWEST_SCENES = 30  # for an interval of the calibration error
PRIOR = 4  # images that a bin's accuracy is smoothed with (Agresti and Coull, 1998)
HALVINGS = 15  # of the distance in which an end is looked for


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


def calibration_error_ends(
    answers: Answers, groups: Groups, resamples: int, level: float, seed: int
) -> tuple[float, float] | None:
    """Both ends of the interval of the expected calibration error; None with fewer than FEWEST_SCENES scenes.

    The measured error is always greater than the true one: chance adds to every bin (Roelofs et al., Mitigating Bias
    in Calibration Error Estimation, 2022), and a bootstrap adds it once more. So we ask which true errors could give
    the measured one (a test inverted, as in Carpenter, Test Inversion Bootstrap Confidence Intervals, 1999): each bin's
    distance between confidence and accuracy is scaled by a factor, and chance is added. Images are counted, so each end
    allows for half an image (the continuity correction: Newcombe, Two-sided confidence intervals for the single
    proportion, 1998).
    """
    if len(np.unique(groups)) < FEWEST_SCENES:
        return None
    rng, count, found = np.random.default_rng(seed), len(answers.labels), reliability(answers)
    confidence, right = (np.nan_to_num(of_bin) for of_bin in (found.confidence, found.accuracy))
    distance = found.images * (confidence - right) / count
    error = float(np.abs(distance).sum())
    usual = np.minimum(confidence, (answers.correct.sum() + 1) / (count + 2))
    smooth = (found.images * right + PRIOR * usual) / (found.images + PRIOR)
    drawn = rng.binomial(found.images, smooth, (resamples, len(smooth))) - found.images * smooth
    effect = design_effect(answers.correct, groups)
    chance, half = drawn * np.sqrt(effect) / count, effect / (2 * count)
    tail = (1 - level) / 2

    def errors(factor: float) -> NDArray[np.float64]:
        return np.asarray(np.abs(factor * distance + chance).sum(axis=1))

    low = _last(lambda factor: float((errors(factor) >= error - half).mean()) <= tail, 0, 1)
    high = _last(lambda factor: float((errors(factor) <= error + half).mean()) > tail, 1, 1 / max(error, 1e-9))
    return low * error, min(1.0, high * error)


def _last(holds: Callable[[float], bool], first: float, beyond: float) -> float:
    """The greatest number from `first` on for which it still holds; `first` if it never does."""
    if not holds(first):
        return first
    for _ in range(HALVINGS):
        middle = (first + beyond) / 2
        first, beyond = (middle, beyond) if holds(middle) else (first, middle)
    return first

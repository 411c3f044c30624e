"""Two models' answers to the same images, compared image by image. Knows arrays only.

Images that must stay in one split (near-copies, one group) form a unit. All statistics resample or count units, as the
images of a unit tend to be right or wrong together.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from pipeline.evaluation.intervals import outer_ends, pseudo_images, resamples
from pipeline.evaluation.metrics import accuracy, balanced_accuracy, expected_calibration_error
from pipeline.params.model import Evaluate

METRICS = {  # by their names in Comparison
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "calibration": expected_calibration_error,
}


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric of both models, and the interval of new minus champion."""

    new: float
    champion: float
    low: float
    high: float

    @property
    def value(self) -> float:
        """New minus champion."""
        return self.new - self.champion


@dataclass(frozen=True, slots=True)
class Changed:
    """Units of which the new model has more right than the champion (gained), or fewer (lost)."""

    gained: int
    lost: int

    @property
    def p_value(self) -> float:
        """The p-value of the exact two-sided sign test on the units gained and lost.

        If every image is its own unit, this is McNemar's exact test on the discordant pairs (McNemar, 1947).
        """
        discordant = self.gained + self.lost
        return float(binomtest(self.lost, discordant).pvalue) if discordant else 1.0


@dataclass(frozen=True, slots=True)
class OfClass:
    """Both models on the images of one class."""

    label: str
    new: float  # recall
    champion: float
    changed: Changed

    @property
    def loss(self) -> float:
        """How much lower the new model's recall is, -1 to 1."""
        return self.champion - self.new


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that the gate compares of two models on the same images."""

    images: int
    units: int
    accuracy: Difference
    balanced_accuracy: Difference
    calibration: Difference  # expected calibration error: lower is better
    changed: Changed
    classes: tuple[OfClass, ...]  # those that have images


def compare(
    labels: NDArray[np.int64], new: NDArray[np.float32], champion: NDArray[np.float32], units: NDArray[np.int64],
    class_names: tuple[str, ...], params: Evaluate, seed: int,
) -> Comparison:  # fmt: skip
    """Compare two models' probabilities (n, classes), columns and labels (n,) in the order of `class_names`.

    units: (n,), any numbers; images with the same number are resampled together.
    """
    numbers = np.asarray(np.unique(units, return_inverse=True)[1], np.int64)

    new_right, champion_right = (of.argmax(axis=1) == labels for of in (new, champion))
    return Comparison(
        images=len(labels),
        units=int(numbers.max()) + 1,
        **_differences(labels, new, champion, numbers, params, seed),
        changed=changed(new_right, champion_right, numbers),
        classes=tuple(
            OfClass(
                name,
                float(new_right[rows].mean()),
                float(champion_right[rows].mean()),
                changed(new_right[rows], champion_right[rows], numbers[rows]),
            )
            for index, name in enumerate(class_names)
            if (rows := labels == index).any()
        ),
    )


def changed(new_right: NDArray[np.bool_], champion_right: NDArray[np.bool_], units: NDArray[np.int64]) -> Changed:
    """Units gained and lost; each array (n,), one entry per image."""
    net = np.bincount(units, weights=new_right.astype(np.int64) - champion_right.astype(np.int64))
    return Changed(gained=int((net > 0).sum()), lost=int((net < 0).sum()))


def _differences(
    labels: NDArray[np.int64], new: NDArray[np.float32], champion: NDArray[np.float32], units: NDArray[np.int64],
    params: Evaluate, seed: int,
) -> dict[str, Difference]:  # fmt: skip
    """Each metric of both, with the interval of new minus champion.

    The interval is paired: each resample measures both models on the same units. It has one pseudo-image more, which
    only the champion has right for one end, and only the new model for the other: equal answers to a few images do not
    show that the models are equal.
    """
    label, wrong, right = zip(*(pseudo_images(labels, model, seed) for model in (new, champion)), strict=True)
    with_label = np.concatenate([labels, label[0]])
    pairs = [
        (np.concatenate([new, of_new]), np.concatenate([champion, of_champion]))
        for of_new, of_champion in ((wrong[0], right[1]), (right[0], wrong[1]))
    ]
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in METRICS}
    for weights, pseudo in resamples(units, params.resamples, seed):
        both = np.concatenate([weights, pseudo], axis=1)
        for name, metric in METRICS.items():
            drawn[name].append(np.stack([
                metric.weighted(with_label, one, both) - metric.weighted(with_label, other, both)
                for one, other in pairs
            ]))  # fmt: skip
    found = {}
    for name, metric in METRICS.items():
        low, high = outer_ends(np.concatenate(drawn[name], axis=1), params.interval_level)
        if units.max() == 0:  # one unit tells nothing about other units
            low, high = -1.0, 1.0
        found[name] = Difference(metric(labels, new), metric(labels, champion), low, high)
    return found

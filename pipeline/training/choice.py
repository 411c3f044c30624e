"""Which of two networks to keep, by their answers for the same validation images. Knows arrays only."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.metrics import SMALLEST_PROBABILITY
from pipeline.model.engine import probabilities
from pipeline.params.model import Monitor
from pipeline.training.calibration import fit_temperature


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better one network is than another, on the same images; negative: worse."""

    mean: float
    error: float  # the standard error of `mean`, over scenes

    @property
    def is_clearly_worse(self) -> bool:
        """By more than one standard error (the rule of Breiman et al., 1984)."""
        return self.mean < -self.error

    @property
    def is_clearly_better(self) -> bool:
        """By more than one standard error."""
        return self.mean > self.error


def difference(
    one: NDArray[np.float32], other: NDArray[np.float32], labels: NDArray[np.int64], scenes: NDArray[np.int64],
    monitor: Monitor,
) -> Difference:  # fmt: skip
    """Compare the logits (n, classes) of two networks, image by image, by what `monitor` measures.

    A loss is compared as it will be once the temperature is fitted: a network that is only too confident is not worse.
    scenes: (n,), images with the same number show one scene or belong together.
    """
    gained = scores(one, labels, monitor) - scores(other, labels, monitor)
    mean = float(gained.mean())
    of_scenes = np.bincount(np.unique(scenes, return_inverse=True)[1], weights=gained - mean)
    count = len(of_scenes)
    if count < 2:
        return Difference(mean, np.inf)
    return Difference(mean, float(np.sqrt(count / (count - 1) * np.square(of_scenes).sum()) / len(labels)))


def scores(logits: NDArray[np.float32], labels: NDArray[np.int64], monitor: Monitor) -> NDArray[np.float64]:
    """What each image adds to the metric, (n,), more is better; their mean is the metric, a loss negative."""
    if monitor == "val_loss":
        of_label = probabilities(logits, fit_temperature(logits, labels))[np.arange(len(labels)), labels]
        return np.asarray(np.log(np.maximum(of_label, SMALLEST_PROBABILITY)), np.float64)
    right: NDArray[np.float64] = (logits.argmax(axis=1) == labels).astype(np.float64)
    if monitor == "val_accuracy":
        return right
    classes, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return np.asarray(right * len(labels) / (len(classes) * counts[place]), np.float64)

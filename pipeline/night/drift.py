"""How far a night's images are from the training images: measures, answers, classes. Knows rows only.

The report shows the size of a difference. Its p-value only says whether the size can be trusted.
"""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline.model.reference import About
from pipeline.night.rows import Row
from pipeline.night.summary import Drift, Measure

LEAST = 30  # images with an answer; fewer are not compared
SURE = 0.001  # a difference counts as drift only with a p-value below this
AT_ONCE = 4096  # rows


class Distribution:
    """A measure tonight, counted at the usual quantiles: memory does not grow with the number of images."""

    def __init__(self, quantiles: list[float]) -> None:
        """quantiles: the usual ones, evenly spaced from the smallest value to the largest."""
        self._usual = np.asarray(quantiles, np.float64)
        self._values = np.unique(self._usual)
        self._below = np.zeros(len(self._values), np.int64)
        self._up_to = np.zeros(len(self._values), np.int64)
        self._sum, self.count = 0.0, 0

    def add(self, values: NDArray[np.float64]) -> None:
        """Count values (n,)."""
        ordered = np.sort(values)
        self._below += np.searchsorted(ordered, self._values, "left")
        self._up_to += np.searchsorted(ordered, self._values, "right")
        self._sum += float(ordered.sum())
        self.count += len(ordered)

    @property
    def mean(self) -> float:
        """The mean of tonight's values."""
        return self._sum / self.count

    @property
    def usual_mean(self) -> float:
        """The mean of the usual distribution, from its quantiles."""
        return float((self._usual[1:] + self._usual[:-1]).mean() / 2)

    def statistic(self) -> float:
        """The largest difference of the two cumulative distributions, 0 (the same) to 1 (disjoint).

        The Kolmogorov-Smirnov statistic, computed at the usual quantiles, on both sides of each.
        """
        steps = len(self._usual) - 1
        usual_up_to = (np.searchsorted(self._usual, self._values, "right") - 1) / steps
        usual_below = np.searchsorted(self._usual, self._values, "left") / steps
        differences = (self._up_to / self.count - usual_up_to, self._below / self.count - usual_below)
        return float(max(np.abs(one).max() for one in differences))


def ks_p_value(statistic: float, tonight: int, usual: int) -> float:
    """The p-value of the statistic (Stephens, 1970, as in Press et al., Numerical Recipes, 14.3)."""
    from scipy.special import kolmogorov

    root = np.sqrt(tonight * usual / (tonight + usual))
    return float(kolmogorov((root + 0.12 + 0.11 / root) * statistic))


def of_classes(tonight: Mapping[str, int], usual: Mapping[str, int]) -> tuple[float, float]:
    """Half the sum of the differences of the classes' shares (total variation, 0 to 1), and its chi-squared p-value."""
    from scipy.special import chdtrc

    names = sorted({*tonight, *usual})
    counts = np.array([[table.get(name, 0) for name in names] for table in (tonight, usual)], np.float64)
    counts = counts[:, counts.sum(axis=0) > 0]
    shares = counts / counts.sum(axis=1, keepdims=True)
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    squares = ((counts - expected) ** 2 / expected).sum()
    p_value = chdtrc(counts.shape[1] - 1, squares) if counts.shape[1] > 1 else 1.0
    return float(np.abs(shares[0] - shares[1]).sum() / 2), float(p_value)


class Tonight:
    """Compares the rows of predictions.csv with the images that the model was trained on."""

    def __init__(self, about: About, most: float) -> None:
        """most: the largest statistic that does not count as drift."""
        validation = about.validation
        usual = {
            "confidence": (validation.confidence_quantiles, validation.images),
            "outlier_score": (validation.outlier_score_quantiles, validation.images),
            **{name: (found, len(about.paths) + validation.images) for name, found in about.quantiles.items()},
        }
        self._most, self._answers = most, validation.answers
        self._usual_images = {name: images for name, (_, images) in usual.items()}
        self._distributions = {name: Distribution(quantiles) for name, (quantiles, _) in usual.items()}
        self._labels: Counter[str] = Counter()
        self._waiting: list[Row] = []  # at most AT_ONCE

    def add(self, row: Row) -> None:
        """Take a row into account; those without an answer do not count."""
        if row["label"]:
            self._waiting.append(row)
        if len(self._waiting) == AT_ONCE:
            self._count()

    def _count(self) -> None:
        self._labels.update(row["label"] for row in self._waiting)
        for name, distribution in self._distributions.items():
            distribution.add(np.array([float(row[name]) for row in self._waiting if row[name]]))
        self._waiting = []

    def found(self) -> Drift:
        """How far the rows are from training: the size of each difference, and its p-value.

        Without measures when there are too few images.
        """
        self._count()
        images = self._labels.total()
        if images < LEAST:
            return Drift(images=images, measures=(), drifted=())
        statistic, p_value = of_classes(self._labels, self._answers)
        measures = [Measure(measure="label", statistic=statistic, p_value=p_value)]
        for name, distribution in self._distributions.items():
            if distribution.count >= LEAST:
                statistic = distribution.statistic()
                p_value = ks_p_value(statistic, distribution.count, self._usual_images[name])
                measures.append(
                    Measure(
                        measure=name, statistic=statistic, p_value=p_value,
                        tonight=distribution.mean, usual=distribution.usual_mean,
                    )
                )  # fmt: skip
        drifted = tuple(one.measure for one in measures if one.statistic > self._most and one.p_value < SURE)
        labels = {name: (self._labels[name], count) for name, count in self._answers.items()}
        return Drift(images=images, measures=tuple(measures), drifted=drifted, labels=labels)

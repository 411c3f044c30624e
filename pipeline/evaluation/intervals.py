"""Intervals of metrics that are not shares, such as log loss and ROC-AUC, from resamples. Knows arrays only.

A bootstrap cannot draw what the images do not hold: of 12 right answers it makes 12 right answers every time, an
interval without width. So each resample has one pseudo-image more, answered wrongly for one end of the interval and
rightly for the other. With weights of the Bayesian bootstrap (Rubin, 1981) this is the exact interval of Clopper and
Pearson where the metric is a share, and the bound of Gaffke (2005) where it is a mean; Phan, Thomas and
Learned-Miller, Towards Practical Mean Bounds for Small Samples, 2021, compare it with others.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.metrics import Labels, Metric, Probabilities, Values, Weights
from pipeline.evaluation.results import Interval
from pipeline.params.model import Intervals

WEIGHTS_AT_ONCE = 2_000_000  # images times resamples: 16 MB, and a few times that while a metric is computed
PSEUDO = 50  # images of which each resample has one more


def resamples(groups: NDArray[np.int64], count: int, seed: int) -> Iterator[tuple[Weights, Weights]]:
    """`count` resamples, some at a time: the weights (r, n) of the images, and (r, PSEUDO) of the pseudo-images.

    groups: (n,), the number of each image's group. Images of one group have one weight: images of one scene are not
    independent evidence. In each resample one pseudo-image has a weight, that of a group.
    """
    chosen, of_pseudo, of_groups = np.random.default_rng(seed).spawn(3)  # so that how many at a time changes nothing
    _, group = np.unique(groups, return_inverse=True)
    sizes = np.bincount(group)
    usual = (sizes**2).sum() / len(groups)  # images in the group of an image, on average
    at_once = max(1, WEIGHTS_AT_ONCE // len(groups))
    for start in range(0, count, at_once):
        rows = min(at_once, count - start)
        pseudo = np.zeros((rows, PSEUDO))
        pseudo[np.arange(rows), chosen.integers(0, PSEUDO, rows)] = usual * of_pseudo.standard_exponential(rows)
        yield of_groups.standard_exponential((rows, len(sizes)))[:, group], pseudo


def pseudo_images(
    labels: Labels, probabilities: Probabilities, seed: int
) -> tuple[Labels, Probabilities, Probabilities]:
    """Labels (PSEUDO,) of images drawn at random, and the probabilities if they are answered wrongly, and rightly.

    Each keeps its probabilities, which only change places. Rightly: the greatest is the label's. Wrongly: it is that
    of another class, drawn at random, and the label has the second greatest.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.choice(len(labels), PSEUDO, replace=len(labels) < PSEUDO)
    of_drawn, label = probabilities[drawn], labels[drawn]
    other = (label + rng.integers(1, max(2, probabilities.shape[1]), PSEUDO)) % probabilities.shape[1]
    wrong = _with_greatest_at(of_drawn, other)
    below, rows = wrong.copy(), np.arange(PSEUDO)
    below[rows, other] = -1
    return label, _swapped(wrong, below.argmax(axis=1), label), _with_greatest_at(of_drawn, label)


def _with_greatest_at(probabilities: Probabilities, column: Labels) -> Probabilities:
    return _swapped(probabilities, probabilities.argmax(axis=1), column)


def _swapped(probabilities: Probabilities, one: Labels, other: Labels) -> Probabilities:
    """The rows with the values of two columns of each swapped."""
    swapped, rows = probabilities.copy(), np.arange(len(one))
    swapped[rows, one], swapped[rows, other] = probabilities[rows, other], probabilities[rows, one]
    return swapped


def intervals(
    labels: Labels,
    probabilities: Probabilities,
    metrics: Mapping[str, Metric],
    params: Intervals,
    seed: int,
    groups: NDArray[np.int64] | None = None,
) -> dict[str, Interval | None]:
    """Each metric's value with its interval; None if it is undefined.

    groups: (n,), images with the same number have one weight, see `resamples`; None: each image by itself.
    """
    label, *answered = pseudo_images(labels, probabilities, seed)
    with_label = np.concatenate([labels, label])
    drawn: dict[str, list[Values]] = {name: [] for name in metrics}
    alone = np.arange(len(labels))
    for weights, pseudo in resamples(alone if groups is None else groups, params.resamples, seed):
        both = np.concatenate([weights, pseudo], axis=1)
        for name, metric in metrics.items():
            drawn[name].append(np.stack([
                metric.weighted(with_label, np.concatenate([probabilities, one]), both) for one in answered
            ]))  # fmt: skip
    found: dict[str, Interval | None] = {}
    for name, metric in metrics.items():
        value = metric(labels, probabilities)
        found[name] = None
        if np.isfinite(value):
            low, high = outer_ends(np.concatenate(drawn[name], axis=1), params.interval_level)
            found[name] = Interval(value=value, low=min(low, value), high=max(high, value))
    return found


def outer_ends(values: NDArray[np.float64], level: float) -> tuple[float, float]:
    """The outermost ends of the intervals of several rows of resampled values, (rows, r)."""
    tail = (1 - level) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail], axis=1)
    return float(low.min()), float(high.max())

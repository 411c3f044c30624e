"""Bootstrap intervals of metrics, from resamples of the images. Knows arrays only."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.metrics import Labels, Metric, Probabilities, Values, Weights
from pipeline.evaluation.results import Interval
from pipeline.params.model import Intervals

WEIGHTS_AT_ONCE = 2_000_000  # images times resamples: 16 MB, and a few times that while a metric is computed


def resamples(groups: NDArray[np.int64], count: int, seed: int) -> Iterator[Weights]:
    """The weights (r, n) of `count` bootstrap resamples, some at a time: how often each image was drawn.

    groups: (n,), the number of each image's group. We draw whole groups, as many as there are, with replacement:
    images of one scene are not independent evidence (Field and Welsh, Bootstrapping clustered data, 2007).
    """
    rng = np.random.default_rng(seed)
    _, group = np.unique(groups, return_inverse=True)
    number = int(group.max()) + 1
    at_once = max(1, WEIGHTS_AT_ONCE // len(groups))
    for start in range(0, count, at_once):
        rows = min(at_once, count - start)
        drawn = rng.integers(0, number, (rows, number)) + number * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * number).reshape(rows, number)
        yield times[:, group].astype(np.float64)


def intervals(
    labels: Labels,
    probabilities: Probabilities,
    metrics: Mapping[str, Metric],
    params: Intervals,
    seed: int,
    groups: NDArray[np.int64] | None = None,
) -> dict[str, Interval | None]:
    """Each metric's value with its percentile bootstrap interval (Efron, 1979); None if it is undefined.

    groups: (n,), images with the same number are drawn together, see `resamples`; None: each image by itself.
    """
    alone = np.arange(len(labels))
    drawn: dict[str, list[Values]] = {name: [] for name in metrics}
    for weights in resamples(alone if groups is None else groups, params.resamples, seed):
        for name, metric in metrics.items():
            drawn[name].append(metric.weighted(labels, probabilities, weights))
    tail = (1 - params.interval_level) / 2
    found: dict[str, Interval | None] = {}
    for name, metric in metrics.items():
        value, values = metric(labels, probabilities), np.concatenate(drawn[name])
        if not np.isfinite(value):
            found[name] = None
            continue
        known = values[np.isfinite(values)]  # a resample may lack a class
        low, high = np.quantile(known, [tail, 1 - tail]) if len(known) else (value, value)
        found[name] = Interval(value=value, low=float(low), high=float(high))
    return found

"""Exact intervals of shares (accuracy, recall, precision, F1) and of their means over the classes. Knows arrays only.

Images of one scene are not independent evidence: a design effect says how many independent images they are worth.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from pipeline.evaluation.metrics import Labels, Probabilities, is_among_best
from pipeline.evaluation.results import Interval

Floats = NDArray[np.float64]
Groups = NDArray[np.int64]  # (n,), images with the same number show one scene or belong together


@dataclass(frozen=True, slots=True)
class Trials:
    """Images that count for a share, one row each; a metric is the mean over `parts`, such as classes, of their shares.

    An image may count for several parts, or for none.
    """

    image: NDArray[np.int64]  # (t,)
    part: NDArray[np.int64]  # (t,), 0..parts - 1
    hit: NDArray[np.bool_]  # (t,)
    parts: int
    as_dice: bool = False  # a part's value is not its share J but 2J / (1 + J), as F1 follows from the Jaccard index


def of_all(hit: NDArray[np.bool_]) -> Trials:
    """The share of hits among all images, (n,)."""
    return Trials(np.arange(len(hit)), np.zeros(len(hit), np.int64), hit, 1)


def of_images(labels: Labels, probabilities: Probabilities, k: int = 1) -> Trials:
    """Accuracy: of all images, the share whose label is among the `k` most probable classes."""
    return of_all(is_among_best(labels, probabilities, k))


def of_labels(labels: Labels, probabilities: Probabilities) -> Trials:
    """Recall: of the images of each class in `labels`, the share that gets it."""
    present, part = np.unique(labels, return_inverse=True)
    return Trials(np.arange(len(labels)), part, probabilities.argmax(axis=1) == labels, len(present))


def of_answers(labels: Labels, probabilities: Probabilities) -> Trials:
    """Precision: of the images that get each class in `labels`, the share that has it."""
    present, predicted = np.unique(labels), probabilities.argmax(axis=1)
    image = np.flatnonzero(np.isin(predicted, present))
    return Trials(image, np.searchsorted(present, predicted[image]), (predicted == labels)[image], len(present))


def of_either(labels: Labels, probabilities: Probabilities) -> Trials:
    """F1: of the images that have or get each class in `labels`, the share that does both (the Jaccard index)."""
    present, predicted = np.unique(labels), probabilities.argmax(axis=1)
    missed = np.flatnonzero((predicted != labels) & np.isin(predicted, present))  # they count for two classes
    image = np.concatenate([np.arange(len(labels)), missed])
    part = np.searchsorted(present, np.concatenate([labels, predicted[missed]]))
    hit = np.concatenate([predicted == labels, np.zeros(len(missed), np.bool_)])
    return Trials(image, part, hit, len(present), as_dice=True)


def exact_ends(hits: Floats, trials: Floats, level: float) -> tuple[Floats, Floats]:
    """Both ends of the exact interval of a share (Clopper and Pearson, 1934); trials need not be whole numbers.

    No trial: 0 to 1.
    """
    tail = (1 - level) / 2
    missed = trials - hits
    some, all_of_them = hits > 0, missed <= 0
    low = np.where(some, beta.ppf(tail, np.where(some, hits, 1), missed + 1), 0)
    high = np.where(all_of_them, 1, beta.ppf(1 - tail, hits + 1, np.where(all_of_them, 1, missed)))
    return low, high


@dataclass(frozen=True, slots=True)
class _Spread:
    """The trials of each part and how much its share varies, (parts,) each."""

    number: Floats
    hits: Floats
    share: Floats  # with two scenes more, see `_spread`
    effect: Floats  # the design effect: so many images are worth one independent image
    variance: Floats  # of the share
    of_sum: float  # variance of the sum over the parts, each times its slope
    slope: Floats  # of a part's value by its share


def share_ends(trials: Trials, groups: Groups, level: float) -> tuple[float, float]:
    """Both ends of the interval of the mean over the parts of each part's share of hits.

    One part: the exact interval for the number of independent images that its images are worth (Korn and Graubard,
    Confidence intervals for proportions with small expected number of positive counts estimated from survey data,
    1998). Several: the outer ends of two. One is that of a single share with the mean's variance. The other, MOVER,
    adds up in squares how far the ends of the parts are from their values (Zou and Donner, Construction of confidence
    limits about effect measures, 2008), times the factor by which parts that share images or scenes vary together.
    The first alone is too narrow where one class is rare, the second where many classes are.
    """
    found = _spread(trials, groups)
    value, usual = (found.hits / np.maximum(found.number, 1), found.share)
    low, high = exact_ends(found.hits / found.effect, found.number / found.effect, level)
    if trials.as_dice:
        value, usual, low, high = (2 * share / (1 + share) for share in (value, usual, low, high))
    mean, likely = float(value.mean()), float(usual.mean())

    worth = likely * (1 - likely) / (found.of_sum / trials.parts**2)
    single_low, single_high = (float(end) for end in exact_ends(np.array(mean * worth), np.array(worth), level))

    factor = max(1.0, found.of_sum / float((found.variance * found.slope**2).sum()))
    below, above = (np.sqrt(factor * (to_end**2).sum()) / trials.parts for to_end in (value - low, high - value))
    return max(0.0, min(single_low, mean - float(below))), min(1.0, max(single_high, mean + float(above)))


def share_interval(hit: NDArray[np.bool_], groups: Groups, level: float) -> Interval | None:
    """The share of hits with its exact interval; None without images."""
    if not len(hit):
        return None
    low, high = share_ends(of_all(hit), groups, level)
    return Interval(value=float(hit.mean()), low=low, high=high)


def design_effect(hit: NDArray[np.bool_], groups: Groups) -> float:
    """How many images (n,) are worth one independent image, 1 or more: images of a scene tend to be right together."""
    return float(_spread(of_all(hit), groups).effect[0])


def _spread(trials: Trials, groups: Groups) -> _Spread:
    """Variances over the scenes (Liang and Zeger, 1986) of each part and of their sum.

    They are those with two scenes more in each part, one all right and one all wrong, so that none is 0. Without a
    mistake, a scene then counts as one image: the most cautious design effect (Kish, Survey Sampling, 1965).
    """
    _, group = np.unique(groups, return_inverse=True)
    scene_part, row = np.unique(group[trials.image] * trials.parts + trials.part, return_inverse=True)
    scene, part = np.divmod(scene_part, trials.parts)

    def in_parts(values: Floats) -> Floats:
        return np.asarray(np.bincount(part, values, trials.parts), np.float64)

    size, right = (
        np.asarray(np.bincount(row, of_each), np.float64)
        for of_each in (np.ones(len(row)), trials.hit.astype(np.float64))
    )
    number, hits = in_parts(size), in_parts(right)
    scene_size = np.where(number > 0, in_parts(size**2) / np.maximum(number, 1), 1)  # of an image's scene, on average
    share = (hits + scene_size) / (number + 2 * scene_size)
    beyond = right - share[part] * size
    added = scene_size**2 * (share**2 + (1 - share) ** 2)
    independent = (number + 2 * scene_size) * share * (1 - share)
    dependent = np.maximum(in_parts(beyond**2) + added, independent)

    slope = 2 / (1 + share) ** 2 if trials.as_dice else np.ones(trials.parts)
    to_variance = 1 / ((number + 2 * scene_size) * np.maximum(number, 1))
    weight = slope * np.sqrt(to_variance)
    of_sum = (np.bincount(scene, beyond * weight[part]) ** 2).sum() + (added * weight**2).sum()
    return _Spread(
        number=number,
        hits=hits,
        share=share,
        effect=dependent / independent,
        variance=dependent * to_variance,
        of_sum=max(float(of_sum), float((independent * weight**2).sum())),
        slope=slope,
    )

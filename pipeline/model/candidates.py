"""Prediction sets: the labels that a model cannot exclude for an image. Knows arrays only."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def in_sets(probabilities: NDArray[np.float32], above: Sequence[float]) -> NDArray[np.bool_]:
    """Whether each class is a candidate for each image, (n, classes).

    probabilities: (n, classes); above: per class the smallest probability at which it stays a candidate, as in
    `Contract.candidates_above`. The most probable class is always a candidate, so that no set is empty and every
    set holds the answer.
    """
    found = probabilities >= np.asarray(above, np.float64)
    found[np.arange(len(found)), probabilities.argmax(axis=1)] = True
    return np.asarray(found, np.bool_)


def candidates(row: NDArray[np.float32], above: Sequence[float]) -> list[int]:
    """The candidates for one image with the probabilities `row` (classes,), the most probable first."""
    (inside,) = in_sets(row[np.newaxis], above)
    return [int(number) for number in np.argsort(-row, kind="stable") if inside[number]]

"""How much the search for wrong labels may compute: with hundreds of classes a whole search would take hours.

A step of the logistic regression costs images x features x classes. Small sets are searched in full; for larger ones
the folds, then the steps, then the images to learn from become fewer. Every label is still judged.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FULL = 2e8  # cost of a step up to which nothing is left out: 2,600 images of 2 classes have 7e6
MOST = 4e9  # cost of a step: some 0.4 s on two cores; beyond it a model learns from a sample
TOTAL = 5e11  # cost of all steps of all folds: about a minute on two cores
FEWER_FOLDS, STEPS = 3, 1000
LEAST_STEPS, LEAST_IMAGES = 30, 10  # the latter of a class


@dataclass(frozen=True, slots=True)
class Effort:
    """Folds of the cross-validation, most steps of a model, and most images that it learns from."""

    folds: int
    steps: int
    images: int

    @property
    def is_full(self) -> bool:
        """Whether nothing is left out."""
        return self.steps == STEPS


def effort_for(images: int, features: int, classes: int, folds: int) -> Effort:
    """What a search may compute over so many images, with `folds` as params.yaml asks."""
    cost = float(images) * features * classes
    if cost <= FULL:
        return Effort(folds, STEPS, images)
    folds = min(folds, FEWER_FOLDS)
    learnt = min(images, max(int(MOST / (features * classes)), LEAST_IMAGES * classes))
    steps = int(TOTAL / (folds * float(learnt) * features * classes))
    return Effort(folds, min(STEPS - 1, max(LEAST_STEPS, steps)), learnt)


def sample(rows: NDArray[np.int64], labels: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """At most about `most` of `rows`, in order; of each class the same share, at least LEAST_IMAGES where it has them.

    labels: of all images; rows: numbers of images.
    """
    if len(rows) <= most:
        return rows
    order, share = np.random.default_rng(seed).permutation(rows), most / len(rows)
    kept = []
    for label in np.unique(labels[rows]):
        of_it = order[labels[order] == label]
        kept.append(of_it[: max(LEAST_IMAGES, round(share * len(of_it)))])
    return np.sort(np.concatenate(kept))

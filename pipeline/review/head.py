"""A last layer on features, fitted in seconds while a person labels, and how good it is. Knows arrays only."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.intervals import intervals
from pipeline.evaluation.metrics import balanced_accuracy as balanced_share
from pipeline.evaluation.results import Interval
from pipeline.params.model import Intervals
from pipeline.review.clusters import Features

STRENGTH = 0.01  # inverse of the penalty: the best of 1e-4 to 1 on the demo (benchmarks/review_beginning.py)
FOLDS = 5
LEAST_DRAWN = 20  # images, for an interval that says anything
MOST_MEASURED = 2000  # images that are cross-validated: the time grows with their square
RESAMPLES = Intervals(interval_level=0.95, resamples=500)
SAME_SCENE = 0.1  # cosine distance of standardised features; nearer images, as of one moment, are in one fold


@dataclass(frozen=True, slots=True)
class Head:
    """A fitted layer."""

    labels: tuple[str, ...]  # sorted
    layer: Any  # scikit-learn's

    def probabilities(self, features: Features) -> NDArray[np.float64]:
        """(n, classes) for features (n, d); columns as `labels`."""
        found: NDArray[np.float64] = self.layer.predict_proba(features)
        return found


def fit(features: Features, labels: Sequence[str]) -> Head:
    """Logistic regression of the labels, two or more different ones, on features (n, d); classes weigh the same."""
    with _one_core():
        layer = _layer().fit(features, labels)
    return Head(tuple(map(str, layer.classes_)), layer)


def balanced_accuracy(
    features: Features, labels: Sequence[str], drawn: NDArray[np.bool_], seed: int
) -> Interval | None:
    """The mean over classes of the share that is answered rightly, cross-validated, with its interval.

    drawn: (n,), which images came by a fair draw: only they measure, though all teach. None while there are fewer than
    `LEAST_DRAWN` of them, or none of a class, or fewer images of a class, or fewer scenes, than there are folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    rows = _at_most(drawn, seed)
    features, labels, drawn = features[rows], [labels[row] for row in rows], drawn[rows]
    names, index = np.unique(np.asarray(labels), return_inverse=True)
    of_class = np.bincount(index[drawn], minlength=len(names))
    if len(names) < 2 or drawn.sum() < LEAST_DRAWN or not of_class.all() or np.bincount(index).min() < FOLDS:
        return None
    scenes = same_scene(features)
    if len(set(scenes)) < FOLDS:
        return None
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    parts = list(folds.split(features, index, scenes))
    if any(len(set(index[train])) < len(names) for train, _ in parts):  # a class of one scene
        return None
    with _one_core():
        answers = cross_val_predict(_layer(), features, index, cv=parts, method="predict_proba")
    measured = {"it": balanced_share}
    return intervals(index[drawn], answers[drawn].astype(np.float32), measured, RESAMPLES, seed, scenes[drawn])["it"]


def _at_most(drawn: NDArray[np.bool_], seed: int) -> NDArray[np.int64]:
    """At most `MOST_MEASURED` rows, those that were drawn first; in their order."""
    order = np.random.default_rng(seed).permutation(len(drawn))
    return np.sort(order[np.argsort(~drawn[order], kind="stable")][:MOST_MEASURED])


def same_scene(features: Features) -> NDArray[np.int64]:
    """(n,): the number of each image's scene: images that are nearly the same have one."""
    from sklearn.cluster import AgglomerativeClustering

    if len(features) < 2:
        return np.zeros(len(features), np.int64)
    grouping = AgglomerativeClustering(None, metric="cosine", linkage="average", distance_threshold=SAME_SCENE)
    centred = features - features.mean(axis=0)
    some = 1e-9  # equal images would have no direction at all
    found: NDArray[np.int64] = grouping.fit_predict(centred / np.maximum(features.std(axis=0), 1e-6) + some)
    return found


def _one_core() -> AbstractContextManager[object]:
    """For matrices this small several threads take ten times as long, and the page needs the other cores."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    return cast(AbstractContextManager[object], threadpool_limits(1))


def _layer() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=500))

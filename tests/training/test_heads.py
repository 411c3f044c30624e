"""Last layers that a formula gives, compared with scikit-learn's, on few rows in many dimensions."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifierCV
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.evaluation.metrics import mean_log_loss
from pipeline.model.engine import probabilities
from pipeline.training.heads import STRENGTHS, closed_form, deviations, nearest_mean, ridge

EVEN = np.ones(3)


def clouds(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three classes in 40 dimensions of unlike scales, the last of which never varies."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    rows = rng.normal(0, 1, (count, 40)) + 0.6 * np.random.default_rng(9).normal(0, 1, (3, 40))[labels]
    rows *= np.geomspace(0.1, 10, 40)
    rows[:, -1] = 4
    return rows.astype(np.float32), labels


def test_ridge_answers_as_that_of_scikit_learn() -> None:
    rows, labels = clouds(30, 1)
    kernel, bias = ridge(rows.astype(float), np.eye(3)[labels], EVEN)
    theirs = make_pipeline(StandardScaler(), RidgeClassifierCV(STRENGTHS)).fit(rows, labels)
    fresh, _ = clouds(300, 2)
    ours = fresh @ kernel + bias
    assert (ours.argmax(axis=1) == theirs.predict(fresh)).mean() > 0.97  # features that hardly vary count less here
    assert np.corrcoef(ours.ravel(), theirs.decision_function(fresh).ravel())[0, 1] > 0.97


@pytest.mark.filterwarnings("ignore:self.within_class_std_dev_")
def test_the_nearest_mean_is_that_of_scikit_learn_in_the_same_units() -> None:
    rows, labels = clouds(30, 1)
    targets = np.eye(3)[labels]
    kernel, bias = nearest_mean(rows.astype(float), targets, EVEN)
    means = np.stack([rows[labels == label].mean(axis=0) for label in range(3)])
    unit = deviations(rows - means[labels])
    fresh, _ = clouds(300, 2)
    theirs = NearestCentroid().fit(rows / unit, labels).predict(fresh / unit)
    assert ((fresh @ kernel + bias).argmax(axis=1) == theirs).all()


@pytest.mark.parametrize("method", ["ridge", "nearest_mean"])
def test_its_confidence_is_fitted_and_it_is_better_than_chance(method: str) -> None:
    rows, labels = clouds(30, 1)
    val, truth = clouds(24, 3)
    targets = np.eye(3, dtype=np.float32)[labels]
    kernel, bias = closed_form(method, rows, targets, EVEN.astype(np.float32), (val, truth))  # type: ignore[arg-type]
    assert (kernel.dtype, bias.dtype, kernel.shape, bias.shape) == (np.float32, np.float32, (40, 3), (3,))
    fresh, expected = clouds(300, 2)
    loss = {scale: mean_log_loss(truth, probabilities(val @ kernel + bias, scale)) for scale in (0.8, 1.0, 1.25)}
    assert min(loss, key=lambda scale: loss[scale]) == 1.0
    assert mean_log_loss(expected, probabilities(fresh @ kernel + bias, 1.0)) < 0.8 * np.log(3)

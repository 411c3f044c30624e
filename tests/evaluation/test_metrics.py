"""The metrics are scikit-learn's, for resamples too."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    precision_score,
    roc_auc_score,
    top_k_accuracy_score,
)

from pipeline.evaluation.metrics import (
    accuracy,
    average_precision,
    balanced_accuracy,
    brier_score,
    expected_calibration_error,
    mean_log_loss,
    roc_auc,
    top_k_accuracy,
)
from tests.fixtures.evaluations import METRICS, table


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")  # cases to agree on too
@pytest.mark.filterwarnings("ignore:A single label was found")
@given(count=st.integers(1, 60), classes=st.integers(2, 6), seed=st.integers(0, 10_000))
@example(count=1, classes=2, seed=547)  # a loss so small that the rounding of the sum shows
def test_metrics_are_scikit_learns(count: int, classes: int, seed: int) -> None:
    labels, probabilities = table(count, classes, seed)
    predicted = probabilities.argmax(axis=1)
    assert accuracy(labels, probabilities) == pytest.approx(accuracy_score(labels, predicted))
    assert balanced_accuracy(labels, probabilities) == pytest.approx(balanced_accuracy_score(labels, predicted))
    # scikit-learn wants rows that sum to exactly 1, ours do to float32's precision: the sums come off its loss again.
    exact = probabilities.astype(np.float64)
    sums = exact.sum(axis=1, keepdims=True)
    expected = log_loss(labels, exact / sums, labels=list(range(classes))) - np.log(sums).mean()
    assert mean_log_loss(labels, probabilities) == pytest.approx(expected, rel=1e-5)


def test_balanced_accuracy_does_not_reward_naming_the_large_class() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    always_first = np.tile(np.array([0.9, 0.1], np.float32), (100, 1))
    assert accuracy(labels, always_first) == pytest.approx(0.9)
    assert balanced_accuracy(labels, always_first) == pytest.approx(0.5)


def test_one_sure_mistake_costs_much_and_not_infinitely_much() -> None:
    loss = mean_log_loss(np.array([0]), np.array([[0.0, 1.0]], np.float32))
    assert loss == pytest.approx(-np.log(1e-12))


@pytest.mark.parametrize("classes", [2, 3, 6])
def test_the_brier_score_is_scikit_learns_over_all_classes(classes: int) -> None:
    labels, probabilities = table(80, classes, seed=3)
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    expected = brier_score_loss(labels, exact, labels=list(range(classes)), scale_by_half=False)
    assert brier_score(labels, probabilities) == pytest.approx(expected, rel=1e-5)


# Two images of confidence 0.9, one right; two of 0.6, both right.
CONFIDENCES = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]], np.float32)


@pytest.mark.parametrize(
    ("labels", "probabilities", "bins", "error"),
    [
        pytest.param([0, 1, 0, 1], CONFIDENCES, 15, (abs(0.9 - 0.5) * 2 + abs(0.6 - 1) * 2) / 4, id="two bins"),
        pytest.param([0, 1, 0, 1], CONFIDENCES, 1, abs(0.75 - 0.75), id="in one bin the two faults cancel"),
        pytest.param([0, 1], np.eye(2, dtype=np.float32), 15, 0.0, id="sure and right"),
        pytest.param([1, 0], np.eye(2, dtype=np.float32), 15, 1.0, id="sure and wrong"),
        pytest.param([0, 1], [[0.5, 0.5], [0.5, 0.5]], 15, 0.0, id="a guess that says so"),
        # 0.5 is in the bin (0.25, 0.5], so the two do not cancel.
        pytest.param([0, 1], [[0.5, 0.5], [0.7, 0.3]], 4, (0.5 + 0.7) / 2, id="a bin is closed above"),
    ],
)
def test_expected_calibration_error_worked_by_hand(
    labels: list[int], probabilities: NDArray[np.float32], bins: int, error: float
) -> None:
    found = expected_calibration_error(np.array(labels), np.asarray(probabilities, np.float32), bins=bins)
    assert found == pytest.approx(error, abs=1e-6)


def scikit_learns(
    name: str, labels: NDArray[np.int64], probabilities: NDArray[np.float32], weights: NDArray[np.float64] | None
) -> float:
    """The same metric by scikit-learn, one class against the rest, mean over the classes."""
    predicted, classes = probabilities.argmax(axis=1), np.unique(labels)
    match name:
        case "accuracy":
            return float(accuracy_score(labels, predicted, sample_weight=weights))
        case "top_2_accuracy":
            return float(
                top_k_accuracy_score(
                    labels, probabilities, k=2, sample_weight=weights, labels=range(len(probabilities[0]))
                )
            )
        case "macro_precision":
            return float(
                precision_score(
                    labels, predicted, labels=classes, average="macro", sample_weight=weights, zero_division=0
                )
            )
        case "macro_f1":
            return float(
                f1_score(labels, predicted, labels=classes, average="macro", sample_weight=weights, zero_division=0)
            )
        case _:
            score = {"roc_auc": roc_auc_score, "average_precision": average_precision_score}[name]
            each = [score(labels == one, probabilities[:, one], sample_weight=weights) for one in classes]
            return float(np.mean(each))


@given(count=st.integers(12, 60), classes=st.integers(3, 5), seed=st.integers(0, 10_000), coarse=st.booleans())
def test_metrics_are_scikit_learns_for_resamples_too(count: int, classes: int, seed: int, coarse: bool) -> None:
    labels, probabilities = table(count, classes, seed)
    labels[:classes] = np.arange(classes)
    if coarse:  # ties
        probabilities = np.round(probabilities, 1)
    else:  # scikit-learn breaks ties of the k-th place in its own way
        assert top_k_accuracy(labels, probabilities, k=2) == pytest.approx(
            scikit_learns("top_2_accuracy", labels, probabilities, None)
        )
    weights = np.random.default_rng(seed).integers(0, 3, (3, count)).astype(np.float64)
    weights[:, :classes] = 1  # every class is drawn
    for name in ("accuracy", "macro_precision", "macro_f1", "roc_auc", "average_precision"):
        expected = scikit_learns(name, labels, probabilities, None)
        assert METRICS[name](labels, probabilities) == pytest.approx(expected)
        found = METRICS[name].weighted(labels, probabilities, weights)
        assert found == pytest.approx([scikit_learns(name, labels, probabilities, row) for row in weights])


@pytest.mark.parametrize("name", METRICS)
def test_a_weight_is_so_many_copies_of_the_image(name: str) -> None:
    labels, probabilities = table(50, 3, seed=4)
    times = np.random.default_rng(5).integers(0, 4, 50)
    copies = np.repeat(np.arange(50), times)
    found = METRICS[name].weighted(labels, probabilities, times[None].astype(np.float64))
    assert found[0] == pytest.approx(METRICS[name](labels[copies], probabilities[copies]))


def test_the_rank_metrics_of_one_class_alone_are_not_defined() -> None:
    labels, probabilities = np.zeros(4, np.int64), np.full((4, 2), 0.5, np.float32)
    assert np.isnan(roc_auc(labels, probabilities))
    assert np.isnan(average_precision(labels, probabilities))

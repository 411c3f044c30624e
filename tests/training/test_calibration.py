"""Temperature, threshold and what they cost, on numbers alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.engine import probabilities
from pipeline.training.calibration import answers_hold, calibrate, fit_temperature, unsure_threshold


@pytest.mark.parametrize("true", [0.4, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(true: float) -> None:
    rng = np.random.default_rng(5)
    logits = rng.normal(0, 3, (20_000, 3)).astype(np.float32)
    cumulated = probabilities(logits, true).cumsum(axis=1)
    labels = (rng.random((len(logits), 1)) > cumulated).sum(axis=1).clip(0, 2)
    assert fit_temperature(logits, labels) == pytest.approx(true, rel=0.05)


@pytest.mark.parametrize(
    ("confidence", "correct", "target", "expected"),
    [
        ([0.9, 0.8, 0.7], [True, True, True], 0.9, 0.0),
        ([0.9, 0.8, 0.7, 0.6], [True, True, False, False], 0.9, 0.8),
        ([0.9, 0.8, 0.7, 0.6], [True, False, True, True], 0.75, 0.0),
        ([0.9, 0.9, 0.5], [True, False, True], 1.0, 0.5),
        ([0.9, 0.8], [False, True], 1.0, 0.8),
    ],
    ids=[
        "all right",
        "the sure ones",
        "the last lifts it",
        "equal ones stand together",
        "out of reach: the best there is",
    ],
)
def test_unsure_threshold(confidence: list[float], correct: list[bool], target: float, expected: float) -> None:
    found = unsure_threshold(np.array(confidence, np.float32), np.array(correct), target)
    assert found == pytest.approx(expected)


@given(
    st.lists(st.tuples(st.sampled_from([0.25, 0.5, 0.625, 0.75, 1.0]), st.booleans()), min_size=1, max_size=40),
    st.floats(0, 1),
)
def test_answers_at_or_above_the_threshold_reach_the_target_whenever_any_do(
    answers: list[tuple[float, bool]], target: float
) -> None:
    confidence, correct = np.array([a for a, _ in answers], np.float32), np.array([b for _, b in answers])
    threshold = unsure_threshold(confidence, correct, target)
    reachable = max(correct[confidence >= level].mean() for level in confidence)
    reached = correct[confidence >= threshold].mean()
    assert reached >= target or reached == reachable < target


@pytest.mark.parametrize("target_confidence", [None, 0.9])
def test_what_calibration_costs_and_brings_is_said(target_confidence: float | None) -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 4, (4000, 2)).astype(np.float32)
    labels = (rng.random(len(logits)) < probabilities(logits, 3.0)[:, 1]).astype(np.int64)  # three times too sure
    found = calibrate(logits, labels, np.arange(len(labels)), 0.9, target_confidence)
    answers = probabilities(logits, found.temperature)
    given_ = answers.max(axis=1) >= found.unsure_below
    metrics = found.metrics
    assert found.temperature == pytest.approx(3, rel=0.15)
    assert metrics["val_log_loss"] < metrics["val_log_loss_uncalibrated"]
    assert metrics["val_calibration_error"] < 0.03 < metrics["val_calibration_error_uncalibrated"]
    assert metrics["val_coverage"] == given_.mean()
    assert metrics["val_unsure_share"] == (~given_).mean()
    assert 0 < metrics["val_coverage"] < 1
    assert metrics["val_precision_covered"] >= 0.9 > metrics["val_accuracy"]
    if target_confidence is None:
        assert found.certificate is None
    else:
        assert found.certificate is not None
        assert found.certificate.certified
        assert found.certificate.images == given_.sum()
        assert found.certificate.precision == metrics["val_precision_covered"]


def test_images_of_one_scene_certify_less_than_as_many_of_different_scenes() -> None:
    rng = np.random.default_rng(4)
    logits = rng.normal(0, 4, (300, 2)).astype(np.float32)
    labels = (rng.random(300) < probabilities(logits, 1.0)[:, 1]).astype(np.int64)
    coverage = {
        size: calibrate(logits, labels, np.arange(300) // size, 0.9, 0.9).metrics["val_coverage"] for size in (1, 10)
    }
    assert coverage[1] > coverage[10]
    certificate = calibrate(logits, labels, np.arange(300) // 30, 0.9, 0.9).certificate
    assert certificate is not None
    assert not certificate.certified


@pytest.mark.parametrize(
    ("worse", "holds"),
    [
        ({}, True),
        ({"val_accuracy": 0.79}, True),
        ({"val_accuracy": 0.78}, False),
        ({"val_balanced_accuracy": 0.5}, False),
        ({"val_calibration_error": 0.2}, False),
        ({"val_calibration_error": 0.0, "val_accuracy": 0.9}, True),
        ({"val_log_loss": 9.0}, True),
    ],
)
def test_answers_hold_while_no_measure_loses_more_than_allowed(worse: dict[str, float], holds: bool) -> None:
    metrics = {"val_accuracy": 0.8, "val_balanced_accuracy": 0.75, "val_calibration_error": 0.1, "val_log_loss": 0.5}
    assert answers_hold(metrics, metrics | worse, max_loss=0.015) is holds

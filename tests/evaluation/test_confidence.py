"""What a confidence is worth, worked by hand."""

import numpy as np
import pytest

from pipeline.evaluation.confidence import calibration_error_ends, coverage_curve, reliability
from pipeline.evaluation.metrics import expected_calibration_error
from pipeline.evaluation.shares import Groups
from pipeline.model.answers import Answers
from tests.fixtures.evaluations import judge

# Right at 0.9, wrong at 0.8, right at 0.8, wrong at 0.6.
ANSWERS = judge([0, 1, 0, 1], [[0.9, 0.1], [0.8, 0.2], [0.8, 0.2], [0.6, 0.4]]).answers


def test_the_curve_goes_from_the_surest_answer_to_all_and_equal_ones_go_together() -> None:
    curve = coverage_curve(ANSWERS)
    assert curve.threshold == pytest.approx([0.9, 0.8, 0.6])
    assert curve.coverage == pytest.approx([0.25, 0.75, 1])
    assert curve.accuracy == pytest.approx([1, 2 / 3, 0.5])


def test_a_point_of_the_curve_is_what_its_threshold_leaves() -> None:
    rng = np.random.default_rng(0)
    answers = judge(rng.integers(0, 3, 50), rng.dirichlet(np.ones(3), 50)).answers
    curve = coverage_curve(answers)
    for threshold, coverage, right in zip(curve.threshold, curve.coverage, curve.accuracy, strict=True):
        given = answers.confidence >= threshold
        assert (coverage, right) == pytest.approx((given.mean(), answers.correct[given].mean()))


def test_reliability_has_a_bin_for_each_confidence() -> None:
    found = reliability(ANSWERS, bins=2)
    assert found.images.tolist() == [0, 4]
    assert np.isnan(found.accuracy[0])
    assert (found.confidence[1], found.accuracy[1]) == pytest.approx((0.775, 0.5))


def test_the_calibration_error_is_the_mean_distance_of_the_diagram() -> None:
    rng = np.random.default_rng(0)
    answers = judge(rng.integers(0, 3, 90), rng.dirichlet(np.ones(3), 90)).answers
    found = reliability(answers)
    distance = np.nansum(found.images * np.abs(found.confidence - found.accuracy)) / 90
    assert expected_calibration_error(answers.labels, answers.probabilities) == pytest.approx(distance)


def of_one_confidence(rng: np.random.Generator, images: int, scene: int, right: float) -> tuple[Answers, Groups]:
    """Answers of two classes, always with confidence 0.8; a scene is all right or all wrong."""
    groups = np.arange(images) // scene
    labels = (rng.random(groups[-1] + 1) >= right).astype(np.int64)[groups]
    return judge(labels, np.tile([0.8, 0.2], (images, 1))).answers, groups


@pytest.mark.parametrize("scene", [1, 3])
@pytest.mark.parametrize("right", [0.8, 0.7, 0.5])
def test_of_100_intervals_of_the_calibration_error_at_least_92_hold_the_true_one(right: float, scene: int) -> None:
    rng, tries, held = np.random.default_rng(0), 300, 0
    for seed in range(tries):
        answers, groups = of_one_confidence(rng, 150, scene, right)
        ends = calibration_error_ends(answers, groups, 1000, 0.95, seed)
        assert ends
        held += ends[0] - 1e-9 <= 0.8 - right <= ends[1]
    assert held / tries >= 0.92


def test_the_calibration_error_of_a_few_scenes_has_no_interval() -> None:
    answers, groups = of_one_confidence(np.random.default_rng(0), 87, 3, 0.8)
    assert calibration_error_ends(answers, groups, 200, 0.95, seed=1) is None
    assert calibration_error_ends(answers, np.arange(87), 200, 0.95, seed=1)
